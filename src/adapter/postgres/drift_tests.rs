//! What a look at live and at a build finds, on a real server: what others wrote meanwhile, and rows
//! that are not the same.

use tokio_postgres::Client;

use super::Postgres;
use super::swaps_tests::settings;
use super::testing::Server;
use crate::domain::inventory::Depth;
use crate::domain::name::SlotName;
use crate::ports::{Next, Warehouse};

struct World {
    server: &'static Server,
    database: String,
    warehouse: Postgres,
}

impl World {
    async fn new() -> Option<Self> {
        let server = Server::shared()?;
        let database = server.database().await;
        let warehouse = Postgres::open(settings(server, &database)).unwrap();
        let world = Self { server, database, warehouse };
        let text = "CREATE SCHEMA shop; CREATE TABLE shop.t (id integer, v integer); \
                    INSERT INTO shop.t SELECT n, 0 FROM generate_series(1, 3) n; \
                    CREATE TABLE public.other (id integer)";
        world.client().await.batch_execute(text).await.unwrap();
        Some(world)
    }

    async fn client(&self) -> Client {
        self.server.connect(&self.database).await
    }

    /// What is said of changes around the look at live: `before` has ended, `open` is still under way
    /// then, and ends with `after`.
    async fn drift(&self, before: &str, open: &str, after: &str) -> Vec<String> {
        let (others, writer) = (self.client().await, self.client().await);
        writer.batch_execute(open).await.unwrap();
        others.batch_execute(before).await.unwrap();
        let baseline = self.warehouse.baseline(Next::Copy).await.unwrap();
        // As the copy counts them.
        let counted = [(("shop".to_owned(), "t".to_owned()), 3)];
        self.warehouse.copied.replace(counted.into());
        let baseline = self.warehouse.counted(baseline);
        writer.batch_execute(after).await.unwrap();
        self.warehouse.drift(&baseline).await.unwrap()
    }
}

/// Ends after what is still under way began.
const ELSEWHERE: &str = "INSERT INTO public.other VALUES (2)";
const ONE_WRITTEN: &str = "shop.t: 1 of its 3 rows were written";

#[tokio::test]
async fn what_was_under_way_when_live_was_looked_at_is_drift_however_it_was_nested() {
    let Some(world) = World::new().await else { return };
    let set = "UPDATE shop.t SET v = v + 1 WHERE id = 2";
    for open in [
        format!("BEGIN; {set}"),
        format!("BEGIN; SAVEPOINT one; {set}"),
        format!("BEGIN; SAVEPOINT one; {set}; RELEASE SAVEPOINT one"),
        format!("BEGIN; SAVEPOINT one; SAVEPOINT two; {set}; RELEASE SAVEPOINT one"),
        format!("BEGIN; DO $$BEGIN {set}; EXCEPTION WHEN others THEN NULL; END$$"),
    ] {
        assert_eq!(world.drift(ELSEWHERE, &open, "COMMIT").await, [ONE_WRITTEN], "{open}");
    }
    let begun = "BEGIN; SAVEPOINT one; INSERT INTO public.other VALUES (1)";
    let found = world.drift(ELSEWHERE, begun, &format!("{set}; COMMIT")).await;
    assert_eq!(found, [ONE_WRITTEN]);
}

#[tokio::test]
async fn what_had_ended_when_live_was_looked_at_is_no_drift_whoever_is_still_at_work() {
    let Some(world) = World::new().await else { return };
    let set = "UPDATE shop.t SET v = v + 1 WHERE id = 2";
    let open = "BEGIN; SAVEPOINT one; INSERT INTO public.other VALUES (1)";
    for before in [
        set.to_owned(),
        format!("BEGIN; SAVEPOINT one; {set}; COMMIT"),
        format!("BEGIN; DO $$BEGIN {set}; EXCEPTION WHEN others THEN NULL; END$$; COMMIT"),
    ] {
        assert!(world.drift(&before, open, "COMMIT").await.is_empty(), "{before}");
    }
    let open = format!("BEGIN; SAVEPOINT one; {set}");
    assert!(world.drift(ELSEWHERE, &open, "ROLLBACK TO SAVEPOINT one; COMMIT").await.is_empty());
    assert!(
        world.drift("VACUUM FREEZE shop.t", "SELECT 1", "VACUUM FREEZE shop.t").await.is_empty()
    );
}

/// The digest of `shop.t` with those columns and rows.
async fn digest(world: &World, columns: &str, rows: &str) -> String {
    let text = format!(
        "DROP TABLE shop.t; CREATE TABLE shop.t ({columns}); INSERT INTO shop.t VALUES {rows}"
    );
    world.client().await.batch_execute(&text).await.unwrap();
    let shop = SlotName("shop".to_owned());
    let found = world.warehouse.inventory(&shop, &shop, Depth::Contents).await.unwrap();
    let relation = found.into_values().next().unwrap();
    assert_eq!(relation.rows, Some(2));
    relation.content.unwrap()
}

#[tokio::test]
async fn the_same_rows_have_the_same_digest_and_values_that_changed_places_another() {
    let Some(world) = World::new().await else { return };
    world.client().await.batch_execute("CREATE TYPE shop.size AS ENUM ('s', 'm')").await.unwrap();
    for (kind, one, other) in [
        ("integer", "7", "8"),
        ("text", "'x'", "'y'"),
        ("text[]", "'{x,y}'", "'{{x,y}}'"),
        ("numeric", "1.5", "NULL"),
        ("shop.size", "'s'", "'m'"),
        ("json", "'{}'", "'[]'"),
        ("interval", "'1 day'", "'24 hours'"),
    ] {
        let columns = format!("a integer, b {kind}");
        let first = digest(&world, &columns, &format!("(1, {one}), (2, {other})")).await;
        let again = digest(&world, &columns, &format!("(2, {other}), (1, {one})")).await;
        assert_eq!(first, again, "{kind}");
        let crossed = digest(&world, &columns, &format!("(1, {other}), (2, {one})")).await;
        assert_ne!(first, crossed, "{kind}");
    }
}
