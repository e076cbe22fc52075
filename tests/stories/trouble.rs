//! Trouble before anything is published: production's bytes stay as they were, the exit code is
//! the table's, the message names the cause.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::world::{Run, World, missing, shop, write};

/// Runs a command that must fail with `code`, name every word, and leave production alone.
#[track_caller]
fn stopped(world: &World, arguments: &[&str], code: i32, words: &[&str]) -> Run {
    let before = world.bytes();
    let run = world.run(arguments).expect(code);
    for word in words {
        assert!(run.err.contains(word), "`{word}` is missing in:\n{}", run.err);
    }
    assert!(world.bytes() == before, "production's bytes changed");
    run
}

#[test]
fn dbt_that_fails_is_killed_or_cannot_parse_leaves_production_alone() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.release_that("2", &json!({"fail_node": "model.shop.b"}));
    stopped(&world, &["deploy"], 3, &["model.shop.b", "r1 is live"]);
    world.release_that("2", &json!({"kill_self": true}));
    stopped(&world, &["deploy"], 3, &["killed", "r1 is live"]);
    world.release_that("2", &json!({"exit": 2}));
    stopped(&world, &["deploy"], 3, &["r1 is live"]);
    let mut text: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(world.project().join("standin.json")).unwrap(),
    )
    .unwrap();
    text["parse_error"] = json!("Compilation Error: model b is not there");
    write(&world.project().join("standin.json"), &text.to_string());
    stopped(&world, &["deploy"], 2, &["model b is not there", "r1 is live"]);
}

#[test]
fn a_failing_test_and_a_failing_gate_leave_production_alone() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let mut nodes = shop("2");
    nodes.as_array_mut().unwrap().push(json!({
        "unique_id": "test.shop.no_rows", "resource_type": "test", "name": "no_rows",
        "materialized": "test", "sql": "select 1 from main.a"
    }));
    world.nodes(&nodes, &json!({}));
    stopped(&world, &["deploy"], 3, &["test.shop.no_rows"]);

    let mut nodes = shop("2");
    nodes[1]["sql"] = json!("select id, 2 as v from main.raw where false");
    world.nodes(&nodes, &json!({}));
    stopped(&world, &["deploy"], 3, &["main.a had 100 rows and has none", "emptied"]);

    world.release("2");
    world.configure("gates: {checks: [{name: no twos, sql: select * from main.a where v = 2}]}\n");
    stopped(&world, &["deploy"], 3, &["no twos"]);
    world.configure("gates: {relations-gone: sometimes}\n");
    stopped(&world, &["deploy"], 2, &["sometimes", "stop", "warn", "off"]);
}

#[test]
fn a_node_outside_the_file_is_named_with_the_way_out() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let mut nodes = shop("2");
    nodes[1]["database"] = json!("prod");
    world.nodes(&nodes, &json!({}));
    stopped(&world, &["deploy"], 3, &["model.shop.a", "prod", "--exclude a"]);
    let mut nodes = shop("2");
    nodes[1]["materialized"] = json!("external");
    world.nodes(&nodes, &json!({}));
    stopped(&world, &["deploy"], 3, &["model.shop.a", "external", "allow"]);
    assert_eq!(world.run(&["deploy", "--dry-run"]).code, 3, "a dry run ends as the run would");
}

#[test]
fn a_wrong_project_profile_target_or_option_is_named_with_what_is_allowed() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    stopped(&world, &["deploy", "--target", "production"], 2, &["production", "prod"]);
    stopped(&world, &["deploy", "--profile", "store"], 2, &["store", "shop"]);
    stopped(&world, &["deploy", "--project-dir", "nowhere"], 2, &["nowhere"]);
    stopped(&world, &["deploy", "--profiles-dir", "nowhere"], 2, &["nowhere"]);
    stopped(&world, &["deploy", "--hold", "all"], 2, &["--hold"]);
    stopped(&world, &["deploy", "--dbt-command", "build --target x"], 2, &["--target"]);
    stopped(&world, &["deploy", "--lease-seconds", "soon"], 2, &["lease-seconds", "soon"]);
    stopped(&world, &["rollback"], 2, &["reason"]);
    stopped(&world, &["rollback", "--to", "r9", "--reason", "x"], 2, &["r9"]);
    stopped(&world, &["rollback", "--to", "beef", "--reason", "x"], 2, &["beef"]);
    stopped(&world, &["rollback", "--reason", "x"], 2, &["no release before r1"]);
    stopped(&world, &["mark", "--name", "x"], 2, &["Time Travel"]);
    world.configure("retnetion: {releases: 2}\n");
    stopped(&world, &["deploy"], 2, &["retnetion", "retention"]);
}

