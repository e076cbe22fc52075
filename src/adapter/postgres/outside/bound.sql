-- What outside schemas $3 (OIDs) binds to objects ($1, $2: their classes and OIDs): what it is, the
-- relation that it hangs on, whether it is ours to make anew. Temporary objects die with their
-- sessions; a toast table goes with its table.
WITH direct AS (
  SELECT d.classid, d.objid, max(d.objsubid) AS sub,
         min(pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)) AS other,
         bool_or(d.refclassid = 'pg_type'::regclass) AS by_type
  FROM unnest($1::oid[], $2::oid[]) AS o (class, id)
  JOIN pg_depend d ON d.refclassid = o.class AND d.refobjid = o.id
  WHERE d.deptype IN ('n', 'a', 'P', 'S', 'x')
  GROUP BY 1, 2),
homes AS (
  SELECT d.*, coalesce(x.indrelid, c.oid, r.ev_class, f.adrelid, nullif(k.conrelid, 0), g.tgrelid,
                       p.polrelid, s.stxrelid) AS relation,
         r.rulename, f.adnum, k.contype, g.tgisinternal, y.typnamespace, q.pronamespace, q.proowner,
         coalesce(o.oprnamespace, kt.typnamespace) AS other_schema
  FROM direct d
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
  LEFT JOIN pg_index x ON x.indexrelid = c.oid
  LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
  LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
  LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
  LEFT JOIN pg_type kt ON kt.oid = k.contypid
  LEFT JOIN pg_trigger g ON d.classid = 'pg_trigger'::regclass AND g.oid = d.objid
  LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
  LEFT JOIN pg_statistic_ext s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
  LEFT JOIN pg_type y ON d.classid = 'pg_type'::regclass AND y.oid = d.objid
  LEFT JOIN pg_proc q ON d.classid = 'pg_proc'::regclass AND q.oid = d.objid
  LEFT JOIN pg_operator o ON d.classid = 'pg_operator'::regclass AND o.oid = d.objid),
placed AS (
  SELECT h.*, c.relkind, c.relispopulated, c.relowner,
         coalesce(c.relnamespace, h.typnamespace, h.pronamespace, h.other_schema) AS schema
  FROM homes h LEFT JOIN pg_class c ON c.oid = h.relation)
SELECT CASE
         WHEN p.relkind = 'v' AND (p.rulename = '_RETURN' OR p.classid = 'pg_class'::regclass) THEN 'view'
         WHEN p.relkind = 'm' AND (p.rulename = '_RETURN' OR p.classid = 'pg_class'::regclass)
           THEN CASE WHEN p.relispopulated THEN 'filled' ELSE 'materialized' END
         WHEN p.classid = 'pg_rewrite'::regclass THEN 'rule'
         WHEN p.classid = 'pg_proc'::regclass THEN 'routine'
         WHEN p.contype = 'f' THEN 'foreign'
         WHEN p.classid = 'pg_policy'::regclass THEN 'policy'
         WHEN p.classid = 'pg_trigger'::regclass THEN 'trigger'
         WHEN p.classid = 'pg_attrdef'::regclass AND EXISTS (
           SELECT FROM pg_attribute a WHERE a.attrelid = p.relation AND a.attnum = p.adnum
           AND a.attgenerated = '') THEN 'default'
         ELSE 'other' END AS kind,
       p.classid AS class, p.objid AS id, coalesce(p.relation, 0::oid) AS relation,
       pg_describe_object(p.classid, p.objid, p.sub) AS what, p.other,
       p.by_type AS by_type,
       coalesce(pg_has_role(coalesce(p.relowner, p.proowner), 'USAGE'), true) AS ours,
       coalesce(pg_get_userbyid(coalesce(p.relowner, p.proowner))::text, '') AS owner
FROM placed p LEFT JOIN pg_namespace n ON n.oid = p.schema
WHERE coalesce(NOT p.schema = ANY ($3) AND n.nspname !~ '^pg_(toast|temp)',
               p.classid IN ('pg_publication_rel'::regclass, 'pg_cast'::regclass,
                             'pg_event_trigger'::regclass, 'pg_extension'::regclass,
                             'pg_transform'::regclass /*or publishes a schema*/))
  AND NOT (coalesce(p.tgisinternal, false))
ORDER BY p.classid, p.objid
