//! What was written to production between the clone and the swap is found, and nothing else is.

use serde_json::json;

use super::shop::{Shop, node, nodes};

const BOTH: [&str; 2] = ["isolation: database\n", "isolation: schema\n"];

/// A shop that has one release, whose next build does something to production meanwhile.
fn shop(name: &str, isolation: &str) -> Option<Shop> {
    let shop = Shop::new(name, isolation)?;
    shop.dbt_alone();
    shop.account.sql("CREATE TABLE SHOP.CORE_RAW.LOADED AS SELECT 1 AS ID, 'x' AS T");
    shop.deploy(2);
    shop.account.save();
    Some(shop)
}

/// Deploys while `statements` are done in production, and answers what was said.
fn deploy_while(shop: &Shop, statements: &[&str], code: i32, more: &[&str]) -> String {
    shop.account.restore();
    shop.project(&nodes(3), &json!({ "after": statements }));
    let mut arguments = vec!["deploy"];
    arguments.extend(more);
    let run = shop.run(&arguments).expect(code);
    assert_eq!(shop.seen(), if code == 0 { 3 } else { 2 });
    run.err
}

#[test]
fn what_is_written_to_production_meanwhile_stops_the_swap_and_is_named() {
    for isolation in BOTH {
        let Some(shop) = shop("drift", isolation) else { return };
        for (statement, said) in [
            (
                "INSERT INTO SHOP.CORE_RAW.LOADED VALUES (2, 'y')",
                "CORE_RAW.LOADED had 1 rows and has 2",
            ),
            (
                "UPDATE SHOP.CORE_RAW.LOADED SET T = 'z'",
                "CORE_RAW.LOADED has as many rows as before, but not the same ones",
            ),
            (
                "CREATE OR REPLACE VIEW SHOP.CORE_STAGING.STG AS SELECT * FROM SHOP.CORE_RAW.RAW_ORDERS \
                 WHERE ID > 0",
                "CORE_STAGING.STG has another definition",
            ),
            ("DROP TABLE SHOP.CORE_RAW.LOADED", "CORE_RAW.LOADED is gone"),
        ] {
            let told = deploy_while(&shop, &[statement], 3, &[]);
            assert!(told.contains(said), "{isolation}{statement}: {told}");
            assert!(told.contains("--allow-drift"), "{told}");
        }
        let told = deploy_while(
            &shop,
            &["INSERT INTO SHOP.CORE_RAW.LOADED VALUES (2, 'y')"],
            0,
            &["--allow-drift"],
        );
        assert!(told.contains("CORE_RAW.LOADED") || told.contains("1 accepted"), "{told}");
    }
}

#[test]
fn a_touch_that_changes_no_row_is_no_drift() {
    for isolation in BOTH {
        let Some(shop) = shop("no drift", isolation) else { return };
        for statement in [
            "UPDATE SHOP.CORE_RAW.LOADED SET T = T",
            "DELETE FROM SHOP.CORE_RAW.LOADED WHERE ID > 99",
            "ALTER TABLE SHOP.CORE_RAW.LOADED SET COMMENT = 'looked at'",
        ] {
            deploy_while(&shop, &[statement], 0, &[]);
        }
        deploy_while(
            &shop,
            &[
                "INSERT INTO SHOP.CORE_RAW.LOADED VALUES (2, 'y')",
                "DELETE FROM SHOP.CORE_RAW.LOADED WHERE ID = 2",
            ],
            0,
            &[],
        );
    }
}

#[test]
fn what_was_written_between_a_build_and_its_promotion_is_found() {
    for isolation in BOTH {
        let Some(shop) = shop("drift before a promotion", isolation) else { return };
        shop.version(3);
        shop.run(&["build"]).expect(0);
        shop.account.sql("INSERT INTO SHOP.CORE_RAW.LOADED VALUES (2, 'y')");
        shop.account.sql("CREATE TABLE SHOP.CORE_MARTS.NOVEL (ID NUMBER)");
        let told = shop.run(&["promote"]).expect(3).err;
        assert!(told.contains("CORE_RAW.LOADED had 1 rows and has 2"), "{told}");
        assert!(told.contains("CORE_MARTS.NOVEL is new"), "{told}");
        shop.run(&["promote", "--allow-drift"]).expect(0);
        assert_eq!(shop.seen(), 3);
    }
}

#[test]
fn rows_that_dbt_does_not_write_are_shown_before_a_rollback_takes_them_away() {
    for isolation in BOTH {
        let Some(shop) = shop("loss", isolation) else { return };
        shop.deploy(3);
        shop.account.sql("INSERT INTO SHOP.CORE_RAW.LOADED VALUES (2, 'y')");
        let told = shop.run(&["rollback", "--reason", "x"]).expect(3).err;
        assert!(
            told.contains("CORE_RAW.LOADED (not written by dbt): 2 rows now, 1 after"),
            "{told}"
        );
        assert_eq!(shop.seen(), 3);
        shop.run(&["rollback", "--reason", "x", "--allow-loss"]).expect(0);
        assert_eq!(shop.seen(), 2);
    }
}

#[test]
fn snapshot_versions_that_dbt_cannot_rebuild_are_shown_before_a_rollback() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("snapshot versions", isolation) else { return };
        let history = |version: u32| {
            let mut all = nodes(version);
            let rows = format!("select {version} as valid_from, id from {{{{ ref('orders') }}}}");
            all.push(node("snapshot", "orders_history", "history", "snapshot", &rows));
            all
        };
        shop.project(&history(1), &json!({}));
        shop.dbt_alone();
        for version in [2, 3] {
            shop.project(&history(version), &json!({}));
            shop.run(&["deploy"]).expect(0);
        }
        let told = shop.run(&["rollback", "--reason", "x"]).expect(3).err;
        assert!(told.contains("CORE_HISTORY.ORDERS_HISTORY (snapshot versions)"), "{told}");
        shop.run(&["rollback", "--reason", "x", "--allow-loss"]).expect(0);
        let rows = shop.account.sql("SELECT MAX(VALID_FROM) FROM SHOP.CORE_HISTORY.ORDERS_HISTORY");
        assert_eq!(rows[0][0].as_deref(), Some("2"));
    }
}
