//! The crash matrix: every step × every point × {killed, error of unknown outcome}, by SIGKILL to
//! the process itself, then `recover`. What must hold afterwards is in [`check`].
//!
//! The cells of one scenario share a world, so that histories grow long and odd.

use serde_json::Value;

use crate::world::World;

/// The points of a step at which it can end, with how.
const ENDS: &[(&str, &str)] = &[
    ("intended", "kill"),
    ("intended", "unknown"),
    ("performed", "kill"),
    ("performed", "unknown"),
    ("recorded", "kill"),
];

const KILLED: i32 = 128 + 9;

/// The keys of the steps that a command would take, as a dry run tells them.
fn steps(world: &World, arguments: &[&str]) -> Vec<String> {
    let mut dry = arguments.to_vec();
    dry.push("--dry-run");
    let planned = world.json(&dry, 0);
    planned["plan"]["steps"].as_array().unwrap().iter().map(|step| key(&step["step"])).collect()
}

fn key(step: &Value) -> String {
    let kind = step["kind"].as_str().unwrap();
    if kind != "drop" {
        return kind.to_owned();
    }
    match (&step["role"]["archive"], &step["role"]["build"]) {
        (Value::String(release), _) => format!("drop:{release}"),
        (_, Value::String(release)) => format!("drop:build_{release}"),
        _ => panic!("{step}"),
    }
}

/// Runs a command up to a failpoint, then checks and recovers. `kind` is the step's kind: the key
/// of a drop has the release in it, which only the plan of the moment tells.
fn cell(world: &World, arguments: &[&str], kind: &str, (point, how): (&str, &str)) {
    let step = if kind == "drop" {
        let keys = steps(world, arguments);
        let Some(key) = keys.into_iter().find(|key| key.starts_with("drop:")) else { return };
        key
    } else {
        kind.to_owned()
    };
    let before = world.content();
    let run = world.run_at(&format!("{step}:{point}={how}"), arguments);
    let name = format!("{} {step}:{point}={how}", arguments[0]);
    if how == "kill" {
        assert_eq!(run.code, KILLED, "{name} was not reached:\n{}", run.err);
    } else {
        assert!([0, 3, 6].contains(&run.code), "{name} ended {}:\n{}", run.code, run.err);
    }
    check(world, &name, &before);
}

/// The invariants after an interrupted run.
fn check(world: &World, name: &str, before: &str) {
    let version = world.version(); // Whole before anything is recovered: one release, no mixture.
    let live = world.content();
    let recovered = world.run(&["recover", "--format", "json"]);
    assert_eq!(recovered.code, 0, "{name}: recover said\n{}", recovered.err);
    if recovered.json()["outcome"] == "taken-back" {
        // The run had decided so itself; what readers see changes once more, and as a whole.
        assert_eq!(world.content(), before, "{name}: taken back to something else");
    } else {
        assert_eq!(world.version(), version, "{name}: recover changed what is live");
        assert_eq!(world.content(), live, "{name}: recover changed what is live");
    }
    let status = world.json(&["status"], 0);
    assert!(status["unfinished"].is_null(), "{name}: {status}");
    assert!(status["doubt"].is_null(), "{name}: {status}");
    if recovered.json()["outcome"] == "abandoned" {
        assert_eq!(live, before, "{name}: an abandoned run must not have changed live");
    }
    let records = world.journal().len();
    assert_eq!(world.json(&["recover"], 0)["outcome"], "nothing-to-do", "{name}");
    assert_eq!(world.journal().len(), records, "{name}: recovering again must do nothing");
}

#[test]
fn a_deploy_can_be_cut_off_anywhere() {
    let Some(world) = World::new() else { return };
    world.configure("retention: {releases: 1}\n");
    for version in ["1", "2", "3"] {
        world.deploy(version);
    }
    let kinds: Vec<String> = steps(&world, &["deploy"])
        .into_iter()
        .map(|key| key.split(':').next().unwrap().to_owned())
        .collect();
    assert!(kinds.contains(&"drop".to_owned()), "{kinds:?}");
    let mut version = 3;
    for kind in &kinds {
        for end in ENDS {
            version += 1;
            world.release(&version.to_string());
            cell(&world, &["deploy"], kind, *end);
        }
    }
    world.deploy("1000");
    assert_eq!(world.version(), "1000");
}

