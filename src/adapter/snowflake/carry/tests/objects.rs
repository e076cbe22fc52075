use serde_json::json;

use super::*;
use crate::adapter::snowflake::carry::{Kind, objects};
use crate::adapter::snowflake::testing::tag;

const MANY: [&str; 13] = [
    "CREATE STAGE P.S.INSIDE",
    "CREATE STAGE P.S.OUTSIDE URL='s3://bucket'",
    "CREATE PIPE P.S.LOAD AS COPY INTO P.S.T FROM @P.S.OUTSIDE",
    "CREATE STREAM P.S.CHANGES ON TABLE P.S.T",
    "CREATE EXTERNAL TABLE P.S.FAR LOCATION=@P.S.OUTSIDE",
    "CREATE DYNAMIC TABLE P.S.DYN TARGET_LAG='1 minute' WAREHOUSE=COMPUTE_WH AS SELECT ID FROM P.S.T",
    "CREATE MATERIALIZED VIEW P.S.MV AS SELECT ID FROM P.S.T",
    "CREATE SEQUENCE P.S.SEQ",
    "CREATE TASK P.S.TASK SCHEDULE='1 MINUTE' AS SELECT 1",
    "ALTER TASK P.S.TASK RESUME",
    "CREATE FILE FORMAT P.S.CSV TYPE=CSV",
    "CREATE SHARE OUT",
    "GRANT USAGE ON DATABASE P TO SHARE OUT",
];

#[tokio::test]
async fn what_a_clone_loses_is_named_by_kind_with_the_way_to_allow_it() {
    let Some(emulator) = shop("objects", &[]) else {
        return;
    };
    sql(&emulator, &MANY);
    sql(
        &emulator,
        &[
            "CREATE FAILOVER GROUP FG OBJECT_TYPES=DATABASES ALLOWED_DATABASES=P",
            "CREATE DATABASE B CLONE P",
        ],
    );
    let (sessions, live, build) = (emulator.sessions(), database("P"), database("B"));
    let said = refused(objects(&sessions, &tag(), &live, &build, &Policy::default()).await);
    insta::assert_snapshot!(said, @r#"
    a clone of DATABASE "P" would lose something:
      stages: P.S.INSIDE: a clone has no internal stages and none of their files; allow it: `allow: {objects: [stages]}`
      pipes: P.S.LOAD: a clone leaves out pipes on internal stages and pauses the others, whose history of loaded files it does not have: a pipe whose COPY names the database loads twice once it is resumed; allow it: `allow: {objects: [pipes]}`
      streams: P.S.CHANGES: the records that a stream has not given out yet are not in the clone; allow it: `allow: {objects: [streams]}`
      external-tables: P.S.FAR: a clone leaves external tables out; allow it: `allow: {objects: [external-tables]}`
      dynamic-tables: P.S.DYN: a cloned dynamic table is suspended and may be computed anew when it is resumed; allow it: `allow: {objects: [dynamic-tables]}`
      materialized-views: P.S.MV: a swap suspends materialized views; allow it: `allow: {objects: [materialized-views]}`
      shares: share OUT: a share stays with what was live: its consumers read the old release on; allow it: `allow: {objects: [shares]}`
      replication: failover group FG: the group goes on with what was live; allow it: `allow: {objects: [replication]}`
    "#);
    let policy = Policy { allowed_kinds: Kind::ALL.into(), ..Policy::default() };
    forget(&emulator);
    let notes = objects(&sessions, &tag(), &live, &build, &policy).await.unwrap();
    assert!(
        notes.contains(&"suspended in the clone, resumed after the swap: P.S.TASK".to_owned()),
        "{notes:#?}"
    );
    assert_eq!(notes.iter().filter(|note| note.ends_with("(allowed)")).count(), 8, "{notes:#?}");
    assert!(emulator.log().len() < 32, "{:#?}", emulator.log());
}

#[tokio::test]
async fn an_ordinary_database_has_nothing_to_say() {
    let Some(emulator) = shop("ordinary objects", &[]) else {
        return;
    };
    sql(&emulator, &["CREATE DATABASE B CLONE P", "CREATE TABLE B.S.NEW (ID INT)"]);
    let (live, build) = (database("P"), database("B"));
    let notes = objects(&emulator.sessions(), &tag(), &live, &build, &Policy::default()).await;
    assert_eq!(notes.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_relation_that_the_clone_left_out_stops_it_whatever_is_allowed() {
    let Some(emulator) = shop("relations", &[]) else {
        return;
    };
    emulator.control(
        &json!({"op": "deny", "role": "DEPLOYER", "privilege": "SELECT", "object": "P.S.T"}),
    );
    let deployer = emulator.sessions_as("DEPLOYER");
    deployer.write(&tag(), "CREATE SCHEMA P.B CLONE P.S").await.unwrap();
    let policy = Policy { allowed_kinds: Kind::ALL.into(), ..Policy::default() };
    // Whoever looks must see more than whoever cloned.
    let answer =
        objects(&emulator.sessions(), &tag(), &schema("P.S"), &schema("P.B"), &policy).await;
    insta::assert_snapshot!(refused(answer), @r#"
    a clone of SCHEMA "P"."S" would lose something:
      P.S.T: in live and not in the clone, either because this role has no SELECT on them or because they were made while the clone was; GRANT it, or run it again
    "#);
}
