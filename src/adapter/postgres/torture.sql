-- Two schemas, `shop` and `Shop Two`, that a deploy swaps, with every kind of object that is copied.
-- Roles are the cluster's; tests that run side by side make them once.
DO $$ DECLARE role text; BEGIN
  FOREACH role IN ARRAY ARRAY['shop_reader', 'shop Writer', 'shop_owner', 'shop_lender'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I', role);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
END $$;
CREATE SCHEMA shop;
CREATE SCHEMA "Shop Two";
CREATE SCHEMA other;
CREATE TABLE other.countries (code text PRIMARY KEY, name text);
INSERT INTO other.countries VALUES ('no', 'Norway'), ('pt', 'Portugal');
GRANT USAGE ON SCHEMA shop, "Shop Two" TO shop_reader, "shop Writer", shop_owner, shop_lender;
GRANT CREATE ON SCHEMA shop TO shop_owner;

-- types
CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'it''s fine');
COMMENT ON TYPE shop.mood IS 'how it''s going';
CREATE TYPE shop.place AS (street text COLLATE "C", nr integer, mood shop.mood);
CREATE DOMAIN shop.positive AS integer DEFAULT 1 NOT NULL CONSTRAINT above_zero CHECK (VALUE > 0);
COMMENT ON CONSTRAINT above_zero ON DOMAIN shop.positive IS 'really';
ALTER DOMAIN shop.positive ADD CONSTRAINT below CHECK (VALUE < 1000000) NOT VALID;
CREATE DOMAIN shop.moods AS shop.mood[];
CREATE FUNCTION shop.gap(a float8, b float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT a - b';
CREATE TYPE shop.span AS RANGE (subtype = float8, subtype_diff = shop.gap);
GRANT USAGE ON TYPE shop.mood TO shop_reader;
REVOKE USAGE ON TYPE shop.place FROM PUBLIC;

-- functions
CREATE FUNCTION shop.taxed(amount numeric) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  COST 7 AS 'SELECT amount * 1.25';
COMMENT ON FUNCTION shop.taxed(numeric) IS 'with tax';
CREATE FUNCTION shop.glad(m shop.mood) RETURNS boolean LANGUAGE sql IMMUTABLE
  BEGIN ATOMIC SELECT m <> 'sad'; END;
CREATE FUNCTION shop.is_known(id bigint) RETURNS boolean LANGUAGE plpgsql STABLE
  SET search_path TO 'shop', 'pg_temp' AS $f$
BEGIN
  RETURN EXISTS (SELECT FROM shop.customers c WHERE c.id = is_known.id);
END $f$;
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$
BEGIN
  NEW.touched := true; -- shop.orders is told
  RETURN NEW;
END $f$;
CREATE PROCEDURE shop.tidy(INOUT n integer DEFAULT 1) LANGUAGE plpgsql AS $f$
BEGIN
  EXECUTE 'DELETE FROM shop.notes WHERE false';
  n := n + 1;
END $f$;
CREATE AGGREGATE shop.product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1',
  PARALLEL = SAFE);
COMMENT ON AGGREGATE shop.product(numeric) IS 'multiplied';
REVOKE EXECUTE ON FUNCTION shop.taxed(numeric) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.taxed(numeric) TO shop_reader WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE shop.tidy(integer) TO "shop Writer";

-- sequences
CREATE SEQUENCE shop.numbers AS smallint INCREMENT BY 3 MINVALUE -5 MAXVALUE 1000 START 10 CACHE 2 CYCLE;
DO $$ BEGIN PERFORM nextval($q$shop.numbers$q$), nextval($q$shop.numbers$q$); END $$;
CREATE SEQUENCE shop.untouched;
COMMENT ON SEQUENCE shop.numbers IS 'counted by three';
GRANT USAGE ON SEQUENCE shop.numbers TO shop_reader;

