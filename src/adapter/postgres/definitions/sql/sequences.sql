-- Sequences ($1: OIDs of relations) that are not an identity column's; whose column they belong to
-- is said once everything is there.
SELECT 'pg_class'::regclass::oid AS class, c.oid AS id, 0::oid AS rel, 'sequence' AS kind,
       NULL::text AS role,
       ARRAY[format('CREATE %sSEQUENCE %I.%I AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s '
                    'START WITH %s CACHE %s %s',
                    CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END,
                    n.nspname, c.relname, format_type(q.seqtypid, NULL), q.seqincrement, q.seqmin,
                    q.seqmax, q.seqstart, q.seqcache,
                    CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)] AS statements
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence q ON q.seqrelid = c.oid
WHERE c.oid = ANY ($1)
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                  AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i')
UNION ALL
SELECT 'pg_class'::regclass, c.oid, 0, 'finish', NULL,
       ARRAY[format('ALTER SEQUENCE %I.%I OWNED BY %I.%I.%I', n.nspname, c.relname, tn.nspname,
                    t.relname, a.attname)]
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a'
  AND d.refclassid = 'pg_class'::regclass
JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE c.oid = ANY ($1) AND c.relkind = 'S'
ORDER BY 2
