use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::adapter::snowflake::carry::grants;
use crate::adapter::snowflake::ident::ObjectPath;
use crate::adapter::snowflake::testing::tag;

/// Grants on P of every sort.
const GRANTED: [&str; 9] = [
    "GRANT USAGE ON DATABASE P TO ROLE READER",
    "GRANT USAGE ON SCHEMA P.S TO ROLE READER",
    "GRANT SELECT ON ALL TABLES IN DATABASE P TO ROLE READER",
    "GRANT SELECT ON VIEW P.S.V TO ROLE READER WITH GRANT OPTION",
    "GRANT SELECT ON FUTURE TABLES IN DATABASE P TO ROLE READER",
    "GRANT INSERT ON FUTURE TABLES IN SCHEMA P.S TO ROLE ANALYST",
    "GRANT INHERITED SELECT ON ALL TABLES IN DATABASE P TO ROLE ANALYST",
    "GRANT INHERITED REFERENCES ON ALL VIEWS IN SCHEMA P.S TO ROLE ANALYST",
    "GRANT USAGE ON DATABASE P TO ROLE ANALYST WITH GRANT OPTION",
];

/// Whatever is granted on a container and in it, without the container's name.
fn all(emulator: &Emulator, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for what in [name.to_owned(), format!("{name}.S")] {
        let kind = if what == name { "DATABASE" } else { "SCHEMA" };
        all.extend(held(emulator, &format!("{kind} {what}")));
        for rule in ["FUTURE", "INHERITED"] {
            let rows = emulator.sql(&format!("SHOW {rule} GRANTS IN {kind} {what}"));
            let row = |row: &Vec<Option<String>>| {
                let cells: Vec<_> = [1, 2, 3, 5].iter().filter_map(|at| row[*at].clone()).collect();
                format!("{rule} {}", cells.join(" ").replace(&format!("{name}."), "."))
            };
            all.extend(rows.iter().map(row));
        }
    }
    for object in ["TABLE S.T", "TABLE S.\"my t\"", "VIEW S.V"] {
        let (kind, object) = object.split_once(' ').unwrap();
        all.extend(held(emulator, &format!("{kind} {name}.{object}")));
    }
    all
}

async fn rebuilt_and_carried(test: &str, switches: &[&str]) {
    let Some(emulator) = shop(test, switches) else {
        return;
    };
    sql(&emulator, &GRANTED);
    sql(
        &emulator,
        &["CREATE DATABASE B CLONE P", "CREATE OR REPLACE TABLE B.S.T AS SELECT 2 AS ID"],
    );
    let (live, build) = (database("P"), database("B"));
    let sessions = emulator.sessions();
    let before = all(&emulator, "P");
    assert_ne!(all(&emulator, "B"), before);
    grants(&sessions, &tag(), &live, &build, &Policy::default()).await.unwrap();
    assert_eq!(all(&emulator, "B"), before, "{switches:?}");
    assert_eq!(all(&emulator, "P"), before);
    forget(&emulator);
    grants(&sessions, &tag(), &live, &build, &Policy::default()).await.unwrap();
    assert_eq!(written(&emulator), [""; 0], "again, it finds nothing to do");
}

#[tokio::test]
async fn what_a_rebuild_and_a_clone_lost_is_granted_again() {
    rebuilt_and_carried("grants", &[]).await;
}

#[tokio::test]
async fn it_holds_whatever_the_unknown_facts_are() {
    let switches =
        ["inherited-grants-cloned=yes", "show-grants-lists-inherited=yes", "clone-owner=cloner"];
    rebuilt_and_carried("grants, switched", &switches).await;
}

#[tokio::test]
async fn it_holds_whatever_the_one_view_for_all_leaves_out() {
    rebuilt_and_carried("grants, seen in part", &["object-privileges=own-roles"]).await;
    let switch = "object-privileges-database-roles=as-roles";
    let Some(emulator) = shop("database roles in disguise", &[switch]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "CREATE DATABASE ROLE P.DR",
            "GRANT USAGE ON DATABASE P TO DATABASE ROLE P.DR",
            "GRANT SELECT ON TABLE P.S.T TO DATABASE ROLE P.DR",
            "GRANT SELECT ON TABLE P.S.T TO ROLE READER",
            "CREATE DATABASE B CLONE P",
            "CREATE OR REPLACE TABLE B.S.T AS SELECT 2 AS ID",
        ],
    );
    let (sessions, live, build) = (emulator.sessions(), database("P"), database("B"));
    grants(&sessions, &tag(), &live, &build, &Policy::default()).await.unwrap();
    assert_eq!(held(&emulator, "TABLE B.S.T"), held(&emulator, "TABLE P.S.T"));
    assert_eq!(held(&emulator, "TABLE B.S.T").len(), 2);
    let other = |sql: &String| sql.starts_with("SHOW GRANTS ON") && sql.contains("\"V\"");
    assert!(!emulator.log().iter().any(other), "only what is doubtful is asked for one by one");
}

