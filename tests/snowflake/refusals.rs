//! Bad input: each is told in words before anything is touched.

use std::fmt::Write as _;

use serde_json::json;

use super::relinks::give_everything_to_deploy;
use super::shop::{Shop, node, nodes};

const DATABASE: &str = "isolation: database\n";
const SCHEMA: &str = "isolation: schema\n";

/// Tries a deploy that must be refused, and nothing written meanwhile.
#[track_caller]
fn refused(shop: &Shop, what: &str, table: &mut String) {
    let before = shop.done();
    let run = shop.run(&["deploy"]);
    assert_eq!(run.code, 2, "{what}: {}\n{}", run.out, run.err);
    let after = shop.done();
    assert_eq!(after, before, "{what}: something was touched");
    let said: Vec<&str> = run.err.lines().filter(|line| !line.starts_with('✔')).collect();
    let _ = writeln!(table, "# {what}\n{}\n", said.join("\n"));
}

#[track_caller]
fn assert_told(name: &str, shop: &Shop, table: &str) {
    let port = format!(":{}", shop.account.port());
    let folder = shop.path().display().to_string();
    let told = table.replace(&port, ":PORT").replace(&folder, "FOLDER");
    insta::with_settings!({filters => vec![
        (r"query [0-9a-f-]{36}", "query ID"),
    ]}, { insta::assert_snapshot!(name, told) });
}

#[test]
fn what_keeps_one_from_signing_in_is_told_in_words() {
    let rules = ["--account", "emulator", "--user", "DEPLOYER:secret", "--token", "good"];
    let Some(shop) = Shop::with("sign-in", DATABASE, &rules) else { return };
    shop.dbt_alone();
    let mut table = String::new();
    let mut wrong = |what: &str, keys: &[(&str, Option<&str>)], right: &[(&str, Option<&str>)]| {
        keys.iter().for_each(|(key, value)| shop.target(key, *value));
        refused(&shop, what, &mut table);
        right.iter().for_each(|(key, value)| shop.target(key, *value));
    };
    wrong("a wrong account", &[("account", Some("other"))], &[("account", Some("emulator"))]);
    wrong("a wrong password", &[("password", Some("guess"))], &[("password", Some("secret"))]);
    wrong("an unknown user", &[("user", Some("nobody"))], &[("user", Some("deployer"))]);
    wrong(
        "an expired token",
        &[("authenticator", Some("oauth")), ("token", Some("old")), ("password", None)],
        &[("authenticator", None), ("token", None), ("password", Some("secret"))],
    );
    wrong("a wrong role", &[("role", Some("NO_SUCH_ROLE"))], &[("role", Some("ACCOUNTADMIN"))]);
    wrong("nobody there", &[("port", Some("1"))], &[("port", None)]);
    assert_told("sign_in", &shop, &table);
}

#[test]
fn what_is_missing_on_the_account_is_told_before_anything_is_touched() {
    let Some(shop) = Shop::new("missing things", DATABASE) else { return };
    shop.dbt_alone();
    let mut table = String::new();
    shop.target("warehouse", Some("NO_SUCH_WH"));
    refused(&shop, "a missing warehouse", &mut table);
    shop.target("warehouse", Some("COMPUTE_WH"));
    shop.target("database", Some("NO_SUCH_DB"));
    refused(&shop, "a database that does not exist", &mut table);
    shop.configure(SCHEMA);
    refused(&shop, "a database that does not exist, for its schemas", &mut table);
    shop.configure(DATABASE);
    shop.target("database", Some("SH\"OP"));
    refused(&shop, "an identifier with a quote", &mut table);
    shop.target("database", Some("my shop"));
    refused(&shop, "an identifier that needs quotes, without `quoting`", &mut table);
    shop.target("database", Some("SHOP"));
    shop.target("role", Some("DEPLOY"));
    refused(&shop, "production is another role's", &mut table);
    shop.configure(SCHEMA);
    refused(&shop, "the schemas are another role's", &mut table);
    assert_eq!(shop.databases(), ["SHOP"]);
    assert_told("missing", &shop, &table);
}

#[test]
fn a_missing_privilege_is_named_before_anything_is_touched() {
    let Some(shop) = Shop::with("privileges", DATABASE, &["--enforce-grants"]) else { return };
    shop.dbt_alone();
    give_everything_to_deploy(&shop);
    shop.target("role", Some("DEPLOY"));
    shop.account.sql("REVOKE CREATE DATABASE ON ACCOUNT FROM ROLE DEPLOY");
    let mut table = String::new();
    shop.version(2);
    refused(&shop, "no CREATE DATABASE", &mut table);
    assert_eq!((shop.seen(), shop.databases()), (1, vec!["SHOP".to_owned()]));
    shop.account.sql("GRANT CREATE DATABASE ON ACCOUNT TO ROLE DEPLOY");
    shop.account.sql("GRANT OWNERSHIP ON DATABASE SHOP TO ROLE OTHER");
    shop.account.sql("GRANT USAGE ON DATABASE SHOP TO ROLE DEPLOY");
    refused(&shop, "no OWNERSHIP of the database", &mut table);
    shop.configure(SCHEMA);
    refused(&shop, "no CREATE SCHEMA in the database", &mut table);
    assert_eq!((shop.seen(), shop.databases()), (1, vec!["SHOP".to_owned()]));
    assert_told("privileges", &shop, &table);
}

