-- How many dependencies there are, and whether a catalog that `capture` reads has rows that were written
-- by a transaction that had not begun ($1, the first of them) or had not ended ($2) then. Deleted rows
-- show in the count.
SELECT (SELECT count(*) FROM pg_depend) AS many,
       EXISTS (SELECT FROM pg_depend WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2))
       OR EXISTS (SELECT FROM pg_class WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2))
       OR EXISTS (SELECT FROM pg_rewrite WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2))
       OR EXISTS (SELECT FROM pg_proc WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2))
       OR EXISTS (SELECT FROM pg_constraint WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2))
       OR EXISTS (SELECT FROM pg_trigger WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2))
       OR EXISTS (SELECT FROM pg_policy WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2))
       OR EXISTS (SELECT FROM pg_attrdef WHERE age(xmin) <= age($1::text::xid) OR xmin::text = ANY ($2)) AS newer
