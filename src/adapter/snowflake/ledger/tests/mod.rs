//! The ledger against the emulator, by the real driver.

mod cutover;
mod faults;
mod rights;

use std::fmt::Debug;

use super::*;
use crate::adapter::snowflake::ident::SchemaPath;
use crate::adapter::snowflake::testing::{Emulator, tag};
use crate::domain::journal::{Actor, Entry};
use crate::failure::{Failure, Kind};

const TTL: Duration = Duration::from_secs(600);

struct Place {
    emulator: Emulator,
    sessions: Sessions,
}

impl Place {
    fn new(test: &str) -> Option<Self> {
        let emulator = Emulator::start(test)?;
        let sessions = emulator.sessions();
        Some(Self { emulator, sessions })
    }

    fn ledger(&self) -> SnowflakeLedger {
        self.ledger_of("SHOP")
    }

    fn ledger_of(&self, environment: &str) -> SnowflakeLedger {
        SnowflakeLedger::new(self.sessions.clone(), tag(), home(), environment.to_owned())
    }

    fn databases(&self) -> usize {
        self.emulator.sql("SHOW DATABASES").len()
    }

    fn count(&self, rows: &str) -> String {
        let counted = self.emulator.sql(&format!("SELECT COUNT(*) FROM SWITCHBACK.LEDGER.{rows}"));
        counted[0][0].clone().unwrap()
    }

    fn sent(&self, word: &str) -> usize {
        self.emulator.log().iter().filter(|text| text.starts_with(word)).count()
    }
}

fn home() -> Home {
    Home { schema: SchemaPath::from_sql("SWITCHBACK.LEDGER").unwrap() }
}

fn actor() -> Actor {
    Actor { name: "ada".into(), run_url: None, host: "here".into() }
}

fn draft(token: Option<Token>, reason: &str) -> Draft {
    let entry = Entry::Held { reason: reason.into() };
    Draft { operation: "run-1".into(), token, by: actor(), entry }
}

fn claim(verb: &str) -> Claim {
    Claim {
        verb: verb.into(),
        by: actor(),
        run: "run-1".into(),
        reason: Some("it's \"tuesday\" \\o/".into()),
        ttl: TTL,
        outranks: verb == "rollback",
    }
}

fn locked<T: Debug>(answer: Answer<T>) -> String {
    match answer {
        Err(PortError::Refused(failure)) if failure.kind == Kind::Locked => failure.to_string(),
        other => panic!("expected a refusal as locked, got {other:?}"),
    }
}

fn usage<T: Debug>(answer: Answer<T>) -> Failure {
    match answer {
        Err(PortError::Refused(failure)) if failure.kind == Kind::Usage => failure,
        other => panic!("expected a refusal as usage, got {other:?}"),
    }
}

fn reasons(records: &[Record]) -> Vec<String> {
    let reason = |record: &Record| match &record.entry {
        Entry::Held { reason } => reason.clone(),
        other => panic!("{other:?}"),
    };
    records.iter().map(reason).collect()
}

#[tokio::test]
async fn reading_creates_nothing() {
    let Some(place) = Place::new("reading_creates_nothing") else { return };
    let ledger = place.ledger();
    for stage in ["CREATE DATABASE SWITCHBACK", "CREATE SCHEMA SWITCHBACK.LEDGER"] {
        assert!(ledger.load().await.unwrap().is_empty());
        assert_eq!(ledger.lease().await.unwrap(), None);
        let found = SnowflakeLedger::environments(&place.sessions, &tag(), &home()).await;
        assert!(found.unwrap().is_empty());
        locked(ledger.renew(Token(1), TTL).await);
        locked(ledger.append(draft(Some(Token(1)), "x")).await);
        ledger.release(Token(1)).await.unwrap();
        place.emulator.sql(stage);
    }
    assert_eq!(place.sent("CREATE"), 0);
}

#[tokio::test]
async fn records_are_numbered_and_read_back_by_environment() {
    let Some(place) = Place::new("records_are_numbered") else { return };
    let ledger = place.ledger();
    let hard = "it's \"q\" \\ \\n \n é 😀 $$ {x} ; -- /*";
    for (n, reason) in (1..).zip(["a", hard, "c"]) {
        assert_eq!(ledger.append(draft(None, reason)).await.unwrap().seq, n);
    }
    place.ledger_of("shop").append(draft(None, "other")).await.unwrap();
    let records = place.ledger().load().await.unwrap();
    assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(reasons(&records), ["a", hard, "c"]);
    assert!(records.is_sorted_by_key(|r| r.at));
    let kept = place.emulator.sql("SHOW TABLES IN SCHEMA SWITCHBACK.LEDGER");
    assert!(kept.iter().flatten().flatten().all(|cell| cell != "TRANSIENT"), "{kept:?}");
    assert_eq!(kept.len(), 2);
}

#[tokio::test]
async fn environments_are_listed_from_the_first_word_on() {
    let Some(place) = Place::new("environments_are_listed") else { return };
    place.ledger_of("HELD").append(draft(None, "x")).await.unwrap();
    let shop = place.ledger();
    let lease = shop.acquire(claim("deploy")).await.unwrap();
    let listed =
        async || SnowflakeLedger::environments(&place.sessions, &tag(), &home()).await.unwrap();
    assert_eq!(listed().await, ["HELD", "SHOP"]);
    shop.release(lease.token).await.unwrap();
    assert_eq!(listed().await, ["HELD", "SHOP"]);
}

