//! Writers are kept out from the copy to the end of the run, and readers never.

use std::fs;

use super::super::testing::{World, open, refused, under};
use super::super::{copy, files, guard};
use crate::domain::name::ReleaseId;
use crate::domain::plan::{Adoption, Effect, Step};
use crate::failure::Kind;
use crate::ports::Warehouse;

const WRITE: &str = "INSERT INTO t VALUES (5)";
const READ: &str = "SELECT count(*) FROM t";

#[tokio::test]
async fn nobody_writes_to_live_from_the_copy_to_the_end_of_the_run() {
    let Some(world) = World::with_production("nobody_writes_to_live").await else {
        return;
    };
    world.make(1, false, "INSERT INTO t VALUES (100)").await;
    assert!(world.try_sql(&world.live, WRITE).is_err());
    world.perform(&world.swap_step(world.build(1), 1, Some(0))).await.unwrap();
    let error = world.try_sql(&world.live, WRITE).unwrap_err();
    assert!(error.contains("lock"), "{error}");
    assert_eq!(world.look(&world.live, READ), "[(4,)]");
    // What was displaced is still to be stamped, and then the run goes on guarded.
    world.perform(&world.keep_step(world.build(1), 0, Adoption::Stamp)).await.unwrap();
    assert_eq!(world.released(&world.archive(0)).await, Some(0));
    assert!(world.try_sql(&world.live, WRITE).is_err());
    assert_eq!(world.look(&world.live, READ), "[(4,)]");
    let World { duck, live, .. } = &world;
    duck.guards.lock().await.clear(); // as when the run ends
    let mut tries = 0;
    while world.try_sql(live, WRITE).is_err() {
        tries += 1;
        assert!(tries < 20, "the guard outlives the run");
    }
}

#[tokio::test]
async fn a_loader_that_tries_again_and_again_does_not_get_in_at_the_exchange() {
    let Some(world) = World::with_production("a_loader_that_tries_again").await else {
        return;
    };
    world.make(1, false, "INSERT INTO t VALUES (100)").await;
    let code = "import duckdb,sys,time\nprint('ready', flush=True)\nend=time.time()+60\n\
                while time.time()<end:\n  try:\n    duckdb.connect(sys.argv[1]).execute('INSERT INTO t VALUES (5)'); \
                print('in', flush=True); break\n  except duckdb.IOException: pass";
    let mut loader = std::process::Command::new(&world.python)
        .args(["-c", code])
        .arg(&world.live)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(loader.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let back = |publishes| Step::SwapBack {
        pairs: world.pairs(world.build(1)),
        publishes,
        displaces: ReleaseId(1),
    };
    for _ in 0..5 {
        world.perform(&world.swap_step(world.build(1), 1, Some(0))).await.unwrap();
        assert_eq!(world.look(&world.live, READ), "[(4,)]");
        world.perform(&back(Some(ReleaseId(0)))).await.unwrap();
        assert_eq!(world.look(&world.live, READ), "[(3,)]");
    }
    assert!(loader.try_wait().unwrap().is_none(), "the loader got in");
    loader.kill().unwrap();
    loader.wait().unwrap();
}

#[tokio::test]
async fn a_first_release_is_guarded_once_it_is_placed_and_taken_back() {
    let Some(world) = World::new("a_first_release_is_guarded").await else {
        return;
    };
    world.make(1, true, "CREATE TABLE t AS SELECT 1 AS x").await;
    world.perform(&world.swap_step(world.build(1), 1, None)).await.unwrap();
    assert!(world.try_sql(&world.live, WRITE).is_err());
    let back = Step::SwapBack {
        pairs: world.pairs(world.build(1)),
        publishes: None,
        displaces: ReleaseId(1),
    };
    world.perform(&back).await.unwrap();
    assert!(!world.live.exists());
    // And the build that came back can be made anew.
    world.make(1, true, "CREATE TABLE t AS SELECT 1 AS x").await;
}

#[tokio::test]
async fn a_file_that_was_put_in_the_place_of_the_incoming_is_not_published() {
    let Some(world) = World::with_production("a_file_that_was_put_in_the_place").await else {
        return;
    };
    world.make(1, false, "SELECT 1").await;
    let before = fs::read(&world.live).unwrap();
    let effects = world.duck.render(&world.swap_step(world.build(1), 1, Some(0)));
    assert!(matches!(&effects[2], Effect::Guard { slot } if *slot == world.build(1)));
    let writer = world.open_elsewhere(world.build(1).as_path(), false);
    let failure = refused(world.duck.perform(&effects, &under(world.fence)).await);
    assert_eq!(failure.kind, Kind::Locked);
    drop(writer);
    world.duck.perform(&effects[..3], &under(world.fence)).await.unwrap();
    assert!(world.try_sql(world.build(1).as_path(), WRITE).is_err());
    assert_eq!(fs::read(&world.live).unwrap(), before);
}

#[tokio::test]
async fn a_guard_that_dies_during_the_copy_makes_the_copy_worthless() {
    let Some(world) = World::new("a_guard_that_dies_during_the_copy").await else {
        return;
    };
    world.sql(
        &world.live,
        "CREATE TABLE t AS SELECT range AS x, hash(range) AS y, md5(range::VARCHAR) AS z FROM \
         range(3000000)",
    );
    let clone = world.duck.render(&world.clone_step(1, false));
    world.duck.perform(&clone[..2], &under(world.fence)).await.unwrap();
    let (live, probe) = (fs::File::open(&world.live).unwrap(), world.dir.path().join("probe"));
    if copy::can_reflink(&live, &fs::File::create(probe).unwrap()) {
        eprintln!("SKIPPED: a_guard_that_dies_during_the_copy: here a copy takes no time");
        return;
    }
    let under = under(world.fence);
    let copying = world.duck.perform(&clone[2..3], &under);
    let killing = async {
        let build = world.build(1);
        let began = || files::stat(build.as_path()).unwrap().is_some_and(|found| found.size > 0);
        while !began() {
            tokio::time::sleep(std::time::Duration::from_micros(200)).await;
        }
        world.duck.guards.lock().await.clear();
    };
    let (copied, ()) = tokio::join!(copying, killing);
    let failure = refused(copied);
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.message.contains("while it was being copied"), "{failure}");
    assert!(failure.next.unwrap().contains("same command"));
}

#[tokio::test]
async fn a_guard_follows_its_file_and_another_run_is_not_affected() {
    let Some(world) = World::with_production("a_guard_follows_its_file").await else {
        return;
    };
    let inode = world.duck.hold(&world.live).await.unwrap();
    assert_eq!(inode, guard::inode_of(&world.live).unwrap());
    let moved = world.dir.path().join("moved.duckdb");
    fs::rename(&world.live, &moved).unwrap();
    assert_eq!(world.duck.hold(&moved).await.unwrap(), inode);
    assert_eq!(world.duck.guards.lock().await.len(), 1);
    let other = open(&moved, &world.python, false);
    other.hold(&moved).await.unwrap();
    world.duck.let_go(&moved).await;
    assert!(world.try_sql(&moved, WRITE).is_err(), "the other run's guard holds");
    other.let_go(&moved).await;
    world.sql(&moved, WRITE);
}
