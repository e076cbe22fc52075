//! Stories on a real PostgreSQL server, with a stand-in dbt: the loop, what is written meanwhile,
//! access, leases, and readers who look all the while.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pg::{PgWorld, shop};
use crate::world::{Run, finish, until};

const BACK: [&str; 3] = ["rollback", "--reason", "x"];

#[track_caller]
fn says(run: &Run, words: &[&str]) {
    for word in words {
        assert!(run.err.contains(word), "`{word}` is missing in:\n{}", run.err);
    }
}

/// Runs SQL in the background.
fn behind(world: &PgWorld<'_>, user: &str, sql: &str) -> Child {
    let mut command = world.server.psql(&world.database, user);
    command.args(["-c", sql]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn what_dbt_alone_built_is_adopted_replaced_and_comes_back_whole() {
    let Some(world) = PgWorld::new() else { return };
    world.dbt_alone(&["build"]);
    let before = world.content();
    world.deploy("2");
    assert_eq!(world.version(), "2");
    assert_eq!(world.live_release(), "r1");
    assert_eq!(world.schemas(), ["shop", "shop__r0", "switchback"]);
    world.run(&["rollback", "--to", "r0", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "1");
    assert_eq!(world.content(), before, "what the user had came back whole");
    world.run(&["rollback", "--to", "r1", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "2");
    assert_eq!(world.schemas(), ["shop", "shop__r0", "switchback"]);
}

#[test]
fn reading_verbs_create_nothing() {
    let Some(world) = PgWorld::new() else { return };
    world.json(&["status"], 0);
    world.json(&["releases"], 0);
    world.run(&["doctor"]).expect(0);
    world.json(&["deploy", "--dry-run"], 0);
    world.json(&["recover"], 0);
    assert_eq!(world.schemas(), [""; 0]);
}

#[test]
fn releases_follow_each_other_are_pruned_and_can_be_gone_back_to() {
    let Some(world) = PgWorld::new() else { return };
    world.configure("retention: {releases: 2}\n");
    for version in ["1", "2", "3", "4"] {
        world.deploy(version);
        assert_eq!(world.version(), version);
    }
    assert_eq!(world.schemas(), ["shop", "shop__r2", "shop__r3", "switchback"]);
    world.run(&BACK).expect(0);
    assert_eq!((world.version().as_str(), world.live_release()), ("3", json!("r3")));
    says(&world.run(&["deploy"]).expect(5), &["rolled back"]);
    world.run(&["rollback", "--to", "r4", "--reason", "it was right"]).expect(0);
    assert_eq!(world.version(), "4");
    world.run(&["prune", "r2"]).expect(0);
    assert_eq!(world.schemas(), ["shop", "shop__r3", "switchback"]);
}

#[test]
fn a_build_waits_and_is_promoted_by_another_run() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.release("2");
    world.run(&["build"]).expect(0);
    assert_eq!(world.version(), "1");
    world.run(&["promote"]).expect(0);
    assert_eq!(world.version(), "2");
}

/// The shop with a table in a schema of its own.
fn two_schemas(version: &str) -> Value {
    let mut nodes = shop(version);
    nodes.as_array_mut().unwrap().push(json!({
        "unique_id": "model.shop.sums", "resource_type": "model", "name": "sums",
        "schema": "{{ target.schema }}_marts",
        "sql": format!("select {version} as v, count(*) as n from {{{{ target.schema }}}}.a"),
    }));
    nodes
}

#[test]
fn schemas_that_the_project_writes_move_together_also_when_one_comes_later() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.nodes(&two_schemas("2"));
    world.run(&["deploy"]).expect(0);
    assert_eq!(world.sql("select v from shop_marts.sums"), "2");
    world.nodes(&two_schemas("3"));
    world.run(&["deploy"]).expect(0);
    let both = "select m.v, a.av from shop_marts.sums m, shop.ab a limit 1";
    assert_eq!(world.sql(both), "3|3");
    world.run(&BACK).expect(0);
    assert_eq!(world.sql(both), "2|2");
    world.run(&["rollback", "--to", "r1", "--reason", "x", "--allow-loss"]).expect(0);
    assert_eq!(world.version(), "1");
    assert_eq!(world.sql("select to_regclass('shop_marts.sums') is null"), "t");
    world.run(&["rollback", "--to", "r3", "--reason", "x"]).expect(0);
    assert_eq!(world.sql(both), "3|3");
}

#[test]
fn a_node_that_the_target_does_not_move_stops_the_deploy() {
    let Some(world) = PgWorld::new() else { return };
    let mut nodes = shop("1");
    nodes[1]["schema"] = json!("fixed");
    world.nodes(&nodes);
    let run = world.run(&["deploy"]).expect(3);
    says(&run, &["model.shop.a", "fixed"]);
    assert_eq!(world.schemas(), [""; 0]);
}

#[test]
fn rows_written_to_production_meanwhile_stop_the_swap_and_are_named() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    for (sql, told) in [
        ("insert into shop.raw values (101)", "shop.raw had 100 rows and has 101"),
        ("update shop.a set v = 7 where id < 3", "shop.a: 2 of its 100 rows were written"),
        ("delete from shop.b where id = 1", "shop.b had 100 rows and has 99"),
        ("create table shop.loads (id int)", "shop.loads is new, with 0 rows"),
        ("alter table shop.a add note text", "shop.a has another definition"),
        ("create view shop.more as select 1 as one", "shop.more is new"),
        ("create function shop.f() returns int language sql as 'select 1'", "shop.f() is new"),
        ("truncate shop.raw", "shop.raw had 101 rows and has 0"),
    ] {
        world.release("2");
        world.run(&["build"]).expect(0);
        world.sql(sql);
        let run = world.run(&["promote"]).expect(3);
        says(&run, &[told, "--allow-drift"]);
        world.sql("analyze");
    }
    world.run(&["promote", "--allow-drift"]).expect(0);
    assert_eq!(world.version(), "2");
}

#[test]
fn maintenance_of_production_is_no_drift() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.release("2");
    world.run(&["build"]).expect(0);
    world.sql("vacuum (freeze, analyze)");
    world.sql("vacuum full shop.raw");
    world.sql("grant usage on schema shop to bi; grant select on shop.a to bi");
    world.run(&["promote"]).expect(0);
    assert_eq!(world.version(), "2");
    assert_eq!(world.sql_as("bi", "select count(*) from shop.a"), "100");
}

