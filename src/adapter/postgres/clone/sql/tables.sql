-- Tables of schemas ($1: their OIDs) and how their rows are read. A value whose type lies in one of
-- the schemas is of another type in the copy: it goes by its text, except a domain over a type that
-- does not.
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE 0 END AS bytes,
       CASE c.relkind WHEN 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::bigint
         ELSE 0 END AS pages,
       CASE c.relkind WHEN 'r' THEN pg_relation_size(c.oid) = 0 ELSE true END AS empty,
       coalesce(l.columns, '') AS columns, coalesce(l.values, '') AS values
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
         string_agg(CASE
           WHEN NOT (t.typnamespace = ANY ($1)) THEN quote_ident(a.attname)
           WHEN t.typtype = 'd' AND NOT EXISTS (SELECT FROM pg_type b WHERE b.oid = t.typbasetype
                                                AND b.typnamespace = ANY ($1))
           THEN format('%I::%s', a.attname, format_type(a.atttypid, a.atttypmod))
           ELSE format('%I::text::%s', a.attname, format_type(a.atttypid, a.atttypmod)) END,
           ', ' ORDER BY a.attnum) AS values
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') l
WHERE c.relnamespace = ANY ($1) AND c.relkind IN ('r', 'p', 'm')
ORDER BY c.oid
