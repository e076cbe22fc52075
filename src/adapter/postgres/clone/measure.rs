//! Measurements, asked for by name: `cargo test --release --lib measure_ -- --ignored --nocapture`.
//! Ratios are of one run on one server.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;
use crate::adapter::postgres::outside;
use crate::adapter::postgres::testing::Server;

async fn seconds<T>(work: impl Future<Output = T>) -> f64 {
    let began = Instant::now();
    work.await;
    began.elapsed().as_secs_f64()
}

async fn copied(server: &Server, database: &str, build: &str) -> f64 {
    let connect = || -> NewClient<'_> { Box::pin(async { Ok(server.connect(database).await) }) };
    let pairs = [("live".to_owned(), build.to_owned())];
    let without_rows = Bare::new();
    let copying = Copying {
        connect: &connect,
        pairs: &pairs,
        without_rows: &without_rows,
        marker: "a measurement",
        jobs: 2,
    };
    seconds(async { copy(&copying, &|_, _| {}).await.expect("a copy") }).await
}

#[tokio::test]
#[ignore = "a measurement"]
async fn measure_a_copy_against_a_dump_and_against_bare_inserts() {
    let Some(server) = Server::start(&["max_wal_size=8GB"]) else { return };
    against(&server, "as dbt makes tables", "", "").await;
    against(&server, "with a key and an index each", "PRIMARY KEY", "CREATE INDEX").await;
}

async fn against(server: &Server, what: &str, key: &str, index: &str) {
    let database = server.database().await;
    let client = server.connect(&database).await;
    let mut text = String::from("CREATE SCHEMA live; CREATE SCHEMA bare;");
    for n in 0..6 {
        let index =
            if index.is_empty() { String::new() } else { format!("{index} ON live.t{n} (at);") };
        text = format!(
            "{text}CREATE TABLE live.t{n} (id bigint {key}, at timestamptz, name text, amount numeric);
             INSERT INTO live.t{n} SELECT g, now() - g * interval '1 s', 'name of ' || g, g * 1.5
               FROM generate_series(1, {}) g;
             {index}
             CREATE TABLE bare.t{n} (LIKE live.t{n});",
            1_000_000 / (n + 1)
        );
    }
    text.push_str("ANALYZE");
    client.batch_execute(&text).await.expect("tables");
    client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
    let bare = seconds(async {
        for n in 0..6 {
            let text = format!("INSERT INTO bare.t{n} SELECT * FROM live.t{n}");
            client.batch_execute(&text).await.expect("rows");
        }
    })
    .await;
    client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
    let ours = copied(server, &database, "build").await;
    client.batch_execute("DROP SCHEMA build CASCADE; CHECKPOINT").await.expect("a checkpoint");
    let other = server.database().await;
    let began = Instant::now();
    let port = server.port.to_string();
    let at = ["-h", "127.0.0.1", "-U", "postgres", "-p", &port];
    let mut dump = Command::new(server.bin.join("pg_dump"))
        .args(at)
        .args(["-n", "live", &database])
        .stdout(Stdio::piped())
        .spawn()
        .expect("pg_dump");
    let loaded = Command::new(server.bin.join("psql"))
        .args(at)
        .args(["-q", "-d", &other])
        .stdin(dump.stdout.take().expect("a pipe"))
        .stdout(Stdio::null())
        .status()
        .expect("psql");
    assert!(loaded.success() && dump.wait().expect("pg_dump").success());
    let dumped = began.elapsed().as_secs_f64();
    eprintln!("{what}: bare inserts {bare:.2} s, copy {ours:.2} s, pg_dump | psql {dumped:.2} s");
    eprintln!(
        "copy: {:.2} times the dump's speed, {:.2} of the inserts'",
        dumped / ours,
        bare / ours
    );
}

#[tokio::test]
#[ignore = "a measurement"]
async fn measure_many_relations() {
    let Some(server) = Server::start(&["max_locks_per_transaction=512"]) else { return };
    for relations in [10, 1_000, 5_000] {
        let database = server.database().await;
        let client = server.connect(&database).await;
        client.batch_execute("CREATE SCHEMA live; CREATE SCHEMA bi").await.expect("schemas");
        for n in 0..relations / 2 {
            let text = format!(
                "CREATE TABLE live.t{n} AS SELECT {n} AS id, 'x' AS x;
                 CREATE VIEW live.v{n} AS SELECT * FROM live.t{n};"
            );
            client.batch_execute(&text).await.expect("relations");
        }
        let text = "CREATE VIEW bi.v AS SELECT t.id FROM live.t1 t; SET search_path TO pg_catalog";
        client.batch_execute(text).await.expect("a view");
        let took = copied(&server, &database, "build").await;
        let lives = ["live".to_owned()];
        let mut client = server.connect(&database).await;
        client.batch_execute("SET search_path TO pg_catalog").await.expect("a path");
        let tx = client.transaction().await.expect("a transaction");
        let began = Instant::now();
        let captured = outside::capture(tx.client(), &lives).await.expect("a capture");
        let capture = began.elapsed().as_secs_f64() * 1000.0;
        let began = Instant::now();
        outside::still(tx.client(), &captured).await.expect("an answer");
        let still = began.elapsed().as_secs_f64() * 1000.0;
        tx.batch_execute(
            "ALTER SCHEMA live RENAME TO x; ALTER SCHEMA build RENAME TO live;
             ALTER SCHEMA x RENAME TO build",
        )
        .await
        .expect("renames");
        let began = Instant::now();
        let renamed = [("live".to_owned(), "build".to_owned())];
        outside::recreate(&tx, &captured, &renamed).await.expect("made anew");
        let anew = began.elapsed().as_secs_f64() * 1000.0;
        eprintln!(
            "{relations}: copy {took:.2} s, capture {capture:.1} ms, still {still:.1} ms, made anew {anew:.1} ms"
        );
    }
}
