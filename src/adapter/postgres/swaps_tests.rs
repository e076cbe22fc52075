//! Many swaps under readers who look all the while, by the adapter itself: what a whole run does
//! besides would make it slow.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use super::testing::Server;
use super::{Postgres, SchemaLedger, Settings};
use crate::domain::journal::Actor;
use crate::domain::name::ReleaseId;
use crate::domain::plan::{Pair, Step, Verb};
use crate::ports::{Claim, Ledger, Token, Under, Warehouse};

const SWAPS: u32 = 500;

pub(super) fn settings(server: &Server, database: &str) -> Settings {
    let port = server.port.to_string();
    let fields = [
        ("host", "127.0.0.1"),
        ("port", port.as_str()),
        ("user", "postgres"),
        ("dbname", database),
        ("schema", "shop"),
        ("sslmode", "disable"),
    ];
    let field = |key: &str| {
        Ok(fields.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
    };
    Settings::read(&field, &|_| None).unwrap()
}

async fn leased(server: &Server, database: &str) -> (Postgres, SchemaLedger, Token) {
    let warehouse = Postgres::open(settings(server, database)).unwrap();
    let ledger = SchemaLedger::open(warehouse.connector().clone(), "shop");
    let claim = Claim {
        verb: "rollback".into(),
        by: Actor { name: "ada".into(), run_url: None, host: "h".into() },
        run: "run".into(),
        reason: None,
        ttl: Duration::from_secs(600),
        outranks: false,
    };
    let token = ledger.acquire(claim).await.unwrap().token;
    (warehouse, ledger, token)
}

async fn perform(warehouse: &Postgres, fence: Token, step: &Step) {
    let under = Under { fence, release: ReleaseId(2), step: step.key(), verb: Verb::Deploy };
    warehouse.perform(&warehouse.render(step), &under).await.unwrap();
}

/// One look at everything: one statement that names two tables and a view over both, and the views
/// alone; which release each is of.
const LOOK: &str = "SELECT (SELECT max(v) FROM shop.a), (SELECT max(v) FROM shop.b), \
                    (SELECT max(av) FROM shop.ab), (SELECT max(bv) FROM shop.ab), \
                    (SELECT max(v) FROM report.outside)";

/// Looks until told to stop; answers how often. A prepared statement is kept, or not.
async fn look_on(client: &Client, stop: &AtomicBool, prepared: bool) -> u64 {
    let statement = client.prepare(LOOK).await.unwrap();
    let mut looks = 0;
    while !stop.load(Ordering::Relaxed) {
        let row = if prepared {
            client.query_one(&statement, &[]).await.unwrap()
        } else {
            client.query_one(LOOK, &[]).await.unwrap()
        };
        let seen: BTreeSet<i32> = (0..row.len()).map(|at| row.get(at)).collect();
        assert_eq!(seen.len(), 1, "a mixture: {seen:?}");
        looks += 1;
    }
    looks
}

/// A reader in a thread of its own, connected for all its life.
fn reader(port: u16, database: &str, stop: &AtomicBool, looks: &AtomicU64, prepared: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let parameters = format!("host=127.0.0.1 port={port} user=postgres dbname={database}");
        let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        looks.fetch_add(look_on(&client, stop, prepared).await, Ordering::Relaxed);
    });
}

#[tokio::test]
async fn readers_see_one_release_at_every_moment_of_five_hundred_swaps() {
    let Some(server) = Server::shared() else { return };
    let database = server.database().await;
    let admin = server.connect(&database).await;
    let world = "CREATE SCHEMA shop; CREATE TABLE shop.a AS SELECT 1 AS v, id FROM \
                generate_series(1, 50) id; CREATE TABLE shop.b AS SELECT * FROM shop.a; \
                CREATE VIEW shop.ab AS SELECT a.v AS av, b.v AS bv FROM shop.a JOIN shop.b USING (id); \
                CREATE SCHEMA report; CREATE VIEW report.outside AS SELECT v FROM shop.a";
    admin.batch_execute(world).await.unwrap();
    let (warehouse, ledger, token) = leased(server, &database).await;
    let pairs = vec![Pair { live: "shop".into(), other: "shop__build_r2".into() }];
    let (release, attempt) = (ReleaseId(2), 1);
    let copied = Step::Clone { pairs: pairs.clone(), release, attempt, from_nothing: false };
    perform(&warehouse, token, &copied).await;
    admin
        .batch_execute("UPDATE shop__build_r2.a SET v = 2; UPDATE shop__build_r2.b SET v = 2")
        .await
        .unwrap();
    perform(&warehouse, token, &Step::Seal { pairs: pairs.clone(), release, attempt }).await;
    admin
        .batch_execute(
            "CREATE TABLE shop.switchback_stamp AS SELECT * FROM shop__build_r2.switchback_stamp",
        )
        .await
        .unwrap();
    let (stop, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut worst = Duration::ZERO;
    let outcome = std::thread::scope(|scope| {
        let port = server.port;
        for prepared in [true, false, true] {
            let (stop, looks, database) = (&stop, &looks, database.clone());
            scope.spawn(move || reader(port, &database, stop, looks, prepared));
        }
        // The swaps are this test's own, on the runtime of a thread of theirs.
        let worst = &mut worst;
        let swaps = scope.spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let database = database.clone();
            runtime.block_on(async {
                let warehouse = Postgres::open(settings(server, &database)).unwrap();
                let swap = Step::Swap {
                    pairs: vec![Pair { live: "shop".into(), other: "shop__build_r2".into() }],
                    publishes: ReleaseId(2),
                    displaces: Some(ReleaseId(1)),
                    damaged: false,
                };
                for _ in 0..SWAPS {
                    let began = Instant::now();
                    perform(&warehouse, token, &swap).await;
                    *worst = began.elapsed().max(*worst);
                }
            });
        });
        let ended = swaps.join();
        stop.store(true, Ordering::Relaxed);
        ended
    });
    outcome.unwrap();
    let looks = looks.load(Ordering::Relaxed);
    assert!(looks > u64::from(SWAPS), "only {looks} looks");
    println!("{SWAPS} swaps, {looks} looks, the slowest swap took {worst:?} in all");
    ledger.release(token).await.unwrap();
}
