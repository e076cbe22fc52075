//! What goes well: adopted, deployed, rolled back, forward again, first deploys, drift.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::testing::{World, python, refused, under};
use super::super::{contents, files};
use crate::domain::inventory::{Depth, RelationKind};
use crate::domain::name::ReleaseId;
use crate::domain::plan::{Adoption, Step};
use crate::domain::slot::{Content, Live, Seal};
use crate::failure::Kind;
use crate::ports::{Ledger, Next, Warehouse};

const SUM: &str = "SELECT s FROM v";

#[tokio::test]
async fn production_is_adopted_swapped_taken_back_and_swapped_forward_again() {
    let Some(world) = World::with_production("production_is_adopted").await else {
        return;
    };
    fs::set_permissions(&world.live, fs::Permissions::from_mode(0o640)).unwrap();
    let adopted = files::stat(&world.live).unwrap().unwrap().identity;
    world.duck.preflight().await.unwrap();
    assert!(matches!(Live::of(&world.duck.live(), &world.observe().await), Live::Unstamped(_)));
    world.make(1, false, "INSERT INTO t VALUES (100)").await;
    let build = world.build(1);
    assert_eq!(files::stat(build.as_path()).unwrap().unwrap().mode, 0o640);
    assert_eq!(world.released(&world.live_slot()).await, None, "adoption writes nothing to live");
    let swap = world.swap_step(build.clone(), 1, Some(0));
    world.perform(&swap).await.unwrap();
    let seen = world.observe().await;
    assert_eq!(seen.content(&world.live_slot()).release(), Some(ReleaseId(1)));
    // The adopted production now lies where the build was, and must not count as ours.
    assert_eq!(seen.content(&build).identity(), Some(&adopted));
    assert!(!seen.content(&build).is_ours());
    let keep = world.keep_step(build.clone(), 0, Adoption::Stamp);
    world.perform(&keep).await.unwrap();
    let seen = world.observe().await;
    assert_eq!(seen.content(&build), &Content::Absent);
    assert_eq!(seen.content(&world.archive(0)).release(), Some(ReleaseId(0)));
    assert_eq!(seen.content(&world.archive(0)).identity(), Some(&adopted));
    assert_eq!(world.look(&world.live, SUM), "[(103,)]");
    // Back to what dbt alone had made: the same file, through production's own view.
    world.perform(&world.swap_step(world.archive(0), 0, Some(1))).await.unwrap();
    world.perform(&world.keep_step(world.archive(0), 1, Adoption::Ours)).await.unwrap();
    assert_eq!(world.look(&world.live, SUM), "[(3,)]");
    assert_eq!(world.released(&world.live_slot()).await, Some(0));
    assert_eq!(world.released(&world.archive(1)).await, Some(1));
    // And forward again.
    world.perform(&world.swap_step(world.archive(1), 1, Some(0))).await.unwrap();
    world.perform(&world.keep_step(world.archive(1), 0, Adoption::Ours)).await.unwrap();
    assert_eq!(world.look(&world.live, SUM), "[(103,)]");
    let drop = Step::Drop {
        role: crate::domain::name::Role::Archive(ReleaseId(0)),
        slots: vec![world.archive(0)],
    };
    world.perform(&drop).await.unwrap();
    world.perform(&drop).await.unwrap();
    assert!(!world.archive(0).as_path().parent().unwrap().exists());
}

#[tokio::test]
async fn a_first_deploy_starts_from_nothing_and_can_be_taken_back() {
    let Some(world) = World::new("a_first_deploy_starts_from_nothing").await else {
        return;
    };
    world.duck.preflight().await.unwrap();
    let seen = world.observe().await;
    assert_eq!(Live::of(&world.duck.live(), &seen), Live::Empty);
    assert_eq!(
        world.duck.baseline(Next::Copy).await.unwrap().marks[&world.live_slot()],
        contents::ABSENT
    );
    world.make(1, true, "CREATE TABLE t AS SELECT 1 AS x").await;
    world.perform(&world.swap_step(world.build(1), 1, None)).await.unwrap();
    assert_eq!(world.released(&world.live_slot()).await, Some(1));
    assert!(files::wals(&world.live).is_empty());
    let back = Step::SwapBack {
        pairs: world.pairs(world.build(1)),
        publishes: None,
        displaces: ReleaseId(1),
    };
    world.perform(&back).await.unwrap();
    assert!(!world.live.exists());
    assert_eq!(world.released(&world.build(1)).await, Some(1));
}

