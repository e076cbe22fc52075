//! Swaps by rename on a real server, with consumers outside.

use tokio_postgres::Client;

use super::*;
use crate::adapter::postgres::testing::Server;

const SHOP: &str = "
DO $$ DECLARE role text; BEGIN
  FOREACH role IN ARRAY ARRAY['outside_reader', 'outside_owner'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I', role);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
  END LOOP;
END $$;
CREATE SCHEMA live; CREATE SCHEMA build; CREATE SCHEMA bi;
CREATE TYPE live.mood AS ENUM ('old'); CREATE TYPE build.mood AS ENUM ('old', 'new');
CREATE TABLE live.orders (id integer PRIMARY KEY, what text, mood live.mood);
CREATE TABLE build.orders (id integer PRIMARY KEY, what text, mood build.mood);
INSERT INTO live.orders VALUES (1, 'old', 'old');
INSERT INTO build.orders VALUES (1, 'new', 'new'), (2, 'new', 'new');
CREATE FUNCTION live.says() RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'old'$$;
CREATE FUNCTION build.says() RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'new'$$;
CREATE FUNCTION live.reads() RETURNS text LANGUAGE sql STABLE
  AS $$SELECT what FROM live.orders WHERE id = 1$$;
CREATE FUNCTION build.reads() RETURNS text LANGUAGE sql STABLE SET search_path TO build
  AS $$SELECT what FROM build.orders WHERE id = 1$$;
CREATE FUNCTION live.fires() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.who := 'old'; RETURN NEW; END$$;
CREATE FUNCTION build.fires() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.who := 'new'; RETURN NEW; END$$;
";

const CONSUMERS: &str = "
CREATE VIEW bi.orders WITH (security_barrier) AS SELECT id, what FROM live.orders;
CREATE VIEW bi.\"On top\" AS SELECT count(*) AS n, min(what) AS what, live.says() AS says FROM bi.orders;
GRANT SELECT ON bi.orders TO outside_reader; COMMENT ON VIEW bi.orders IS 'read me';
COMMENT ON COLUMN bi.orders.what IS 'what';
ALTER VIEW bi.orders OWNER TO outside_owner;
GRANT USAGE ON SCHEMA live, build, bi TO outside_owner;
GRANT SELECT ON live.orders, build.orders TO outside_owner;
CREATE MATERIALIZED VIEW bi.kept AS SELECT * FROM bi.\"On top\";
CREATE FUNCTION bi.parsed() RETURNS text LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT o.what FROM live.orders o WHERE id = 1; END;
REVOKE ALL ON FUNCTION bi.parsed() FROM PUBLIC;
CREATE TABLE bi.lines (order_id integer CONSTRAINT of_order REFERENCES live.orders ON DELETE CASCADE,
  who text, says text DEFAULT live.says());
COMMENT ON CONSTRAINT of_order ON bi.lines IS 'of an order';
INSERT INTO bi.lines VALUES (1, 'x', 'x');
CREATE TRIGGER fires BEFORE INSERT ON bi.lines FOR EACH ROW EXECUTE FUNCTION live.fires();
COMMENT ON TRIGGER fires ON bi.lines IS 'fires';
CREATE TRIGGER rests BEFORE DELETE ON bi.lines FOR EACH ROW EXECUTE FUNCTION live.fires();
ALTER TABLE bi.lines DISABLE TRIGGER rests;
CREATE POLICY known ON bi.lines USING (order_id IN (SELECT id FROM live.orders));
ALTER TABLE bi.lines ENABLE ROW LEVEL SECURITY;
CREATE RULE told AS ON UPDATE TO bi.lines DO ALSO SELECT count(*) FROM live.orders;
";

#[tokio::test]
async fn everything_outside_that_a_swap_changes_is_known_before_it_is_locked() {
    let Some(server) = Server::shared() else { return };
    let database = server.database().await;
    let client = server.connect(&database).await;
    client.batch_execute(SHOP).await.expect("a shop");
    client.batch_execute(&server.spell(CONSUMERS)).await.expect("consumers");
    let more = "CREATE TABLE bi.given (x text DEFAULT live.says()); CREATE TABLE bi.fired (who text);
                CREATE TRIGGER fires BEFORE INSERT ON bi.fired FOR EACH ROW EXECUTE FUNCTION live.fires();
                CREATE TABLE bi.guarded (x int);
                CREATE POLICY p ON bi.guarded USING (x IN (SELECT id FROM live.orders));
                CREATE VIEW bi.calls AS SELECT live.says(); CREATE TABLE bi.stranger (x int);
                CREATE VIEW bi.reads_lines AS SELECT who FROM bi.lines";
    client.batch_execute(more).await.expect("more");
    let lives = ["live".to_owned()];
    let rows = client.query(super::super::sql::BOUND, &[&&lives[..]]).await.expect("names");
    let mut names: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
    names.sort();
    assert_eq!(names, ["On top", "calls", "fired", "given", "guarded", "kept", "lines", "orders"]);
}

struct World {
    server: &'static Server,
    database: String,
    client: Client,
}

impl World {
    async fn new(consumers: &str) -> Option<Self> {
        let server = Server::shared()?;
        let database = server.database().await;
        let client = server.connect(&database).await;
        client.batch_execute(SHOP).await.expect("a shop");
        client.batch_execute(&server.spell(consumers)).await.expect("consumers");
        client.batch_execute("SET search_path TO pg_catalog").await.expect("a path");
        Some(Self { server, database, client })
    }

    async fn text(&self, sql: &str) -> String {
        self.client.query_one(sql, &[]).await.expect(sql).get(0)
    }

    /// Exchanges live and build as a swap does.
    async fn exchange(&mut self) -> crate::ports::Answer<Outside> {
        let lives = ["live".to_owned()];
        let tx = self.client.transaction().await.expect("a transaction");
        let outside = capture(tx.client(), &lives).await?;
        tx.batch_execute(
            "ALTER SCHEMA live RENAME TO between; ALTER SCHEMA build RENAME TO live;
             ALTER SCHEMA between RENAME TO build",
        )
        .await
        .expect("renames");
        recreate(&tx, &outside, &[("live".to_owned(), "build".to_owned())]).await?;
        tx.commit().await.expect("a commit");
        Ok(outside)
    }

    /// The dump of everything outside, and what in it names the build.
    fn outside(&self) -> String {
        let dump = self.server.dump(&self.database, &["-n", "bi"]);
        dump.lines().filter(|line| !line.starts_with('\\')).collect::<Vec<_>>().join("\n")
    }
}

#[tokio::test]
async fn consumers_outside_see_what_is_live_after_a_swap_and_after_its_reversal() {
    let Some(mut world) = World::new(CONSUMERS).await else { return };
    let before = world.outside();
    for (now, count) in [("new", 2), ("old", 1), ("new", 2)] {
        let outside = world.exchange().await.expect("an exchange");
        assert!(!outside.is_empty());
        assert_eq!(world.text("SELECT max(what) FROM bi.orders").await, now);
        let top = "SELECT concat_ws(' ', n, what, says) FROM bi.\"On top\"";
        assert_eq!(world.text(top).await, format!("{count} {now} {now}"));
        assert_eq!(world.text("SELECT bi.parsed()").await, now);
        assert_eq!(world.text("SELECT live.reads()").await, now);
        let insert = "INSERT INTO bi.lines (order_id) VALUES (1) RETURNING who || ' ' || says";
        assert_eq!(world.text(insert).await, format!("{now} {now}"));
        let target =
            "SELECT confrelid::regclass::text FROM pg_constraint WHERE conname = 'of_order'";
        assert_eq!(world.text(target).await, "live.orders");
        world.client.batch_execute("DELETE FROM bi.lines WHERE who <> 'x'").await.expect("delete");
        assert_eq!(world.outside(), before);
    }
}

#[tokio::test]
async fn a_view_whose_columns_changed_is_made_again_with_all_that_reads_it() {
    let consumers = "
        ALTER TABLE build.orders ALTER COLUMN what TYPE varchar(10);
        CREATE VIEW bi.orders AS SELECT id, what FROM live.orders;
        CREATE VIEW bi.top AS SELECT max(what) AS what FROM bi.orders;
        COMMENT ON VIEW bi.top IS 'the top'; GRANT SELECT ON bi.top TO outside_reader;
        CREATE FUNCTION bi.f(o bi.orders) RETURNS text LANGUAGE sql AS 'SELECT o.what';
        CREATE FUNCTION bi.moody(m live.mood) RETURNS text LANGUAGE sql AS 'SELECT m::text';
        ALTER FUNCTION bi.moody(live.mood) OWNER TO outside_owner;
        GRANT ALL ON SCHEMA bi TO outside_owner;
        CREATE TRIGGER instead INSTEAD OF DELETE ON bi.orders FOR EACH ROW
          EXECUTE FUNCTION live.fires();
        CREATE MATERIALIZED VIEW bi.unfilled AS SELECT what FROM bi.orders WITH NO DATA;
        CREATE INDEX unfilled_what ON bi.unfilled (what);
    ";
    let Some(mut world) = World::new(consumers).await else { return };
    let before = world.outside();
    for now in ["new", "old"] {
        world.exchange().await.expect("an exchange");
        assert_eq!(world.text("SELECT what::text FROM bi.top").await, now);
        assert_eq!(world.text("SELECT max(bi.f(o)) FROM bi.orders o").await, now);
        let moody = "SELECT bi.moody(mood) FROM live.orders LIMIT 1";
        assert_eq!(world.text(moody).await, now);
    }
    assert_eq!(world.outside(), before);
}

#[tokio::test]
async fn a_large_foreign_key_is_validated_after_the_swap() {
    let consumers = "
        CREATE TABLE bi.lines (order_id integer REFERENCES live.orders, filler text);
        INSERT INTO bi.lines SELECT 1, repeat('x', 1000) FROM generate_series(1, 6000);
    ";
    let Some(mut world) = World::new(consumers).await else { return };
    let outside = world.exchange().await.expect("an exchange");
    let valid =
        "SELECT convalidated::text FROM pg_constraint WHERE conname = 'lines_order_id_fkey'";
    assert_eq!(world.text(valid).await, "false");
    assert_eq!(validate(&world.client, &outside).await.expect("an answer"), Vec::<String>::new());
    assert_eq!(world.text(valid).await, "true");
}

#[tokio::test]
async fn what_cannot_be_bound_anew_is_named_and_stops_the_swap() {
    for (consumer, named) in [
        ("CREATE TABLE bi.t (mood live.mood)", "column mood of table bi.t"),
        ("CREATE MATERIALIZED VIEW bi.m AS SELECT * FROM live.orders", "bi.m"),
        ("CREATE TABLE bi.t (a text); CREATE INDEX i ON bi.t ((live.says()))", "index bi.i"),
        (
            "CREATE TABLE bi.t (a text CHECK (a <> live.says()))",
            "constraint t_a_check on table bi.t",
        ),
        ("CREATE PUBLICATION p FOR TABLE live.orders", "publication p"),
        ("CREATE DOMAIN bi.d AS live.mood", "type bi.d"),
        ("CREATE TABLE bi.kid () INHERITS (live.orders)", "table bi.kid"),
    ] {
        let Some(mut world) = World::new(consumer).await else { return };
        let failure = match world.exchange().await {
            Ok(_) => panic!("{consumer} went through"),
            Err(error) => crate::failure::Failure::from(error),
        };
        assert_eq!(failure.kind, crate::failure::Kind::Stopped, "{failure}");
        assert!(failure.message.contains(named), "{consumer}: {failure}");
        assert_eq!(world.text("SELECT what FROM live.orders").await, "old");
    }
}

#[tokio::test]
async fn a_consumer_that_the_new_content_would_break_stops_the_swap() {
    let consumers = "
        ALTER TABLE build.orders DROP COLUMN what;
        CREATE VIEW bi.orders AS SELECT id, what FROM live.orders;
    ";
    let Some(mut world) = World::new(consumers).await else { return };
    let failure = match world.exchange().await {
        Ok(_) => panic!("it went through"),
        Err(error) => crate::failure::Failure::from(error),
    };
    assert!(failure.message.contains("CREATE VIEW bi.orders"), "{failure}");
    assert_eq!(world.text("SELECT max(what) FROM bi.orders").await, "old");
}

#[tokio::test]
async fn whatever_is_defined_changed_or_dropped_since_a_capture_is_noticed() {
    // A server of its own: transactions of other tests would be noticed too.
    let Some(server) = Server::start(&[]) else { return };
    let database = server.database().await;
    let client = server.connect(&database).await;
    client.batch_execute(SHOP).await.expect("a shop");
    client.batch_execute("CREATE VIEW bi.v AS SELECT id FROM live.orders").await.expect("a view");
    let lives = ["live".to_owned()];
    for change in [
        "CREATE VIEW bi.w AS SELECT id FROM live.orders",
        "CREATE OR REPLACE VIEW bi.v AS SELECT id + 1 AS id FROM live.orders",
        "ALTER VIEW bi.v SET (security_barrier)",
        "DROP VIEW bi.w",
    ] {
        let outside = capture(&client, &lives).await.expect("a capture");
        assert!(still(&client, &outside).await.expect("an answer"), "before: {change}");
        client
            .batch_execute("INSERT INTO live.orders VALUES (7, 'x', 'old')")
            .await
            .expect("a row");
        client.batch_execute("DELETE FROM live.orders WHERE id = 7; ANALYZE").await.expect("rows");
        assert!(still(&client, &outside).await.expect("an answer"), "rows are no definitions");
        client.batch_execute(change).await.expect("a change");
        assert!(!still(&client, &outside).await.expect("an answer"), "after: {change}");
    }
    // What a savepoint had done when it was captured, while others began and ended.
    let other = server.connect(&database).await;
    let function = "CREATE OR REPLACE FUNCTION bi.f() RETURNS int LANGUAGE sql AS";
    client.batch_execute(&format!("{function} 'SELECT 1'")).await.expect("a function");
    let begun = format!("BEGIN; SAVEPOINT one; {function} 'SELECT 2'");
    other.batch_execute(&begun).await.expect("a change under way");
    client.batch_execute("CREATE TABLE public.passing ()").await.expect("another's");
    let outside = capture(&client, &lives).await.expect("a capture");
    assert!(still(&client, &outside).await.expect("an answer"), "it is under way");
    other.batch_execute("COMMIT").await.expect("its end");
    assert!(!still(&client, &outside).await.expect("an answer"), "it had been under way");
}
