//! The ledger of an environment whose place depends on what is swapped: beside the databases, or in
//! the database whose schemas they are. Until that is known there is none, and nothing is in it.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;

use super::choice;
use super::ledger::{Home, SnowflakeLedger};
use super::place::Target;
use super::session::{Sessions, Tag};
use super::unit::Unit;
use crate::domain::journal::Record;
use crate::failure::Failure;
use crate::ports::{Answer, Claim, Draft, Lease, Ledger, Token};

/// The ledger, wherever it is.
pub struct PinnedLedger {
    sessions: Sessions,
    tag: Tag,
    target: Target,
    unit: Rc<Cell<Option<Unit>>>,
    found: OnceCell<SnowflakeLedger>,
}

impl PinnedLedger {
    /// `sessions` is a pool of the ledger's own.
    pub(super) fn new(
        sessions: Sessions,
        tag: Tag,
        target: Target,
        unit: Rc<Cell<Option<Unit>>>,
    ) -> Self {
        Self { sessions, tag, target, unit, found: OnceCell::new() }
    }

    fn found(&self) -> Option<&SnowflakeLedger> {
        let unit = self.unit.get()?;
        Some(self.found.get_or_init(|| {
            let schema = choice::home(unit, &self.target.base.database);
            let environment = self.target.slot(unit).0;
            SnowflakeLedger::new(
                self.sessions.clone(),
                self.tag.clone(),
                Home { schema },
                environment,
            )
        }))
    }

    fn needed(&self) -> Answer<&SnowflakeLedger> {
        self.found().ok_or_else(|| {
            Failure::usage("nothing was deployed here yet, so there is no ledger to write to")
                .next(
                    "switchback deploy; or say what is swapped with `isolation: database` or \
                     `isolation: schema` in switchback.yml",
                )
                .into()
        })
    }
}

#[async_trait(?Send)]
impl Ledger for PinnedLedger {
    async fn load(&self) -> Answer<Vec<Record>> {
        match self.found() {
            Some(ledger) => ledger.load().await,
            None => Ok(Vec::new()),
        }
    }

    async fn append(&self, draft: Draft) -> Answer<()> {
        self.needed()?.append(draft).await
    }

    async fn lease(&self) -> Answer<Option<Lease>> {
        match self.found() {
            Some(ledger) => ledger.lease().await,
            None => Ok(None),
        }
    }

    async fn acquire(&self, claim: Claim) -> Answer<Lease> {
        self.needed()?.acquire(claim).await
    }

    async fn renew(&self, token: Token, ttl: Duration) -> Answer<()> {
        self.needed()?.renew(token, ttl).await
    }

    async fn release(&self, token: Token) -> Answer<()> {
        self.needed()?.release(token).await
    }

    fn place(&self) -> String {
        self.found().map_or_else(|| "nowhere yet".to_owned(), SnowflakeLedger::place)
    }
}
