-- Constraints that tables.sql leaves out ($1: OIDs of relations). A key of a plain table is its index,
-- which can be made beside others, and then a name for it; another knows its index's options and what
-- it is a part of. A foreign key that is a partition's share of its parent's comes along.
SELECT 'pg_constraint'::regclass::oid AS class, k.oid AS id, c.oid AS rel,
       CASE k.contype WHEN 'c' THEN 'check' WHEN 'n' THEN 'check' WHEN 'f' THEN 'foreign'
         ELSE 'key' END AS kind,
       NULL::text AS role,
       CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
         ARRAY[format('SET LOCAL default_tablespace TO %I', ts.spcname)] END
       || CASE WHEN u.two_steps THEN ARRAY[pg_get_indexdef(k.conindid)] ELSE
         ARRAY[format('ALTER TABLE %s%s ADD CONSTRAINT %I %s',
                       CASE WHEN k.contype IN ('p', 'u', 'x') THEN 'ONLY ' ELSE '' END, s.name,
                       k.conname, pg_get_constraintdef(k.oid))] END
       || CASE WHEN i.reloptions IS NULL OR u.two_steps THEN '{}' ELSE
         ARRAY[format('ALTER INDEX %I.%I SET (%s)', x.nspname, i.relname,
                      (SELECT string_agg(format('%s=%L', split_part(o, '=', 1),
                                                substr(o, strpos(o, '=') + 1)), ', ')
                       FROM unnest(i.reloptions) o))] END
       || CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
            ARRAY['SET LOCAL default_tablespace TO '''''] END
       || CASE WHEN u.two_steps THEN
            ARRAY[format('ALTER TABLE ONLY %s ADD CONSTRAINT %I %s USING INDEX %I%s%s', s.name,
                         k.conname, CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END,
                         i.relname, CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END,
                         CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END)]
          ELSE '{}' END AS statements
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name
                    FROM pg_namespace n WHERE n.oid = c.relnamespace) s
LEFT JOIN pg_class i ON i.oid = k.conindid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_namespace x ON x.oid = i.relnamespace
CROSS JOIN LATERAL (SELECT coalesce(k.contype IN ('p', 'u') AND c.relkind = 'r'
                                    AND i.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
                                    AND i.relname = k.conname, false) AS two_steps) u
LEFT JOIN pg_tablespace ts ON ts.oid = i.reltablespace
WHERE c.oid = ANY ($1)
  AND (k.contype IN ('p', 'u', 'x')
       OR k.contype = 'f' AND k.conparentid = 0
       OR k.contype = 'n' AND k.conislocal AND NOT k.convalidated
       OR k.contype = 'c' AND k.conislocal
          AND (NOT k.convalidated
               OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass
                          AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass)))
ORDER BY c.oid, k.conname