#[tokio::test]
async fn a_failed_check_swaps_back() {
    let Some(world) = World::with_production("a_failed_check_swaps_back").await else {
        return;
    };
    let before = fs::read(&world.live).unwrap();
    world.make(1, false, "INSERT INTO t VALUES (100)").await;
    world.perform(&world.swap_step(world.build(1), 1, Some(0))).await.unwrap();
    let back = Step::SwapBack {
        pairs: world.pairs(world.build(1)),
        publishes: Some(ReleaseId(0)),
        displaces: ReleaseId(1),
    };
    world.perform(&back).await.unwrap();
    assert_eq!(fs::read(&world.live).unwrap(), before);
    assert!(world.observe().await.content(&world.build(1)).is_ours());
}

#[tokio::test]
async fn a_step_that_was_interrupted_can_be_done_again() {
    let Some(world) = World::with_production("a_step_that_was_interrupted").await else {
        return;
    };
    let clone = world.duck.render(&world.clone_step(1, false));
    // Cut short after each effect in turn, then done as a whole.
    for effects in 1..=clone.len() {
        world.duck.perform(&clone[..effects], &under(world.fence)).await.unwrap();
        let seen = world.observe().await;
        if effects > 1 {
            assert!(seen.content(&world.build(1)).is_ours(), "droppable after {effects} effects");
        }
    }
    let stamp = world.observe().await.content(&world.build(1)).own_stamp().cloned().unwrap();
    assert_eq!((stamp.release, stamp.seal), (ReleaseId(1), Seal::Building));
    world.perform(&world.swap_step(world.build(1), 1, Some(0))).await.unwrap();
    let keep = world.keep_step(world.build(1), 0, Adoption::Stamp);
    let effects = world.duck.render(&keep);
    world.duck.perform(&effects[..1], &under(world.fence)).await.unwrap();
    world.duck.perform(&effects, &under(world.fence)).await.unwrap();
    world.duck.perform(&effects[1..], &under(world.fence)).await.unwrap();
    assert_eq!(world.released(&world.archive(0)).await, Some(0));
    let nothing = World::new("a_step_that_was_interrupted").await.unwrap();
    let clone = nothing.clone_step(1, true);
    nothing.perform(&clone).await.unwrap();
    nothing.perform(&clone).await.unwrap();
}

#[tokio::test]
async fn readers_go_on_through_the_swap_and_do_not_stop_the_adoption() {
    let Some(world) = World::with_production("readers_go_on").await else {
        return;
    };
    world.make(1, false, "INSERT INTO t VALUES (100)").await;
    let _reader = world.open_elsewhere(&world.live, true);
    world.perform(&world.swap_step(world.build(1), 1, Some(0))).await.unwrap();
    // DuckDB does not write to a file that somebody reads, so its name gets a stamped copy.
    let adopted = files::stat(world.build(1).as_path()).unwrap().unwrap().identity;
    world.perform(&world.keep_step(world.build(1), 0, Adoption::Stamp)).await.unwrap();
    let seen = world.observe().await;
    let archive = seen.content(&world.archive(0));
    assert_eq!(archive.release(), Some(ReleaseId(0)));
    assert_ne!(archive.identity(), Some(&adopted));
    world.perform(&world.swap_step(world.archive(0), 0, Some(1))).await.unwrap();
    assert_eq!(world.look(&world.live, SUM), "[(3,)]");
    let left: Vec<_> = fs::read_dir(world.archive(0).as_path().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "the file and its marker: {left:?}");
}

#[tokio::test]
async fn drift_names_the_tables_and_a_write_after_it_stops_the_swap() {
    let Some(world) = World::with_production("drift_names_the_tables").await else {
        return;
    };
    let baseline = world.duck.baseline(Next::Copy).await.unwrap();
    assert_eq!(baseline.rows["main.t"], 3);
    world.make(1, false, "INSERT INTO t VALUES (100)").await;
    fs::File::options()
        .append(true)
        .open(&world.live)
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    assert!(world.duck.drift(&baseline).await.unwrap().is_empty());
    world.duck.let_go(&world.live).await;
    world.sql(&world.live, "UPDATE t SET x = 7 WHERE x = 1");
    let drift = world.duck.drift(&baseline).await.unwrap();
    assert_eq!(drift, ["production was written, with no change in the row counts"]);
    world.sql(&world.live, "INSERT INTO t VALUES (1); CREATE TABLE u AS SELECT 1 AS x");
    let drift = world.duck.drift(&baseline).await.unwrap();
    assert_eq!(drift, ["main.t had 3 rows and has 4", "main.u is new, with 1 rows"]);
    world.sql(&world.live, "DROP TABLE u");
    let failure = refused(world.perform(&world.swap_step(world.build(1), 1, Some(0))).await);
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.message.contains("after drift was judged"), "{failure}");
    assert_eq!(world.released(&world.live_slot()).await, None);
}

