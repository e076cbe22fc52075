//! Two runs at once: the lease, the rank of a rollback, holds, and a process that wakes too late.

use serde_json::json;

use crate::world::{World, finish, signal, until, write};

/// A deploy of `version` that waits inside dbt until `go` exists.
fn waiting(world: &World, version: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let (started, go) = (world.root().join("started"), world.root().join("go"));
    let _ = std::fs::remove_file(&started);
    let _ = std::fs::remove_file(&go);
    world.release_that(version, &json!({"signal_file": started, "wait_for_file": go}));
    (started, go)
}

#[test]
fn of_two_deploys_one_goes_on_and_the_other_names_it_and_ends_5() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let (started, go) = waiting(&world, "2");
    let first = world.start(&["deploy", "--reason", "nightly"]);
    until("dbt", || started.exists());
    let second = world.run(&["deploy"]).expect(5);
    assert!(second.err.contains("ada"), "{}", second.err);
    assert!(second.err.contains("nightly"), "{}", second.err);
    let status = world.json(&["status"], 0);
    assert!(status["running"].as_str().unwrap().contains("deploy by ada"), "{status}");
    assert!(status["unfinished"].is_null());
    write(&go, "");
    finish(first).expect(0);
    assert_eq!(world.version(), "2");
}

#[test]
fn a_rollback_takes_over_from_a_deploy_that_is_building_which_then_ends_5() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    let (started, go) = waiting(&world, "3");
    let deploy = world.start(&["deploy", "--lease-seconds", "2"]);
    until("dbt", || started.exists());
    world.run(&["rollback", "--reason", "2 is wrong"]).expect(0);
    assert_eq!(world.version(), "1");
    let ended = finish(deploy).expect(5);
    assert!(ended.err.contains("no longer has the lease"), "{}", ended.err);
    assert!(!ended.err.contains("r2 is live"), "{}", ended.err);
    assert!(!go.exists(), "dbt was ended, it did not finish");
    assert_eq!(world.version(), "1");
    assert!(world.json(&["status"], 0)["unfinished"].is_null());
}

#[test]
fn a_deploy_longer_than_its_lease_keeps_it() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let (started, go) = waiting(&world, "2");
    let first = world.start(&["deploy", "--lease-seconds", "1"]);
    until("dbt", || started.exists());
    let lease = world.home().join("lease.json");
    let expiry = || std::fs::read_to_string(&lease).unwrap_or_default();
    for _ in 0..4 {
        // Four renewals are longer than the lease.
        let before = expiry();
        until("a renewal", || expiry() != before);
    }
    std::thread::sleep(std::time::Duration::from_millis(1100)); // Longer than the lease, for sure.
    world.run(&["deploy"]).expect(5);
    write(&go, "");
    finish(first).expect(0);
    assert_eq!(world.version(), "2");
}

#[test]
fn a_paused_deploy_that_wakes_after_losing_its_lease_cannot_swap() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.release("2");
    let mut command = world.command(&["deploy", "--lease-seconds", "1"]);
    command.env("SWITCHBACK_FAILPOINT", "swap:intended=stop");
    let paused = command.spawn().unwrap();
    let id = paused.id();
    let stopped = || {
        std::fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().unwrap_or("").trim().starts_with('T'))
    };
    until("the pause", stopped);
    // Once its lease has run out, recover takes over.
    until("the lease to run out", || world.run(&["recover"]).code == 0);
    let before = world.bytes();
    signal(id, "CONT");
    let ended = finish(paused).expect(5);
    assert!(ended.err.contains("no longer has the lease"), "{}", ended.err);
    assert_eq!(world.bytes(), before);
    assert_eq!(world.version(), "1");
    world.deploy("2");
    assert_eq!(world.version(), "2");
}

#[test]
fn a_hold_refuses_the_code_that_was_rolled_back_and_only_that() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    world.run(&["rollback", "--reason", "refunds count as revenue"]).expect(0);
    write(&world.project().join("README.md"), "Only words.\n");
    let held = world.run(&["deploy"]).expect(5);
    for word in ["ada", "refunds count as revenue", "resume", "UTC"] {
        assert!(held.err.contains(word), "{word}: {}", held.err);
    }
    assert_eq!(world.run(&["deploy", "--dry-run"]).code, 5, "a dry run ends as the run would");
    world.deploy("3");
    assert!(world.json(&["status"], 0)["hold"].is_null());
}

#[test]
fn a_second_press_of_rollback_does_not_republish_the_fault() {
    let Some(world) = World::new() else { return };
    for version in ["1", "2", "3"] {
        world.deploy(version);
    }
    world.run(&["rollback", "--reason", "wrong"]).expect(0);
    assert_eq!(world.version(), "2");
    let again = world.run(&["rollback", "--reason", "wrong"]).expect(5);
    assert!(again.err.contains("r3, r1"), "the targets are listed: {}", again.err);
    assert_eq!(world.version(), "2");
    world.run(&["rollback", "--to", "r1", "--reason", "further"]).expect(0);
    assert_eq!(world.version(), "1");
}

#[test]
fn a_hold_by_hand_stops_every_deploy_until_resume_also_one_that_is_under_way() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let (started, go) = waiting(&world, "2");
    let deploy = world.start(&["deploy"]);
    until("dbt", || started.exists());
    world.run(&["hold", "--reason", "month end"]).expect(0);
    write(&go, "");
    let ended = finish(deploy).expect(5);
    assert!(ended.err.contains("month end"), "{}", ended.err);
    assert_eq!(world.version(), "1");
    world.run(&["resume", "--reason", "books are closed"]).expect(0);
    world.deploy("2");
    assert_eq!(world.version(), "2");
}

#[test]
fn ctrl_c_and_sigterm_end_the_whole_tree_and_need_no_recovery() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let (started, _) = waiting(&world, "2");
        let pid = world.root().join("child.pid");
        let build = json!({
            "signal_file": started, "wait_for_file": world.root().join("never"),
            "child_pid_file": pid, "ignore_signals": name == "TERM",
        });
        world.release_that("2", &build);
        let deploy = world.start(&["deploy"]);
        until("dbt", || started.exists() && pid.exists());
        let grandchild = std::fs::read_to_string(&pid).unwrap();
        signal(deploy.id(), name);
        finish(deploy).expect(code);
        let alive = || {
            std::fs::read_to_string(format!("/proc/{}/stat", grandchild.trim()))
                .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim().starts_with('Z'))
        };
        until("the end of dbt's own child", || !alive());
        let status = world.json(&["status"], 0);
        assert!(status["unfinished"].is_null(), "{status}");
        assert_eq!(status["live"]["release"], "r1");
        std::fs::remove_file(&pid).unwrap();
    }
    world.deploy("2");
}
