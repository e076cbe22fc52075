-- Comments and security labels of relations ($1), types ($2) and routines ($3) and of everything that
-- hangs on them: columns, constraints, indexes, triggers, rules, policies, statistics objects.
WITH objects AS (
  SELECT 'pg_class'::regclass::oid AS class, unnest($1::oid[]) AS id
  UNION ALL SELECT 'pg_type'::regclass, unnest($2::oid[])
  UNION ALL SELECT 'pg_proc'::regclass, unnest($3::oid[])
  UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint
            WHERE conrelid = ANY ($1) OR contypid = ANY ($2)
  UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid = ANY ($1)
  UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger
            WHERE tgrelid = ANY ($1) AND NOT tgisinternal
  UNION ALL SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite
            WHERE ev_class = ANY ($1) AND rulename <> '_RETURN'
  UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_policy WHERE polrelid = ANY ($1)
  UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxrelid = ANY ($1)),
told AS (
  SELECT d.classoid, d.objoid, d.objsubid, NULL::text AS provider, d.description AS said
  FROM objects o
  JOIN pg_description d ON d.classoid = o.class AND d.objoid = o.id
  UNION ALL
  SELECT l.classoid, l.objoid, l.objsubid, l.provider, l.label
  FROM objects o
  JOIN pg_seclabel l ON l.classoid = o.class AND l.objoid = o.id)
SELECT t.classoid AS class, t.objoid AS id, 0::oid AS rel,
       CASE WHEN t.provider IS NULL THEN 'comment' ELSE 'label' END AS kind, NULL::text AS role,
       ARRAY[CASE WHEN t.provider IS NULL THEN 'COMMENT ON '
             ELSE format('SECURITY LABEL FOR %I ON ', t.provider) END
         || CASE WHEN i.type LIKE '% column' THEN 'COLUMN ' || i.identity
            WHEN i.type = 'table constraint' THEN 'CONSTRAINT ' || i.identity
            WHEN i.type = 'domain constraint' THEN
              (SELECT format('CONSTRAINT %I ON DOMAIN %I.%I', k.conname, n.nspname, y.typname)
               FROM pg_constraint k JOIN pg_type y ON y.oid = k.contypid
               JOIN pg_namespace n ON n.oid = y.typnamespace WHERE k.oid = t.objoid)
            WHEN i.type = 'statistics object' THEN 'STATISTICS ' || i.identity
            WHEN i.type = 'composite type' THEN 'TYPE ' || i.identity
            ELSE upper(i.type) || ' ' || i.identity END
         || format(' IS %L', t.said)] AS statements
FROM told t CROSS JOIN LATERAL pg_identify_object(t.classoid, t.objoid, t.objsubid) i
ORDER BY 1, 2, t.objsubid, t.provider
