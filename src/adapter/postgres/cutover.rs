//! The cutover: renames in one transaction, with everybody kept out of what is renamed.
//!
//! Without the locks a statement that names several relations can see a mixture: each name is looked
//! up on its own. The lease is tested in the same transaction. Locks (`exclusive`) are given back where
//! they cannot all be had at once, and asked for again: who reads goes first.
//!
//! Invariants: nothing outside live is locked but what is made anew; a cutover is never tried twice
//! once its commit was sent. May import `domain`, `failpoint`, `failure`, `ports` and this adapter's
//! files.

use std::time::{Duration, Instant};

use tokio_postgres::Transaction;

use super::contents;
use super::exclusive::{self, Bound, Pace};
use super::guard::{Guard, mark, same};
use super::outside::{self, Outside};
use super::warehouse::Postgres;
use super::{lease, sql, words};
use crate::domain::plan::Effect;
use crate::failpoint::{self, Action};
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Under};

/// How long readers are waited for altogether.
const PATIENCE: Duration = Duration::from_secs(60);
const DOING: &str = "swapping";

impl Postgres {
    /// Carries a swap out, or a swap back; answers what is worth a word.
    pub(super) async fn cut_over(&self, effects: &[Effect], under: &Under) -> Answer<Vec<String>> {
        let guard = self.guard.lock().await.take();
        let (mut fresh, expected) = match guard {
            Some(Guard { fresh, mark }) => (fresh, Some(mark)),
            None => (self.sessions.fresh().await?, None),
        };
        let (pid, since) = (fresh.pid, fresh.since.clone());
        // Where a guard has a transaction open, this is that one.
        let tx = fresh.begin(DOING).await?;
        lease::fence(&tx, self.environment(), under.fence).await?;
        let bound = self.swap(&tx, expected.as_deref(), effects, under).await?;
        if let Err(error) = tx.commit().await {
            return Err(self.sessions.settled(DOING, error, pid, &since).await);
        }
        // What is left is no part of the swap, which has happened.
        let checked = outside::validate(&fresh.client, &bound).await;
        Ok(checked.unwrap_or_else(|error| vec![format!("foreign keys were not checked: {error}")]))
    }

    /// Everything before the commit, again while somebody else has a lock that is needed.
    async fn swap(
        &self,
        tx: &Transaction<'_>,
        expected: Option<&str>,
        effects: &[Effect],
        under: &Under,
    ) -> Answer<Outside> {
        let no = |error| words::refused(DOING, &error);
        let guarded = |effect: &Effect| match effect {
            Effect::Guard { slot } => Some(slot.0.clone()),
            _ => None,
        };
        let lives: Vec<String> = effects.iter().filter_map(guarded).collect();
        let mut pace = Pace::new(exclusive::deadlocks_after(tx.client()).await.map_err(no)?);
        let mut cutover = Cutover { tx, lives, expected, effects, under, bound: None };
        let began = Instant::now();
        loop {
            tx.batch_execute("SAVEPOINT cutover").await.map_err(no)?;
            match self.attempt(&mut cutover, &mut pace).await {
                Err(PortError::Refused(failure)) if failure.kind == Kind::Locked => {
                    let back = "ROLLBACK TO SAVEPOINT cutover; RELEASE SAVEPOINT cutover";
                    tx.batch_execute(back).await.map_err(no)?;
                    if began.elapsed() > failpoint::wait(PATIENCE) {
                        let all = contents::relations(tx, &self.lives(), true).await.map_err(no)?;
                        return Err(self.held_up(tx.client(), &all, "read").await);
                    }
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(cutover.bound.unwrap_or_default()),
            }
            tokio::time::sleep(pace.pause(exclusive::chance())).await;
        }
    }

    async fn attempt(&self, cutover: &mut Cutover<'_>, pace: &mut Pace) -> Answer<()> {
        let no = |error| words::refused(DOING, &error);
        let (tx, lives) = (cutover.tx, &cutover.lives);
        // Takes its time, so readers are not kept out meanwhile.
        let bound = up_to_date(tx, lives, cutover.bound.take()).await?;
        let bound = cutover.bound.insert(bound);
        keep_everybody_out(tx, lives, pace).await?;
        if let Some(expected) = cutover.expected
            && mark(tx, &self.lives()).await.map_err(no)? != expected
        {
            return Err(PortError::Refused(
                Failure::stopped("production was changed after drift was judged")
                    .next("run the same command again"),
            ));
        }
        *bound = up_to_date(tx, lives, Some(std::mem::take(bound))).await?;
        meet(cutover.under, "locked")?;
        let held = schemas(tx, lives).await.map_err(no)?;
        for effect in cutover.effects {
            if let Effect::Sql { text, .. } = effect {
                tx.batch_execute(text).await.map_err(no)?;
            }
        }
        let renamed = moved(tx, held).await.map_err(no)?;
        outside::recreate(tx, bound, &renamed).await?;
        meet(cutover.under, "renamed")
    }
}

/// A cutover in its transaction.
struct Cutover<'a> {
    tx: &'a Transaction<'a>,
    lives: Vec<String>,
    /// What the catalogs must still say of live.
    expected: Option<&'a str>,
    effects: &'a [Effect],
    under: &'a Under,
    /// What outside is bound to live, once it was captured.
    bound: Option<Outside>,
}

