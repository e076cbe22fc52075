//! Odd nights: what else happens to a production and its ledger while runs are cut off, pressed
//! twice or come too late. Each story was a fault once.

use serde_json::json;

use crate::world::{World, finish, signal, until, write};

const KILLED: i32 = 128 + 9;

/// A deploy of `version` that dies right after the exchange, before it is recorded.
fn killed_after_the_swap(world: &World, version: &str) {
    world.release(version);
    world.run_at("swap:performed=kill", &["deploy"]).expect(KILLED);
    assert_eq!(world.version(), version);
}

fn writer(world: &World, file: &std::path::Path) -> std::process::Child {
    let ready = world.root().join("writer-ready");
    let _ = std::fs::remove_file(&ready);
    let child = world.look_command("hold", file, &["rw", ready.to_str().unwrap()]).spawn().unwrap();
    until("the writer", || ready.exists());
    child
}

fn let_go(mut writer: std::process::Child) {
    drop(writer.stdin.take());
    writer.wait().unwrap();
}

#[test]
fn recover_waits_for_a_production_that_cannot_be_read_instead_of_guessing() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    killed_after_the_swap(&world, "3");
    let records = world.journal().len();
    let busy = writer(&world, &world.live);
    // What the swap displaced is still readable, and proves that it happened.
    let recovered = world.run(&["recover"]);
    assert!([0, 5, 6].contains(&recovered.code), "{}", recovered.err);
    assert!(!recovered.out.contains("as before"), "{}", recovered.out);
    let_go(busy);
    world.run(&["recover"]).expect(0);
    assert!(world.journal().len() > records);
    assert_eq!(world.live_release(), "r3");
    world.deploy("4");
    world.run(&["rollback", "--to", "r2", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "2", "what was displaced was kept all along");
}

#[test]
fn a_swap_that_cannot_be_recorded_is_left_for_recover_and_never_called_undone() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.release("2");
    let mut command = world.command(&["deploy"]);
    let paused = command.env("SWITCHBACK_FAILPOINT", "swap:performed=stop").spawn().unwrap();
    let id = paused.id();
    until("the pause", || {
        std::fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().unwrap_or("").trim().starts_with('T'))
    });
    let (ledger, aside) = (world.home().join("ledger.jsonl"), world.home().join("aside"));
    std::fs::rename(&ledger, &aside).unwrap();
    std::fs::create_dir(&ledger).unwrap(); // No line can be appended to a folder.
    signal(id, "CONT");
    let ended = finish(paused).expect(6);
    assert!(!ended.err.contains("untouched"), "{}", ended.err);
    std::fs::remove_dir(&ledger).unwrap();
    std::fs::rename(&aside, &ledger).unwrap();
    let recovered = world.json(&["recover"], 0);
    assert_eq!(recovered["outcome"], "finished");
    assert_eq!(world.live_release(), "r2");
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "1");
}

#[test]
fn a_run_that_was_cut_off_is_recovered_where_production_has_another_path() {
    let Some(mut world) = World::new() else { return };
    world.dbt_alone("1");
    world.deploy("2");
    killed_after_the_swap(&world, "3");
    let moved = world.root().join("elsewhere");
    std::fs::rename(world.live.parent().unwrap(), &moved).unwrap();
    world.live = moved.join("shop.duckdb");
    world.profile(&world.live.display().to_string());
    assert_eq!(world.json(&["recover"], 0)["outcome"], "finished");
    assert_eq!(world.live_release(), "r2");
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "2");
    world.run(&["rollback", "--to", "r0", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "1");
}

#[test]
fn what_dbt_alone_built_after_a_failed_first_deploy_can_come_back() {
    let Some(world) = World::new() else { return };
    world.release_that("1", &json!({"fail_node": "model.shop.b"}));
    world.run(&["deploy"]).expect(3);
    world.dbt_alone("2");
    let before = world.content();
    world.deploy("3");
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.content(), before);
}

#[test]
fn going_back_further_or_forward_again_holds_every_release_that_is_still_out() {
    let Some(world) = World::new() else { return };
    for version in ["1", "2", "3"] {
        world.deploy(version);
    }
    world.run(&["rollback", "--reason", "3 is wrong"]).expect(0);
    world.run(&["rollback", "--to", "r1", "--reason", "2 too"]).expect(0);
    for version in ["2", "3"] {
        world.release(version);
        world.run(&["deploy"]).expect(5);
    }
    world.run(&["rollback", "--to", "r2", "--reason", "2 was right"]).expect(0);
    world.run(&["deploy"]).expect(5); // Still the code of 3.
    world.run(&["rollback", "--to", "r3", "--reason", "3 as well"]).expect(0);
    assert!(world.json(&["status"], 0)["hold"].is_null());
}

#[test]
fn a_rollback_does_not_lift_a_hold_that_was_set_by_hand() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    world.run(&["hold", "--reason", "month end"]).expect(0);
    world.run(&["rollback", "--reason", "x"]).expect(0);
    world.release("3");
    let held = world.run(&["deploy"]).expect(5);
    assert!(held.err.contains("month end"), "{}", held.err);
    world.run(&["resume", "--reason", "done"]).expect(0);
    world.deploy("3");
}

