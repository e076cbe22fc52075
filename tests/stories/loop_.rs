//! The loop: deploy, notice, roll back, forward again.

use serde_json::json;

use crate::world::{World, finish, until, write};

#[test]
fn after_two_deploys_and_a_rollback_everything_equals_the_first_and_forward_the_second() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let first = world.content();
    world.deploy("2");
    let second = world.content();
    assert_ne!(first, second);

    let back = world.json(&["rollback", "--reason", "wrong"], 0);
    assert_eq!(back["outcome"], "rolled-back");
    assert_eq!(back["live"]["release"], "r1");
    assert_eq!(back["previous"]["release"], "r2");
    assert_eq!(world.content(), first);

    world.run(&["rollback", "--to", "r2", "--reason", "it was right"]).expect(0);
    assert_eq!(world.content(), second);
    assert_eq!(world.live_release(), "r2");
}

#[test]
fn what_dbt_alone_built_is_adopted_as_r0_untouched_and_can_come_back() {
    let Some(world) = World::new() else { return };
    world.dbt_alone("1");
    let before = world.content();
    world.deploy("2");
    assert_eq!(world.live_release(), "r1");
    world.run(&["rollback", "--reason", "wrong"]).expect(0);
    assert_eq!(world.live_release(), "r0");
    assert_eq!(world.content(), before);
}

#[test]
fn a_failing_build_leaves_production_untouched_and_the_next_deploy_uses_its_number_again() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let bytes = world.bytes();
    world.release_that("2", &json!({"fail_node": "model.shop.b"}));
    let failed = world.run(&["deploy"]).expect(3);
    assert!(failed.err.contains("r1 is live"), "{}", failed.err);
    assert_eq!(world.bytes(), bytes);
    world.deploy("2");
    assert_eq!(world.live_release(), "r2");
}

#[test]
fn a_dry_run_prints_the_plan_that_the_run_then_journals() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    for arguments in [&["deploy"][..], &["rollback", "--reason", "wrong"]] {
        if arguments[0] == "deploy" {
            world.release("2");
        }
        let mut dry = arguments.to_vec();
        dry.push("--dry-run");
        let before = world.journal().len();
        let planned = world.json(&dry, 0);
        assert_eq!(planned["outcome"], "planned");
        assert_eq!(world.journal().len(), before, "a dry run journals nothing");
        world.run(arguments).expect(0);
        let journal = world.journal();
        let began = journal[before..].iter().find_map(|record| record["entry"].get("began"));
        assert_eq!(began.unwrap()["plan"], planned["plan"]);
        let intended: Vec<_> = journal[before..]
            .iter()
            .filter_map(|record| record["entry"].get("intended"))
            .map(|intended| intended["effects"].clone())
            .collect();
        let steps = planned["plan"]["steps"].as_array().unwrap();
        let effects: Vec<_> = steps.iter().map(|step| step["effects"].clone()).collect();
        assert_eq!(intended, effects);
    }
}

#[test]
fn build_waits_and_promote_publishes_it() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.release("2");
    let built = world.json(&["build"], 0);
    assert_eq!(built["outcome"], "built");
    assert_eq!(world.version(), "1");
    assert_eq!(world.json(&["status"], 0)["waiting"][0]["release"], "r2");
    let promoted = world.json(&["promote"], 0);
    assert_eq!(promoted["live"]["release"], "r2");
    assert_eq!(world.version(), "2");
}

#[test]
fn promote_stops_when_production_was_written_to_since_the_build() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.release("2");
    world.run(&["build"]).expect(0);
    world.look("execute", &world.live, &["create table main.loaded as select 1 as x"]);
    let stopped = world.run(&["promote"]).expect(3);
    assert!(stopped.err.contains("loaded"), "{}", stopped.err);
    assert_eq!(world.version(), "1");
    world.run(&["promote", "--allow-drift"]).expect(0);
    assert_eq!(world.version(), "2");
}

