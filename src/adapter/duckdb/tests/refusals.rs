//! What is refused: production's bytes are the same before and after, and the message says why.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::testing::{World, claim, refused, under};
use super::super::{FileLedger, files};
use crate::domain::name::{ReleaseId, Role, SlotName};
use crate::domain::plan::{Adoption, Effect, Pair, Step};
use crate::domain::slot::Content;
use crate::failure::Kind;
use crate::ports::{Ledger, Token, Warehouse};

fn drop_step(slot: SlotName) -> Step {
    Step::Drop { role: Role::Build(ReleaseId(1)), slots: vec![slot] }
}

#[tokio::test]
async fn a_run_that_lost_the_lease_cannot_change_anything() {
    let Some(world) = World::with_production("a_run_that_lost_the_lease").await else {
        return;
    };
    world.make(1, false, "SELECT 1").await;
    let before = fs::read(&world.live).unwrap();
    let other = FileLedger::open(&world.live, "here", world.clock.clone());
    let rollback = other.acquire(claim("rollback")).await.unwrap();
    for step in [
        world.swap_step(world.build(1), 1, Some(0)),
        world.clone_step(2, false),
        drop_step(world.build(1)),
        world.keep_step(world.build(1), 0, Adoption::Ours),
    ] {
        let failure = refused(world.perform(&step).await);
        assert_eq!(failure.kind, Kind::Locked);
        assert!(failure.message.contains("rollback by ada"), "{failure}");
    }
    // It woke up between the guard and the exchange.
    let effects = world.duck.render(&world.swap_step(world.build(1), 1, Some(0)));
    world.duck.perform(&effects[..2], &under(rollback.token)).await.unwrap();
    let left = world.live.as_path();
    let failure =
        refused(world.duck.exchange(left, world.build(1).as_path(), true, world.fence).await);
    assert_eq!(failure.kind, Kind::Locked);
    assert!(failure.production.unwrap().contains("not swapped"));
    assert_eq!(fs::read(&world.live).unwrap(), before);
    assert!(world.ledger.renew(world.fence, std::time::Duration::from_secs(1)).await.is_err());
    assert!(refused(world.duck.perform(&effects, &under(Token(99))).await).kind == Kind::Locked);
}

#[tokio::test]
async fn a_log_beside_either_file_stops_the_exchange() {
    let Some(world) = World::with_production("a_log_beside_either_file").await else {
        return;
    };
    world.make(1, false, "SELECT 1").await;
    let before = fs::read(&world.live).unwrap();
    let build = world.build(1);
    for file in [world.live.as_path(), build.as_path()] {
        for suffix in files::WAL_SUFFIXES {
            let wal = files::with_suffix(file, suffix);
            fs::write(&wal, "").unwrap();
            let swap = world.swap_step(build.clone(), 1, Some(0));
            world.duck.hold(&world.live).await.unwrap();
            let failure = refused(world.perform(&swap).await);
            assert_eq!(failure.kind, Kind::Stopped);
            let failure =
                refused(world.duck.exchange(&world.live, build.as_path(), true, world.fence).await);
            assert!(failure.message.contains(suffix), "{failure}");
            fs::remove_file(wal).unwrap();
        }
    }
    world.duck.let_go(&world.live).await;
    world.crash_writing(&world.live);
    let failure = world.duck.preflight().await.unwrap_err();
    assert_eq!(failure.kind, Kind::Stopped);
    assert_eq!(fs::read(&world.live).unwrap(), before);
}

#[tokio::test]
async fn nothing_is_exchanged_without_the_guard_or_after_live_was_replaced() {
    let Some(world) = World::with_production("nothing_is_exchanged_without_the_guard").await else {
        return;
    };
    world.make(1, false, "SELECT 1").await;
    world.duck.let_go(&world.live).await;
    let build = world.build(1);
    let exchange = || world.duck.exchange(&world.live, build.as_path(), true, world.fence);
    assert_eq!(refused(exchange().await).kind, Kind::Stopped);
    world.duck.hold(&world.live).await.unwrap();
    fs::copy(&world.live, world.dir.path().join("new")).unwrap();
    fs::rename(world.dir.path().join("new"), &world.live).unwrap();
    assert!(refused(exchange().await).message.contains("replaced"));
    world.duck.hold(&world.live).await.unwrap();
    exchange().await.unwrap();
}

