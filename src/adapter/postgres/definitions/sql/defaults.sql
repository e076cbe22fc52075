-- Defaults of the columns of tables and views ($1: OIDs of relations).
SELECT 'pg_attrdef'::regclass::oid AS class, d.oid AS id, c.oid AS rel, 'default' AS kind,
       NULL::text AS role,
       ARRAY[format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET DEFAULT %s', n.nspname, c.relname,
                    a.attname, pg_get_expr(d.adbin, d.adrelid))] AS statements
FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE c.oid = ANY ($1) AND a.attgenerated = ''
ORDER BY c.oid, d.adnum