#[tokio::test]
async fn the_second_run_is_told_whose_the_lease_is() {
    let Some(place) = Place::new("the_second_run_is_told") else { return };
    let (one, two) = (place.ledger(), place.ledger());
    let lease = one.acquire(claim("deploy")).await.unwrap();
    assert_eq!(lease.token, Token(1));
    assert_eq!((lease.expires_at - lease.taken_at).num_seconds(), 600);
    let said = locked(two.acquire(claim("deploy")).await);
    for part in ["deploy by ada on here", "run-1", "since", "until", "tuesday"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(two.lease().await.unwrap(), Some(lease));
    let other = place.ledger_of("OTHER").acquire(claim("deploy")).await.unwrap();
    assert_eq!(other.token, Token(1), "another environment is another lease");
}

#[tokio::test]
async fn the_token_grows_across_releases_and_even_a_lost_table_of_leases() {
    let Some(place) = Place::new("the_token_grows") else { return };
    let ledger = place.ledger();
    let first = ledger.acquire(claim("deploy")).await.unwrap();
    ledger.append(draft(Some(first.token), "a")).await.unwrap();
    ledger.release(first.token).await.unwrap();
    ledger.release(first.token).await.unwrap();
    assert_eq!(ledger.lease().await.unwrap(), None);
    let said = locked(ledger.append(draft(Some(first.token), "b")).await);
    assert!(said.contains("it was given back"), "{said}");
    locked(ledger.renew(first.token, TTL).await);
    place.emulator.sql("DROP TABLE SWITCHBACK.LEDGER.LEASES");
    let second = ledger.acquire(claim("deploy")).await.unwrap();
    assert_eq!(second.token, Token(2));
    place.emulator.sql("DELETE FROM SWITCHBACK.LEDGER.LEASES");
    locked(ledger.append(draft(Some(second.token), "c")).await);
    assert_eq!(reasons(&ledger.load().await.unwrap()), ["a"]);
}

#[tokio::test]
async fn an_expired_lease_is_free_and_its_old_holder_is_fenced_off() {
    let Some(place) = Place::new("an_expired_lease_is_free") else { return };
    let (asleep, awake) = (place.ledger(), place.ledger());
    let old = asleep.acquire(claim("deploy")).await.unwrap();
    place.emulator.forward(590);
    locked(awake.acquire(claim("deploy")).await);
    asleep.renew(old.token, TTL).await.unwrap();
    place.emulator.forward(590);
    locked(awake.acquire(claim("deploy")).await);
    place.emulator.forward(20);
    assert_eq!(awake.lease().await.unwrap(), None);
    let new = awake.acquire(claim("deploy")).await.unwrap();
    assert!(new.token > old.token);
    locked(asleep.renew(old.token, TTL).await);
    let said = locked(asleep.append(draft(Some(old.token), "late")).await);
    assert!(said.contains("has taken it"), "{said}");
    asleep.release(old.token).await.unwrap();
    assert_eq!(awake.lease().await.unwrap(), Some(new));
}

#[tokio::test]
async fn of_many_first_users_at_once_one_wins() {
    let Some(place) = Place::new("of_many_first_users") else { return };
    let sessions: Vec<_> = (0..4).map(|_| place.emulator.sessions()).collect();
    let ledger =
        |sessions: &Sessions| SnowflakeLedger::new(sessions.clone(), tag(), home(), "SHOP".into());
    let ledgers: Vec<_> = sessions.iter().map(ledger).collect();
    for round in 1..=3 {
        let (a, b, c, d) = tokio::join!(
            ledgers[0].acquire(claim("deploy")),
            ledgers[1].acquire(claim("deploy")),
            ledgers[2].acquire(claim("deploy")),
            ledgers[3].acquire(claim("deploy")),
        );
        let (won, lost): (Vec<_>, Vec<_>) = [a, b, c, d].into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for answer in lost {
            locked(answer);
        }
        let token = won.into_iter().next().unwrap().unwrap().token;
        assert_eq!(token, Token(round));
        assert_eq!(place.count("LEASES"), "1");
        ledgers[0].release(token).await.unwrap();
    }
    // What nobody fences may be written at the same moment; nothing is lost, and all is numbered.
    let (a, b, c, d) = tokio::join!(
        ledgers[0].append(draft(None, "x")),
        ledgers[1].append(draft(None, "x")),
        ledgers[2].append(draft(None, "x")),
        ledgers[3].append(draft(None, "x")),
    );
    assert!([a, b, c, d].iter().all(Result::is_ok));
    let seqs: Vec<_> = ledgers[0].load().await.unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_damaged_or_newer_lease_is_named() {
    let Some(place) = Place::new("a_damaged_or_newer_lease") else { return };
    let ledger = place.ledger();
    ledger.acquire(claim("deploy")).await.unwrap();
    for (text, says) in [("{", "HOLDER"), ("{\"v\":9}", "newer Switchback")] {
        place.emulator.sql(&format!("UPDATE SWITCHBACK.LEDGER.LEASES SET HOLDER = '{text}'"));
        let error = ledger.lease().await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