#[test]
fn every_failure_is_one_json_object_on_standard_output() {
    let Some(world) = World::new() else { return };
    for (arguments, code, kind) in [
        (&["deploy", "--target", "x", "--format", "json"][..], 2, "usage"),
        (&["rollback", "--format", "json"], 2, "usage"),
        (&["deploy", "--nonsense", "--format", "json"], 2, "usage"),
    ] {
        let answer = world.run(arguments).expect(code).json();
        assert_eq!(answer["error"]["kind"], kind, "{answer}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn paths_that_are_no_local_file_are_refused() {
    let Some(world) = World::new() else { return };
    for path in ["md:shop", "motherduck:shop", ":memory:", "s3://bucket/shop.duckdb", "ducklake:x"]
    {
        world.profile(path);
        let run = world.run(&["deploy"]).expect(2);
        assert!(run.err.contains(path), "{}", run.err);
    }
    let folder = world.live.parent().unwrap().join("folder.duckdb");
    std::fs::create_dir(&folder).unwrap();
    world.profile(&folder.display().to_string());
    assert!(world.run(&["deploy"]).expect(2).err.contains("folder.duckdb"));
    let text = world.live.parent().unwrap().join("text.duckdb");
    write(&text, "This is no database, it only has its name. ".repeat(400).as_str());
    world.profile(&text.display().to_string());
    let run = world.run(&["deploy"]);
    assert!([2, 3].contains(&run.code), "{}: {}", run.code, run.err);
    assert!(run.err.contains("text.duckdb"), "{}", run.err);
}

#[test]
fn a_write_ahead_log_left_over_stops_the_deploy_unless_absorbing_it_is_allowed() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    world.look("write-crash", &world.live, &["create table main.late as select 7 as x"]);
    let wal = world.live.with_extension("duckdb.wal");
    assert!(wal.exists());
    stopped(&world, &["deploy"], 3, &[".wal", "allow"]);
    world.configure("allow: {wal: true}\n");
    world.release("2");
    world.run(&["deploy"]).expect(0);
    assert_eq!(world.version(), "2");
    assert!(world.look("query", &world.live, &["select x from main.late"]).contains('7'));
}

#[test]
fn a_process_that_writes_production_stops_the_deploy_and_is_named() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let ready = world.root().join("ready");
    let rest = ["rw", ready.to_str().unwrap()];
    let mut writer = world.look_command("hold", &world.live, &rest).spawn().unwrap();
    crate::world::until("the writer", || ready.exists());
    let id = writer.id().to_string();
    world.release("2");
    stopped(&world, &["deploy"], 5, &[&id]);
    stopped(&world, &["rollback", "--reason", "x", "--to", "r1"], 5, &[&id]);
    drop(writer.stdin.take());
    writer.wait().unwrap();
    world.run(&["deploy"]).expect(0);
}

#[test]
fn a_linked_production_is_swapped_where_it_really_is_and_the_link_stays() {
    let Some(mut world) = World::new() else {
        return;
    };
    world.deploy("1");
    let link = world.root().join("elsewhere/shop.duckdb");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(&world.live, &link).unwrap();
    world.profile(&link.display().to_string());
    world.deploy("2");
    assert!(link.is_symlink());
    assert_eq!(world.version(), "2");
    world.live.clone_from(&link);
    assert_eq!(world.version(), "2");

    std::fs::hard_link(std::fs::canonicalize(&link).unwrap(), world.root().join("second")).unwrap();
    stopped(&world, &["deploy"], 3, &["link"]);
    std::fs::remove_file(world.root().join("second")).unwrap();
    let dangling = world.root().join("dangling.duckdb");
    symlink("/nowhere/at/all.duckdb", &dangling).unwrap();
    world.profile(&dangling.display().to_string());
    world.run(&["deploy"]).expect(2);
}

