//! What others write while a release is being made, on a real server.

use tokio_postgres::Client;

use super::Postgres;
use super::swaps_tests::settings;
use super::testing::Server;
use crate::ports::Warehouse;

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
        let baseline = self.warehouse.baseline().await.unwrap();
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
