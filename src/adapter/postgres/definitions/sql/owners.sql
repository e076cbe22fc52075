-- Owners other than us, of relations ($1), types ($2), routines ($3) and schemas ($4). What belongs
-- to a table follows it.
SELECT o.class, o.id, 0::oid AS rel, 'owner' AS kind, pg_get_userbyid(o.owner)::text AS role,
       ARRAY[format('ALTER %s OWNER TO %I', o.what, pg_get_userbyid(o.owner))] AS statements
FROM (
  SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, c.relowner AS owner,
         format('%s %I.%I', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname) AS what
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = ANY ($1)
    AND NOT (c.relkind = 'S' AND EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
      AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, t.typowner, format('TYPE %I.%I', n.nspname, t.typname)
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = ANY ($2)
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, p.proowner, 'ROUTINE ' || p.oid::regprocedure
  FROM pg_proc p WHERE p.oid = ANY ($3)
  UNION ALL
  SELECT 'pg_statistic_ext'::regclass, x.oid, x.stxowner,
         format('STATISTICS %I.%I', n.nspname, x.stxname)
  FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace WHERE x.stxrelid = ANY ($1)
  UNION ALL
  SELECT 'pg_namespace'::regclass, n.oid, n.nspowner, format('SCHEMA %I', n.nspname)
  FROM pg_namespace n WHERE n.oid = ANY ($4)) o
WHERE pg_get_userbyid(o.owner) <> current_user
ORDER BY o.class = 'pg_namespace'::regclass, o.class, o.id
