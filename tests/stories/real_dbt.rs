//! The loop with real dbt, on the project that `switchback demo` shows: once in full with the
//! newest dbt and DuckDB, once with the oldest supported ones, and cut off once at every step.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::world::{Run, World, write};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");
const ORDERS: &str = "models/marts/orders.sql";
const BACK: [&str; 3] = ["rollback", "--reason", "refunds count as revenue"];
#[cfg(feature = "failpoints")]
const KILLED: i32 = 128 + 9;

/// A world with the demo's shop and the newest dbt.
fn shop() -> Option<World> {
    let world = World::with_real_dbt("SWITCHBACK_TEST_DBT")?;
    copy(&Path::new(DEMO).join("project"), &world.project());
    write(
        &world.project().join("profiles.yml"),
        &read(format!("{DEMO}/project/profiles.yml"))
            .replace("@DB_PATH@", &world.live.display().to_string()),
    );
    Some(world)
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::create_dir_all(to).unwrap();
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Makes the project's code that of a version: 1 is right, 2 has the silent bug, 3 is the fix.
fn change_to(world: &World, version: usize) {
    let folder = match version {
        1 => format!("{DEMO}/project"),
        other => format!("{DEMO}/changes/v{other}"),
    };
    write(&world.project().join(ORDERS), &read(format!("{folder}/{ORDERS}")));
}

/// Deploys what the project is now and tells what production then holds.
#[track_caller]
fn deploy(world: &World) -> String {
    world.run(&["deploy"]).expect(0);
    world.content()
}

fn commit(world: &World, message: &str) {
    for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", message]] {
        let status = Command::new("git")
            .current_dir(world.project())
            .args(["-c", "user.name=ada", "-c", "user.email=ada@example.com"])
            .args(["-c", "commit.gpgsign=false"])
            .args(arguments)
            .status();
        assert!(status.unwrap().success());
    }
}

#[track_caller]
fn says(run: &Run, words: &[&str]) {
    for word in words {
        assert!(run.err.contains(word), "`{word}` is missing in:\n{}", run.err);
    }
}

/// The lines of [`World::content`] for relations of a kind.
fn of_kind<'a>(content: &'a str, kind: &str) -> Vec<&'a str> {
    content.lines().filter(|line| line.split(' ').next() == Some(kind)).collect()
}

/// A rollback that gives up the snapshot's newest versions, which dbt cannot make again.
fn back_with_loss() -> Vec<&'static str> {
    [&BACK[..], &["--allow-loss"]].concat()
}

/// One value of production.
#[track_caller]
fn ask(world: &World, sql: &str) -> Value {
    let rows = world.look("query", &world.live, &[sql]);
    let row: Value = serde_json::from_str(rows.trim()).unwrap();
    row[0].clone()
}

#[test]
fn real_dbt_deploys_rolls_back_and_goes_forward_exactly() {
    let Some(world) = shop() else { return };
    commit(&world, "Count what the shop earns");
    let first = deploy(&world);
    assert_eq!(of_kind(&first, "VIEW").len(), 3, "{first}");
    assert_eq!(of_kind(&first, "BASE-TABLE").len(), 8, "{first}");
    change_to(&world, 2);
    commit(&world, "Read the payments once");
    let second = deploy(&world);
    assert_ne!(first, second, "the bug must change something");

    world.run(&BACK).expect(0);
    assert_eq!(world.content(), first);
    world.run(&["rollback", "--to", "r2", "--reason", "it was right"]).expect(0);
    assert_eq!(world.content(), second);
    assert_eq!(world.live_release(), "r2");
}

#[test]
fn the_hold_refuses_the_same_models_until_another_version_of_them_is_published() {
    let Some(world) = shop() else { return };
    commit(&world, "Count what the shop earns");
    let first = deploy(&world);
    change_to(&world, 2);
    commit(&world, "Read the payments once");
    deploy(&world);
    world.run(&BACK).expect(0);

    let held = world.run(&["deploy"]).expect(5);
    says(&held, &["refunds count as revenue", "ada", "resume"]);
    write(&world.project().join("README.md"), "What the shop earns.\n");
    write(&world.project().join("models/README.md"), "Staging, then marts.\n");
    commit(&world, "Say what this is");
    world.run(&["deploy"]).expect(5);
    assert_eq!(world.content(), first);
    assert_eq!(world.json(&["status"], 0)["hold"]["kind"], "same-commit");

    change_to(&world, 3);
    commit(&world, "Subtract refunds in the single pass");
    let third = deploy(&world);
    assert_eq!(world.live_release(), "r3");
    assert!(world.json(&["status"], 0)["hold"].is_null());
    // The fix reads the same numbers as the first version did, through the views too.
    for kind in ["VIEW", "BASE-TABLE"] {
        assert_eq!(of_kind(&third, kind), of_kind(&first, kind));
    }
}

