//! Errors as sentences, and the law of outcomes: what the server refused did not happen; what it
//! did not answer may have.
//!
//! May import `failure` and `ports`.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::failure::{Failure, Kind};
use crate::ports::PortError;

/// An error of a statement or of a transaction that was not being committed: it did not happen,
/// whatever became of the session, because what is not committed is undone.
#[must_use]
pub fn refused(doing: &str, error: &Error) -> PortError {
    PortError::Refused(failure(doing, error))
}

/// An error of a statement on the ledger, like [`refused`]. A lock that was not to be had says nothing
/// about whose the lease is.
#[must_use]
pub fn refused_by_the_ledger(doing: &str, error: &Error) -> PortError {
    let mut failure = failure(doing, error);
    if is_locked_out(error) {
        failure.kind = Kind::Stopped;
    }
    PortError::Refused(failure)
}

/// An error of a statement that commits by itself, or of a commit.
#[must_use]
pub fn uncertain(doing: &str, error: Error) -> PortError {
    if is_lost(&error) {
        return PortError::Unknown(anyhow::Error::new(error).context(doing.to_owned()));
    }
    refused(doing, &error)
}

/// Whether the session is gone, or the server on its way out, so that nobody can say what became
/// of a commit.
#[must_use]
pub fn is_lost(error: &Error) -> bool {
    match error.code() {
        Some(code) => {
            *code == SqlState::ADMIN_SHUTDOWN
                || *code == SqlState::CRASH_SHUTDOWN
                || code.code() == "57P05"
                || code.code().starts_with("08")
        }
        None => error.is_closed() || has_io(error),
    }
}

/// Whether it is worth trying to sign in again.
#[must_use]
pub fn is_passing(error: &Error) -> bool {
    match error.code() {
        Some(code) => {
            *code == SqlState::CANNOT_CONNECT_NOW || *code == SqlState::TOO_MANY_CONNECTIONS
        }
        None => has_io(error),
    }
}

/// Whether a lock was not to be had in time.
#[must_use]
pub fn is_locked_out(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED
    })
}

/// What the server said, with its hint where it has one.
#[must_use]
pub fn said(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let mut text = db.message().to_owned();
            for more in [db.detail(), db.hint()].into_iter().flatten() {
                text.push_str(" (");
                text.push_str(more);
                text.push(')');
            }
            text
        }
        None => with_causes(error),
    }
}

fn failure(doing: &str, error: &Error) -> Failure {
    let message = format!("{doing}: {}", said(error));
    match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Failure::usage(message)
            .next("see docs/postgres.md for the privileges that Switchback needs"),
        Some(_) if is_locked_out(error) => Failure::new(Kind::Locked, message).next(
            "wait for whoever holds the lock (pg_stat_activity shows them), then run it again",
        ),
        _ if is_lost(error) => Failure::new(
            Kind::Unexpected,
            format!("{doing}: the connection to PostgreSQL was lost ({})", said(error)),
        )
        .next("run it again once the server answers"),
        _ => Failure::new(Kind::Unexpected, message),
    }
}

/// The failure of signing in.
#[must_use]
pub fn no_session(place: &str, error: &Error) -> Failure {
    let said = said(error);
    let (kind, next) = match error.code() {
        Some(code)
            if *code == SqlState::INVALID_PASSWORD
                || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
        {
            (Kind::Usage, "correct `user` and `password` of the target in profiles.yml")
        }
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            (Kind::Usage, "correct `dbname` of the target in profiles.yml")
        }
        // Not `Locked`: that would say, where a lease is renewed, that another run has it.
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => {
            (Kind::Unexpected, "wait until the server has sessions to spare, then run it again")
        }
        _ => (
            Kind::Unexpected,
            "see whether the server runs and whether `host`, `port` and `sslmode` are right",
        ),
    };
    Failure::new(kind, format!("{place} cannot be reached: {said}")).next(next)
}

fn has_io(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(one) = cause {
        if one.is::<std::io::Error>() {
            return true;
        }
        cause = one.source();
    }
    error.to_string().contains("timed out") || error.to_string().contains("timeout")
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let more = one.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = one.source();
    }
    text
}