#[tokio::test]
async fn a_candidate_does_not_revive_access_that_was_revoked_since() {
    let Some(emulator) = shop("revoked", &[]) else {
        return;
    };
    sql(&emulator, &GRANTED);
    sql(
        &emulator,
        &[
            "CREATE TABLE P.S.OLD AS SELECT 1 AS ID",
            "GRANT SELECT ON TABLE P.S.OLD TO ROLE READER",
            "GRANT SELECT ON TABLE P.S.OLD TO ROLE ANALYST",
            "GRANT UPDATE ON TABLE P.S.OLD TO ROLE ANALYST",
            "CREATE DATABASE R1 CLONE P",
            "DROP TABLE P.S.OLD",
            "REVOKE SELECT ON VIEW P.S.V FROM ROLE READER",
            "REVOKE SELECT ON FUTURE TABLES IN DATABASE P FROM ROLE READER",
            "REVOKE INHERITED SELECT ON ALL TABLES IN DATABASE P FROM ROLE ANALYST",
        ],
    );
    let policy = Policy { past: true, ..Policy::default() };
    let notes = grants(&emulator.sessions(), &tag(), &database("P"), &database("R1"), &policy)
        .await
        .unwrap();
    assert_eq!(all(&emulator, "R1"), all(&emulator, "P"));
    // Live has nothing of the kind in that schema any more, except the inherited REFERENCES.
    assert_eq!(
        held(&emulator, "TABLE R1.S.OLD"),
        ["INSERT ROLE ANALYST false", "SELECT ROLE READER false"]
    );
    assert!(notes.iter().any(|note| note.starts_with("revoked on the candidate: ")), "{notes:?}");
}

#[tokio::test]
async fn a_new_model_keeps_what_its_build_gave_it_and_a_declared_one_what_dbt_did() {
    let Some(emulator) = shop("declared", &[]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "GRANT SELECT ON TABLE P.S.T TO ROLE READER",
            "GRANT SELECT ON TABLE P.S.\"my t\" TO ROLE READER",
            "CREATE DATABASE ROLE P.DR",
            "GRANT SELECT ON TABLE P.S.T TO DATABASE ROLE P.DR",
            "CREATE DATABASE B CLONE P",
            "CREATE TABLE B.S.NEW AS SELECT 1 AS ID",
            "GRANT SELECT ON TABLE B.S.NEW TO ROLE ANALYST",
            "CREATE OR REPLACE TABLE B.S.T AS SELECT 2 AS ID",
            "GRANT SELECT ON TABLE B.S.T TO ROLE ANALYST",
            "GRANT SELECT ON TABLE B.S.\"my t\" TO ROLE ANALYST",
        ],
    );
    let declared = BTreeSet::from([ObjectPath::from_sql("P.S.T").unwrap()]);
    let policy = Policy { declared, ..Policy::default() };
    grants(&emulator.sessions(), &tag(), &database("P"), &database("B"), &policy).await.unwrap();
    assert_eq!(held(&emulator, "TABLE B.S.NEW"), ["SELECT ROLE ANALYST false"]);
    // dbt says nothing about database roles, so theirs is carried.
    assert_eq!(
        held(&emulator, "TABLE B.S.T"),
        ["SELECT ROLE ANALYST false", "SELECT DATABASE_ROLE DR false"]
    );
    assert_eq!(held(&emulator, "TABLE B.S.\"my t\""), ["SELECT ROLE READER false"]);
}

