//! Locks that keep everybody out of what is renamed: in which order they are asked for, how long one
//! attempt waits, and how long everybody else is let through before the next.
//!
//! Readers lock what they name one after another. Whoever locks in another order waits for a reader
//! that waits for him, until one gives up: we do, soon, and ask first for what held us up. The readers
//! that come next then wait there with nothing in their hands, and the ones before them come to their
//! end. Only what is asked for first is waited for at length: nobody can be waiting for us there.
//!
//! Invariant: an attempt ends before the server looks for deadlocks, which would hit readers too.
//! May import `adapter::sql` and this adapter's files.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::contents::Listed;
use super::{sql, words};
use crate::adapter::sql::identifier;

/// How long the first attempt waits.
const SHORTEST: Duration = Duration::from_millis(10);
/// How long an attempt waits at most.
const LONGEST: Duration = Duration::from_millis(200);
/// How long everybody is let through between attempts at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// A relation outside live that is locked because it is made anew.
pub(super) struct Bound {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) owner: String,
}

/// A lock that is needed.
pub(super) struct Wanted {
    /// The relation's whole name.
    name: String,
    /// The statement that takes the lock and does nothing else.
    statement: String,
}

/// What was learnt from attempts that failed.
pub(super) struct Pace {
    /// What attempts failed at, the last first.
    held_up: Vec<String>,
    failed: u32,
    attempt: Duration,
    longest: Duration,
}

impl Pace {
    /// For a server that looks for deadlocks after so long.
    pub(super) fn new(deadlocks: Duration) -> Self {
        let longest = LONGEST.min(deadlocks / 3).max(Duration::from_millis(1));
        Self { held_up: Vec::new(), failed: 0, attempt: SHORTEST.min(longest), longest }
    }

    /// Puts what held earlier attempts up first.
    fn order(&self, wanted: &mut [Wanted]) {
        let place = |one: &Wanted| self.held_up.iter().position(|name| *name == one.name);
        wanted.sort_by_key(|one| place(one).unwrap_or(usize::MAX));
    }

    /// Learns from an attempt that failed after so many locks, at that relation.
    fn learn(&mut self, taken: usize, name: &str) {
        if taken == 0 {
            self.attempt = (self.attempt * 2).min(self.longest);
        } else {
            self.held_up.retain(|one| one != name);
            self.held_up.insert(0, name.to_owned());
        }
    }

