//! The cutover: renames in one transaction, with everybody kept out of what is renamed.
//!
//! Without the locks a statement that names several relations can see a mixture: each name is looked
//! up on its own. The lease is tested in the same transaction. Locks are asked for with a time-out
//! shorter than the server takes to look for deadlocks, given back where they cannot all be had at
//! once, and asked for again: who reads goes first.
//!
//! Invariants: nothing outside live is locked but what is made anew; a cutover is never tried twice
//! once its commit was sent. May import `domain`, `failpoint`, `failure`, `ports` and this adapter's
//! files.

use std::time::{Duration, Instant};

use tokio_postgres::Transaction;

use super::contents::{self, Listed};
use super::guard::{Guard, mark, same};
use super::session::Fresh;
use super::warehouse::Postgres;
use super::{lease, outside, sql, words};
use crate::adapter::sql::identifier;
use crate::domain::plan::Effect;
use crate::failpoint::{self, Action};
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Under};

/// How long one attempt waits for a reader. Deadlocks are looked for after a second.
const ATTEMPT: Duration = Duration::from_millis(200);
/// How long readers are waited for altogether.
const PATIENCE: Duration = Duration::from_secs(60);
const DOING: &str = "swapping";

/// A relation outside live that is locked because it is made anew.
struct Bound {
    name: String,
    kind: String,
    owner: String,
}

impl Postgres {
    /// Carries a swap out, or a swap back.
    pub(super) async fn cut_over(&self, effects: &[Effect], under: &Under) -> Answer<()> {
        let guard = self.guard.lock().await.take();
        let (mut fresh, expected) = match guard {
            Some(Guard { fresh, mark }) => (fresh, Some(mark)),
            None => (self.sessions.fresh().await?, None),
        };
        let (pid, since) = (fresh.pid, fresh.since.clone());
        match self.swap(&mut fresh, expected.as_deref(), effects, under).await {
            Ok(()) => Ok(()),
            Err(Cut::Before(error)) => Err(error),
            Err(Cut::AtCommit(error)) => {
                Err(self.sessions.settled(DOING, error, pid, &since).await)
            }
        }
    }

    async fn swap(
        &self,
        fresh: &mut Fresh,
        expected: Option<&str>,
        effects: &[Effect],
        under: &Under,
    ) -> Result<(), Cut> {
        let no = |error| Cut::Before(words::refused(DOING, &error));
        let guarded = |effect: &Effect| match effect {
            Effect::Guard { slot } => Some(slot.0.clone()),
            _ => None,
        };
        let lives: Vec<String> = effects.iter().filter_map(guarded).collect();
        // Where a guard has a transaction open, this is that one.
        let tx = fresh.begin(DOING).await.map_err(Cut::Before)?;
        lease::fence(&tx, self.environment(), under.fence).await.map_err(Cut::Before)?;
        self.keep_everybody_out(&tx, &lives).await.map_err(Cut::Before)?;
        if let Some(expected) = expected
            && mark(&tx, &self.lives()).await.map_err(no)? != expected
        {
            return Err(Cut::Before(PortError::Refused(
                Failure::stopped("production was changed after drift was judged")
                    .next("run the same command again"),
            )));
        }
        let bound = if lives.is_empty() {
            None
        } else {
            Some(outside::capture(tx.client(), &lives).await.map_err(Cut::Before)?)
        };
        meet(under, "locked")?;
        let held = schemas(&tx, &lives).await.map_err(no)?;
        for effect in effects {
            if let Effect::Sql { text, .. } = effect {
                tx.batch_execute(text).await.map_err(no)?;
            }
        }
        let renamed = moved(&tx, held).await.map_err(no)?;
        if let Some(bound) = &bound {
            outside::recreate(&tx, bound, &renamed).await.map_err(Cut::Before)?;
        }
        meet(under, "renamed")?;
        tx.commit().await.map_err(Cut::AtCommit)
    }

