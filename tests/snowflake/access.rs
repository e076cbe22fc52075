//! Grants before and after: equal, whatever dbt rebuilt and whichever release is live.

use std::collections::BTreeSet;

use serde_json::json;

use super::shop::{Shop, nodes};

const BOTH: [&str; 2] = ["isolation: database\n", "isolation: schema\n"];

/// Every grant on production and in it, one line each.
fn access(shop: &Shop) -> BTreeSet<String> {
    let is_ours = |name: &str| name == "SWITCHBACK" || name.contains("__");
    let schemas: Vec<String> = shop.schemas().into_iter().filter(|name| !is_ours(name)).collect();
    let mut shows = vec![
        "SHOW GRANTS ON DATABASE SHOP".to_owned(),
        "SHOW FUTURE GRANTS IN DATABASE SHOP".to_owned(),
        "SHOW INHERITED GRANTS IN DATABASE SHOP".to_owned(),
    ];
    for schema in &schemas {
        for what in ["GRANTS ON", "FUTURE GRANTS IN", "INHERITED GRANTS IN"] {
            shows.push(format!("SHOW {what} SCHEMA SHOP.{schema}"));
        }
        for row in shop.account.sql(&format!("SHOW OBJECTS IN SCHEMA SHOP.{schema}")) {
            let (name, kind) = (row[1].as_deref().unwrap(), row[4].as_deref().unwrap());
            if name != "SWITCHBACK_STAMP" {
                shows.push(format!("SHOW GRANTS ON {kind} SHOP.{schema}.{name}"));
            }
        }
    }
    for row in shop.account.sql("SHOW DATABASE ROLES IN DATABASE SHOP") {
        shows.push(format!("SHOW GRANTS TO DATABASE ROLE SHOP.{}", row[1].as_deref().unwrap()));
        shows.push(format!("SHOW GRANTS OF DATABASE ROLE SHOP.{}", row[1].as_deref().unwrap()));
    }
    let mut lines = BTreeSet::new();
    for show in shows {
        for row in shop.account.sql(&show) {
            let cells: Vec<&str> = row[1..row.len().min(7)]
                .iter()
                .map(|cell| cell.as_deref().unwrap_or("-"))
                .collect();
            let line = format!("{show}: {}", cells.join(" "));
            // Archives of schemas are in the same database, and their roles' grants too; and the
            // emulator lists what was granted on something that is gone, without a name.
            if !line.contains("__R") && !line.contains("SWITCHBACK") && !line.contains("  ") {
                lines.insert(line);
            }
        }
    }
    lines
}

#[track_caller]
fn assert_same(before: &BTreeSet<String>, after: &BTreeSet<String>, what: &str) {
    let gone: Vec<&String> = before.difference(after).collect();
    let new: Vec<&String> = after.difference(before).collect();
    assert!(gone.is_empty() && new.is_empty(), "{what}: gone {gone:#?}, new {new:#?}");
}

fn granted(shop: &Shop) {
    for statement in [
        "GRANT USAGE ON DATABASE SHOP TO ROLE READER",
        "GRANT USAGE ON SCHEMA SHOP.CORE_MARTS TO ROLE READER WITH GRANT OPTION",
        "GRANT SELECT ON TABLE SHOP.CORE_MARTS.ORDERS TO ROLE READER WITH GRANT OPTION",
        "GRANT SELECT ON VIEW SHOP.CORE_MARTS.CUSTOMERS TO ROLE READER",
        "GRANT SELECT, INSERT ON TABLE SHOP.CORE_RAW.RAW_ORDERS TO ROLE ANALYST",
        "GRANT SELECT ON VIEW SHOP.CORE.EVERYTHING TO ROLE ANALYST",
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA SHOP.CORE_MARTS TO ROLE OTHER",
        "GRANT SELECT ON FUTURE VIEWS IN DATABASE SHOP TO ROLE ANALYST",
        "GRANT INHERITED SELECT ON ALL TABLES IN SCHEMA SHOP.CORE_MARTS TO ROLE ANALYST",
        "GRANT INHERITED SELECT ON ALL VIEWS IN DATABASE SHOP TO ROLE OTHER",
        "CREATE DATABASE ROLE SHOP.PUBLISHER",
        "GRANT DATABASE ROLE SHOP.PUBLISHER TO ROLE ANALYST",
        "GRANT USAGE ON SCHEMA SHOP.CORE TO DATABASE ROLE SHOP.PUBLISHER",
        "GRANT SELECT ON TABLE SHOP.CORE_MARTS.ORDERS TO DATABASE ROLE SHOP.PUBLISHER",
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA SHOP.CORE TO DATABASE ROLE SHOP.PUBLISHER",
    ] {
        shop.account.sql(statement);
    }
}

#[test]
fn grants_are_the_same_after_a_deploy_that_rebuilt_everything() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("grants", isolation) else { return };
        shop.dbt_alone();
        granted(&shop);
        let before = access(&shop);
        assert!(before.len() > 20, "{before:#?}");
        for version in [2, 3] {
            shop.deploy(version);
            assert_same(&before, &access(&shop), &format!("{isolation}version {version}"));
        }
    }
}

