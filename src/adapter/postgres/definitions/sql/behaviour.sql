-- What makes relations act ($1: their OIDs): triggers, rules, policies; then what names an index or
-- turns row security on.
SELECT 'pg_trigger'::regclass::oid AS class, g.oid AS id, c.oid AS rel, 'trigger' AS kind,
       NULL::text AS role,
       CASE WHEN /*no share of its parent's*/ THEN ARRAY[pg_get_triggerdef(g.oid)] ELSE '{}' END
       || CASE WHEN g.tgenabled = 'O' AND /*no share of its parent's*/ THEN '{}' ELSE
          ARRAY[format('ALTER TABLE %s%I.%I %s TRIGGER %I',
                       CASE c.relkind WHEN 'p' THEN 'ONLY ' ELSE '' END, n.nspname, c.relname,
                       CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                       WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END, g.tgname)] END AS statements
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1)
  AND CASE WHEN /*no share of its parent's*/ THEN NOT g.tgisinternal
      ELSE g.tgenabled <> 'O' AND g.tgname NOT LIKE 'RI\_ConstraintTrigger%' END
UNION ALL
SELECT 'pg_rewrite'::regclass, r.oid, c.oid, 'rule', NULL,
       ARRAY[rtrim(pg_get_ruledef(r.oid), ';')]
       || CASE r.ev_enabled WHEN 'O' THEN '{}' ELSE
          ARRAY[format('ALTER TABLE %I.%I %s RULE %I', n.nspname, c.relname,
                       CASE r.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                       ELSE 'ENABLE REPLICA' END, r.rulename)] END
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1) AND r.rulename <> '_RETURN'
UNION ALL
SELECT 'pg_policy'::regclass, p.oid, c.oid, 'policy', NULL,
       ARRAY[format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s', p.polname, n.nspname, c.relname,
                    CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                    CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                    WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                    (SELECT string_agg(CASE x WHEN 0 THEN 'PUBLIC' ELSE x::regrole::text END, ', ')
                     FROM unnest(p.polroles) x))
         || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
         || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')]
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1)
UNION ALL
SELECT 'pg_class'::regclass, c.oid, c.oid, 'finish', NULL,
       CASE WHEN c.relrowsecurity THEN
         ARRAY[format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', s.name)] ELSE '{}' END
       || CASE WHEN c.relforcerowsecurity THEN
         ARRAY[format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', s.name)] ELSE '{}' END
       || CASE c.relreplident WHEN 'f' THEN
            ARRAY[format('ALTER TABLE ONLY %s REPLICA IDENTITY FULL', s.name)]
          WHEN 'n' THEN ARRAY[format('ALTER TABLE ONLY %s REPLICA IDENTITY NOTHING', s.name)]
          WHEN 'i' THEN ARRAY(SELECT format('ALTER TABLE ONLY %s REPLICA IDENTITY USING INDEX %I',
                                            s.name, ic.relname)
                              FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
                              WHERE i.indrelid = c.oid AND i.indisreplident) ELSE '{}' END
       || ARRAY(SELECT format('ALTER TABLE %s CLUSTER ON %I', s.name, ic.relname)
                FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indisclustered)
FROM pg_class c
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name
                    FROM pg_namespace n WHERE n.oid = c.relnamespace) s
WHERE c.oid = ANY ($1) AND c.relkind IN ('r', 'p', 'm')
  AND (c.relrowsecurity OR c.relforcerowsecurity OR c.relreplident IN ('f', 'n', 'i')
       OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisclustered))
ORDER BY 1, 2