#[test]
fn access_follows_production_and_not_the_archive() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.sql(
        "grant usage on schema shop to bi, eve; grant select on shop.a to eve; \
         grant select (id) on shop.b to bi; grant select on shop.ab to bi with grant option; \
         alter default privileges in schema shop grant select on tables to bi",
    );
    world.deploy("2");
    let may = |who: &str, what: &str| {
        world.sql(&format!("select has_table_privilege('{who}', 'shop.{what}', 'select')"))
    };
    assert_eq!(
        (may("eve", "a"), may("eve", "b"), may("bi", "ab")),
        ("t".into(), "f".into(), "t".into())
    );
    assert_eq!(world.sql("select has_column_privilege('bi', 'shop.b', 'id', 'select')"), "t");
    // New tables of plain dbt go on being granted by the schema's own rule.
    world.sql("create table shop.later (id int)");
    assert_eq!(may("bi", "later"), "t");
    world.sql("drop table shop.later; revoke select on shop.a from eve");
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "1");
    assert_eq!((may("eve", "a"), may("bi", "ab")), ("f".into(), "t".into()));
}

#[test]
fn what_dbt_grants_itself_stands_where_it_was_never_live() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.sql("grant select on shop.a to eve; grant select on shop.b to eve");
    let mut nodes = shop("2");
    nodes[1]["config"] = json!({"grants": {"select": ["bi"]}});
    world.nodes(&nodes);
    world.run(&["build"]).expect(0);
    world.run(&["promote"]).expect(0);
    let may = |who: &str, what: &str| {
        world.sql(&format!("select has_table_privilege('{who}', 'shop.{what}', 'select')"))
    };
    assert_eq!(
        (may("bi", "a"), may("eve", "a"), may("eve", "b")),
        ("t".into(), "f".into(), "t".into())
    );
    world.sql("revoke select on shop.a from bi");
    world.run(&BACK).expect(0);
    world.run(&["rollback", "--to", "r2", "--reason", "x"]).expect(0);
    assert_eq!(may("bi", "a"), "f", "access that was revoked since must not come back");
}

#[test]
fn a_check_reads_the_build_and_never_production() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    let check = |sql: &str| {
        world.configure(&format!("gates:\n  checks:\n    - name: two\n      sql: \"{sql}\"\n"));
    };
    world.release("2");
    check("select * from a where v = 2");
    says(&world.run(&["deploy"]).expect(3), &["check `two`", "20 or more rows"]);
    check("select * from a where v = 1;");
    world.run(&["deploy"]).expect(0);
    world.release("3");
    check("select * from shop.a where v = 3");
    says(&world.run(&["deploy"]).expect(2), &["reads production (shop.a)"]);
}

