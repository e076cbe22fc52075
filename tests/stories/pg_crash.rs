//! The crash matrix on PostgreSQL: every step × every point × {killed, error of unknown outcome},
//! inside the cutover's transaction too. Then `recover`.

use serde_json::Value;

use crate::pg::PgWorld;

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
pub fn steps(world: &PgWorld<'_>, arguments: &[&str]) -> Vec<String> {
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

/// Runs a command up to a failpoint, then checks and recovers.
fn cell(world: &PgWorld<'_>, arguments: &[&str], kind: &str, (point, how): (&str, &str)) {
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
    world.settle();
    check(world, &name, &before);
}

/// The invariants after an interrupted run.
pub fn check(world: &PgWorld<'_>, name: &str, before: &str) {
    let version = world.version(); // Whole before anything is recovered: one release, no mixture.
    let live = world.content();
    let recovered = world.run(&["recover", "--format", "json"]);
    assert_eq!(recovered.code, 0, "{name}: recover said\n{}", recovered.err);
    if recovered.json()["outcome"] == "taken-back" {
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
    let records = world.records();
    assert_eq!(world.json(&["recover"], 0)["outcome"], "nothing-to-do", "{name}");
    assert_eq!(world.records(), records, "{name}: recovering again must do nothing");
}

#[test]
fn a_deploy_on_postgres_can_be_cut_off_anywhere() {
    let Some(world) = PgWorld::new() else { return };
    world.configure("retention: {releases: 1}\n");
    for version in ["1", "2", "3"] {
        world.deploy(version);
    }
    let mut cells: Vec<(String, (&str, &str))> = steps(&world, &["deploy"])
        .into_iter()
        .map(|key| key.split(':').next().unwrap().to_owned())
        .flat_map(|kind| ENDS.iter().map(move |end| (kind.clone(), *end)))
        .collect();
    for point in ["locked", "renamed"] {
        for how in ["kill", "unknown"] {
            cells.push(("swap".to_owned(), (point, how)));
        }
    }
    assert!(cells.iter().any(|(kind, _)| kind == "drop"), "{cells:?}");
    for (version, (kind, end)) in cells.iter().enumerate() {
        world.release(&(version + 4).to_string());
        cell(&world, &["deploy"], kind, *end);
    }
    world.deploy("1000");
    assert_eq!(world.version(), "1000");
}

#[test]
fn a_rollback_on_postgres_can_be_cut_off_anywhere_and_pressed_again() {
    let Some(world) = PgWorld::new() else { return };
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
fn the_first_deploy_on_postgres_can_be_cut_off_anywhere() {
    for kind in ["clone", "seal", "swap", "keep"] {
        for end in ENDS {
            let Some(world) = PgWorld::new() else { return };
            world.dbt_alone(&["build"]);
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
fn the_first_deploy_onto_an_empty_database_can_be_cut_off_anywhere() {
    for kind in ["clone", "build", "seal", "swap"] {
        for (point, how) in ENDS {
            let Some(world) = PgWorld::new() else { return };
            let run = world.run_at(&format!("{kind}:{point}={how}"), &["deploy"]);
            assert!(*how != "kill" || run.code == KILLED, "{kind}:{point}:\n{}", run.err);
            world.settle();
            world.run(&["recover"]).expect(0);
            if !world.schemas().contains(&"shop".to_owned()) {
                world.run(&["deploy"]).expect(0);
            }
            assert_eq!(world.version(), "1");
            assert_eq!(world.live_release(), "r1");
        }
    }
}

#[test]
fn a_failed_check_swaps_back_and_can_be_cut_off_meanwhile() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.configure("post-deploy-command: \"test --vars '{fail_live: yes}'\"\n");
    let mut nodes = crate::pg::shop("2");
    nodes.as_array_mut().unwrap().push(serde_json::json!({
        "unique_id": "test.shop.live", "resource_type": "test", "name": "live",
        "materialized": "test",
        "sql": "select 1 where '{{ var('fail_live', 'no') }}' in ('yes', 'True')"
    }));
    let before = world.content();
    world.nodes(&nodes);
    world.run(&["deploy"]).expect(4);
    assert_eq!(world.content(), before);
    let points = ENDS.iter().copied().chain([("renamed", "kill"), ("locked", "kill")]);
    for (point, how) in points {
        world.nodes(&nodes);
        let run = world.run_at(&format!("swap-back:{point}={how}"), &["deploy"]);
        let name = format!("swap-back:{point}={how}");
        assert!(how != "kill" || run.code == KILLED, "{name}:\n{}", run.err);
        world.settle();
        check(&world, &name, &before);
        assert_eq!(world.content(), before, "{name}");
    }
}
