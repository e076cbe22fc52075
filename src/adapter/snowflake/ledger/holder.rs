//! The lease's row: who holds it, and the sentences about that.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::cells::Cells;
use crate::domain::journal::Actor;
use crate::domain::name::RunId;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, Claim, Lease, PortError, Token};

const VERSION: u32 = 1;

/// The verbs from which a run that outranks them may take the lease.
pub(super) const OUTRANKED: [&str; 3] = ["deploy", "build", "promote"];

/// What the column HOLDER says; the rest of the lease stands in columns that the server computes.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    v: u32,
    verb: String,
    by: Actor,
    run: RunId,
    reason: Option<String>,
}

/// The holder that a claim makes, as JSON.
pub(super) fn text(claim: &Claim) -> serde_json::Result<String> {
    serde_json::to_string(&Holder {
        v: VERSION,
        verb: claim.verb.clone(),
        by: claim.by.clone(),
        run: claim.run.clone(),
        reason: claim.reason.clone(),
    })
}

/// The environment's row.
#[derive(Debug)]
pub(super) struct Row {
    /// The last token given out.
    pub(super) token: Token,
    /// Who has it, or had it until it expired.
    pub(super) lease: Option<Lease>,
    /// Whether the holder's time is not over, by the server's clock.
    pub(super) alive: bool,
    /// Whether a cutover has begun and not ended.
    pub(super) cutover: bool,
    /// The claim that was granted last.
    pub(super) claim: Option<String>,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Reads the row that [`super::sql::Statements::lease`] asks for.
pub(super) fn read(row: &Cells<'_>, place: &str) -> Answer<Row> {
    let token = Token(row.number(0)?);
    let lease = match row.maybe(1) {
        None => None,
        Some(text) => {
            let holder = holder(text, place)?;
            Some(Lease {
                token,
                verb: holder.verb,
                by: holder.by,
                run: holder.run,
                reason: holder.reason,
                taken_at: row.instant(2)?,
                expires_at: row.instant(3)?,
            })
        }
    };
    Ok(Row {
        token,
        lease,
        cutover: row.truth(4)?,
        claim: row.maybe(5).map(str::to_owned),
        alive: row.truth(6)?,
    })
}

fn holder(text: &str, place: &str) -> Answer<Holder> {
    if let Ok(Versioned { v }) = serde_json::from_str(text)
        && v > VERSION
    {
        return Err(PortError::Refused(
            Failure::usage(format!(
                "the lease in {place} was written by a newer Switchback (format {v}, this one \
                 knows {VERSION})"
            ))
            .next("run the newer version of Switchback"),
        ));
    }
    serde_json::from_str(text).map_err(|error| {
        PortError::Refused(
            Failure::new(
                Kind::Unexpected,
                format!("the lease in {place} cannot be read: HOLDER is no holder: {error}"),
            )
            .next(
                "make sure that no other Switchback runs, then set HOLDER to NULL in that row of \
                 LEASES",
            ),
        )
    })
}

/// `deploy by ada on laptop, run 4f2a, since … until … unless renewed, because: …`.
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

/// The refusal of a run that finds the lease taken.
pub(super) fn taken(holder: &Lease, cutover: bool) -> Failure {
    let next = if cutover {
        "it is swapping right now, which takes seconds: run the same command again; should that \
         run have died, its lease ends by itself"
    } else if OUTRANKED.contains(&holder.verb.as_str()) {
        "wait for it to end and run the same command again; if production is wrong now, \
         `switchback rollback --reason …` takes over from it"
    } else {
        "wait for it to end (`switchback status` shows it), then run the same command again"
    };
    Failure::new(Kind::Locked, format!("another run has the lease: {}", describe(holder)))
        .next(next)
}

/// The refusal of a run that has lost the lease.
pub(super) fn lost(token: Token, row: Option<&Row>) -> Failure {
    let message = match row {
        Some(Row { lease: Some(holder), .. }) if holder.token != token => {
            format!("this run no longer has the lease: {} has taken it", describe(holder))
        }
        Some(row) => format!(
            "this run no longer has the lease: it was given back (token {}, the last one given \
             out is {})",
            token.0, row.token.0
        ),
        None => format!(
            "this run no longer has the lease: its row is gone from the table LEASES (token {})",
            token.0
        ),
    };
    Failure::new(Kind::Locked, message).next(
        "see what is live with `switchback status`; once the other run has ended, run the same \
         command again",
    )
}

/// The refusal of a run that found the lease free, and taken, and free again.
pub(super) fn slipped(place: &str) -> Failure {
    let message = format!("the lease in {place} was free, and yet it could not be taken");
    Failure::new(Kind::Locked, message).next("run the same command again")
}