#[test]
fn what_was_revoked_since_stays_revoked_after_a_rollback_and_what_was_granted_stays() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("grants and rollbacks", isolation) else { return };
        shop.dbt_alone();
        granted(&shop);
        shop.deploy(2);
        shop.deploy(3);
        for statement in [
            "REVOKE SELECT ON VIEW SHOP.CORE_MARTS.CUSTOMERS FROM ROLE READER",
            "REVOKE USAGE ON SCHEMA SHOP.CORE_MARTS FROM ROLE READER",
            "REVOKE SELECT ON FUTURE TABLES IN SCHEMA SHOP.CORE_MARTS FROM ROLE OTHER",
            "REVOKE INHERITED SELECT ON ALL TABLES IN SCHEMA SHOP.CORE_MARTS FROM ROLE ANALYST",
            "REVOKE SELECT ON TABLE SHOP.CORE_MARTS.ORDERS FROM DATABASE ROLE SHOP.PUBLISHER",
            "GRANT SELECT ON TABLE SHOP.CORE_MARTS.ORDERS TO ROLE OTHER",
            "GRANT SELECT ON FUTURE VIEWS IN SCHEMA SHOP.CORE TO ROLE READER",
        ] {
            shop.account.sql(statement);
        }
        let now = access(&shop);
        for (to, version) in [("r1", 2), ("r0", 1), ("r2", 3)] {
            shop.run(&["rollback", "--to", to, "--reason", "x"]).expect(0);
            assert_eq!(shop.seen(), version);
            assert_same(&now, &access(&shop), &format!("{isolation}{to}"));
        }
    }
}

#[test]
fn a_grant_that_cannot_be_carried_stops_the_deploy_and_the_rollback_before_the_swap() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("shares", isolation) else { return };
        shop.dbt_alone();
        shop.deploy(2);
        shop.account.sql("CREATE SHARE PARTNERS");
        shop.account.sql("GRANT USAGE ON DATABASE SHOP TO SHARE PARTNERS");
        shop.account.sql("GRANT USAGE ON SCHEMA SHOP.CORE_MARTS TO SHARE PARTNERS");
        shop.account.sql("GRANT SELECT ON TABLE SHOP.CORE_MARTS.ORDERS TO SHARE PARTNERS");
        let swaps = shop.cutovers();
        shop.version(3);
        let told = shop.run(&["deploy"]).expect(3).err;
        assert!(told.contains("PARTNERS"), "{told}");
        assert!(told.contains("allow: {objects: [shares]}"), "{told}");
        let told = shop.run(&["rollback", "--reason", "x"]).expect(3).err;
        assert!(told.contains("PARTNERS"), "{told}");
        assert_eq!((shop.seen(), shop.cutovers()), (2, swaps));
        shop.configure(&format!("{isolation}allow: {{objects: [shares]}}\n"));
        shop.run(&["deploy"]).expect(0);
        assert_eq!(shop.seen(), 3);
    }
}

#[test]
fn what_a_model_declares_as_its_grants_stands() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("declared grants", isolation) else { return };
        shop.dbt_alone();
        shop.account.sql("GRANT SELECT ON TABLE SHOP.CORE_MARTS.ORDERS TO ROLE READER");
        let mut all = nodes(2);
        all[2]["config"] = json!({"grants": {"select": ["ANALYST"]}});
        shop.project(&all, &json!({}));
        shop.run(&["deploy"]).expect(0);
        let lines = access(&shop);
        let holds = |role: &str| {
            let line = format!("TABLE SHOP.CORE_MARTS.ORDERS ROLE {role}");
            lines.iter().any(|one| one.contains("SELECT") && one.contains(&line))
        };
        assert!(holds("ANALYST"), "{lines:#?}");
    }
}

#[test]
fn a_role_that_may_not_see_every_grant_stops_unless_told_to_go_on() {
    let isolation = "isolation: database\n";
    let Some(shop) = Shop::with("unseen grants", isolation, &["--enforce-grants"]) else { return };
    shop.dbt_alone();
    super::relinks::give_everything_to_deploy(&shop);
    shop.account.sql("CREATE SCHEMA SHOP.LAKE");
    shop.account.sql("GRANT OWNERSHIP ON SCHEMA SHOP.LAKE TO ROLE OTHER");
    shop.account.sql("GRANT USAGE ON SCHEMA SHOP.LAKE TO ROLE DEPLOY");
    shop.account.sql("GRANT SELECT ON FUTURE TABLES IN SCHEMA SHOP.LAKE TO ROLE READER");
    shop.target("role", Some("DEPLOY"));
    shop.version(2);
    let told = shop.run(&["deploy"]).expect(3).err;
    assert!(told.contains("has no MANAGE GRANTS and cannot see"), "{told}");
    assert!(told.contains("SHOP.LAKE (owner OTHER)"), "{told}");
    assert_eq!((shop.seen(), shop.cutovers()), (1, 0));
    shop.account.save();
    let before = access(&shop);
    for allowed in [true, false] {
        shop.account.restore();
        if allowed {
            shop.configure(&format!("{isolation}allow: {{unseen-grants: true}}\n"));
        } else {
            shop.configure(isolation);
            shop.account.sql("GRANT MANAGE GRANTS ON ACCOUNT TO ROLE DEPLOY");
        }
        shop.run(&["deploy"]).expect(0);
        assert_eq!(shop.seen(), 2);
        assert_same(&before, &access(&shop), "what it may not see");
    }
}
