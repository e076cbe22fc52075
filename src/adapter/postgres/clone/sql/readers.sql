-- What depends on tables ($1: their OIDs) or on the types of their rows and is no part of them: the
-- view it belongs to, or nothing.
SELECT coalesce(t.typrelid, d.refobjid) AS of, n.nspname::text AS schema, c.relname::text AS name
FROM pg_depend d
LEFT JOIN pg_type e ON d.refclassid = 'pg_type'::regclass AND e.oid = d.refobjid
LEFT JOIN pg_type t ON t.oid = CASE WHEN e.typrelid <> 0 THEN e.oid ELSE e.typelem END AND t.typrelid <> 0
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class c ON c.oid = r.ev_class
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE d.deptype = 'n' AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY ($1)
                           OR d.refclassid = 'pg_type'::regclass AND t.typrelid = ANY ($1))