    /// How long everybody is let through after one more failure; `chance` is at most 1, so that
    /// attempts and readers do not fall into step.
    pub(super) fn pause(&mut self, chance: f64) -> Duration {
        self.failed = self.failed.saturating_add(1);
        let grown = Duration::from_millis(2) * self.failed.min(1_000);
        let pause = grown.max(if self.failed > 2 { self.attempt * 2 } else { Duration::ZERO });
        pause.min(LONGEST_PAUSE).mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

/// Something between 0 and 1 that differs each time.
pub(super) fn chance() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    f64::from(now.subsec_nanos() / 100 % 1_000) / 1_000.0
}

/// How long the server waits before it looks for deadlocks.
pub(super) async fn deadlocks_after(client: &Client) -> Result<Duration, tokio_postgres::Error> {
    let sql = "SELECT setting::bigint FROM pg_settings WHERE name = 'deadlock_timeout'";
    let row = client.query_one(sql, &[]).await?;
    Ok(Duration::from_millis(u64::try_from(row.get::<_, i64>(0)).unwrap_or(1_000)))
}

/// The locks, in the order in which readers of views take them: what reads before what is read.
pub(super) fn wanted(bound: &[Bound], listed: &[Listed]) -> Vec<Wanted> {
    let outside = bound.iter().map(|one| (one.name.clone(), one.kind.as_str(), one.owner.as_str()));
    let mut inside: Vec<&Listed> = listed.iter().collect();
    // A view is made after what it reads.
    inside.sort_by_key(|one| std::cmp::Reverse(one.oid));
    let inside = inside
        .into_iter()
        .map(|one| (sql::name(&one.schema, &one.name), one.kind.as_str(), one.owner.as_str()));
    let (mut views, mut tables) = (Vec::new(), Vec::new());
    for (name, kind, owner) in outside.chain(inside) {
        if matches!(kind, "r" | "p") {
            let statement = format!("LOCK TABLE ONLY {name} IN ACCESS EXCLUSIVE MODE");
            tables.push(Wanted { name, statement });
        } else {
            // Changes nothing, and locks the view alone: LOCK TABLE would lock what it reads too.
            let statement = format!("ALTER TABLE {name} OWNER TO {}", identifier(owner));
            views.push(Wanted { name, statement });
        }
    }
    views.append(&mut tables);
    views
}

/// One attempt to take all locks, in a transaction that is open.
pub(super) async fn take(
    client: &Client,
    mut wanted: Vec<Wanted>,
    pace: &mut Pace,
) -> Result<(), tokio_postgres::Error> {
    pace.order(&mut wanted);
    let mut text = format!("SET LOCAL lock_timeout TO '{}ms'", pace.attempt.as_millis());
    for one in &wanted {
        text.push_str(";\n");
        text.push_str(&one.statement);
    }
    let mut said = 0;
    match count(client, &text, &mut said).await {
        Ok(()) => {
            // For what comes under these locks.
            let text = format!("SET LOCAL lock_timeout TO '{}ms'", pace.longest.as_millis());
            client.batch_execute(&text).await
        }
        Err(error) => {
            if words::is_locked_out(&error)
                && let Some(taken) = usize::checked_sub(said, 1)
                && let Some(one) = wanted.get(taken)
            {
                pace.learn(taken, &one.name);
            }
            Err(error)
        }
    }
}

/// Says statements and counts those that were done.
async fn count(client: &Client, text: &str, said: &mut usize) -> Result<(), tokio_postgres::Error> {
    let mut answers = std::pin::pin!(client.simple_query_raw(text).await?);
    while let Some(answer) = answers.try_next().await? {
        if let SimpleQueryMessage::CommandComplete(_) = answer {
            *said += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, kind: &str, oid: u32) -> Listed {
        let (schema, owner) = ("s".to_owned(), "ada".to_owned());
        Listed {
            schema,
            name: name.into(),
            kind: kind.into(),
            oid,
            owner,
            countable: false,
            by_value: false,
        }
    }

    fn all() -> Vec<Wanted> {
        let bound = Bound { name: "\"o\".\"v\"".into(), kind: "v".into(), owner: "bob".into() };
        let inside = [listed("a", "r", 1), listed("m", "m", 2), listed("u", "v", 3)];
        wanted(&[bound], &inside)
    }

    #[test]
    fn views_are_locked_alone_before_what_they_read_and_tables_without_their_children() {
        let statements: Vec<String> = all().into_iter().map(|one| one.statement).collect();
        assert_eq!(
            statements,
            [
                "ALTER TABLE \"o\".\"v\" OWNER TO \"bob\"",
                "ALTER TABLE \"s\".\"u\" OWNER TO \"ada\"",
                "ALTER TABLE \"s\".\"m\" OWNER TO \"ada\"",
                "LOCK TABLE ONLY \"s\".\"a\" IN ACCESS EXCLUSIVE MODE"
            ]
        );
    }

    #[test]
    fn what_held_an_attempt_up_comes_first_in_the_next() {
        let mut pace = Pace::new(Duration::from_secs(1));
        pace.learn(3, "\"s\".\"a\"");
        pace.learn(1, "\"s\".\"m\"");
        let mut wanted = all();
        pace.order(&mut wanted);
        let names: Vec<&str> = wanted.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["\"s\".\"m\"", "\"s\".\"a\"", "\"o\".\"v\"", "\"s\".\"u\""]);
        assert_eq!(pace.attempt, SHORTEST);
    }

    #[test]
    fn only_what_is_asked_for_first_is_waited_for_longer_and_never_until_deadlocks_are_looked_for()
    {
        let mut pace = Pace::new(Duration::from_millis(300));
        for _ in 0..10 {
            pace.learn(0, "a");
        }
        assert_eq!(pace.attempt, Duration::from_millis(100));
        assert!(pace.held_up.is_empty());
    }

    #[test]
    fn pauses_grow_with_failures_and_stay_below_half_a_second() {
        let mut pace = Pace::new(Duration::from_secs(1));
        assert!(pace.pause(1.0) <= Duration::from_millis(2));
        let later: Vec<Duration> = (0..2_000).map(|_| pace.pause(1.0)).collect();
        assert!(later.is_sorted());
        assert_eq!(later.last(), Some(&LONGEST_PAUSE));
        assert!((0.0..=1.0).contains(&chance()));
    }
}