#[test]
fn a_failing_dbt_test_stops_before_publishing() {
    let Some(world) = shop() else { return };
    deploy(&world);
    let bytes = world.bytes();
    let sound = read(world.project().join(ORDERS));
    let broken = format!("select * from (\n{sound}\n)\ncross join range(2) as twice(n)\n");
    write(&world.project().join(ORDERS), &broken);

    let stopped = world.run(&["deploy"]).expect(3);
    says(&stopped, &["test.shop.unique_orders_order_id", "models/marts/marts.yml", "r1 is live"]);
    assert_eq!(world.bytes(), bytes, "production's bytes changed");
    assert_eq!(world.live_release(), "r1");

    let broken = format!("{sound}\norder by no_such_column\n");
    write(&world.project().join(ORDERS), &broken);
    let stopped = world.run(&["deploy"]).expect(3);
    says(&stopped, &["model.shop.orders", ORDERS, "r1 is live"]);
    assert_eq!(world.bytes(), bytes, "production's bytes changed");
}

/// What of production is only there because earlier runs left it: rows of the log, what the log
/// says of the first payment, versions of customers, and how many of those are over.
fn state(world: &World) -> [Value; 4] {
    [
        "select count(*) from analytics.payments_log",
        "select amount::varchar from analytics.payments_log where payment_id = 1",
        "select count(*) from analytics_history.customers_snapshot",
        "select count(dbt_valid_to) from analytics_history.customers_snapshot",
    ]
    .map(|sql| ask(world, sql))
}

/// Corrects the first payment, adds another and moves the first customer to another town.
fn load_more(world: &World) {
    let payments = world.project().join("seeds/raw_payments.csv");
    let text = read(&payments).replace("\n1,1,charge,3590,", "\n1,1,charge,9990,");
    let next = text.lines().count();
    write(&payments, &format!("{text}{next},1,charge,500,2026-07-30\n"));
    let customers = world.project().join("seeds/raw_customers.csv");
    let text = read(&customers).replace("\n1,Ada Brandt,Bergen,", "\n1,Ada Brandt,Oslo,");
    write(&customers, &text);
}

#[test]
fn an_incremental_model_and_a_snapshot_keep_their_state_through_rollback_and_fix() {
    let Some(world) = shop() else { return };
    deploy(&world);
    let [payments, amount, customers, over] = state(&world);
    assert_eq!((&amount, &over), (&"35.90".into(), &0.into()));
    let more = |n: &Value| Value::from(n.as_i64().unwrap() + 1);
    let after = [more(&payments), amount.clone(), more(&customers), 1.into()];

    load_more(&world);
    change_to(&world, 2);
    deploy(&world);
    assert_eq!(state(&world), after, "added to, not made anew");
    let corrected =
        "select amount::varchar from analytics_staging.stg_payments where payment_id = 1";
    assert_eq!(ask(&world, corrected), "99.90");

    let stopped = world.run(&BACK).expect(3);
    says(&stopped, &["customers_snapshot", "--allow-loss"]);
    assert_eq!(state(&world), after);
    world.run(&back_with_loss()).expect(0);
    assert_eq!(state(&world), [payments, amount, customers, over]);
    change_to(&world, 3);
    deploy(&world);
    assert_eq!(state(&world), after, "the fix went on from the first release");
}

/// A project that the oldest supported dbt can parse.
const SMALL: &[(&str, &str)] = &[
    (
        "dbt_project.yml",
        "name: small\nversion: '1.0'\nprofile: small\nconfig-version: 2\n\
         flags: {send_anonymous_usage_stats: false}\n",
    ),
    ("seeds/raw.csv", "id,v\n1,1\n2,1\n"),
    (
        "models/looked_at.sql",
        "{{ config(materialized='view') }}\nselect id, v from {{ ref('raw') }}\n",
    ),
    (
        "models/made.sql",
        "{{ config(materialized='table') }}\nselect id, v * 10 as w from {{ ref('looked_at') }}\n",
    ),
    (
        "models/added_to.sql",
        "{{ config(materialized='incremental', unique_key='id') }}\n\
         select id, v from {{ ref('looked_at') }}\n\
         {% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}\n",
    ),
    (
        "models/models.yml",
        "version: 2\nmodels:\n\
         - name: made\n  columns: [{name: id, data_tests: [unique, not_null]}]\n\
         - name: added_to\n  columns: [{name: id, data_tests: [unique]}]\n",
    ),
    (
        "snapshots/history.sql",
        "{% snapshot history %}\n\
         {{ config(target_schema='main', unique_key='id', strategy='check', check_cols=['v']) }}\n\
         select * from {{ ref('raw') }}\n{% endsnapshot %}\n",
    ),
];

