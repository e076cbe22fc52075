//! The whole loop: adopt, deploy, roll back, go forward; and what readers see meanwhile.

use super::world::{Layout, World};

/// One statement over relations of three schemas, through views: each column says which version it
/// comes from.
const ACROSS: &str = "SELECT DISTINCT CV, OV, SEEDS - 2, (SELECT MAX(VERSION) FROM \
                      SHOP.CORE_MARTS.CUSTOMERS), (SELECT MAX(VERSION) FROM SHOP.CORE_MARTS.ORDERS), \
                      (SELECT COUNT(*) - 2 FROM SHOP.CORE_STAGING.STG_ORDERS) FROM \
                      SHOP.CORE.EVERYTHING";

/// After every statement that anybody sent, every relation of production was asked, and one
/// statement over all of them. No question failed, every answer came from one version, and the
/// versions changed as often as production was swapped.
#[track_caller]
fn assert_no_reader_saw_a_mixture(world: &World, versions: &[&str]) {
    let watched = world.account.watched();
    let mut seen: Vec<String> = Vec::new();
    let mut asked = 0;
    for (after, sql, answer) in &watched {
        if sql.contains("SWITCHBACK") {
            continue; // our own stamp
        }
        asked += 1;
        let rows = answer.as_ref().unwrap_or_else(|error| {
            panic!("after statement {after}, {sql}: {error}");
        });
        if sql == ACROSS {
            let rows = rows.as_array().unwrap();
            assert_eq!(rows.len(), 1, "after statement {after}: {rows:?}");
            let cells: Vec<&str> =
                rows[0].as_array().unwrap().iter().map(|cell| cell.as_str().unwrap()).collect();
            assert!(cells.iter().all(|cell| *cell == cells[0]), "after {after}: {cells:?}");
            if seen.last().is_none_or(|last| last != cells[0]) {
                seen.push(cells[0].to_owned());
            }
        }
    }
    assert!(asked > 500, "only {asked} questions were asked");
    assert_eq!(seen, versions);
}

#[test]
fn with_databases_the_whole_loop_runs_and_no_reader_ever_sees_a_mixture() {
    let layout = Layout::default();
    let Some(world) = World::new("the loop on databases", layout, &[]) else { return };
    world.dbt(&["build"]);
    assert_eq!(world.seen("CORE.EVERYTHING"), 1);
    world.account.watch("SHOP", ACROSS);

    world.version(2);
    let first = world.run(&["deploy", "--format", "json"]).expect(0).json();
    assert_eq!((&first["outcome"], &first["live"]["release"]), (&"published".into(), &"r1".into()));
    assert_eq!(world.seen("CORE.EVERYTHING"), 2);
    world.version(3);
    world.run(&["deploy"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 3);
    assert_eq!(world.databases(), ["SHOP", "SHOP__R0", "SHOP__R1", "SWITCHBACK"]);
    // An archive answers beside live, from its own rows.
    let archived = world.account.sql("SELECT MAX(OV) FROM SHOP__R1.CORE.EVERYTHING");
    assert_eq!(archived[0][0].as_deref(), Some("2"));

    let back = ["rollback", "--reason", "wrong", "--format", "json"];
    let back = world.run(&back).expect(0).json();
    assert_eq!(back["live"]["release"], "r1");
    assert_eq!(world.seen("CORE.EVERYTHING"), 2);
    world.run(&["deploy"]).expect(5); // held
    world.run(&["rollback", "--to", "r0", "--reason", "what dbt alone made"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 1);
    world.run(&["rollback", "--to", "r2", "--reason", "forward"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 3);
    assert_no_reader_saw_a_mixture(&world, &["1", "2", "3", "2", "1", "3"]);
    let releases = world.run(&["releases"]).expect(0);
    assert!(releases.out.contains("r1"), "{}", releases.out);
}

#[test]
fn with_schemas_that_reference_each_other_the_whole_loop_runs() {
    let layout = Layout { switchback: "isolation: schema\n", ..Layout::default() };
    let Some(world) = World::new("the loop on schemas", layout, &[]) else { return };
    world.dbt(&["build"]);
    world.account.sql("CREATE SCHEMA SHOP.OTHERS");
    world.version(2);
    world.run(&["deploy"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 2);
    world.version(3);
    world.run(&["deploy"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 3);
    let left = world.schemas();
    assert!(!left.iter().any(|name| name.contains("BUILD") || name.contains("NEXT")), "{left:?}");
    let dry = world.run(&["rollback", "--reason", "wrong", "--dry-run"]).expect(0);
    assert!(dry.out.contains("SWAP WITH"), "{}", dry.out);
    world.run(&["rollback", "--reason", "wrong"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 2);
    world.run(&["rollback", "--to", "r0", "--reason", "what dbt alone made"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 1);
    world.run(&["rollback", "--to", "r2", "--reason", "forward"]).expect(0);
    assert_eq!(world.seen("CORE.EVERYTHING"), 3);
}

/// The short loop: adopt, deploy, roll back, with what makes a layout worth a story.
#[track_caller]
fn short_loop(world: &World, everything: &str) {
    world.dbt(&["build"]);
    assert_eq!(world.seen(everything), 1);
    world.version(2);
    world.run(&["deploy"]).expect(0);
    assert_eq!(world.seen(everything), 2);
    world.run(&["rollback", "--reason", "wrong"]).expect(0);
    assert_eq!(world.seen(everything), 1);
}

#[test]
fn one_schema_of_a_database_that_holds_more_is_swapped_by_itself() {
    let layout = Layout { one_schema: true, ..Layout::default() };
    let Some(world) = World::new("one schema", layout, &[]) else { return };
    world.account.sql("CREATE SCHEMA SHOP.LOADED");
    world.account.sql("CREATE TABLE SHOP.LOADED.RAW AS SELECT 1 AS X");
    short_loop(&world, "CORE.EVERYTHING");
    let left = world.schemas();
    assert_eq!(left, ["CORE", "CORE__R1", "LOADED", "PUBLIC", "SWITCHBACK"]);
    assert_eq!(world.read("LOADED.RAW").len(), 1);
}

#[test]
fn a_macro_that_ignores_the_target_is_moved_with_its_database() {
    let layout = Layout { fixed_schemas: true, ..Layout::default() };
    let Some(world) = World::new("a fixed macro, databases", layout, &[]) else { return };
    short_loop(&world, "CORE.EVERYTHING");
    assert_eq!(world.databases(), ["SHOP", "SHOP__R1", "SWITCHBACK"]);
}

#[test]
fn a_macro_that_ignores_the_target_is_moved_by_the_overlay_where_schemas_are_swapped() {
    let layout =
        Layout { fixed_schemas: true, switchback: "isolation: schema\n", ..Layout::default() };
    let Some(world) = World::new("a fixed macro, schemas", layout, &[]) else { return };
    let plan = world.run(&["deploy", "--dry-run"]).expect(0);
    assert!(plan.out.contains("an overlay of the project"), "{}", plan.out);
    short_loop(&world, "CORE.EVERYTHING");
}