-- tables
CREATE TABLE shop.customers (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 5 INCREMENT BY 2) PRIMARY KEY,
  gone text,
  name text COLLATE "C" NOT NULL DEFAULT 'it''s me',
  mood shop.mood DEFAULT 'ok',
  moods shop.mood[] DEFAULT '{sad}'::shop.mood[],
  home shop.place,
  rank shop.positive,
  span shop.span,
  country text REFERENCES other.countries,
  shout text GENERATED ALWAYS AS (upper(name)) STORED,
  glad boolean GENERATED ALWAYS AS (shop.glad(mood)) STORED,
  parent bigint,
  CONSTRAINT named CHECK (name <> ''),
  CONSTRAINT not_too_glad CHECK (shop.glad(mood) OR name <> 'x')
) WITH (fillfactor = 80, autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE shop.customers DROP COLUMN gone;
ALTER TABLE shop.customers ADD CONSTRAINT parent FOREIGN KEY (parent) REFERENCES shop.customers (id)
  ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE shop.customers ADD CONSTRAINT short CHECK (length(name) < 1000) NOT VALID;
ALTER TABLE shop.customers ALTER COLUMN name SET COMPRESSION pglz;
ALTER TABLE shop.customers ALTER COLUMN name SET STORAGE EXTERNAL,
  ALTER COLUMN name SET STATISTICS 321, ALTER COLUMN country SET (n_distinct = 12);
INSERT INTO shop.customers (name, mood, moods, home, span, country)
  SELECT 'c' || i, (ARRAY['sad', 'ok', 'it''s fine'])[1 + i % 3]::shop.mood, '{ok,"it''s fine"}',
         ROW ('Way, "old"', i, 'sad')::shop.place, shop.span(i, i + 1), 'no'
  FROM generate_series(1, 500) i;
UPDATE shop.customers SET parent = 5 WHERE id > 900;
SET CONSTRAINTS ALL IMMEDIATE;
COMMENT ON TABLE shop.customers IS E'those who\nbuy';
COMMENT ON COLUMN shop.customers.name IS 'as written';
COMMENT ON CONSTRAINT parent ON shop.customers IS 'who brought them';
CREATE INDEX lower_name ON shop.customers (lower(name) text_pattern_ops DESC NULLS LAST)
  INCLUDE (id) WITH (fillfactor = 70) WHERE name <> 'nobody';
ALTER INDEX shop.lower_name ALTER COLUMN 1 SET STATISTICS 99;
COMMENT ON INDEX shop.lower_name IS 'to find them';
CREATE UNIQUE INDEX customers_name ON shop.customers (name);
ALTER TABLE shop.customers REPLICA IDENTITY USING INDEX customers_name;
ALTER TABLE shop.customers CLUSTER ON customers_pkey;
CREATE INDEX glad_ones ON shop.customers (id) WHERE shop.glad(mood);
CREATE STATISTICS shop.together (dependencies, mcv) ON mood, country FROM shop.customers;
ALTER STATISTICS shop.together SET STATISTICS 55;
COMMENT ON STATISTICS shop.together IS 'they go together';
GRANT SELECT (id, name), UPDATE (name) ON shop.customers TO "shop Writer";
GRANT SELECT ON shop.customers TO shop_lender WITH GRANT OPTION;
SET ROLE shop_lender;
GRANT SELECT ON shop.customers TO shop_reader;
RESET ROLE;

CREATE TABLE shop.orders (
  id serial,
  customer bigint NOT NULL,
  day date NOT NULL,
  amount numeric(12, 2) DEFAULT shop.taxed(1),
  number smallint DEFAULT nextval('shop.numbers'),
  touched boolean,
  during tstzrange,
  CONSTRAINT orders_key PRIMARY KEY (id) WITH (fillfactor = 60),
  CONSTRAINT once UNIQUE (id, day) INCLUDE (amount) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT apart EXCLUDE USING gist (during WITH &&) DEFERRABLE,
  CONSTRAINT known FOREIGN KEY (customer) REFERENCES shop.customers
);
INSERT INTO shop.orders (customer, day, during)
  SELECT 5 + 2 * (i % 400), date '2024-01-01' + i % 700,
         tstzrange(timestamptz '2024-01-01' + i * interval '1 hour',
                   timestamptz '2024-01-01' + (i + 1) * interval '1 hour')
  FROM generate_series(1, 2000) i;
ALTER TABLE shop.orders ADD CONSTRAINT is_known CHECK (shop.is_known(customer));
CREATE TRIGGER touched BEFORE INSERT OR UPDATE OF amount ON shop.orders FOR EACH ROW
  WHEN (NEW.amount > 0) EXECUTE FUNCTION shop.touch('with', 'words');
CREATE TRIGGER sleeping AFTER DELETE ON shop.orders FOR EACH STATEMENT EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.orders DISABLE TRIGGER sleeping;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON shop.orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.orders ENABLE ALWAYS TRIGGER late;
COMMENT ON TRIGGER touched ON shop.orders IS 'touches';
CREATE RULE never AS ON DELETE TO shop.orders WHERE OLD.amount > 1000000 DO INSTEAD NOTHING;
COMMENT ON RULE never ON shop.orders IS 'never mind';
CREATE RULE asleep AS ON UPDATE TO shop.orders DO ALSO NOTIFY orders;
ALTER TABLE shop.orders DISABLE RULE asleep;
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.orders AS RESTRICTIVE FOR SELECT TO shop_reader, "shop Writer"
  USING (customer IN (SELECT id FROM shop.customers WHERE shop.glad(mood)));
CREATE POLICY "write it" ON shop.orders FOR INSERT WITH CHECK (amount > 0);
COMMENT ON POLICY own ON shop.orders IS 'their own';
ALTER TABLE shop.orders OWNER TO shop_owner;
REVOKE TRUNCATE ON shop.orders FROM shop_owner;

CREATE UNLOGGED TABLE shop.scratch (a integer, b integer) WITH (parallel_workers = 0);
INSERT INTO shop.scratch VALUES (1, 2);
ALTER TABLE shop.scratch REPLICA IDENTITY FULL;
CREATE TABLE shop.notes (note text, at timestamptz DEFAULT now());
CREATE TABLE shop.typed OF shop.place;
INSERT INTO shop.typed VALUES ('s', 1, 'ok');
CREATE TABLE shop.whole (c shop.notes, o shop.customers);
INSERT INTO shop.whole SELECT ROW ('n', '2024-01-01')::shop.notes, c FROM shop.customers c LIMIT 3;
CREATE TABLE shop."Odd ""name""" ("a b" integer, "c""d" text);
INSERT INTO shop."Odd ""name""" VALUES (1, 'x');
CREATE TABLE shop.nothing ();

-- inheritance and partitions
CREATE TABLE shop.animals (id integer NOT NULL, name text DEFAULT 'animal',
  CONSTRAINT of_age CHECK (id > 0));
CREATE TABLE shop.cats (lives integer DEFAULT 9, CONSTRAINT lively CHECK (lives > 0)) INHERITS (shop.animals);
ALTER TABLE shop.cats ALTER COLUMN name SET DEFAULT 'cat', ALTER COLUMN name SET NOT NULL;
INSERT INTO shop.animals VALUES (1, 'a');
INSERT INTO shop.cats VALUES (2, 'c', 9);
CREATE TABLE shop.events (id bigint NOT NULL, day date NOT NULL, what shop.mood, extra text,
  CONSTRAINT id_is_there CHECK (id >= 0)) PARTITION BY RANGE (day);
CREATE TABLE shop.events_2024 PARTITION OF shop.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
  PARTITION BY LIST (what);
CREATE TABLE shop.events_2024_ok PARTITION OF shop.events_2024 FOR VALUES IN ('ok');
CREATE TABLE shop.events_2024_rest PARTITION OF shop.events_2024 DEFAULT;
CREATE TABLE shop.events_old (extra text, dropped int, what shop.mood, day date NOT NULL,
  id bigint NOT NULL, CONSTRAINT id_is_there CHECK (id >= 0));
ALTER TABLE shop.events_old DROP COLUMN dropped;
ALTER TABLE shop.events ATTACH PARTITION shop.events_old FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
ALTER TABLE shop.events_old ALTER COLUMN extra SET DEFAULT 'old';
INSERT INTO shop.events SELECT i, date '2023-06-01' + i, CASE WHEN i % 2 = 0 THEN 'ok' ELSE 'sad' END::shop.mood
  FROM generate_series(1, 400) i;
CREATE INDEX events_day ON shop.events (day);
CREATE TABLE shop.parts (id bigint PRIMARY KEY, customer bigint REFERENCES shop.customers,
  other bigint) PARTITION BY HASH (id);
CREATE TABLE shop.parts_0 PARTITION OF shop.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE shop.parts_1 PARTITION OF shop.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1)
  WITH (fillfactor = 50);
