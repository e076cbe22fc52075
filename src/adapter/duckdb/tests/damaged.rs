//! Production that cannot be read: seen as such, exchanged, put aside; and slots that are not
//! what their name says.

use std::fs;

use super::super::testing::{World, refused, under};
use super::super::{files, home};
use crate::domain::name::{ReleaseId, Role, SlotName};
use crate::domain::plan::{Adoption, Effect, Step};
use crate::domain::slot::Content;
use crate::failure::Kind;
use crate::ports::Warehouse;

/// A production `r1` with the archive `r0`; no guard is left.
async fn deployed(test: &str) -> Option<World> {
    let world = World::with_production(test).await?;
    world.make(1, false, "INSERT INTO t VALUES (100)").await;
    world.perform(&world.swap_step(world.build(1), 1, Some(0))).await.unwrap();
    world.perform(&world.keep_step(world.build(1), 0, Adoption::Stamp)).await.unwrap();
    world.duck.guards.lock().await.clear();
    Some(world)
}

fn damaged_swap(world: &World) -> Step {
    Step::Swap {
        pairs: world.pairs(world.archive(0)),
        publishes: ReleaseId(0),
        displaces: Some(ReleaseId(1)),
        damaged: true,
    }
}

fn drop_of(slot: SlotName, release: u32) -> Step {
    Step::Drop { role: Role::Archive(ReleaseId(release)), slots: vec![slot] }
}

fn damages(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut encrypted = b"12345678DUCK\x64\0\0\0\0\0\0\0\x01".to_vec();
    encrypted.resize(20_000, 0);
    let mut newer = good.to_vec();
    newer[12..20].copy_from_slice(&5000u64.to_le_bytes());
    let mut torn = good.to_vec();
    for byte in &mut torn[4096..] {
        *byte = 0xA5;
    }
    vec![
        ("empty", vec![]),
        ("foreign", vec![b'x'; 20_000]),
        ("encrypted", encrypted),
        ("newer", newer),
        ("torn", torn),
        ("short", good[..4096].to_vec()),
    ]
}

#[tokio::test]
async fn damage_is_seen_as_such_and_stops_deploys_only() {
    let Some(world) = deployed("damage_is_seen_as_such").await else {
        return;
    };
    let good = fs::read(&world.live).unwrap();
    for (what, bytes) in damages(&good) {
        fs::write(&world.live, &bytes).unwrap();
        let seen = world.observe().await;
        let live = seen.content(&world.live_slot());
        let Content::Unreadable { identity, reason } = live else { panic!("{what}: {live:?}") };
        assert!(!reason.is_empty());
        assert_eq!(*identity, files::stat(&world.live).unwrap().unwrap().identity);
        assert_eq!(seen.content(&world.archive(0)).release(), Some(ReleaseId(0)));
        let failure = world.duck.preflight().await.unwrap_err();
        assert!(matches!(failure.kind, Kind::Usage | Kind::Unexpected), "{what}: {failure}");
        let next = failure.next.unwrap_or_default();
        assert!(!next.contains("rm '"), "{what}: {next}");
        if !["encrypted", "newer"].contains(&what) {
            assert!(next.contains("rollback"), "{what}: {next}");
        }
        assert_eq!(fs::read(&world.live).unwrap(), bytes, "{what}");
    }
    // A damaged archive is not busy either.
    fs::write(&world.live, good).unwrap();
    fs::remove_file(world.archive(0).as_path().with_file_name("slot.json")).ok();
    fs::write(world.archive(0).as_path(), [b'x'; 9000]).unwrap();
    let seen = world.observe().await;
    assert!(matches!(seen.content(&world.archive(0)), Content::Unreadable { .. }), "{seen:?}");
    world.duck.preflight().await.unwrap();
}

#[tokio::test]
async fn an_empty_file_may_be_removed_where_there_is_nothing_else() {
    let Some(world) = World::new("an_empty_file_may_be_removed").await else {
        return;
    };
    fs::write(&world.live, "").unwrap();
    let failure = world.duck.preflight().await.unwrap_err();
    assert!(failure.next.unwrap().contains("rm '"));
}

#[tokio::test]
async fn damaged_live_is_exchanged_with_its_log_and_put_aside_as_it_is() {
    let Some(world) = deployed("damaged_live_is_exchanged").await else {
        return;
    };
    let bytes = vec![b'x'; 20_000];
    fs::write(&world.live, &bytes).unwrap();
    let wal = files::with_suffix(&world.live, ".wal");
    fs::write(&wal, "a log").unwrap();
    // Even a marker that names it does not make it ours.
    let identity = files::stat(&world.live).unwrap().unwrap().identity;
    let directory = world.archive(0).as_path().parent().unwrap().to_path_buf();
    home::write_marker(&directory, &identity).unwrap();
    world.perform(&damaged_swap(&world)).await.unwrap();
    assert_eq!(world.released(&world.live_slot()).await, Some(0));
    assert_eq!(world.look(&world.live, "SELECT count(*) FROM t"), "[(3,)]");
    assert!(world.try_sql(&world.live, "CREATE TABLE u(a INT)").is_err(), "new live is guarded");
    assert!(!wal.exists());
    let aside = Step::Keep {
        kept: match world.keep_step(world.archive(0), 1, Adoption::Aside) {
            Step::Keep { kept, .. } => kept,
            _ => unreachable!(),
        },
        release: ReleaseId(1),
        adopt: Adoption::Aside,
    };
    world.perform(&aside).await.unwrap();
    world.perform(&aside).await.unwrap();
    let kept = world.archive(1);
    assert_eq!(fs::read(kept.as_path()).unwrap(), bytes);
    assert_eq!(fs::read_to_string(files::with_suffix(kept.as_path(), ".wal")).unwrap(), "a log");
    let seen = world.observe().await;
    assert!(matches!(seen.content(&kept), Content::Unreadable { .. }), "{seen:?}");
    assert!(!seen.content(&kept).is_ours());
    refused(world.perform(&drop_of(kept.clone(), 1)).await);
    assert_eq!(fs::read(kept.as_path()).unwrap(), bytes);
}

