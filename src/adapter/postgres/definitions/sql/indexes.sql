-- Indexes that no constraint makes ($1: OIDs of relations), what each index is a part of, and
-- statistics objects.
SELECT 'pg_class'::regclass::oid AS class, i.indexrelid AS id, i.indrelid AS rel, 'index' AS kind,
       NULL::text AS role,
       CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
         ARRAY[format('SET LOCAL default_tablespace TO %I', ts.spcname)] END
       || ARRAY[pg_get_indexdef(i.indexrelid)]
       || CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
            ARRAY['SET LOCAL default_tablespace TO '''''] END
       || ARRAY(SELECT format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s', n.nspname,
                              c.relname, a.attnum, a.attstattarget)
                FROM pg_attribute a
                WHERE a.attrelid = i.indexrelid AND a.attstattarget >= 0 ORDER BY a.attnum)
         AS statements
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
WHERE i.indrelid = ANY ($1) AND (i.indisvalid OR c.relkind = 'I')
  AND NOT EXISTS (SELECT FROM pg_constraint k
                  WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'pg_class'::regclass, i.indexrelid, i.indrelid, 'attach', NULL,
       ARRAY[format('ALTER INDEX %I.%I ATTACH PARTITION %I.%I', un.nspname, p.relname, n.nspname,
                    c.relname)]
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_inherits h ON h.inhrelid = i.indexrelid JOIN pg_class p ON p.oid = h.inhparent
JOIN pg_namespace un ON un.oid = p.relnamespace
WHERE i.indrelid = ANY ($1)
UNION ALL
SELECT 'pg_statistic_ext'::regclass, x.oid, x.stxrelid, 'statistics', NULL,
       ARRAY[pg_get_statisticsobjdef(x.oid)]
       || /*statistics target*/
FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace
WHERE x.stxrelid = ANY ($1)
ORDER BY 2
