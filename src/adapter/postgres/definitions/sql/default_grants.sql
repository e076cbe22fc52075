-- Privileges that objects made later will get in schemas ($1: their OIDs).
SELECT 'pg_default_acl'::regclass::oid AS class, a.oid AS id, 0::oid AS rel, 'default-grant' AS kind,
       pg_get_userbyid(a.defaclrole)::text AS role,
       ARRAY[format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON %s TO %s%s',
                    pg_get_userbyid(a.defaclrole), n.nspname, g.privileges,
                    CASE a.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES'
                    WHEN 'f' THEN 'FUNCTIONS' ELSE 'TYPES' END,
                    CASE g.grantee WHEN 0 THEN 'PUBLIC'
                    ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                    CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)] AS statements
FROM pg_default_acl a JOIN pg_namespace n ON n.oid = a.defaclnamespace
CROSS JOIN LATERAL (
  SELECT x.grantee, x.is_grantable, string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
           AS privileges
  FROM aclexplode(a.defaclacl) x GROUP BY 1, 2) g
WHERE a.defaclnamespace = ANY ($1)
ORDER BY a.defaclrole::regrole::text, a.defaclobjtype, g.grantee, g.is_grantable