#[tokio::test]
async fn live_that_can_be_read_is_never_exchanged_without_its_guard() {
    let Some(world) = deployed("live_that_can_be_read").await else {
        return;
    };
    let failure = refused(world.perform(&damaged_swap(&world)).await);
    assert!(failure.message.contains("repaired"), "{failure}");
    assert_eq!(world.released(&world.live_slot()).await, Some(1));
    // A log beside what comes in stops it, damaged or not.
    fs::write(&world.live, "x").unwrap();
    let wal = files::with_suffix(world.archive(0).as_path(), ".wal");
    fs::write(&wal, "").unwrap();
    let failure = refused(world.perform(&damaged_swap(&world)).await);
    assert!(failure.message.contains(".wal"), "{failure}");
    let effects = world.duck.render(&damaged_swap(&world));
    let failure = refused(world.duck.perform(&effects[2..], &under(world.fence)).await);
    assert!(failure.message.contains(".wal"), "{failure}");
    assert_eq!(fs::read(&world.live).unwrap(), b"x");
}

#[tokio::test]
async fn a_log_at_a_rollback_is_named_with_the_command_that_takes_it_in() {
    let Some(world) = deployed("a_log_at_a_rollback").await else {
        return;
    };
    world.crash_writing(&world.live);
    let drift = Step::Drift { pairs: world.pairs(world.archive(0)) };
    let failure = refused(world.perform(&drift).await);
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.message.contains(".wal is there"), "{failure}");
    let next = failure.next.unwrap();
    // The command is run as it is printed: the file's name has a quote in it.
    let command = next.split('`').nth(1).unwrap();
    let ran = std::process::Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(ran.success(), "{command}");
    assert!(files::wals(&world.live).is_empty());
    assert_eq!(world.look(&world.live, "SELECT count(*) FROM t"), "[(5,)]");
    world.perform(&drift).await.unwrap();
}

#[tokio::test]
async fn a_slot_is_removed_only_for_the_release_it_holds() {
    let Some(world) = deployed("a_slot_is_removed_only_for").await else {
        return;
    };
    let failure = refused(world.perform(&drop_of(world.archive(0), 7)).await);
    assert!(failure.message.contains("holds r0 and not r7"), "{failure}");
    assert_eq!(world.released(&world.archive(0)).await, Some(0));
    // A marker does not outweigh the file's own stamp.
    world.make(2, false, "SELECT 1").await;
    world.duck.guards.lock().await.clear();
    let stat = files::stat(world.build(2).as_path()).unwrap().unwrap();
    let directory = world.build(2).as_path().parent().unwrap().to_path_buf();
    assert_eq!(home::read_marker(&directory), Some(stat.identity));
    refused(world.perform(&drop_of(world.build(2), 1)).await);
    world.perform(&drop_of(world.build(2), 2)).await.unwrap();
    world.perform(&drop_of(world.build(2), 2)).await.unwrap();
    assert!(!directory.exists());
    // A copy of ours that was never stamped goes whatever release was meant.
    let clone = world.duck.render(&world.clone_step(3, false));
    world.duck.perform(&clone[..3], &under(world.fence)).await.unwrap();
    world.perform(&drop_of(world.build(3), 3)).await.unwrap();
    assert!(!world.build(3).as_path().exists());
}

#[tokio::test]
async fn nothing_is_overwritten_when_a_slot_moves_and_nothing_done_twice() {
    let Some(world) = deployed("nothing_is_overwritten").await else {
        return;
    };
    world.make(2, false, "SELECT 1").await;
    world.perform(&world.swap_step(world.build(2), 2, Some(1))).await.unwrap();
    let keep = world.keep_step(world.build(2), 1, Adoption::Stamp);
    let to = world.archive(1);
    let directory = to.as_path().parent().unwrap().to_path_buf();
    fs::create_dir_all(&directory).unwrap();
    for name in
        [to.as_path().to_path_buf(), files::with_suffix(to.as_path(), ".wal"), directory.join("x")]
    {
        fs::write(&name, "theirs").unwrap();
        let failure = refused(world.perform(&keep).await);
        assert!(failure.message.contains("nothing is overwritten"), "{failure}");
        assert_eq!(fs::read_to_string(&name).unwrap(), "theirs");
        fs::remove_file(&name).unwrap();
    }
    world.perform(&keep).await.unwrap();
    world.perform(&keep).await.unwrap();
    assert_eq!(world.released(&to).await, Some(1));
    let same = Effect::MoveSlot { from: to.clone(), to: to.clone() };
    world.duck.perform(&[same], &under(world.fence)).await.unwrap();
    assert_eq!(world.released(&to).await, Some(1));
}