#[test]
fn with_least_privileges_a_deploy_goes_through() {
    for isolation in [DATABASE, SCHEMA] {
        let Some(shop) = Shop::with("least privileges", isolation, &["--enforce-grants"]) else {
            return;
        };
        shop.dbt_alone();
        give_everything_to_deploy(&shop);
        shop.target("role", Some("DEPLOY"));
        shop.deploy(2);
        shop.deploy(3);
        shop.run(&["rollback", "--reason", "x"]).expect(0);
        assert_eq!(shop.seen(), 2);
    }
}

#[test]
fn what_is_swapped_is_pinned_by_the_first_release() {
    let Some(shop) = Shop::new("pinned", DATABASE) else { return };
    shop.dbt_alone();
    shop.deploy(2);
    let mut table = String::new();
    shop.configure(SCHEMA);
    refused(&shop, "schemas where databases are swapped", &mut table);
    shop.configure("");
    shop.deploy(3);
    let Some(other) = Shop::new("pinned", SCHEMA) else { return };
    other.dbt_alone();
    other.deploy(2);
    other.configure(DATABASE);
    refused(&other, "databases where schemas are swapped", &mut table);
    other.configure("");
    other.deploy(3);
    assert_told("pinned", &shop, &table);
}

#[test]
fn two_projects_that_overlap_in_a_schema_are_refused() {
    let Some(shop) = Shop::new("overlap", SCHEMA) else { return };
    shop.dbt_alone();
    shop.deploy(2);
    // Another project, whose target is another schema of the same database, writes CORE_MARTS too.
    shop.target("schema", Some("REPORTS"));
    let mut overlapping = node("model", "extra", "", "table", "select 1 as id");
    overlapping["schema"] = json!("CORE_MARTS");
    let own = node("model", "report", "", "table", "select 1 as id");
    shop.project(&[overlapping, own.clone()], &json!({}));
    let mut table = String::new();
    refused(&shop, "a schema of another environment", &mut table);
    shop.project(&[own], &json!({}));
    shop.run(&["deploy"]).expect(0); // of its own schema alone: two environments in one database
    let rows = shop.account.sql("SELECT ID FROM SHOP.REPORTS.REPORT");
    assert_eq!(rows.len(), 1);
    shop.target("schema", Some("CORE"));
    shop.deploy(3);
    shop.configure(DATABASE);
    shop.target("schema", Some("THIRD"));
    refused(&shop, "the database whose schemas belong to environments", &mut table);
    assert_told("overlap", &shop, &table);
}

#[test]
fn a_lower_case_database_is_deployed_where_the_project_quotes_it() {
    for isolation in [DATABASE, SCHEMA] {
        let Some(shop) = Shop::new("quoting", isolation) else { return };
        shop.account.sql("CREATE DATABASE \"my shop\"");
        shop.target("database", Some("my shop"));
        let quoting = "name: shop\nversion: '1.0'\nprofile: shop\nquoting: {database: true, schema: \
                       true, identifier: true}\n";
        shop.write("dbt_project.yml", quoting);
        let at = |version: u32| shop.standin(&json!({ "quoting": true, "nodes": quoted(version) }));
        at(1);
        shop.dbt_alone();
        let seen = || {
            let sql = "SELECT * FROM \"my shop\".\"CORE\".\"everything\"";
            shop.account.sql(sql)[0][0].clone().unwrap()
        };
        for version in [2, 3] {
            at(version);
            shop.run(&["deploy"]).expect(0);
            assert_eq!(seen(), version.to_string());
        }
        shop.run(&["rollback", "--reason", "x"]).expect(0);
        assert_eq!(seen(), "2");
    }
}

/// Two tables and a view over both with quoted names.
fn quoted(version: u32) -> Vec<serde_json::Value> {
    let rows = format!("select {version} as version");
    vec![
        node("model", "Odd \"name\"", "more", "table", &rows),
        node("model", "plain", "", "table", &rows),
        node(
            "model",
            "everything",
            "",
            "view",
            "select p.version from {{ ref('plain') }} p cross join {{ ref('Odd \"name\"') }} o where \
             o.version = p.version",
        ),
    ]
}

#[test]
fn auto_says_what_it_chose_and_why() {
    let Some(shop) = Shop::new("auto", "") else { return };
    shop.dbt_alone();
    let dry = shop.run(&["deploy", "--dry-run"]).expect(0);
    assert!(dry.out.contains("SWAP WITH"), "{}", dry.out);
    shop.account.sql("CREATE SCHEMA SHOP.LAKE");
    let dry = shop.json(&["deploy", "--dry-run"], 0);
    assert!(dry["plan"].to_string().contains("ALTER SCHEMA"), "{dry}");
    let mut all = nodes(1);
    all[0]["config"] = json!({});
    shop.standin(&json!({"nodes": all, "sources": {"source.shop.x": ["SHOP", "CORE_RAW", "X"]}}));
    shop.account.sql("DROP SCHEMA SHOP.LAKE");
    let dry = shop.json(&["deploy", "--dry-run"], 0);
    assert!(dry["plan"].to_string().contains("ALTER SCHEMA"), "{dry}");
}