#[test]
fn relative_paths_homes_spaces_and_quotes_are_found_where_dbt_finds_them() {
    let Some(mut world) = World::new() else {
        return;
    };
    let odd = world.root().join("it's a \"shop\" é/my shop.duckdb");
    std::fs::create_dir_all(odd.parent().unwrap()).unwrap();
    world.profile(&odd.display().to_string());
    world.live.clone_from(&odd);
    world.deploy("1");
    world.deploy("2");
    world.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(world.version(), "1");

    world.profile("relative.duckdb");
    world.live = world.project().join("relative.duckdb");
    world.deploy("1");
    assert_eq!(world.version(), "1");

    world.env.insert("HOME".into(), world.root().display().to_string());
    world.profile("~/home.duckdb");
    world.live = world.root().join("home.duckdb");
    world.deploy("1");
    assert_eq!(world.version(), "1");
}

/// Runs a script with the rights to mount, in a mount namespace of its own.
fn mounting(script: &str) -> Option<Run> {
    let probe = Command::new("unshare").args(["-rm", "true"]).output();
    let root = Command::new("unshare").args(["-m", "true"]).output();
    let flags = match (root, probe) {
        (Ok(output), _) if output.status.success() => "-m",
        (_, Ok(output)) if output.status.success() => "-rm",
        _ => {
            missing("`unshare` may not make a mount namespace here");
            return None;
        }
    };
    let child = Command::new("unshare")
        .args([flags, "sh", "-euc", script])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    Some(crate::world::finish(child))
}

fn shell(world: &World, arguments: &[&str]) -> String {
    let command = world.command(arguments);
    let quote =
        |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap().replace('\'', r"'\''"));
    let words: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect();
    let folder = quote(world.project().as_os_str());
    format!("cd {folder}; GITHUB_ACTOR=ada {}", words.join(" "))
}

#[test]
fn a_bind_mounted_production_is_refused_before_dbt_starts() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let before = world.bytes();
    world.release("2");
    let live = world.live.display();
    let script = format!("mount --bind {live} {live}; {}", shell(&world, &["deploy"]));
    let Some(run) = mounting(&script) else { return };
    let run = run.expect(3);
    assert!(run.err.contains("mount"), "{}", run.err);
    assert!(!run.err.contains("model.shop"), "dbt must not have run: {}", run.err);
    assert!(world.bytes() == before);
}

#[test]
fn a_full_disk_leaves_production_alone_and_says_so() {
    let Some(world) = World::new() else { return };
    let small = world.root().join("small");
    std::fs::create_dir(&small).unwrap();
    let live = small.join("shop.duckdb");
    world.profile(&live.display().to_string());
    let mut big = shop("1");
    big[0]["sql"] = json!("select range as id, md5(range::varchar) as x from range(60000)");
    world.nodes(&big, &json!({}));
    let (deploy, live) = (shell(&world, &["deploy"]), live.display());
    let script = format!(
        "mount -t tmpfs -o size=9m none {}; ({deploy}) >/dev/null 2>&1 || exit 90; \
         before=$(sha256sum {live}); set +e; ({deploy}); code=$?; \
         [ \"$before\" = \"$(sha256sum {live})\" ] || exit 91; exit $code",
        small.display()
    );
    let Some(run) = mounting(&script) else { return };
    let run = run.expect(3);
    assert!(run.err.contains("r1 is live"), "{}", run.err);
    assert!(run.err.contains("space") || run.err.contains("full"), "{}", run.err);
}

#[test]
fn a_file_that_nobody_may_write_beside_is_refused_before_dbt_starts() {
    let Some(world) = World::new() else { return };
    world.deploy("1");
    let home = world.home();
    assert!(Path::new(&home).exists());
    let build = home.join("build_r2");
    write(&build.join("shop.duckdb"), "the user's own");
    let run = stopped(&world, &["deploy"], 3, &["did not make"]);
    assert!(!run.err.contains("model.shop"), "{}", run.err);
    assert_eq!(std::fs::read_to_string(build.join("shop.duckdb")).unwrap(), "the user's own");
}
