//! Privileges that are missing, and those that are enough.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_missing_privilege_is_named_by_the_statement_that_grants_it() {
    let Some(place) = Place::new("a_missing_privilege") else { return };
    place.emulator.sql("CREATE ROLE DEPLOYER");
    place.emulator.control(&json!({"op": "enforce", "on": true}));
    let sessions = place.emulator.sessions_as("DEPLOYER");
    let ledger = SnowflakeLedger::new(sessions, tag(), home(), "SHOP".into());
    let asked = async || {
        usage(ledger.append(draft(None, "x")).await);
        let failure = usage(ledger.acquire(claim("deploy")).await);
        (failure.message, failure.next.unwrap())
    };
    let (said, next) = asked().await;
    assert!(said.contains("the ledger SWITCHBACK.LEDGER cannot be made"), "{said}");
    insta::assert_snapshot!(next);
    assert!(ledger.load().await.unwrap().is_empty(), "what may not be seen looks as if absent");
    // Somebody else made it: what is asked for then is the use of it.
    place.ledger().acquire(claim("deploy")).await.unwrap();
    place.emulator.forward(TTL.as_secs() + 1);
    place.emulator.sql("GRANT USAGE ON DATABASE SWITCHBACK TO ROLE DEPLOYER");
    let (_, next) = asked().await;
    insta::assert_snapshot!(next);
    place.emulator.sql("GRANT USAGE, CREATE TABLE ON SCHEMA SWITCHBACK.LEDGER TO ROLE DEPLOYER");
    let (said, next) = asked().await;
    assert!(said.contains("the ledger SWITCHBACK.LEDGER cannot be used"), "{said}");
    insta::assert_snapshot!(next);
    let usable = "SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA SWITCHBACK.LEDGER";
    place.emulator.sql(&format!("GRANT {usable} TO ROLE DEPLOYER"));
    let lease = ledger.acquire(claim("deploy")).await.unwrap();
    assert_eq!(lease.token, Token(2));
    ledger.append(draft(Some(lease.token), "x")).await.unwrap();
}

#[tokio::test]
async fn the_ledger_is_made_from_the_inside_outward() {
    let Some(place) = Place::new("the_ledger_is_made") else { return };
    place.emulator.sql("CREATE ROLE DEPLOYER");
    place.emulator.sql("CREATE DATABASE SWITCHBACK");
    place.emulator.sql("CREATE SCHEMA SWITCHBACK.LEDGER");
    place.emulator.sql("GRANT USAGE ON DATABASE SWITCHBACK TO ROLE DEPLOYER");
    place.emulator.sql("GRANT USAGE, CREATE TABLE ON SCHEMA SWITCHBACK.LEDGER TO ROLE DEPLOYER");
    place.emulator.control(&json!({"op": "enforce", "on": true}));
    let sessions = place.emulator.sessions_as("DEPLOYER");
    let ledger = SnowflakeLedger::new(sessions, tag(), home(), "SHOP".into());
    ledger.acquire(claim("deploy")).await.unwrap();
    assert_eq!(place.sent("CREATE TABLE"), 2);
    assert_eq!(place.sent("CREATE"), 2, "what is there needs no privilege");
}
