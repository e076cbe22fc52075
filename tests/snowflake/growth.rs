//! A project whose schemas come and go between releases, on schema isolation.

use serde_json::json;

use super::shop::{Shop, node, nodes};

const SCHEMA: &str = "isolation: schema\n";

/// The nodes of a version with one more schema.
fn grown(version: u32) -> Vec<serde_json::Value> {
    let mut all = nodes(version);
    let sql =
        format!("select {version} as version, max(code) as code from {{{{ ref('customers') }}}}");
    all.push(node("model", "board", "board", "view", &sql));
    all.push(node("model", "figures", "board", "table", &sql));
    all
}

fn board(shop: &Shop) -> Vec<Vec<Option<String>>> {
    shop.account.sql("SELECT b.VERSION, b.CODE, f.VERSION FROM SHOP.CORE_BOARD.BOARD b CROSS JOIN SHOP.CORE_BOARD.FIGURES f")
}

#[test]
fn a_schema_that_a_release_adds_comes_and_goes_with_it() {
    let Some(shop) = Shop::new("growth", SCHEMA) else { return };
    shop.dbt_alone();
    shop.deploy(2);
    shop.project(&grown(3), &json!({}));
    let dry = shop.json(&["deploy", "--dry-run"], 0);
    assert!(dry["plan"].to_string().contains("CORE_BOARD"), "{dry}");
    shop.run(&["deploy"]).expect(0);
    assert_eq!(shop.seen(), 3);
    assert_eq!(board(&shop), [[Some("3".into()), Some("3".into()), Some("3".into())]]);

    // Back across it: what is live is what was live then, and the schema stays as an archive.
    shop.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(shop.seen(), 2);
    let tables = shop.account.sql("SHOW OBJECTS IN SCHEMA SHOP.CORE_BOARD");
    let names: Vec<_> = tables.iter().map(|row| row[1].clone().unwrap()).collect();
    assert!(!names.iter().any(|name| name == "BOARD"), "{names:?}");
    assert_eq!(shop.live(), "r1");

    // And forward again.
    shop.run(&["rollback", "--to", "r2", "--reason", "forward"]).expect(0);
    assert_eq!(shop.seen(), 3);
    assert_eq!(board(&shop), [[Some("3".into()), Some("3".into()), Some("3".into())]]);
    shop.project(&grown(4), &json!({}));
    shop.run(&["deploy"]).expect(0);
    assert_eq!(board(&shop), [[Some("4".into()), Some("4".into()), Some("4".into())]]);
}

#[test]
fn a_schema_that_the_project_leaves_stays_what_it_was_and_goes_along() {
    let Some(shop) = Shop::new("a schema that goes", SCHEMA) else { return };
    shop.project(&grown(1), &json!({}));
    shop.dbt_alone();
    shop.project(&grown(2), &json!({}));
    shop.run(&["deploy"]).expect(0);
    shop.deploy(3); // without the board
    assert_eq!(board(&shop)[0][2].as_deref(), Some("2"), "nobody dropped what dbt does not write");
    shop.run(&["rollback", "--to", "r0", "--reason", "x"]).expect(0);
    assert_eq!(shop.seen(), 1);
    assert_eq!(board(&shop), [[Some("1".into()), Some("1".into()), Some("1".into())]]);
}

#[test]
fn a_first_release_into_schemas_that_are_not_there_yet() {
    let Some(shop) = Shop::new("nothing yet", SCHEMA) else { return };
    shop.deploy(1);
    shop.deploy(2);
    shop.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(shop.seen(), 1);
}

#[test]
fn a_first_release_into_a_database_that_holds_nothing_yet() {
    let Some(shop) = Shop::new("an empty database", "isolation: database\n") else { return };
    shop.deploy(1);
    shop.deploy(2);
    shop.run(&["rollback", "--reason", "x"]).expect(0);
    assert_eq!(shop.seen(), 1);
}
