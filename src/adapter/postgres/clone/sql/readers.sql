-- What depends on tables ($1: their OIDs) or on the types of their rows and is no part of them: the view
-- it belongs to, or nothing; and what depends on such a view, and so on.
WITH RECURSIVE found AS (
  SELECT o AS "of", o AS on_what, NULL::oid AS reader FROM unnest($1::oid[]) o
  UNION
  SELECT f."of", c.oid, coalesce(c.oid, 0) FROM found f
  JOIN pg_type t ON t.typrelid = f.on_what
  JOIN pg_depend d ON d.deptype = 'n'
    AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = f.on_what
         OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray))
  LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  LEFT JOIN pg_class c ON c.oid = r.ev_class)
SELECT f."of", n.nspname::text AS schema, c.relname::text AS name
FROM found f LEFT JOIN pg_class c ON c.oid = f.reader LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE f.reader IS NOT NULL
