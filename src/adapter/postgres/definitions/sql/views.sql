-- Views and materialized views ($1: OIDs of relations); the latter are filled at the end.
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 0::oid AS rel,
       CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized' END AS kind, NULL::text AS role,
       CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
         ARRAY[format('SET LOCAL default_tablespace TO %I', ts.spcname)] END
       || ARRAY[CASE c.relkind WHEN 'v' THEN format('CREATE VIEW %s', s.name)
                ELSE format('CREATE MATERIALIZED VIEW %s', s.name)
                  || coalesce(' USING ' || quote_ident(am.amname), '') END
         || coalesce(' WITH (' || (SELECT string_agg(format('%s=%L', split_part(o, '=', 1),
                                                            substr(o, strpos(o, '=') + 1)), ', ')
                                   FROM unnest(c.reloptions) o) || ')', '')
         || E' AS\n' || rtrim(pg_get_viewdef(c.oid), ';')
         || CASE c.relkind WHEN 'm' THEN ' WITH NO DATA' ELSE '' END]
       || CASE WHEN ts.spcname IS NULL THEN '{}' ELSE
            ARRAY['SET LOCAL default_tablespace TO '''''] END AS statements
FROM pg_class c
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name
                    FROM pg_namespace n WHERE n.oid = c.relnamespace) s
LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
LEFT JOIN pg_am am ON am.oid = c.relam AND c.relkind = 'm' AND am.amname <> 'heap'
WHERE c.oid = ANY ($1) AND c.relkind IN ('v', 'm')
UNION ALL
SELECT 'pg_class'::regclass, c.oid, c.oid, 'refresh', NULL,
       ARRAY[format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname)]
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1) AND c.relkind = 'm' AND c.relispopulated
ORDER BY 2
