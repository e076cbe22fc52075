-- What else stands for an object of ours: row types, array types, a view's query, an index that a
-- constraint makes, inline defaults and checks, an identity column's sequence. $1: OIDs of relations,
-- $2: of types.
WITH own_types AS (
  SELECT t.oid, 'pg_class'::regclass::oid AS class, t.typrelid AS id
  FROM pg_type t WHERE t.typrelid = ANY ($1)
  UNION ALL
  SELECT t.oid, 'pg_type'::regclass, t.oid FROM pg_type t WHERE t.oid = ANY ($2))
SELECT 'pg_type'::regclass::oid AS class, y.oid AS id, y.class AS of_class, y.id AS of
FROM own_types y
UNION ALL
SELECT 'pg_type'::regclass, t.typarray, y.class, y.id
FROM own_types y JOIN pg_type t ON t.oid = y.oid WHERE t.typarray <> 0
UNION ALL
SELECT 'pg_class'::regclass, t.typrelid, 'pg_type'::regclass, t.oid
FROM pg_type t WHERE t.oid = ANY ($2) AND t.typrelid <> 0
UNION ALL
/*multiranges*/
SELECT 'pg_rewrite'::regclass, r.oid, 'pg_class'::regclass, r.ev_class
FROM pg_rewrite r WHERE r.ev_class = ANY ($1) AND r.rulename = '_RETURN'
UNION ALL
SELECT 'pg_class'::regclass, k.conindid, 'pg_constraint'::regclass, k.oid
FROM pg_constraint k WHERE k.conrelid = ANY ($1) AND k.contype IN ('p', 'u', 'x')
UNION ALL
SELECT 'pg_attrdef'::regclass, d.oid, 'pg_class'::regclass, d.adrelid
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE d.adrelid = ANY ($1) AND a.attgenerated <> ''
UNION ALL
SELECT 'pg_constraint'::regclass, k.oid, 'pg_class'::regclass, k.conrelid
FROM pg_constraint k WHERE k.conrelid = ANY ($1) AND k.contype = 'c' AND k.convalidated
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass
                  AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass)
UNION ALL
SELECT 'pg_constraint'::regclass, k.oid, 'pg_type'::regclass, k.contypid
FROM pg_constraint k WHERE k.contypid = ANY ($2)
UNION ALL
SELECT 'pg_class'::regclass, d.objid, 'pg_class'::regclass, d.refobjid
FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.deptype = 'i' AND d.refobjid = ANY ($1) AND d.refobjsubid > 0