#[tokio::test]
async fn a_schema_is_carried_as_a_database_is() {
    let Some(emulator) = shop("schema", &[]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "GRANT USAGE ON SCHEMA P.S TO ROLE READER",
            "GRANT SELECT ON TABLE P.S.T TO ROLE READER",
            "GRANT SELECT ON FUTURE VIEWS IN SCHEMA P.S TO ROLE READER",
            "GRANT INHERITED SELECT ON ALL VIEWS IN SCHEMA P.S TO ROLE READER",
            "CREATE FUNCTION P.S.F(A NUMBER, B VARCHAR) RETURNS VARCHAR AS 'b'",
            "GRANT USAGE ON FUNCTION P.S.F(NUMBER, VARCHAR) TO ROLE READER",
            "CREATE SCHEMA P.S__BUILD CLONE P.S",
            "CREATE OR REPLACE FUNCTION P.S__BUILD.F(A NUMBER, B VARCHAR) RETURNS VARCHAR AS 'c'",
            "CREATE OR REPLACE TABLE P.S__BUILD.T AS SELECT 2 AS ID",
        ],
    );
    let (live, build) = (schema("P.S"), schema("P.S__BUILD"));
    forget(&emulator);
    grants(&emulator.sessions(), &tag(), &live, &build, &Policy::default()).await.unwrap();
    let mut written = written(&emulator);
    written.sort();
    insta::assert_snapshot!(written.join("\n"), @r#"
    GRANT INHERITED SELECT ON ALL VIEWS IN SCHEMA "P"."S__BUILD" TO ROLE "READER"
    GRANT SELECT ON TABLE "P"."S__BUILD"."T" TO ROLE "READER"
    GRANT USAGE ON FUNCTION "P"."S__BUILD"."F"(NUMBER, VARCHAR) TO ROLE "READER"
    GRANT USAGE ON SCHEMA "P"."S__BUILD" TO ROLE "READER"
    "#);
}

#[tokio::test]
async fn a_grant_that_silently_did_not_take_is_found_and_stops_it() {
    let Some(emulator) = shop("silent", &[]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "GRANT SELECT ON TABLE P.S.T TO ROLE READER",
            "CREATE DATABASE B CLONE P",
            "CREATE OR REPLACE TABLE B.S.T AS SELECT 2 AS ID",
        ],
    );
    // The server says it failed, each time.
    emulator.control(&json!({
        "op": "fault", "action": "error", "match": "^GRANT SELECT", "times": 9,
        "code": 3001, "state": "42501", "message": "Insufficient privileges"
    }));
    let (sessions, live, build) = (emulator.sessions(), database("P"), database("B"));
    let said = refused(grants(&sessions, &tag(), &live, &build, &Policy::default()).await);
    assert!(said.contains("missing: SELECT on table S.T to role READER"), "{said}");
    assert!(said.contains("Insufficient privileges"), "{said}");
    emulator.control(&json!({"op": "clear"}));
    // A connection lost after the statement was done: the second reading knows better.
    emulator.lose("drop_after", "^GRANT SELECT", 1);
    grants(&sessions, &tag(), &live, &build, &Policy::default()).await.unwrap();
    assert_eq!(held(&emulator, "TABLE B.S.T"), ["SELECT ROLE READER false"]);
    // Answered as done, and not done.
    sql(&emulator, &["REVOKE SELECT ON TABLE B.S.T FROM ROLE READER"]);
    emulator.control(
        &json!({"op": "fault", "action": "pretend", "match": "^GRANT SELECT", "times": 9}),
    );
    let said = refused(grants(&sessions, &tag(), &live, &build, &Policy::default()).await);
    assert!(said.contains("missing: SELECT on table S.T to role READER"), "{said}");
}

#[tokio::test]
async fn statements_are_bounded_by_the_schemas_and_the_differences() {
    let Some(emulator) = Emulator::start("statements") else {
        return;
    };
    sql(&emulator, &["CREATE ROLE READER", "CREATE DATABASE P"]);
    for schema in 0..20 {
        emulator.sql(&format!("CREATE SCHEMA P.S{schema}"));
        for table in 0..50 {
            emulator.sql(&format!("CREATE TABLE P.S{schema}.T{table} (ID INT)"));
        }
    }
    sql(
        &emulator,
        &[
            "GRANT USAGE ON ALL SCHEMAS IN DATABASE P TO ROLE READER",
            "GRANT SELECT ON ALL TABLES IN DATABASE P TO ROLE READER",
            "CREATE DATABASE B CLONE P",
            "CREATE OR REPLACE TABLE B.S1.T1 AS SELECT 1 AS ID",
            "CREATE OR REPLACE TABLE B.S2.T2 AS SELECT 1 AS ID",
        ],
    );
    forget(&emulator);
    grants(&emulator.sessions(), &tag(), &database("P"), &database("B"), &Policy::default())
        .await
        .unwrap();
    assert_eq!(written(&emulator).len(), 2);
    let reads: Vec<String> = emulator
        .log()
        .into_iter()
        .filter(|sql| sql.starts_with("SHOW") || sql.starts_with("SELECT"))
        .collect();
    let by_schema = |sql: &&String| sql.contains("GRANTS IN SCHEMA");
    // P, B, and B again; the two rules of each of 21 schemas (PUBLIC is one of them).
    assert_eq!(reads.iter().filter(by_schema).count(), 3 * 2 * 21);
    assert!(reads.iter().filter(|sql| !by_schema(sql)).count() <= 3 * 11 + 3, "{reads:#?}");
}