#[tokio::test]
async fn a_writer_is_named_wherever_it_is_met() {
    let Some(world) = World::with_production("a_writer_is_named").await else {
        return;
    };
    world.make(1, false, "SELECT 1").await;
    world.duck.let_go(&world.live).await;
    let writer = world.open_elsewhere(&world.live, false);
    let pid = format!("PID {}", writer.0.id());
    let seen = world.observe().await;
    let Content::Busy { reason } = seen.content(&world.live_slot()) else { panic!("{seen:?}") };
    assert!(reason.contains(&pid), "{reason}");
    let failure = world.duck.preflight().await.unwrap_err();
    assert_eq!(failure.kind, Kind::Locked);
    assert!(failure.message.contains(&pid), "{failure}");
    let failure = refused(world.perform(&world.clone_step(2, false)).await);
    assert_eq!(failure.kind, Kind::Locked);
    assert!(failure.message.contains(&pid), "{failure}");
    drop(writer);
    let writer = world.open_elsewhere(world.build(1).as_path(), false);
    let pid = format!("PID {}", writer.0.id());
    for step in [
        world.swap_step(world.build(1), 1, Some(0)),
        drop_step(world.build(1)),
        world.clone_step(1, false),
    ] {
        let failure = refused(world.perform(&step).await);
        assert_eq!(failure.kind, Kind::Locked);
        assert!(failure.message.contains(&pid), "{failure}");
    }
    assert!(matches!(world.observe().await.content(&world.build(1)), Content::Busy { .. }));
}

#[tokio::test]
async fn nothing_that_is_not_ours_is_removed_or_emptied() {
    let Some(world) = World::with_production("nothing_that_is_not_ours").await else {
        return;
    };
    world.make(1, false, "SELECT 1").await;
    world.perform(&world.swap_step(world.build(1), 1, Some(0))).await.unwrap();
    // The user's own production, in a directory that was made for a file of ours.
    let displaced = fs::read(world.build(1).as_path()).unwrap();
    for step in [drop_step(world.build(1)), world.clone_step(1, false)] {
        let failure = refused(world.perform(&step).await);
        assert!(failure.message.contains("no stamp of ours"), "{failure}");
    }
    assert_eq!(fs::read(world.build(1).as_path()).unwrap(), displaced);
    // A copy of a release, made by hand, carries another file's stamp.
    let by_hand = world.archive(7);
    fs::create_dir_all(by_hand.as_path().parent().unwrap()).unwrap();
    fs::copy(&world.live, by_hand.as_path()).unwrap();
    assert!(!world.observe().await.content(&by_hand).is_ours());
    refused(world.perform(&drop_step(by_hand.clone())).await);
    refused(world.perform(&drop_step(world.live_slot())).await);
    assert!(by_hand.as_path().exists() && world.live.exists());
    let stamp_live = Effect::Sql { slot: world.live_slot(), text: "DROP TABLE t".into() };
    refused(world.duck.perform(&[stamp_live], &under(world.fence)).await);
}

#[tokio::test]
async fn a_copy_that_was_cut_short_is_ours_and_can_be_dropped() {
    let Some(world) = World::with_production("a_copy_that_was_cut_short").await else {
        return;
    };
    let clone = world.duck.render(&world.clone_step(1, false));
    world.duck.perform(&clone[..2], &under(world.fence)).await.unwrap();
    let build = world.build(1);
    for torn in [vec![], vec![0; 9000], fs::read(&world.live).unwrap()[..13_000].to_vec()] {
        fs::File::options().write(true).truncate(true).open(build.as_path()).unwrap();
        fs::write(build.as_path(), torn).unwrap();
        let seen = world.observe().await;
        assert!(seen.content(&build).is_ours(), "{seen:?}");
        assert_eq!(seen.content(&build).own_stamp(), None);
    }
    world.perform(&drop_step(build.clone())).await.unwrap();
    assert!(!build.as_path().parent().unwrap().exists());
}

