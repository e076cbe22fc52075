use serde_json::json;

use super::*;
use crate::adapter::snowflake::carry::{Kind, grants};
use crate::adapter::snowflake::testing::tag;

#[tokio::test]
async fn database_roles_have_the_members_and_privileges_they_have_in_live() {
    let Some(emulator) = shop("database roles", &[]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "CREATE DATABASE ROLE P.KEPT",
            "CREATE DATABASE R1 CLONE P",
            "GRANT DATABASE ROLE P.KEPT TO ROLE READER",
            "CREATE DATABASE ROLE P.\"new role\"",
            "GRANT DATABASE ROLE P.KEPT TO DATABASE ROLE P.\"new role\"",
            "GRANT SELECT ON TABLE P.S.T TO DATABASE ROLE P.\"new role\"",
            "GRANT DATABASE ROLE R1.KEPT TO ROLE ANALYST",
        ],
    );
    forget(&emulator);
    let policy = Policy { past: true, ..Policy::default() };
    grants(&emulator.sessions(), &tag(), &database("P"), &database("R1"), &policy).await.unwrap();
    let mut written = written(&emulator);
    written.sort();
    insta::assert_snapshot!(written.join("\n"), @r#"
    CREATE DATABASE ROLE IF NOT EXISTS "R1"."new role"
    GRANT DATABASE ROLE "R1"."KEPT" TO DATABASE ROLE "R1"."new role"
    GRANT DATABASE ROLE "R1"."KEPT" TO ROLE "READER"
    GRANT SELECT ON TABLE "R1"."S"."T" TO DATABASE ROLE "R1"."new role"
    REVOKE DATABASE ROLE "R1"."KEPT" FROM ROLE "ANALYST"
    "#);
}

#[tokio::test]
async fn a_share_stops_it_unless_it_may_be_left_behind() {
    let Some(emulator) = shop("share", &[]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "CREATE SHARE OUT",
            "GRANT USAGE ON DATABASE P TO SHARE OUT",
            "GRANT SELECT ON TABLE P.S.T TO SHARE OUT",
            "CREATE DATABASE B CLONE P",
        ],
    );
    let (sessions, live, build) = (emulator.sessions(), database("P"), database("B"));
    let said = refused(grants(&sessions, &tag(), &live, &build, &Policy::default()).await);
    insta::assert_snapshot!(said, @r#"
    the grants of DATABASE "P" could not be carried to DATABASE "B"; nothing was swapped:
      USAGE on the database to share OUT: a share stays on the old object
      SELECT on table S.T to share OUT: a share stays on the old object
      to leave shares behind: `allow: {objects: [shares]}`
    "#);
    for policy in [
        Policy { leave_shares: true, ..Policy::default() },
        Policy { allowed_kinds: [Kind::Shares].into(), ..Policy::default() },
    ] {
        let notes = grants(&sessions, &tag(), &live, &build, &policy).await.unwrap();
        assert!(notes.iter().any(|note| note.contains("share OUT")), "{notes:?}");
    }
}

/// The session of a role that owns nothing and manages no grants.
fn deny(emulator: &Emulator) {
    for privilege in ["MANAGE GRANTS", "OWNERSHIP"] {
        emulator.control(&json!({"op": "deny", "role": "DEPLOYER", "privilege": privilege}));
    }
}

