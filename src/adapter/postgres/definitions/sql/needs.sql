-- What must be there first: dependencies of objects ($1, $2: their classes and OIDs), those of a
-- view's query and of a column's default as their own.
SELECT d.classid AS class, d.objid AS id, d.refclassid AS other_class, d.refobjid AS other,
       d.deptype::text AS how
FROM unnest($1::oid[], $2::oid[]) AS o (class, id)
JOIN pg_depend d ON d.classid = o.class AND d.objid = o.id
WHERE d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass,
                       'pg_constraint'::regclass)
