-- Tables of schemas ($1: their OIDs) and how their rows are read. A value whose type lies in one of
-- the schemas is of another type in the copy: it goes by its text, except a domain over a type that
-- does not. `plain`: CREATE TABLE AS makes the same table, but for columns that are `required`.
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE 0 END AS bytes,
       CASE c.relkind WHEN 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::bigint
         ELSE 0 END AS pages,
       CASE c.relkind WHEN 'r' THEN pg_relation_size(c.oid) = 0 ELSE true END AS empty,
       coalesce(l.columns, '') AS columns, coalesce(l.values, '') AS values,
       c.relpersistence = 'u' AS unlogged, coalesce(l.required, '') AS required,
       coalesce(l.plain, false) AND c.relkind = 'r' AND c.reltablespace = 0 AND c.reloftype = 0
         AND c.reloptions IS NULL AND am.amname = 'heap'
         AND NOT EXISTS (SELECT FROM pg_class x
                         WHERE x.oid = c.reltoastrelid AND x.reloptions IS NOT NULL)
         AND NOT EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))
         -- A NOT NULL may have a name of its own since version 18.
         AND NOT EXISTS (SELECT FROM pg_constraint k
                         WHERE k.conrelid = c.oid AND k.contype IN ('c', 'n')) AS plain
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_am am ON am.oid = c.relam
CROSS JOIN LATERAL (
  SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
         string_agg(CASE
           WHEN NOT (t.typnamespace = ANY ($1)) THEN quote_ident(a.attname)
           WHEN t.typtype = 'd' AND NOT EXISTS (SELECT FROM pg_type b WHERE b.oid = t.typbasetype
                                                AND b.typnamespace = ANY ($1))
           THEN format('%I::%s', a.attname, format_type(a.atttypid, a.atttypmod))
           ELSE format('%I::text::%s', a.attname, format_type(a.atttypid, a.atttypmod)) END,
           ', ' ORDER BY a.attnum) AS values,
         string_agg(format('ALTER COLUMN %I SET NOT NULL', a.attname), ', ' ORDER BY a.attnum)
           FILTER (WHERE a.attnotnull) AS required,
         bool_and(a.attidentity = '' AND NOT (t.typnamespace = ANY ($1)) AND NOT EXISTS (
           SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attgenerated <> '')) AS plain
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') l
WHERE c.relnamespace = ANY ($1) AND c.relkind IN ('r', 'p', 'm')
ORDER BY c.oid
