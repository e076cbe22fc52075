-- Grants on relations and their columns ($1), types ($2), routines ($3) and schemas ($4). Where the
-- role that creates objects has default privileges of its own, grants are spelt out for every object.
WITH habits AS (
  SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
    AS grantee
  FROM pg_default_acl a, aclexplode(a.defaclacl) x
  WHERE a.defaclnamespace = 0 AND pg_get_userbyid(a.defaclrole) = current_user),
objects AS (
  SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 0 AS sub, c.relowner AS owner,
         coalesce(c.relacl, CASE WHEN EXISTS (SELECT FROM habits) THEN
           acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner) END) AS acl,
         ''::text AS col, format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                           n.nspname, c.relname) AS what
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1)
  UNION ALL
  SELECT 'pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl, format(' (%I)', a.attname),
         format('TABLE %I.%I', n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
  WHERE c.oid = ANY ($1) AND a.attacl IS NOT NULL
  UNION ALL
  SELECT 'pg_type'::regclass, t.oid, 0, t.typowner,
         coalesce(t.typacl, CASE WHEN EXISTS (SELECT FROM habits) THEN acldefault('T', t.typowner) END),
         '', format('TYPE %I.%I', n.nspname, t.typname)
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = ANY ($2)
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, 0, p.proowner,
         coalesce(p.proacl, CASE WHEN EXISTS (SELECT FROM habits) THEN acldefault('f', p.proowner) END),
         '', 'ROUTINE ' || p.oid::regprocedure
  FROM pg_proc p WHERE p.oid = ANY ($3)
  UNION ALL
  SELECT 'pg_namespace'::regclass, n.oid, 0, n.nspowner,
         coalesce(n.nspacl, CASE WHEN EXISTS (SELECT FROM habits) THEN acldefault('n', n.nspowner) END),
         '', format('SCHEMA %I', n.nspname)
  FROM pg_namespace n WHERE n.oid = ANY ($4))
SELECT o.class, o.id, 0::oid AS rel, 'grant' AS kind, NULL::text AS role,
       ARRAY[format('REVOKE ALL ON %s FROM %s', o.what, concat_ws(', ', 'PUBLIC',
               quote_ident(pg_get_userbyid(o.owner)),
               (SELECT string_agg(h.grantee, ', ') FROM habits h
                WHERE h.grantee NOT IN ('PUBLIC', quote_ident(pg_get_userbyid(o.owner))))))]
         AS statements, o.class = 'pg_namespace'::regclass AS schema, o.sub, 0 AS place
FROM objects o WHERE o.acl IS NOT NULL AND o.sub = 0
UNION ALL
SELECT o.class, o.id, 0, 'grant', nullif(pg_get_userbyid(g.grantor), pg_get_userbyid(o.owner))::text,
       ARRAY[format('GRANT %s ON %s TO %s%s', g.privileges, o.what,
                    CASE g.grantee WHEN 0 THEN 'PUBLIC'
                    ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                    CASE WHEN g.is_grantable AND g.grantee <> o.owner THEN ' WITH GRANT OPTION'
                    ELSE '' END)],
       o.class = 'pg_namespace'::regclass, o.sub,
       g.place
FROM objects o CROSS JOIN LATERAL (
  SELECT x.grantor, x.grantee, x.is_grantable, min(x.place) AS place,
         string_agg(x.privilege_type || o.col, ', ' ORDER BY x.place) AS privileges
  FROM aclexplode(o.acl) WITH ORDINALITY x (grantor, grantee, privilege_type, is_grantable, place)
  GROUP BY 1, 2, 3) g
ORDER BY schema DESC, class, id, sub, place