#[test]
fn a_reader_is_waited_for_and_then_named() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.release("2");
    // Reads for a moment: waited for.
    let reader =
        behind(&world, "dbt", "begin; select count(*) from shop.a; select pg_sleep(2); commit");
    world.run(&["deploy"]).expect(0);
    assert!(finish(reader).expect(0).out.contains("100"));
    assert_eq!(world.version(), "2");
}

#[test]
fn a_writer_waits_from_the_verdict_to_the_swap_and_is_not_lost() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.release("2");
    let mut command = world.command(&["deploy"]);
    let run = command.env("SWITCHBACK_FAILPOINT", "drift:recorded=stop").spawn().unwrap();
    let stopped = || {
        std::fs::read_to_string(format!("/proc/{}/stat", run.id()))
            .is_ok_and(|text| text.contains(") T "))
    };
    until("the stop after the verdict", stopped);
    let mut writer = behind(&world, "dbt", "insert into shop.raw values (555)");
    std::thread::sleep(Duration::from_millis(300));
    assert!(writer.try_wait().unwrap().is_none(), "it must wait");
    crate::world::signal(run.id(), "CONT");
    finish(run).expect(0);
    finish(writer).expect(0);
    assert_eq!(world.sql("select count(*) from shop.raw where id = 555"), "1", "it is in live");
}

#[test]
fn another_run_is_refused_and_a_rollback_takes_over() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.deploy("2");
    world.release("3");
    let mut command = world.command(&["deploy"]);
    let run = command.env("SWITCHBACK_FAILPOINT", "seal:recorded=stop").spawn().unwrap();
    let stopped = || {
        std::fs::read_to_string(format!("/proc/{}/stat", run.id()))
            .is_ok_and(|text| text.contains(") T "))
    };
    until("the stop after the seal", stopped);
    says(&world.run(&["deploy"]).expect(5), &["by ada"]);
    world.run(&BACK).expect(0);
    assert_eq!(world.version(), "1");
    crate::world::signal(run.id(), "CONT");
    says(&finish(run).expect(5), &["lease"]);
    assert_eq!(world.version(), "1");
}

#[test]
fn the_lease_of_a_killed_run_is_free_at_once() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.release("2");
    let run = world.run_at("build:performed=kill", &["deploy"]);
    assert_eq!(run.code, 137);
    world.settle();
    says(&world.run(&["deploy"]).expect(6), &["recover"]);
    world.run(&["recover"]).expect(0);
    world.run(&["deploy"]).expect(0);
    assert_eq!(world.version(), "2");
}

#[test]
fn readers_see_one_release_at_every_moment_of_twenty_deploys_and_rollbacks() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    // Each statement names two tables and a view over both; a mixture is printed.
    let sql = "select 'mixture' from (select (select max(v) from shop.a) as a, \
               (select max(v) from shop.b) as b, (select max(av) from shop.ab) as c, \
               (select max(bv) from shop.ab) as d) x where not (a = b and b = c and c = d); \
               select 'read'";
    let flag = tempfile::tempdir().unwrap();
    let stop = flag.path().join("stop");
    std::thread::scope(|scope| {
        let reader = || {
            let mut seen = 0;
            while !stop.exists() {
                let text = sql.to_string();
                for _ in 0..5 {
                    let out = world.sql(&text);
                    assert!(!out.contains("mixture"), "{out}");
                    seen += 1;
                }
            }
            seen
        };
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(reader)).collect();
        for turn in 0..20 {
            world.release(&(turn + 2).to_string());
            let back = ["rollback", "--reason", "x", "--hold", "none"];
            let run = world.run(if turn % 2 == 0 { &["deploy"] } else { &back[..] });
            if run.code != 0 {
                std::fs::write(&stop, "").unwrap();
            }
            run.expect(0);
        }
        std::fs::write(&stop, "").unwrap();
        let seen: u32 = readers.into_iter().map(|one| one.join().unwrap()).sum();
        assert!(seen > 20, "only {seen} reads");
    });
}

#[test]
fn the_end_of_the_world_outside_is_not_dropped_with_an_archive() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.deploy("2");
    world.sql("create schema other; create view other.old as select * from shop__r1.a");
    let run = world.run(&["prune", "r1"]);
    assert_ne!(run.code, 0);
    says(&run, &["depends on it", "other.old"]);
    assert_eq!(world.sql("select count(*) from other.old"), "100");
    world.sql("drop view other.old");
    world.run(&["prune", "r1"]).expect(0);
}

