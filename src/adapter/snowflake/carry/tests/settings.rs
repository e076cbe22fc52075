use super::*;
use crate::adapter::snowflake::carry::settings;
use crate::adapter::snowflake::testing::tag;

#[tokio::test]
async fn what_is_set_on_live_is_set_on_the_candidate() {
    for switches in [
        &["clone-comment=lost", "clone-retention=lost"][..],
        &["managed-access-kept=yes", "clone-comment=kept", "clone-retention=kept"][..],
    ] {
        let Some(emulator) = shop("settings", switches) else {
            return;
        };
        sql(
            &emulator,
            &[
                "CREATE DATABASE GOV",
                "CREATE TAG GOV.PUBLIC.COST",
                "ALTER DATABASE P SET COMMENT = 'it''s \\\\ ours' DATA_RETENTION_TIME_IN_DAYS = 7",
                "ALTER DATABASE P SET LOG_LEVEL = 'INFO'",
                "ALTER DATABASE P SET TAG GOV.PUBLIC.COST = 'high'",
                "ALTER SCHEMA P.S ENABLE MANAGED ACCESS",
                "CREATE DATABASE B CLONE P",
                "ALTER DATABASE B SET COMMENT = 'switchback build r2'",
                "ALTER DATABASE B SET TRACE_LEVEL = 'ALWAYS'",
                "ALTER DATABASE B SET TAG GOV.PUBLIC.COST = 'low'",
                "ALTER SCHEMA B.S SET COMMENT = 'dbt was here' DATA_RETENTION_TIME_IN_DAYS = 0",
                "ALTER SCHEMA B.S SET TAG GOV.PUBLIC.COST = 'low'",
                "ALTER SCHEMA B.S DISABLE MANAGED ACCESS",
            ],
        );
        let (sessions, live, build) = (emulator.sessions(), database("P"), database("B"));
        forget(&emulator);
        settings(&sessions, &tag(), &live, &build).await.unwrap();
        let mut written = written(&emulator);
        written.sort();
        let written = written.join("\n");
        if switches[0] == "clone-comment=lost" {
            insta::assert_snapshot!(written, @r#"
    ALTER DATABASE "B" SET COMMENT = 'it''s \\ ours'
    ALTER DATABASE "B" SET DATA_RETENTION_TIME_IN_DAYS = 7
    ALTER DATABASE "B" SET TAG "GOV"."PUBLIC"."COST" = 'high'
    ALTER DATABASE "B" UNSET TRACE_LEVEL
    ALTER SCHEMA "B"."S" ENABLE MANAGED ACCESS
    ALTER SCHEMA "B"."S" UNSET COMMENT
    ALTER SCHEMA "B"."S" UNSET DATA_RETENTION_TIME_IN_DAYS
    ALTER SCHEMA "B"."S" UNSET TAG "GOV"."PUBLIC"."COST"
    "#);
        }
        forget(&emulator);
        assert_eq!(settings(&sessions, &tag(), &live, &build).await.unwrap(), [""; 0]);
        assert_eq!(super::written(&emulator), [""; 0], "again, it finds nothing to do");
    }
}

#[tokio::test]
async fn a_schema_is_set_as_a_database_is() {
    for kept in ["managed-access-kept=no", "managed-access-kept=yes"] {
        let Some(emulator) = shop("settings of a schema", &[kept]) else {
            return;
        };
        sql(
            &emulator,
            &[
                "ALTER SCHEMA P.S ENABLE MANAGED ACCESS",
                "CREATE SCHEMA P.SX COMMENT = 'another that LIKE finds'",
                "CREATE SCHEMA P.S__BUILD CLONE P.S",
                "CREATE SCHEMA P.S___BUILD",
                "ALTER SCHEMA P.S__BUILD SET COMMENT = 'switchback'",
            ],
        );
        forget(&emulator);
        let (live, build) = (schema("P.S"), schema("P.S__BUILD"));
        settings(&emulator.sessions(), &tag(), &live, &build).await.unwrap();
        let mut wanted = vec!["ALTER SCHEMA \"P\".\"S__BUILD\" UNSET COMMENT"];
        if kept.ends_with("no") {
            wanted.insert(0, "ALTER SCHEMA \"P\".\"S__BUILD\" ENABLE MANAGED ACCESS");
        }
        let mut written = written(&emulator);
        written.sort();
        assert_eq!(written, wanted);
    }
}

#[tokio::test]
async fn a_transient_flag_that_differs_stops_it() {
    let Some(emulator) = shop("transient", &[]) else {
        return;
    };
    sql(
        &emulator,
        &["CREATE TRANSIENT SCHEMA P.LOOSE", "CREATE DATABASE B", "CREATE SCHEMA B.LOOSE"],
    );
    let answer = settings(&emulator.sessions(), &tag(), &database("P"), &database("B")).await;
    insta::assert_snapshot!(refused(answer), @r#"
    what is set on DATABASE "P" could not be carried to DATABASE "B"; nothing was swapped:
      SCHEMA "B"."LOOSE" is permanent and live's is transient: Snowflake cannot change that; it has to be cloned anew as transient
    "#);
}

#[tokio::test]
async fn a_setting_that_did_not_take_is_found() {
    let Some(emulator) = shop("settings that fail", &[]) else {
        return;
    };
    sql(&emulator, &["CREATE DATABASE B CLONE P", "ALTER DATABASE P SET COMMENT = 'ours'"]);
    emulator.control(&serde_json::json!({
        "op": "fault", "action": "error", "match": "^ALTER DATABASE .* SET COMMENT",
        "code": 3001, "state": "42501", "message": "Insufficient privileges"
    }));
    let answer = settings(&emulator.sessions(), &tag(), &database("P"), &database("B")).await;
    let said = refused(answer);
    assert!(said.contains("the comment") && said.contains("Insufficient privileges"), "{said}");
}