#[test]
fn a_rollback_can_be_cut_off_anywhere_and_pressed_again() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.deploy("2");
    for kind in ["sync-grants", "drift", "swap", "keep"] {
        for end in ENDS {
            let live = world.live_release();
            let to = if live == "r1" { "r2" } else { "r1" };
            let press = ["rollback", "--to", to, "--reason", "x", "--hold", "none"];
            cell(&world, &press, kind, *end);
            if world.live_release() != to {
                world.run(&press).expect(0);
            }
            assert_eq!(world.live_release(), to);
            assert_eq!(format!("r{}", world.version()), to);
        }
    }
}

#[test]
fn the_first_deploy_over_what_dbt_alone_built_can_be_cut_off_anywhere() {
    for kind in ["clone", "seal", "swap", "keep"] {
        for end in ENDS {
            let Some(world) = World::new() else { return };
            world.dbt_alone("1");
            let before = world.content();
            world.release("2");
            cell(&world, &["deploy"], kind, *end);
            if world.version() == "1" {
                world.run(&["deploy"]).expect(0);
            }
            world.run(&["rollback", "--to", "r0", "--reason", "x"]).expect(0);
            assert_eq!(world.content(), before, "what the user had came back whole");
        }
    }
}

#[test]
fn the_first_deploy_onto_nothing_can_be_cut_off_anywhere() {
    for kind in ["clone", "build", "seal", "swap"] {
        for (point, how) in ENDS {
            let Some(world) = World::new() else { return };
            let run = world.run_at(&format!("{kind}:{point}={how}"), &["deploy"]);
            assert!(*how != "kill" || run.code == KILLED, "{kind}:{point} was not reached");
            world.run(&["recover"]).expect(0);
            if !world.live.exists() {
                world.run(&["deploy"]).expect(0);
            }
            assert_eq!(world.version(), "1");
            assert_eq!(world.live_release(), "r1");
        }
    }
}

#[test]
fn a_promote_can_be_cut_off_anywhere() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let mut version = 1;
    for kind in ["sync-grants", "drift", "swap", "keep"] {
        for end in ENDS {
            version += 1;
            world.release(&version.to_string());
            world.run(&["build"]).expect(0);
            cell(&world, &["promote"], kind, *end);
            if world.version() != version.to_string() {
                world.run(&["promote"]).expect(0);
            }
            assert_eq!(world.version(), version.to_string());
        }
    }
}

#[test]
fn a_check_after_the_swap_and_the_swap_back_can_be_cut_off_anywhere() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.configure("post-deploy-command: \"test --vars '{fail_live: yes}'\"\n");
    for kind in ["check", "swap-back"] {
        for (point, how) in ENDS {
            let mut nodes = crate::world::shop("2");
            nodes.as_array_mut().unwrap().push(serde_json::json!({
                "unique_id": "test.shop.live", "resource_type": "test", "name": "live",
                "materialized": "test",
                "sql": "select 1 where '{{ var('fail_live', 'no') }}' in ('yes', 'True')"
            }));
            world.nodes(&nodes, &serde_json::json!({}));
            let before = world.content();
            let run = world.run_at(&format!("{kind}:{point}={how}"), &["deploy"]);
            let name = format!("{kind}:{point}={how}");
            if *how == "kill" && !(kind == "check" && *point == "recorded") {
                assert_eq!(run.code, KILLED, "{name}:\n{}", run.err);
            }
            check(&world, &name, &before);
            if world.version() == "2" {
                world.run(&["rollback", "--to", "r1", "--reason", "x", "--hold", "none"]).expect(0);
            }
            assert_eq!(world.content(), before, "{name}");
        }
    }
}
