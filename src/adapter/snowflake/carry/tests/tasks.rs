use super::*;
use crate::adapter::snowflake::carry::tasks;
use crate::adapter::snowflake::testing::tag;
use crate::ports::PortError;

/// A graph of three, one of which does not run, a task on its own that does not run, an alert.
const GRAPH: [&str; 9] = [
    "CREATE TASK P.S.\"root\" SCHEDULE='1 MINUTE' AS SELECT 1",
    "CREATE TASK P.S.CHILD AFTER P.S.\"root\" AS SELECT 1",
    "CREATE TASK P.S.GRANDCHILD AFTER P.S.CHILD AS SELECT 1",
    "CREATE TASK P.S.IDLE SCHEDULE='1 MINUTE' AS SELECT 1",
    "CREATE ALERT P.S.BELL SCHEDULE='1 MINUTE' IF (EXISTS (SELECT 1)) THEN SELECT 1",
    "ALTER ALERT P.S.BELL RESUME",
    "ALTER TASK P.S.GRANDCHILD RESUME",
    "ALTER TASK P.S.CHILD RESUME",
    "ALTER TASK P.S.\"root\" RESUME",
];

#[tokio::test]
async fn what_ran_in_the_old_runs_in_the_new_and_nowhere_else() {
    let Some(emulator) = shop("tasks", &[]) else {
        return;
    };
    sql(&emulator, &GRAPH);
    sql(&emulator, &["CREATE DATABASE B CLONE P", "ALTER DATABASE P SWAP WITH B"]);
    let (sessions, old, live) = (emulator.sessions(), database("B"), database("P"));
    // The first time, the connection is lost in the middle.
    emulator.lose("drop_before", "^ALTER TASK .*root", 1);
    let lost = tasks(&sessions, &tag(), &old, &live).await;
    assert!(matches!(lost, Err(PortError::Unknown(_))), "{lost:?}");
    tasks(&sessions, &tag(), &old, &live).await.unwrap();
    insta::assert_snapshot!(written(&emulator).join("\n"), @r#"
    ALTER TASK "P"."S"."GRANDCHILD" RESUME
    ALTER TASK "P"."S"."CHILD" RESUME
    ALTER TASK "P"."S"."root" RESUME
    ALTER TASK "P"."S"."root" RESUME
    ALTER TASK "B"."S"."root" SUSPEND
    ALTER ALERT "P"."S"."BELL" RESUME
    ALTER ALERT "B"."S"."BELL" SUSPEND
    "#);
    forget(&emulator);
    assert_eq!(tasks(&sessions, &tag(), &old, &live).await.unwrap(), [""; 0]);
    assert_eq!(written(&emulator), [""; 0]);
    // And back: a child that was suspended meanwhile stays suspended.
    sql(
        &emulator,
        &[
            "ALTER TASK P.S.\"root\" SUSPEND",
            "ALTER TASK P.S.GRANDCHILD SUSPEND",
            "ALTER TASK P.S.\"root\" RESUME",
            "ALTER DATABASE P SWAP WITH B",
        ],
    );
    tasks(&sessions, &tag(), &old, &live).await.unwrap();
    insta::assert_snapshot!(written(&emulator).join("\n"), @r#"
    ALTER TASK "P"."S"."GRANDCHILD" SUSPEND
    ALTER TASK "P"."S"."root" RESUME
    ALTER TASK "B"."S"."root" SUSPEND
    ALTER ALERT "P"."S"."BELL" RESUME
    ALTER ALERT "B"."S"."BELL" SUSPEND
    "#);
}

#[tokio::test]
async fn a_task_that_the_new_release_does_not_have_is_suspended_and_said() {
    let Some(emulator) = shop("tasks gone", &[]) else {
        return;
    };
    sql(&emulator, &GRAPH);
    sql(
        &emulator,
        &[
            "CREATE SCHEMA P.B CLONE P.S",
            "DROP TASK P.B.\"root\"",
            "ALTER SCHEMA P.S SWAP WITH P.B",
        ],
    );
    let notes = tasks(&emulator.sessions(), &tag(), &schema("P.B"), &schema("P.S")).await.unwrap();
    insta::assert_snapshot!(notes.join("\n"), @r#"
    task "root" ran in what was live and is not in the new release: it does not run any more
    alert BELL was resumed
    "#);
    assert!(written(&emulator).contains(&"ALTER TASK \"P\".\"B\".\"root\" SUSPEND".to_owned()));
}
