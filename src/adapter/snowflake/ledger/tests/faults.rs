//! Connections that are lost, before or after what was sent on them was done.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_record_of_two_megabytes_is_written_and_read_back() {
    let Some(place) = Place::new("a_record_of_two_megabytes") else { return };
    let ledger = place.ledger();
    let lease = ledger.acquire(claim("deploy")).await.unwrap();
    ledger.append(draft(Some(lease.token), "before")).await.unwrap();
    let long = "it's \"é\" \\ ".repeat(170_000);
    place.emulator.lose("drop_before", "^INSERT", 4);
    place.emulator.lose("drop_after", "^INSERT", 7);
    assert_eq!(numbered(&ledger, draft(Some(lease.token), &long)).await, 2);
    ledger.append(draft(Some(lease.token), "after")).await.unwrap();
    let longest = place.emulator.log().iter().map(String::len).max().unwrap();
    assert!(longest < 1_000_000, "{longest}");
    assert_eq!(reasons(&ledger.load().await.unwrap()), ["before", &long, "after"]);
    // One that is cut off half-way does not count, and nothing after it is disturbed.
    place.emulator.lose("drop_before", "^INSERT", 6);
    place.emulator.lose("drop_before", "^INSERT", 7);
    place.emulator.lose("drop_before", "^INSERT", 8);
    let lost = ledger.append(draft(Some(lease.token), &long)).await.unwrap_err();
    assert!(matches!(lost, PortError::Unknown(_)), "{lost}");
    assert_eq!(numbered(&ledger, draft(Some(lease.token), "last")).await, 4);
    assert_eq!(reasons(&ledger.load().await.unwrap()), ["before", &long, "after", "last"]);
}

#[tokio::test]
async fn a_write_that_was_lost_before_or_after_it_was_done_settles_right() {
    let Some(place) = Place::new("a_write_that_was_lost") else { return };
    // The statements from nothing to a lease, a record, a renewal and a release.
    let patterns = [
        "^UPDATE.*SET TOKEN",
        "^CREATE TABLE.*JOURNAL",
        "^CREATE SCHEMA",
        "^CREATE DATABASE",
        "^CREATE TABLE.*LEASES",
        "^MERGE",
        "^INSERT",
        "^UPDATE.*SET EXPIRES_AT",
        "^UPDATE.*SET HOLDER = NULL",
    ];
    for action in ["drop_before", "drop_after"] {
        for pattern in patterns {
            for nth in 1..=2 {
                let what = format!("{action} {pattern} {nth}");
                if place.databases() > 0 {
                    place.emulator.sql("DROP DATABASE SWITCHBACK");
                }
                place.emulator.control(&json!({"op": "clear"}));
                place.emulator.lose(action, pattern, nth);
                let ledger = place.ledger();
                let lease = ledger.acquire(claim("deploy")).await.expect(&what);
                assert_eq!(lease.token, Token(1), "{what}: granted once");
                for reason in ["a", "b", "c"] {
                    ledger.append(draft(Some(lease.token), reason)).await.expect(&what);
                }
                for _ in 0..2 {
                    ledger.renew(lease.token, TTL).await.expect(&what);
                }
                ledger.release(lease.token).await.expect(&what);
                assert_eq!(ledger.lease().await.unwrap(), None, "{what}");
                let records = ledger.load().await.unwrap();
                assert_eq!(reasons(&records), ["a", "b", "c"], "{what}");
                assert_eq!(place.count("JOURNAL"), "3", "{what}");
                assert_eq!(place.count("LEASES"), "1", "{what}");
                let next = place.ledger().acquire(claim("deploy")).await.expect(&what);
                assert_eq!(next.token, Token(2), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_rollback_whose_claim_was_lost_takes_the_lease_all_the_same() {
    let Some(place) = Place::new("a_rollback_whose_claim_was_lost") else { return };
    for action in ["drop_before", "drop_after"] {
        place.ledger().acquire(claim("deploy")).await.unwrap();
        place.emulator.lose(action, "^UPDATE.*rollback", 1);
        let held = place.ledger().acquire(claim("rollback")).await.unwrap();
        assert_eq!(held.verb, "rollback");
        place.ledger().release(held.token).await.unwrap();
    }
}

#[tokio::test]
async fn what_nobody_answers_is_unknown_and_never_done_twice() {
    let Some(place) = Place::new("what_nobody_answers") else { return };
    let ledger = place.ledger();
    let lease = ledger.acquire(claim("deploy")).await.unwrap();
    for action in ["drop_before", "drop_after"] {
        // Neither the record nor any question about it is answered.
        place.emulator.lose(action, "^INSERT", 1);
        let silence =
            json!({"op": "fault", "action": "drop_before", "match": "^SELECT", "times": 3});
        place.emulator.control(&silence);
        let lost = ledger.append(draft(Some(lease.token), action)).await.unwrap_err();
        assert!(matches!(lost, PortError::Unknown(_)), "{lost}");
    }
    assert_eq!(reasons(&ledger.load().await.unwrap()), ["drop_after"]);
    assert_eq!(place.sent("INSERT"), 2);
}

#[tokio::test]
async fn a_statement_that_lands_late_after_it_was_sent_again_counts_once() {
    let Some(place) = Place::new("a_statement_that_lands_late") else { return };
    let ledger = place.ledger();
    let first = ledger.acquire(claim("deploy")).await.unwrap();
    ledger.append(draft(Some(first.token), "a")).await.unwrap();
    let log = place.emulator.log();
    let sent = |word: &str| log.iter().rfind(|text| text.starts_with(word)).unwrap().as_str();
    let again = async |text: &str| ledger.change(text).await.unwrap();
    assert_eq!(again(sent("INSERT")).await, 0);
    ledger.release(first.token).await.unwrap();
    assert_eq!(again(sent("INSERT")).await, 0, "nor once the lease was given back");
    assert_eq!(again(sent("UPDATE")).await, 0, "a claim is granted once");
    assert_eq!(ledger.lease().await.unwrap(), None);
    again(sent("MERGE")).await;
    let next = place.ledger().acquire(claim("rollback")).await.unwrap();
    assert_eq!(next.token, Token(2));
    assert_eq!(place.count("LEASES"), "1");
    assert_eq!(reasons(&ledger.load().await.unwrap()), ["a"]);
}

#[tokio::test]
async fn a_session_that_expired_is_opened_again_and_nothing_is_lost() {
    let Some(place) = Place::new("a_session_that_expired") else { return };
    let ledger = place.ledger();
    let lease = ledger.acquire(claim("deploy")).await.unwrap();
    for n in 1..=3 {
        place.emulator.control(&json!({"op": "expire"}));
        assert_eq!(numbered(&ledger, draft(Some(lease.token), "a")).await, n);
        place.emulator.control(&json!({"op": "expire"}));
        ledger.renew(lease.token, TTL).await.unwrap();
    }
}
