//! The journal and the lease, as the engine and the verbs need them.
//!
//! May import `domain` and its siblings.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Answer, Token};
use crate::domain::journal::{Actor, Entry, Record};
use crate::domain::name::RunId;

/// Who holds the right to change an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The fencing token.
    pub token: Token,
    /// What the holder is doing, such as `deploy`.
    pub verb: String,
    /// Who.
    pub by: Actor,
    /// The holder's run.
    pub run: RunId,
    /// Why, in the holder's words.
    pub reason: Option<String>,
    /// Since when.
    pub taken_at: DateTime<Utc>,
    /// Until when, unless renewed.
    pub expires_at: DateTime<Utc>,
}

/// The wish to hold the lease.
#[derive(Clone, Debug)]
pub struct Claim {
    /// As in [`Lease`].
    pub verb: String,
    /// As in [`Lease`].
    pub by: Actor,
    /// As in [`Lease`].
    pub run: RunId,
    /// As in [`Lease`].
    pub reason: Option<String>,
    /// How long it lasts without renewal.
    pub ttl: Duration,
    /// Whether it may be taken from a holder that is alive (a rollback outranks a deploy).
    pub outranks: bool,
}

/// A record that has not been given its place in the journal yet.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The operation it belongs to.
    pub operation: RunId,
    /// The token it is written under; entries without one are not fenced.
    pub token: Option<Token>,
    /// Who writes it.
    pub by: Actor,
    /// What it says.
    pub entry: Entry,
}

/// The append-only journal and the lease, outside every slot that is swapped.
#[async_trait(?Send)]
pub trait Ledger {
    /// Every record, oldest first. A torn last line (a crash while writing) is left out.
    async fn load(&self) -> Answer<Vec<Record>>;

    /// Appends durably. Refused with [`crate::failure::Kind::Locked`] when the draft's token is
    /// no longer the lease's.
    async fn append(&self, draft: Draft) -> Answer<()>;

    /// The lease, unless it is free, has expired or its holder is known to be dead.
    async fn lease(&self) -> Answer<Option<Lease>>;

    /// Takes the lease. Refused with [`crate::failure::Kind::Locked`] when another run has it.
    async fn acquire(&self, claim: Claim) -> Answer<Lease>;

    /// Extends the lease by `ttl` from now. Refused with [`crate::failure::Kind::Locked`] when it
    /// was lost.
    async fn renew(&self, token: Token, ttl: Duration) -> Answer<()>;

    /// Gives the lease back; no error if it was lost already.
    async fn release(&self, token: Token) -> Answer<()>;

    /// Where a person finds the ledger.
    fn place(&self) -> String;
}
