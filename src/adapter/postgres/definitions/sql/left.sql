-- What lies in schemas ($1: their OIDs) and cannot be defined again by us.
SELECT pg_describe_object(d.classid, d.objid, 0) AS what
FROM pg_depend d
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
LEFT JOIN pg_statistic_ext x ON d.classid = 'pg_statistic_ext'::regclass AND x.oid = d.objid
LEFT JOIN pg_class xc ON xc.oid = x.stxrelid
WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = ANY ($1)
  AND d.classid NOT IN ('pg_proc'::regclass, 'pg_default_acl'::regclass)
  AND NOT (d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c'))
  AND NOT (d.classid = 'pg_type'::regclass AND t.typtype IN ('e', 'd', 'r', 'c', 'm'))
  AND NOT (d.classid = 'pg_statistic_ext'::regclass AND xc.relnamespace = ANY ($1))
UNION ALL
SELECT pg_describe_object('pg_class'::regclass, i.indexrelid, 0) || ' (invalid)'
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = ANY ($1) AND c.relkind = 'i' AND NOT i.indisvalid
UNION ALL
SELECT format('that foreign keys are not enforced (DISABLE TRIGGER) on %I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relnamespace = ANY ($1) AND EXISTS (
  SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgisinternal AND g.tgenabled <> 'O'
  AND g.tgconstraint <> 0 AND EXISTS (
    SELECT FROM pg_constraint k WHERE k.oid = g.tgconstraint AND k.contype = 'f'))
ORDER BY 1
