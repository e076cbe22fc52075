-- How many dependencies there are, and whether a catalog that `capture` reads has rows that were written
-- since $1 (a transaction id). Deleted rows show in the count.
SELECT (SELECT count(*) FROM pg_depend) AS many,
       EXISTS (SELECT FROM pg_depend WHERE age(xmin) <= age($1::text::xid))
       OR EXISTS (SELECT FROM pg_class WHERE age(xmin) <= age($1::text::xid))
       OR EXISTS (SELECT FROM pg_rewrite WHERE age(xmin) <= age($1::text::xid))
       OR EXISTS (SELECT FROM pg_proc WHERE age(xmin) <= age($1::text::xid))
       OR EXISTS (SELECT FROM pg_constraint WHERE age(xmin) <= age($1::text::xid))
       OR EXISTS (SELECT FROM pg_trigger WHERE age(xmin) <= age($1::text::xid))
       OR EXISTS (SELECT FROM pg_policy WHERE age(xmin) <= age($1::text::xid))
       OR EXISTS (SELECT FROM pg_attrdef WHERE age(xmin) <= age($1::text::xid)) AS newer