#[tokio::test]
async fn a_mark_changes_with_every_commit_and_with_nothing_else() {
    let Some(world) = World::with_production("a_mark_changes_with_every_commit").await else {
        return;
    };
    let mark = || contents::mark(&world.live).unwrap();
    let mut last = mark();
    for sql in [
        "INSERT INTO t VALUES (9)",
        "UPDATE t SET x = x + 1",
        "DELETE FROM t WHERE x = 10",
        "CREATE OR REPLACE VIEW v AS SELECT 1 AS s",
        "COMMENT ON TABLE t IS 'x'",
        "CREATE SEQUENCE q",
        "SELECT nextval('q')",
    ] {
        world.sql(&world.live, sql);
        assert_ne!(mark(), last, "{sql}");
        last = mark();
    }
    for sql in ["SELECT * FROM t", "CHECKPOINT", "CREATE TEMP TABLE x AS SELECT 1"] {
        world.sql(&world.live, sql);
        assert_eq!(mark(), last, "{sql}");
    }
}

#[tokio::test]
async fn an_inventory_has_tables_views_and_columns_but_not_the_stamp() {
    let Some(world) = World::with_production("an_inventory_has_tables").await else {
        return;
    };
    world.sql(
        &world.live,
        "CREATE SCHEMA \"o d\"; CREATE TABLE \"o d\".\"q\"\"t\" (a INT, b VARCHAR)",
    );
    world.make(1, false, "SELECT 1").await;
    let live =
        world.duck.inventory(&world.live_slot(), &world.live_slot(), Depth::Counts).await.unwrap();
    let build =
        world.duck.inventory(&world.build(1), &world.build(1), Depth::Counts).await.unwrap();
    assert_eq!(live, build);
    let names: Vec<_> = live.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["main.t", "main.v", "o d.q\"t"]);
    let mut kinds = live.values().map(|relation| (relation.kind, relation.rows));
    assert_eq!(kinds.next(), Some((RelationKind::Table, Some(3))));
    assert_eq!(kinds.next(), Some((RelationKind::View, None)));
    assert!(live.values().nth(1).unwrap().definition.as_ref().unwrap().contains("sum"));
    assert_eq!(live.values().nth(2).unwrap().columns[1].data_type, "VARCHAR");
    assert!(
        world
            .duck
            .inventory(&world.build(9), &world.build(9), Depth::Counts)
            .await
            .unwrap()
            .is_empty()
    );
    let sql = "SELECT x, x > 0 AS big, NULL AS n FROM t ORDER BY x";
    let rows = world.duck.query(&world.live_slot(), sql, 2).await.unwrap();
    assert_eq!(rows.columns, ["x", "big", "n"]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(rows.rows, [[text("0"), text("false"), None], [text("1"), text("true"), None]]);
    let failure = refused(world.duck.query(&world.live_slot(), "DROP TABLE t", 1).await);
    assert!(failure.message.contains("SELECT"), "{failure}");
}

#[tokio::test]
async fn a_leftover_log_is_taken_in_where_that_is_allowed() {
    let Some(world) = World::with("a_leftover_log_is_taken_in", true).await else {
        return;
    };
    world.sql(&world.live, "CREATE TABLE t AS SELECT range AS x FROM range(3)");
    world.crash_writing(&world.live);
    world.duck.preflight().await.unwrap();
    world.make(1, false, "SELECT 1").await;
    assert!(files::wals(&world.live).is_empty());
    let build =
        world.duck.inventory(&world.build(1), &world.build(1), Depth::Counts).await.unwrap();
    assert_eq!(build.values().next().unwrap().rows, Some(4));
}

#[tokio::test]
async fn looking_leaves_no_trace() {
    let Some(python) = python("looking_leaves_no_trace") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let duck = super::super::testing::open(&dir.path().join("shop.duckdb"), &python, false);
    duck.preflight().await.unwrap();
    duck.observe().await.unwrap();
    duck.baseline(Next::Copy).await.unwrap();
    let ledger = super::super::FileLedger::open(
        &duck.live_file().path,
        "here",
        super::super::testing::HandClock::new(),
    );
    assert!(ledger.load().await.unwrap().is_empty());
    assert!(ledger.lease().await.unwrap().is_none());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