#[tokio::test]
async fn what_a_role_cannot_see_stops_it_or_is_said() {
    let Some(emulator) = shop("unseen", &[]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "GRANT SELECT ON FUTURE TABLES IN DATABASE P TO ROLE READER",
            "CREATE DATABASE B CLONE P",
        ],
    );
    deny(&emulator);
    let (sessions, live, build) = (emulator.sessions_as("DEPLOYER"), database("P"), database("B"));
    let said = refused(grants(&sessions, &tag(), &live, &build, &Policy::default()).await);
    insta::assert_snapshot!(said, @r#"
    the grants of DATABASE "P" could not be carried to DATABASE "B"; nothing was swapped:
      role DEPLOYER has no MANAGE GRANTS and cannot see the future and inherited grants of database P (owner ACCOUNTADMIN), schema P.PUBLIC (owner ACCOUNTADMIN), schema P.S (owner ACCOUNTADMIN), database B (owner ACCOUNTADMIN), schema B.PUBLIC (owner ACCOUNTADMIN), schema B.S (owner ACCOUNTADMIN); GRANT MANAGE GRANTS ON ACCOUNT TO ROLE "DEPLOYER", or allow it: `allow: {unseen-grants: true}`
    "#);
    forget(&emulator);
    let policy = Policy { allow_unseen_grants: true, ..Policy::default() };
    let notes = grants(&sessions, &tag(), &live, &build, &policy).await.unwrap();
    assert!(notes[0].contains("what could not be seen was not carried"), "{notes:?}");
    assert_eq!(written(&emulator), [""; 0]);
    // MANAGE GRANTS on the account, or on the container itself, is enough.
    for on in ["ACCOUNT", "DATABASE P"] {
        sql(&emulator, &[&format!("GRANT MANAGE GRANTS ON {on} TO ROLE DEPLOYER")]);
        let answer = grants(&sessions, &tag(), &live, &build, &Policy::default()).await;
        if on == "ACCOUNT" {
            answer.unwrap();
            sql(&emulator, &["REVOKE MANAGE GRANTS ON ACCOUNT FROM ROLE DEPLOYER"]);
        } else {
            let said = refused(answer);
            assert!(said.contains("database B") && !said.contains("database P"), "{said}");
        }
    }
}

#[tokio::test]
async fn in_a_managed_schema_only_its_owner_grants() {
    let Some(emulator) = shop("managed", &[]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "ALTER SCHEMA P.S ENABLE MANAGED ACCESS",
            "GRANT SELECT ON TABLE P.S.T TO ROLE READER",
            "CREATE DATABASE B CLONE P",
            "CREATE OR REPLACE TABLE B.S.T AS SELECT 2 AS ID",
        ],
    );
    deny(&emulator);
    let (sessions, live, build) = (emulator.sessions_as("DEPLOYER"), database("P"), database("B"));
    let policy = Policy { allow_unseen_grants: true, ..Policy::default() };
    let said = refused(grants(&sessions, &tag(), &live, &build, &policy).await);
    insta::assert_snapshot!(said, @r#"
    the grants of DATABASE "P" could not be carried to DATABASE "B"; nothing was swapped:
      schema B.S: the schema has managed access, so that only its owner ACCOUNTADMIN can grant in it, and this session's role is DEPLOYER (missing: SELECT on table S.T to role READER)
    "#);
    // Its owner may, without MANAGE GRANTS.
    sql(&emulator, &["GRANT OWNERSHIP ON SCHEMA B.S TO ROLE DEPLOYER"]);
    sql(&emulator, &["GRANT OWNERSHIP ON SCHEMA P.S TO ROLE DEPLOYER"]);
    grants(&sessions, &tag(), &live, &build, &policy).await.unwrap();
    assert_eq!(held(&emulator, "TABLE B.S.T"), ["SELECT ROLE READER false"]);
}

#[tokio::test]
async fn owners_are_given_back_and_a_container_never_to_a_stranger() {
    let Some(emulator) = shop("owners", &["clone-owner=cloner"]) else {
        return;
    };
    sql(
        &emulator,
        &[
            "GRANT OWNERSHIP ON SCHEMA P.S TO ROLE ANALYST",
            "GRANT OWNERSHIP ON TABLE P.S.T TO ROLE ANALYST",
            "GRANT USAGE ON SCHEMA P.S TO ROLE READER",
            "CREATE DATABASE B CLONE P",
        ],
    );
    let (sessions, live, build) = (emulator.sessions(), database("P"), database("B"));
    forget(&emulator);
    let notes = grants(&sessions, &tag(), &live, &build, &Policy::default()).await.unwrap();
    assert_eq!(
        written(&emulator),
        ["GRANT OWNERSHIP ON SCHEMA \"B\".\"S\" TO ROLE \"ANALYST\" COPY CURRENT GRANTS"]
    );
    assert_eq!(notes, ["1 object belongs to ACCOUNTADMIN instead of ANALYST: S.T"]);
    sql(&emulator, &["GRANT OWNERSHIP ON DATABASE P TO ROLE READER"]);
    let deployer = emulator.sessions_as("DEPLOYER");
    let said = refused(grants(&deployer, &tag(), &live, &build, &Policy::default()).await);
    assert!(said.contains("database B belongs to ACCOUNTADMIN, and live's to READER"), "{said}");
}