#[test]
fn rollback_recovers_by_itself_also_over_what_dbt_alone_built() {
    let Some(world) = World::new() else { return };
    world.dbt_alone("1");
    let before = world.content();
    killed_after_the_swap(&world, "2");
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.content(), before);
    assert_eq!(world.live_release(), "r0");
}

#[test]
fn a_damaged_production_can_be_rolled_back_and_is_put_aside() {
    let damage = "not a database any more ".repeat(4000);
    for text in [damage.as_str(), ""] {
        let Some(world) = World::new() else { return };
        world.deploy("1");
        let first = world.content();
        world.deploy("2");
        write(&world.live, text);
        let status = world.json(&["status"], 0);
        assert!(status["doubt"].as_str().unwrap().contains("rollback"), "{status}");
        let refused = world.run(&["deploy"]);
        assert!([2, 3].contains(&refused.code), "{}", refused.err);
        assert!(refused.err.contains("rollback"), "{}", refused.err);
        world.run(&["rollback", "--reason", "the disk failed"]).expect(0);
        assert_eq!(world.content(), first);
        let aside: Vec<_> = std::fs::read_dir(world.home())
            .unwrap()
            .map(|entry| entry.unwrap().path().join("shop.duckdb"))
            .filter(|file| std::fs::read(file).is_ok_and(|bytes| bytes == text.as_bytes()))
            .collect();
        assert_eq!(aside.len(), 1, "the damaged file is kept");
        world.deploy("3");
        assert_eq!(world.version(), "3");
    }
}

#[test]
fn an_archive_that_somebody_looks_into_is_in_use_and_not_gone() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    let busy = writer(&world, &world.home().join("r1/shop.duckdb"));
    let id = busy.id().to_string();
    let refused = world.run(&["rollback", "--reason", "x"]).expect(5);
    assert!(refused.err.contains(&id), "{}", refused.err);
    let releases = world.json(&["releases"], 0);
    assert_eq!(releases["releases"][1]["state"], "in use", "{releases}");
    let_go(busy);
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "1");
}

#[test]
fn a_rollback_needs_no_dbt_that_fits_and_no_command_that_can_be_read() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    write(
        &world.project().join("dbt_project.yml"),
        "name: shop\nversion: '1.0'\nprofile: shop\nconfig-version: 2\nrequire-dbt-version: '>=9.0.0'\n",
    );
    world.configure("dbt-command: \"build --vars 'it is not closed\"\n");
    world.run(&["deploy"]).expect(2);
    world.run(&["status"]).expect(0);
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "1");
    std::fs::remove_file(world.project().join("switchback.yml")).unwrap();
    let refused = world.run(&["deploy"]).expect(2);
    assert!(refused.err.contains("require-dbt-version"), "{}", refused.err);
}

#[test]
fn nobody_writes_live_between_the_swap_and_the_end_of_its_checks() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.release("2");
    world.configure("post-deploy-command: test\n");
    let mut command = world.command(&["deploy"]);
    let paused = command.env("SWITCHBACK_FAILPOINT", "check:intended=stop").spawn().unwrap();
    let id = paused.id();
    until("the pause", || {
        std::fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().unwrap_or("").trim().starts_with('T'))
    });
    let sql = ["create table main.loaded as select 1 as x"];
    let output = world.look_command("execute", &world.live, &sql).output().unwrap();
    assert!(!output.status.success(), "a writer must be kept out, or a swap back loses its rows");
    assert_eq!(world.version(), "2", "readers are not");
    signal(id, "CONT");
    finish(paused).expect(0);
}

#[test]
fn numbers_that_stamps_carry_are_not_given_again_when_the_ledger_is_lost() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    std::fs::remove_file(world.home().join("ledger.jsonl")).unwrap();
    world.deploy("3");
    assert_eq!(world.live_release(), "r3");
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "2");
}

#[test]
fn a_long_gate_keeps_the_lease_and_ctrl_c_ends_it_at_once() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.release("2");
    world.configure(
        "gates: {checks: [{name: slow, sql: select 1 from range(40000000000) t(i) where hash(i) = 42}]}\n",
    );
    let deploy = world.start(&["deploy", "--lease-seconds", "1"]);
    let lease = world.home().join("lease.json");
    let text = || std::fs::read_to_string(&lease).unwrap_or_default();
    let verifying =
        || world.journal().iter().any(|record| record["entry"]["intended"]["step"] == "verify");
    until("the gate", || text().contains("deploy") && verifying());
    for _ in 0..3 {
        let before = text();
        until("a renewal", || text() != before);
    }
    world.run(&["deploy"]).expect(5);
    signal(deploy.id(), "INT");
    finish(deploy).expect(130);
    assert_eq!(world.version(), "1");
    assert!(world.json(&["status"], 0)["unfinished"].is_null());
}