#[tokio::test]
async fn files_that_are_no_databases_are_refused_by_what_they_are() {
    let Some(world) = World::new("files_that_are_no_databases").await else {
        return;
    };
    let mut encrypted = b"12345678DUCK\x64\0\0\0\0\0\0\0\x01".to_vec();
    encrypted.resize(20_000, 0);
    for (bytes, says) in [
        (vec![], "empty (0 bytes)"),
        (vec![b'x'; 20_000], "not a DuckDB file"),
        (b"SQLite format 3\0".to_vec(), "not a DuckDB file"),
        (encrypted, "encrypted"),
    ] {
        fs::write(&world.live, &bytes).unwrap();
        let failure = world.duck.preflight().await.unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains(says), "{failure}");
        assert_eq!(fs::read(&world.live).unwrap(), bytes);
    }
    // A version number no DuckDB has reached yet.
    fs::remove_file(&world.live).unwrap();
    world.sql(&world.live, "CREATE TABLE t AS SELECT 1 AS x");
    let mut newer = fs::read(&world.live).unwrap();
    newer[12..20].copy_from_slice(&5000u64.to_le_bytes());
    fs::write(&world.live, newer).unwrap();
    let failure = world.duck.preflight().await.unwrap_err();
    assert!(matches!(failure.kind, Kind::Usage | Kind::Unexpected), "{failure}");
}

#[tokio::test]
async fn a_full_disk_stops_the_clone_and_leaves_nothing_behind() {
    let Some(world) = World::new("a_full_disk_stops_the_clone").await else {
        return;
    };
    let place = world.dir.path().join("small");
    fs::create_dir(&place).unwrap();
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"], &place) else {
        eprintln!("SKIPPED: a_full_disk_stops_the_clone: this user may not mount a small disk");
        return;
    };
    full_disk(&world, &place).await;
}

/// Something mounted, until it is dropped.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(what: &[&str], place: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(what).arg(place).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| Self(place.to_path_buf()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

async fn full_disk(world: &World, place: &Path) {
    let live = place.join("shop.duckdb");
    world.sql(&live, "CREATE TABLE t AS SELECT hash(range) AS x FROM range(180000)");
    let before = fs::read(&live).unwrap();
    let duck = super::super::testing::open(&live, &world.python, false);
    let ledger = FileLedger::open(&live, "here", world.clock.clone());
    let fence = ledger.acquire(claim("deploy")).await.unwrap().token;
    let failure = duck.preflight().await.unwrap_err();
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.message.contains("are free"), "{failure}");
    let pair = Pair {
        live: duck.live()[0].clone(),
        other: duck.naming().slot(&duck.live()[0], Role::Build(ReleaseId(1))),
    };
    let clone = Step::Clone {
        pairs: vec![pair.clone()],
        release: ReleaseId(1),
        attempt: 1,
        from_nothing: false,
    };
    let failure = refused(duck.perform(&duck.render(&clone), &under(fence)).await);
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.message.contains("needs"), "{failure}");
    assert!(!pair.other.as_path().parent().unwrap().exists(), "the copy is left");
    assert_eq!(fs::read(&live).unwrap(), before);
}

#[tokio::test]
async fn a_truly_encrypted_file_is_refused() {
    let Some(world) = World::new("a_truly_encrypted_file_is_refused").await else {
        return;
    };
    let attach = format!(
        "SET force_mbedtls_unsafe = 'true'; ATTACH '{}' AS e (ENCRYPTION_KEY 'k'); \
         CREATE TABLE e.t(a INT); CHECKPOINT e",
        world.live.display().to_string().replace('\'', "''")
    );
    if world.try_sql(Path::new(":memory:"), &attach).is_err() {
        eprintln!("SKIPPED: a_truly_encrypted_file_is_refused: this DuckDB cannot encrypt");
        return;
    }
    let failure = world.duck.preflight().await.unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    assert!(failure.message.contains("encrypted"), "{failure}");
}

#[tokio::test]
async fn a_bind_mounted_file_is_refused_before_dbt_starts() {
    let Some(world) = World::with_production("a_bind_mounted_file").await else {
        return;
    };
    let name = world.live.display().to_string();
    let Some(_mounted) = Mounted::new(&["--bind", &name], &world.live) else {
        eprintln!("SKIPPED: a_bind_mounted_file: this user may not mount");
        return;
    };
    let failure = world.duck.preflight().await.unwrap_err();
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.message.contains("mount point"), "{failure}");
    assert!(failure.next.unwrap().contains("-v "));
}