INSERT INTO shop.parts SELECT i, 5 + 2 * i FROM generate_series(1, 50) i;
CREATE TRIGGER part_touched AFTER INSERT ON shop.parts FOR EACH ROW EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.parts_1 DISABLE TRIGGER part_touched;
CREATE TABLE shop.on_parts (part bigint REFERENCES shop.parts);
INSERT INTO shop.on_parts VALUES (1), (2);
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO shop_reader;

-- views
CREATE VIEW shop.order_totals WITH (security_barrier) AS
  SELECT c.id, c.name, c.home, sum(o.amount) AS total, shop.product(1.0) AS one
  FROM shop.customers c JOIN shop.orders o ON o.customer = c.id GROUP BY c.id;
COMMENT ON VIEW shop.order_totals IS 'totals';
COMMENT ON COLUMN shop.order_totals.total IS 'in all';
ALTER VIEW shop.order_totals ALTER COLUMN total SET DEFAULT 7;
CREATE VIEW shop.glad_customers AS SELECT * FROM shop.customers c WHERE shop.glad(c.mood)
  WITH LOCAL CHECK OPTION;
ALTER TABLE shop.glad_customers RENAME COLUMN name TO "Full name";
CREATE TRIGGER instead INSTEAD OF INSERT ON shop.order_totals FOR EACH ROW EXECUTE FUNCTION shop.touch();
CREATE RULE quiet AS ON UPDATE TO shop.order_totals DO INSTEAD NOTHING;
CREATE RECURSIVE VIEW shop.counting (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 5;
CREATE VIEW shop.abroad AS SELECT c.name, k.name AS country FROM shop.customers c
  JOIN other.countries k ON k.code = c.country;
ALTER VIEW shop.abroad OWNER TO shop_owner;
CREATE FUNCTION shop.top(v shop.order_totals) RETURNS SETOF shop.order_totals LANGUAGE sql
  BEGIN ATOMIC SELECT * FROM shop.order_totals t WHERE t.total > v.total; END;
CREATE MATERIALIZED VIEW shop.daily WITH (fillfactor = 90) AS
  SELECT day, count(*) AS orders FROM shop.orders GROUP BY day;
CREATE UNIQUE INDEX daily_day ON shop.daily (day);
ALTER MATERIALIZED VIEW shop.daily ALTER COLUMN orders SET STATISTICS 17;
ALTER MATERIALIZED VIEW shop.daily CLUSTER ON daily_day;
COMMENT ON MATERIALIZED VIEW shop.daily IS 'by day';
CREATE MATERIALIZED VIEW shop.monthly AS
  SELECT date_trunc('month', day) AS month, sum(orders) AS orders FROM shop.daily GROUP BY 1;
CREATE MATERIALIZED VIEW shop.empty_yet AS SELECT 1 AS one WITH NO DATA;

-- across both schemas
CREATE TABLE "Shop Two".stores (id integer PRIMARY KEY, best bigint REFERENCES shop.customers,
  mood shop.mood, "when" timestamptz DEFAULT now());
INSERT INTO "Shop Two".stores VALUES (1, 7, 'ok'), (2, 9, NULL);
CREATE VIEW "Shop Two"."Best Ones" AS SELECT s.id, c.name FROM "Shop Two".stores s
  JOIN shop.customers c ON c.id = s.best;
CREATE FUNCTION "Shop Two".best() RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT max(best) FROM "Shop Two".stores JOIN shop.customers c ON c.id = best';
GRANT SELECT ON "Shop Two"."Best Ones" TO shop_reader;

ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO shop_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA shop GRANT EXECUTE ON FUNCTIONS TO "shop Writer"
  WITH GRANT OPTION;
COMMENT ON INDEX shop.orders_key IS 'the key''s index';
COMMENT ON CONSTRAINT named ON shop.customers IS 'inline';
COMMENT ON SEQUENCE shop.customers_id_seq IS 'an identity''s';
GRANT SELECT ON SEQUENCE shop.customers_id_seq TO shop_reader;
