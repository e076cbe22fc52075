-- Dependencies of what lies in schemas $1 on what lies in schemas $2 (OIDs). What has no schema of its
-- own lies where its relation, type or family lies.
WITH places AS (
  SELECT 'pg_class'::regclass::oid AS class, oid AS id, relnamespace AS schema FROM pg_class
  UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type
  UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc
  UNION ALL SELECT 'pg_constraint'::regclass, oid, connamespace FROM pg_constraint
  UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator
  UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace FROM pg_opclass
  UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfnamespace FROM pg_opfamily
  UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace FROM pg_collation
  UNION ALL SELECT 'pg_conversion'::regclass, oid, connamespace FROM pg_conversion
  UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxnamespace FROM pg_statistic_ext
  UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace FROM pg_ts_config
  UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace FROM pg_ts_dict
  UNION ALL SELECT 'pg_ts_parser'::regclass, oid, prsnamespace FROM pg_ts_parser
  UNION ALL SELECT 'pg_ts_template'::regclass, oid, tmplnamespace FROM pg_ts_template
  UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, c.relnamespace
            FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
  UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, c.relnamespace
            FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
  UNION ALL SELECT 'pg_trigger'::regclass, g.oid, c.relnamespace
            FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
  UNION ALL SELECT 'pg_policy'::regclass, p.oid, c.relnamespace
            FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  UNION ALL SELECT 'pg_namespace'::regclass, oid, oid FROM pg_namespace)
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) AS what,
       pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS other
FROM (SELECT d.* FROM pg_depend d WHERE (d.refclassid, d.refobjid) IN (
        SELECT class, id FROM places WHERE schema = ANY ($2)) OFFSET 0) d
WHERE (d.classid, d.objid) IN (SELECT class, id FROM places WHERE schema = ANY ($1))
ORDER BY 1, 2
