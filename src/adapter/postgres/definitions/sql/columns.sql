-- How columns are stored and sampled ($1: OIDs of relations); said before rows are written.
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, c.oid AS rel, 'column' AS kind,
       NULL::text AS role,
       CASE WHEN a.attstorage <> t.typstorage AND c.relkind <> 'v' THEN
         ARRAY[format('ALTER TABLE ONLY %s ALTER COLUMN %I SET STORAGE %s', s.name, a.attname,
                      CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                      WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)] ELSE '{}' END
       || /*compression*/
       || CASE WHEN a.attstattarget >= 0 THEN
         ARRAY[format('ALTER TABLE ONLY %s ALTER COLUMN %I SET STATISTICS %s', s.name, a.attname,
                      a.attstattarget)] ELSE '{}' END
       || CASE WHEN a.attoptions IS NOT NULL THEN
         ARRAY[format('ALTER TABLE ONLY %s ALTER COLUMN %I SET (%s)', s.name, a.attname,
                      (SELECT string_agg(format('%s=%L', split_part(o, '=', 1),
                                                substr(o, strpos(o, '=') + 1)), ', ')
                       FROM unnest(a.attoptions) o))] ELSE '{}' END AS statements
FROM pg_class c
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name
                    FROM pg_namespace n WHERE n.oid = c.relnamespace) s
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.oid = ANY ($1) AND c.relkind IN ('r', 'p', 'm')
  AND (a.attstorage <> t.typstorage OR a.attstattarget >= 0 OR a.attoptions IS NOT NULL
       /*or compressed*/)
ORDER BY c.oid, a.attnum