#[test]
fn a_schema_that_two_environments_would_swap_is_refused() {
    let Some(world) = PgWorld::new() else { return };
    world.nodes(&two_schemas("1"));
    world.run(&["deploy"]).expect(0);
    let profile = world.project().join("profiles.yml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("schema: shop", "schema: shop_marts")).unwrap();
    world.release("2");
    says(&world.run(&["deploy"]).expect(2), &["shop_marts belongs to the environment shop"]);
}

#[test]
fn what_cannot_be_swapped_is_refused_before_dbt_runs() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.sql("create publication p for table shop.a");
    says(&world.run(&["deploy"]).expect(2), &["the publication p publishes shop.a"]);
    world.sql("drop publication p");
    if world.major() >= 15 {
        world.sql_as("postgres", "create publication q for tables in schema shop");
        says(&world.run(&["deploy"]).expect(2), &["the publication q publishes the schema shop"]);
        world.sql_as("postgres", "drop publication q");
    }
    world.sql_as("postgres", "create extension hstore schema shop");
    says(&world.run(&["deploy"]).expect(2), &["the extension hstore lives in the schema shop"]);
    world.sql_as("postgres", "drop extension hstore");
    world.sql_as("postgres", "create table shop.alien (id int)");
    says(&world.run(&["deploy"]).expect(2), &["shop.alien, which belongs to postgres"]);
    world.sql_as("postgres", "drop table shop.alien");
    world.profile("      search_path: shop, public\n");
    says(&world.run(&["deploy"]).expect(2), &["search_path"]);
    world.profile("");
    let began = Instant::now();
    world.deploy("2");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_cannot_be_bound_anew_stops_a_promotion_and_a_rollback_before_anything_is_changed() {
    let Some(world) = PgWorld::new() else { return };
    world.deploy("1");
    world.deploy("2");
    world.release("3");
    world.run(&["build"]).expect(0);
    let make = "CREATE SCHEMA bi; CREATE MATERIALIZED VIEW bi.m AS SELECT * FROM shop.a";
    world.sql_as("postgres", make);
    let seen = || (world.content(), world.schemas());
    let before = seen();
    for arguments in [&["promote"][..], &BACK[..]] {
        says(&world.run(arguments).expect(3), &["bi.m"]);
        assert_eq!(seen(), before);
        assert!(world.json(&["status"], 0)["unfinished"].is_null());
    }
    world.sql_as("postgres", "DROP MATERIALIZED VIEW bi.m");
    world.run(&["promote"]).expect(0);
    assert_eq!(world.version(), "3");
}

/// Every line of a dump of the whole database but for what is ours, sorted: the order in which
/// relations were made is no part of what they are.
fn everything(world: &PgWorld<'_>) -> Vec<String> {
    let dump = world.server.dump(
        &world.database,
        &["-N", "switchback", "-N", "*\\_\\_*", "-T", "*.switchback_stamp", "--inserts"],
    );
    let mut lines: Vec<String> = dump
        .lines()
        .filter(|line| !line.starts_with("--") && !line.starts_with('\\') && !line.is_empty())
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[test]
fn schemas_with_everything_in_them_are_deployed_and_come_back() {
    let Some(world) = PgWorld::new() else { return };
    world.sql_as("postgres", &world.spell(include_str!("../../src/adapter/postgres/torture.sql")));
    let profile = world.project().join("profiles.yml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("user: dbt", "user: postgres")).unwrap();
    let two = "{{ 'Shop Two' if target.schema == 'shop' else target.schema ~ ' Two' }}";
    world.nodes(&json!([
        {"unique_id": "model.shop.fresh", "resource_type": "model", "name": "fresh",
         "sql": "select 1 as v"},
        {"unique_id": "model.shop.fresher", "resource_type": "model", "name": "fresher",
         "schema": two, "sql": "select 2 as v"},
    ]));
    world.sql_as(
        "postgres",
        "create schema bi; create view bi.consumers as select * from shop.customers; \
         comment on view bi.consumers is 'outside'; grant select on bi.consumers to shop_reader",
    );
    let before = everything(&world);
    let run = world.run(&["deploy"]).expect(0);
    let after = everything(&world);
    let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    assert!(gone.is_empty(), "{}\n{gone:#?}", run.out);
    let names = |line: &&String| line.contains("build_r") || line.contains("__r");
    assert_eq!(after.iter().filter(names).collect::<Vec<_>>(), Vec::<&String>::new());
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(
        new.iter().all(|line| line.contains("fresh") || line.contains("v integer")),
        "{new:#?}"
    );
    world.run(&["rollback", "--to", "r0", "--reason", "x", "--allow-loss"]).expect(0);
    assert_eq!(everything(&world), before);
}
