-- Enums, domains, ranges and composite types ($1: their OIDs).
SELECT 'pg_type'::regclass::oid AS class, t.oid AS id, 0::oid AS rel, 'type' AS kind,
       NULL::text AS role,
       array_remove(ARRAY[CASE t.typtype
         WHEN 'e' THEN format('CREATE TYPE %s AS ENUM (%s)', s.name,
           (SELECT coalesce(string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder), '')
            FROM pg_enum e WHERE e.enumtypid = t.oid))
         WHEN 'd' THEN format('CREATE DOMAIN %s AS %s', s.name,
             format_type(t.typbasetype, t.typtypmod))
           || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, co.collname)
                        FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                        JOIN pg_type b ON b.oid = t.typbasetype
                        WHERE co.oid = t.typcollation AND t.typcollation <> b.typcollation), '')
           || coalesce(' DEFAULT ' || pg_get_expr(t.typdefaultbin, 'pg_type'::regclass), '')
           || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
           || coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', k.conname,
                                                 pg_get_constraintdef(k.oid)), '' ORDER BY k.conname)
                        FROM pg_constraint k
                        WHERE k.contypid = t.oid AND k.contype = 'c' AND k.convalidated), '')
         WHEN 'r' THEN (
           SELECT format('CREATE TYPE %s AS RANGE (subtype = %s, subtype_opclass = %I.%I', s.name,
                         format_type(r.rngsubtype, NULL), n.nspname, o.opcname)
             || coalesce((SELECT format(', collation = %I.%I', cn.nspname, co.collname)
                          FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                          WHERE co.oid = r.rngcollation), '')
             || CASE WHEN r.rngsubdiff <> 0 THEN format(', subtype_diff = %s', r.rngsubdiff)
                     ELSE '' END
             || /*multirange*/ || ')'
           FROM pg_range r JOIN pg_opclass o ON o.oid = r.rngsubopc
           JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE r.rngtypid = t.oid)
         WHEN 'c' THEN format('CREATE TYPE %s AS (%s)', s.name,
           (SELECT coalesce(string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
              || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, co.collname)
                           FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                           JOIN pg_type b ON b.oid = a.atttypid
                           WHERE co.oid = a.attcollation AND a.attcollation <> b.typcollation), ''),
              ', ' ORDER BY a.attnum), '')
            FROM pg_attribute a
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
       END], NULL)
       || ARRAY(SELECT format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', s.name, k.conname,
                              pg_get_constraintdef(k.oid))
                FROM pg_constraint k
                WHERE k.contypid = t.oid AND k.contype = 'c' AND NOT k.convalidated
                ORDER BY k.conname) AS statements
FROM pg_type t
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, t.typname) AS name
                    FROM pg_namespace n WHERE n.oid = t.typnamespace) s
WHERE t.oid = ANY ($1)
ORDER BY t.oid
