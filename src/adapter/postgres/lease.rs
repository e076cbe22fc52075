//! The lease: one row per environment that says who, when and why, and an advisory lock on a
//! session of its own that says that the holder lives.
//!
//! Invariants: a token is higher than every one before it. Whoever changes something tests the
//! token in the same transaction and shares the row's key until its end: extending a lease does not
//! wait for that, taking it does. So once a lease was taken nothing can be committed under the old
//! one.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio_postgres::{GenericClient, Row};

use super::words;
use crate::domain::journal::Actor;
use crate::domain::name::RunId;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, Claim, Lease, PortError, Token};

/// The schema of the journal and the leases.
pub(super) const SCHEMA: &str = "switchback";

/// The verbs that a rollback takes the lease from.
const OUTRANKED: &[&str] = &["deploy", "build", "promote", "prune"];

/// Makes the ledger. The second unique key makes the token a part of what `FOR KEY SHARE` protects.
pub(super) const CREATE: &str = "\
SELECT pg_advisory_xact_lock(8247332451);
CREATE SCHEMA IF NOT EXISTS switchback;
CREATE TABLE IF NOT EXISTS switchback.journal (
  environment text NOT NULL, seq bigint NOT NULL, record json NOT NULL,
  PRIMARY KEY (environment, seq));
CREATE TABLE IF NOT EXISTS switchback.leases (
  environment text PRIMARY KEY, token bigint NOT NULL DEFAULT 0, holder json,
  taken_at timestamptz, expires_at timestamptz, slots text[] NOT NULL DEFAULT '{}',
  UNIQUE (environment, token));
DO $$ BEGIN
  IF obj_description('switchback'::regnamespace, 'pg_namespace') IS NULL THEN
    COMMENT ON SCHEMA switchback IS 'Switchback''s ledger: what was deployed, and who may deploy. Do not drop it.';
  END IF;
END $$;";

/// The part of a lease that people wrote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Holder {
    verb: String,
    by: Actor,
    run: RunId,
    reason: Option<String>,
}

impl Holder {
    pub(super) fn of(claim: &Claim) -> Self {
        Self {
            verb: claim.verb.clone(),
            by: claim.by.clone(),
            run: claim.run.clone(),
            reason: claim.reason.clone(),
        }
    }
}

/// A lease as its row has it, also one that is over: token, holder, `taken_at`, `expires_at`.
pub(super) fn of(row: &Row) -> Answer<Option<Lease>> {
    let read = |error| words::refused("reading the lease", &error);
    let token: i64 = row.try_get(0).map_err(read)?;
    let (holder, taken_at, expires_at): (
        Option<String>,
        Option<DateTime<Utc>>,
        Option<DateTime<Utc>>,
    ) = (
        row.try_get(1).map_err(read)?,
        row.try_get(2).map_err(read)?,
        row.try_get(3).map_err(read)?,
    );
    let (Some(holder), Some(taken_at), Some(expires_at)) = (holder, taken_at, expires_at) else {
        return Ok(None);
    };
    let holder: Holder = serde_json::from_str(&holder).map_err(|error| {
        PortError::Refused(
            Failure::new(
                Kind::Unexpected,
                format!("the lease in {SCHEMA}.leases cannot be read: {error}"),
            )
            .next("run the newer version of Switchback that wrote it"),
        )
    })?;
    Ok(Some(Lease {
        token: Token(u64::try_from(token).unwrap_or(0)),
        verb: holder.verb,
        by: holder.by,
        run: holder.run,
        reason: holder.reason,
        taken_at,
        expires_at,
    }))
}

/// The key of the advisory lock that the holder of a token keeps.
pub(super) fn alive_key(environment: &str, token: Token) -> i64 {
    let digest = Sha256::digest(format!("switchback lease {} of {environment}", token.0));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(bytes)
}

/// Refuses unless `token` is the lease's, and keeps it so until the transaction ends.
pub(super) async fn fence(tx: &impl GenericClient, environment: &str, token: Token) -> Answer<()> {
    let found = tx
        .query_opt(
            "SELECT token, holder::text, taken_at, expires_at FROM switchback.leases \
             WHERE environment = $1 FOR KEY SHARE",
            &[&environment],
        )
        .await
        .map_err(|error| words::refused_by_the_ledger("testing the lease", &error))?;
    let lease = found.as_ref().map(of).transpose()?.flatten();
    if lease.as_ref().is_some_and(|lease| lease.token == token) {
        return Ok(());
    }
    Err(PortError::Refused(lost(lease.as_ref())))
}

/// The refusal of a run whose lease is another's.
pub(super) fn lost(holder: Option<&Lease>) -> Failure {
    let message = match holder {
        Some(holder) => {
            format!("this run no longer has the lease: {} has taken it", describe(holder))
        }
        None => "this run no longer has the lease: it was given back".to_owned(),
    };
    Failure::new(Kind::Locked, message).next(
        "see what is live with `switchback status`; once the other run has ended, run the same \
         command again",
    )
}

/// The refusal of a run that finds the lease taken.
pub(super) fn taken(holder: &Lease) -> Failure {
    let next = if OUTRANKED.contains(&holder.verb.as_str()) {
        "wait for it to end and run the same command again; if production is wrong now, \
         `switchback rollback --reason …` takes over from it"
    } else {
        "wait for it to end (`switchback status` shows it), then run the same command again"
    };
    Failure::new(Kind::Locked, format!("another run has the lease: {}", describe(holder)))
        .next(next)
}

/// Whether a rollback may take the lease from this holder.
pub(super) fn is_outranked(holder: &Lease) -> bool {
    OUTRANKED.contains(&holder.verb.as_str())
}

/// A length of time as PostgreSQL reads it.
pub(super) fn interval(ttl: Duration) -> String {
    format!("{} milliseconds", ttl.as_millis())
}

fn describe(lease: &Lease) -> String {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let why =
        lease.reason.as_ref().map_or_else(String::new, |reason| format!(", because: {reason}"));
    format!(
        "{} by {}, run {}, since {} until {} unless renewed{why}",
        lease.verb,
        lease.by,
        lease.run,
        time(lease.taken_at),
        time(lease.expires_at),
    )
}