    /// Locks every relation of live, and what outside is made anew, against everybody.
    async fn keep_everybody_out(&self, tx: &Transaction<'_>, lives: &[String]) -> Answer<()> {
        let no = |error| words::refused(DOING, &error);
        if lives.is_empty() {
            return Ok(());
        }
        let lives = lives.to_vec();
        let timeout = format!("SET LOCAL lock_timeout TO '{}ms'", ATTEMPT.as_millis());
        tx.batch_execute(&timeout).await.map_err(no)?;
        let began = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let bound = bound(tx, &lives).await.map_err(no)?;
            let listed = contents::relations(tx, &lives, true).await.map_err(no)?;
            tx.batch_execute("SAVEPOINT locks").await.map_err(no)?;
            match tx.batch_execute(&exclusive_locks(&bound, &listed)).await {
                Ok(()) => {
                    let again = contents::relations(tx, &lives, true).await.map_err(no)?;
                    if same(&listed, &again) && self.bound_to(tx, &lives, bound.len()).await? {
                        return Ok(());
                    }
                }
                Err(error) if words::is_locked_out(&error) && began.elapsed() < PATIENCE => {}
                Err(error) if words::is_locked_out(&error) => {
                    tx.batch_execute("ROLLBACK TO SAVEPOINT locks").await.map_err(no)?;
                    return Err(self.held_up(tx.client(), &listed, "read").await);
                }
                Err(error) => return Err(no(error)),
            }
            tx.batch_execute("ROLLBACK TO SAVEPOINT locks").await.map_err(no)?;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn bound_to(&self, tx: &Transaction<'_>, lives: &[String], many: usize) -> Answer<bool> {
        let again = bound(tx, lives).await.map_err(|error| words::refused(DOING, &error))?;
        Ok(again.len() == many)
    }
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

/// How a cutover ended early.
enum Cut {
    Before(PortError),
    AtCommit(tokio_postgres::Error),
}

/// The places inside a cutover where tests end it.
fn meet(under: &Under, point: &str) -> Result<(), Cut> {
    match failpoint::hit(&under.step, point) {
        Action::None => Ok(()),
        Action::Unknown => Err(Cut::Before(PortError::Unknown(anyhow::anyhow!(
            "the connection was lost inside the cutover"
        )))),
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

/// What is bound to live comes first: who reads it has a lock on it before one on live.
fn exclusive_locks(bound: &[Bound], listed: &[Listed]) -> String {
    let outside = bound.iter().map(|one| (one.name.clone(), one.kind.as_str(), one.owner.as_str()));
    let inside = listed
        .iter()
        .map(|one| (sql::name(&one.schema, &one.name), one.kind.as_str(), one.owner.as_str()));
    let (mut tables, mut statements) = (Vec::new(), Vec::new());
    for (name, kind, owner) in outside.chain(inside) {
        if matches!(kind, "r" | "p") {
            tables.push(format!("ONLY {name}"));
        } else {
            // Changes nothing, and locks the view alone: LOCK TABLE would lock what it reads too.
            statements.push(format!("ALTER TABLE {name} OWNER TO {}", identifier(owner)));
        }
    }
    if !tables.is_empty() {
        statements.push(format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", ")));
    }
    statements.join(";\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_locked_alone_and_tables_without_their_children() {
        let listed = |name: &str, kind: &str| Listed {
            schema: "s".into(),
            name: name.into(),
            kind: kind.into(),
            oid: 1,
            owner: "ada".into(),
            countable: false,
        };
        let bound = Bound { name: "\"o\".\"v\"".into(), kind: "v".into(), owner: "bob".into() };
        assert_eq!(
            exclusive_locks(&[bound], &[listed("a", "r"), listed("m", "m"), listed("b", "p")]),
            "ALTER TABLE \"o\".\"v\" OWNER TO \"bob\";\n\
             ALTER TABLE \"s\".\"m\" OWNER TO \"ada\";\n\
             LOCK TABLE ONLY \"s\".\"a\", ONLY \"s\".\"b\" IN ACCESS EXCLUSIVE MODE"
        );
    }
}