#[test]
fn rows_that_dbt_does_not_write_stop_a_rollback_until_it_is_allowed() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    world.look("execute", &world.live, &["create table main.raw_load as select 1 as x"]);
    let stopped = world.run(&["rollback", "--reason", "wrong"]).expect(3);
    assert!(stopped.err.contains("main.raw_load"), "{}", stopped.err);
    assert!(stopped.err.contains("--allow-loss"), "{}", stopped.err);
    assert_eq!(world.version(), "2");
    world.run(&["rollback", "--reason", "wrong", "--allow-loss"]).expect(0);
    assert_eq!(world.version(), "1");
}

#[test]
fn a_reader_never_sees_an_error_a_gap_or_a_mixture_through_deploys_and_rollbacks() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let (stop, out) = (world.root().join("stop"), world.root().join("reads"));
    let sql = "select av, bv from main.ab limit 5";
    let arguments = [sql, stop.to_str().unwrap(), out.to_str().unwrap()];
    let reader = world.look_command("read", &world.live, &arguments).spawn().unwrap();
    for version in ["2", "3"] {
        world.deploy(version);
        world.run(&["rollback", "--reason", "back", "--hold", "none"]).expect(0);
        let to = format!("r{version}");
        world.run(&["rollback", "--to", &to, "--reason", "forward", "--hold", "none"]).expect(0);
    }
    write(&stop, "");
    finish(reader).expect(0);
    until("the reader's report", || out.exists());
    let report = std::fs::read_to_string(&out).unwrap();
    let counts: Vec<u32> =
        report.lines().next().unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    assert!(counts[0] > 20, "the reader must have read: {report}");
    assert_eq!(counts[1..], [0, 0], "{report}");
}

#[test]
fn archives_beyond_retention_are_dropped_and_releases_says_what_is_left() {
    let Some(world) = World::new() else { return };
    world.configure("retention: {releases: 1}\n");
    for version in ["1", "2", "3"] {
        world.deploy(version);
    }
    let releases = world.json(&["releases"], 0);
    let states: Vec<_> = releases["releases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            format!("{} {}", row["release"].as_str().unwrap(), row["state"].as_str().unwrap())
        })
        .collect();
    assert_eq!(states, ["r3 live", "r2 archived", "r1 gone"]);
    let refused = world.run(&["rollback", "--to", "r1", "--reason", "x"]).expect(2);
    assert!(refused.err.contains("not kept"), "{}", refused.err);
}

#[test]
fn a_failing_check_after_the_swap_swaps_back_by_itself() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let before = world.content();
    world.release("2");
    world.configure("post-deploy-command: \"test --vars '{fail_live: yes}'\"\n");
    let nodes = {
        let mut nodes = crate::world::shop("2");
        nodes.as_array_mut().unwrap().push(json!({
            "unique_id": "test.shop.live", "resource_type": "test", "name": "live",
            "materialized": "test",
            "sql": "select 1 where '{{ var('fail_live', 'no') }}' in ('yes', 'True')"
        }));
        nodes
    };
    world.nodes(&nodes, &json!({}));
    let swapped_back = world.json(&["deploy"], 4);
    assert_eq!(swapped_back["outcome"], "swapped-back");
    assert_eq!(world.content(), before);
    assert_eq!(world.live_release(), "r1");
    assert!(world.json(&["status"], 0)["unfinished"].is_null());
}

#[test]
fn a_redirect_hands_the_build_slot_to_the_project_and_the_plan_says_so() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.configure("redirect: {env: {WHERE: '{slot}'}, vars: {place: 'at {slot}'}}\n");
    let mut nodes = crate::world::shop("2");
    nodes.as_array_mut().unwrap().push(json!({
        "unique_id": "model.shop.place", "resource_type": "model", "name": "place",
        "materialized": "table",
        "sql": "select '{{ env_var('WHERE', 'production') }}' as e, \
                '{{ var('place', 'production') }}' as v"
    }));
    world.nodes(&nodes, &json!({}));
    assert_eq!(world.json(&["deploy", "--dry-run"], 0)["plan"]["moved_by"], "redirect");
    world.run(&["deploy"]).expect(0);
    let build = world.home().join("build_r2/shop.duckdb").display().to_string();
    let row = world.look("query", &world.live, &["select e, v from main.place"]);
    let row: Vec<String> = serde_json::from_str(row.trim()).unwrap();
    assert_eq!(row, [build.clone(), format!("at {build}")]);
}