#[test]
fn the_oldest_supported_dbt_and_duckdb_do_the_same_loop() {
    let Some(world) = World::with_real_dbt("SWITCHBACK_TEST_OLDEST_DBT") else {
        return;
    };
    for (path, text) in SMALL {
        write(&world.project().join(path), text);
    }
    write(
        &world.project().join("profiles.yml"),
        &format!(
            "small:\n  target: prod\n  outputs:\n    prod: {{type: duckdb, path: '{}', schema: main}}\n",
            world.live.display()
        ),
    );
    let first = deploy(&world);
    assert_eq!(first.lines().count(), 5, "{first}");
    write(&world.project().join("seeds/raw.csv"), "id,v\n1,2\n2,1\n3,1\n");
    let second = deploy(&world);
    let rows = |relation: &str| ask(&world, &format!("select count(*) from main.{relation}"));
    assert_eq!(rows("history"), 4);
    let kept = "select v from main.added_to where id = 1";
    assert_eq!(ask(&world, kept), 1, "added to, not made anew");

    world.run(&back_with_loss()).expect(0);
    assert_eq!(world.content(), first);
    world.run(&["deploy"]).expect(5);
    world.run(&["rollback", "--to", "r2", "--reason", "it was right"]).expect(0);
    assert_eq!(world.content(), second);
}

/// The kinds of the steps of the next deploy, as a dry run tells them.
#[cfg(feature = "failpoints")]
fn kinds(world: &World) -> Vec<String> {
    let planned = world.json(&["deploy", "--dry-run"], 0);
    let steps = planned["plan"]["steps"].as_array().unwrap();
    let kind = |planned: &Value| planned["step"]["kind"].as_str().unwrap().to_owned();
    steps.iter().map(kind).collect()
}

/// The key of a step of the next deploy; a drop's has the release in it that is kept now.
#[cfg(feature = "failpoints")]
fn key(world: &World, kind: &str) -> String {
    if kind != "drop" {
        return kind.to_owned();
    }
    let found = world.json(&["releases"], 0);
    let rows = found["releases"].as_array().unwrap();
    let kept = rows.iter().find(|row| row["state"] == "archived").unwrap();
    format!("drop:{}", kept["release"].as_str().unwrap())
}

/// Cuts a deploy off right after a step acted, and recovers. Live must be whole all the time.
#[cfg(feature = "failpoints")]
fn cut_off(world: &World, step: &str, before: &str, next: &str) {
    let run = world.run_at(&format!("{step}:performed=kill"), &["deploy"]);
    assert_eq!(run.code, KILLED, "{step} was not reached:\n{}", run.err);
    let live = world.content();
    assert!(live == before || live == next, "{step} left a mixture:\n{live}");
    let recovered = world.json(&["recover"], 0);
    assert_eq!(world.content(), live, "{step}: recover changed live");
    let outcome = if live == next { "finished" } else { "abandoned" };
    assert_eq!(recovered["outcome"], outcome, "{step}: {recovered}");
    assert!(world.json(&["status"], 0)["unfinished"].is_null(), "{step}");
}

#[cfg(feature = "failpoints")]
#[test]
fn each_step_cut_off_once_with_real_dbt() {
    let Some(world) = shop() else { return };
    world.configure("retention: {releases: 1}\npost-deploy-command: test --select orders\n");
    let mut contents = vec![String::new(), deploy(&world)];
    change_to(&world, 2);
    contents.push(deploy(&world));
    let (mut live, mut next) = (2, 1);
    change_to(&world, next);
    for kind in kinds(&world) {
        eprintln!("cutting off {kind}"); // shown only when the story fails
        cut_off(&world, &key(&world, &kind), &contents[live], &contents[next]);
        if world.content() == contents[next] {
            (live, next) = (next, live);
            change_to(&world, next);
        }
    }
}
