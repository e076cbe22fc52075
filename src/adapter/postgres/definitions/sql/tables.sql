-- Tables ($1: OIDs of relations): columns, checks that call no function of anyone's, parents,
-- partitions, storage. `separate` checks are found in constraints.sql.
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, c.oid AS rel, 'table' AS kind,
       NULL::text AS role,
       CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
         ARRAY[format('SET LOCAL default_tablespace TO %I', ts.spcname)] END
       || ARRAY[format('CREATE %sTABLE %s (%s)',
                       CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, s.name,
                       concat_ws(', ', cols.list, checks.list))
         || CASE WHEN NOT c.relispartition AND up.list IS NOT NULL
            THEN format(' INHERITS (%s)', up.list) ELSE '' END
         || CASE c.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) ELSE '' END
         || coalesce(' USING ' || quote_ident(am.amname), '')
         || coalesce(' WITH (' || opts.list || ')', '')]
       || CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
            ARRAY['SET LOCAL default_tablespace TO '''''] END
       || ARRAY(SELECT format('ALTER TABLE ONLY %s ALTER COLUMN %I SET NOT NULL', s.name, a.attname)
                FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
                  AND NOT (a.attislocal OR c.relispartition)
                  AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_attribute pa
                                  ON pa.attrelid = i.inhparent AND pa.attname = a.attname
                                  WHERE i.inhrelid = c.oid AND pa.attnotnull)
                ORDER BY a.attnum)
       || CASE WHEN c.relispartition THEN
            ARRAY[format('ALTER TABLE ONLY %s ATTACH PARTITION %s %s', up.list, s.name,
                         pg_get_expr(c.relpartbound, c.oid))] ELSE '{}' END
       || CASE WHEN c.reloftype <> 0 THEN
            ARRAY[format('ALTER TABLE ONLY %s OF %s', s.name, format_type(c.reloftype, NULL))]
            ELSE '{}' END AS statements
FROM pg_class c
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name
                    FROM pg_namespace n WHERE n.oid = c.relnamespace) s
LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
LEFT JOIN pg_am am ON am.oid = c.relam AND c.relkind = 'r' AND am.amname <> 'heap'
CROSS JOIN LATERAL (
  SELECT string_agg(format('%I.%I', un.nspname, pc.relname), ', ' ORDER BY i.inhseqno) AS list
  FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent
  JOIN pg_namespace un ON un.oid = pc.relnamespace WHERE i.inhrelid = c.oid) up
CROSS JOIN LATERAL (
  SELECT string_agg(format('%s=%L', o.name, o.value), ', ') AS list
  FROM (SELECT split_part(r, '=', 1) AS name, substr(r, strpos(r, '=') + 1) AS value
        FROM unnest(c.reloptions) r
        UNION ALL
        SELECT 'toast.' || split_part(r, '=', 1), substr(r, strpos(r, '=') + 1)
        FROM pg_class t, unnest(t.reloptions) r WHERE t.oid = c.reltoastrelid) o) opts
CROSS JOIN LATERAL (
  SELECT string_agg(
    format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
    || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, co.collname)
                 FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                 JOIN pg_type b ON b.oid = a.atttypid
                 WHERE co.oid = a.attcollation AND a.attcollation <> b.typcollation), '')
    || CASE a.attgenerated WHEN '' THEN '' ELSE coalesce(
         (SELECT format(' GENERATED ALWAYS AS (%s) %s', pg_get_expr(d.adbin, d.adrelid),
                        CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END)
          FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum), '') END
    || CASE WHEN a.attidentity = '' OR /*identity is inherited*/ THEN '' ELSE coalesce(
         (SELECT format(' GENERATED %s AS IDENTITY (SEQUENCE NAME %I.%I START WITH %s '
                        'INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s)',
                        CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
                        qn.nspname, qc.relname, q.seqstart, q.seqincrement, q.seqmin, q.seqmax,
                        q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
          FROM pg_depend d JOIN pg_sequence q ON q.seqrelid = d.objid
          JOIN pg_class qc ON qc.oid = q.seqrelid JOIN pg_namespace qn ON qn.oid = qc.relnamespace
          WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
            AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i'), '') END
    || /*not null*/,
    ', ' ORDER BY a.attnum) AS list
  FROM pg_attribute a
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND (a.attislocal OR c.relispartition)) cols
CROSS JOIN LATERAL (
  SELECT string_agg(format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), ', '
                    ORDER BY k.conname) AS list
  FROM pg_constraint k
  WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.convalidated
    AND (k.conislocal OR c.relispartition)
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass
                    AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass)) checks
WHERE c.oid = ANY ($1) AND c.relkind IN ('r', 'p')
ORDER BY c.oid