/// What outside is bound to live now.
async fn up_to_date(
    tx: &Transaction<'_>,
    lives: &[String],
    captured: Option<Outside>,
) -> Answer<Outside> {
    match captured {
        Some(captured) if outside::still(tx.client(), &captured).await? => Ok(captured),
        _ => outside::capture(tx.client(), lives).await,
    }
}

/// Locks every relation of live, and what outside is made anew, against everybody.
async fn keep_everybody_out(tx: &Transaction<'_>, lives: &[String], pace: &mut Pace) -> Answer<()> {
    let no = |error| words::refused(DOING, &error);
    if lives.is_empty() {
        return Ok(());
    }
    let around = bound(tx, lives).await.map_err(no)?;
    let listed = contents::relations(tx, lives, true).await.map_err(no)?;
    exclusive::take(tx.client(), exclusive::wanted(&around, &listed), pace).await.map_err(no)?;
    let again = contents::relations(tx, lives, true).await.map_err(no)?;
    if same(&listed, &again) {
        return Ok(());
    }
    Err(PortError::Refused(Failure::new(Kind::Locked, "production changed while it was locked")))
}

/// The OIDs and names of schemas.
async fn schemas(
    tx: &Transaction<'_>,
    names: &[String],
) -> Result<Vec<(u32, String)>, tokio_postgres::Error> {
    let sql = "SELECT oid, nspname::text FROM pg_namespace WHERE nspname = ANY($1)";
    let rows = tx.query(sql, &[&names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The names that those schemas had and have.
async fn moved(
    tx: &Transaction<'_>,
    before: Vec<(u32, String)>,
) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    let mut moved = Vec::new();
    for (oid, name) in before {
        let sql = "SELECT nspname::text FROM pg_namespace WHERE oid = $1";
        moved.push((name, tx.query_one(sql, &[&oid]).await?.get(0)));
    }
    Ok(moved)
}

/// The places inside a cutover where tests end it.
fn meet(under: &Under, point: &str) -> Answer<()> {
    match failpoint::hit(&under.step, point) {
        Action::None => Ok(()),
        Action::Unknown => {
            Err(PortError::Unknown(anyhow::anyhow!("the connection was lost inside the cutover")))
        }
    }
}

async fn bound(
    tx: &Transaction<'_>,
    lives: &[String],
) -> Result<Vec<Bound>, tokio_postgres::Error> {
    let rows = tx.query(sql::BOUND, &[&lives]).await?;
    let bound = |row: &tokio_postgres::Row| Bound {
        name: sql::name(row.get(0), row.get(1)),
        kind: row.get(2),
        owner: row.get(3),
    };
    Ok(rows.iter().map(bound).collect())
}
