//! The journal and the lease as two tables, outside every database or schema that is swapped.
//!
//! Invariants:
//! - Reading creates nothing; a ledger that is not there is empty.
//! - Every change is one statement that carries its own condition, so there is no moment between
//!   looking and acting. The server's clock decides about expiry.
//! - A statement whose outcome is not known is settled by reading: the record's ID, the claim's
//!   nonce. Only then it is sent again, under a condition by which it cannot count twice.
//! - A session sees what it wrote itself at once, and what another session has just written perhaps
//!   a moment later (`READ_CONSISTENCY_MODE`, `/sql-reference/parameters`): so the ledger has a pool
//!   of one session, and what an answer and a look disagree about is looked at again.
//! - A token only grows; whoever lost the lease writes nothing more. (An INSERT that was on its
//!   way when the lease was taken may land just after that: it says what the old holder did, and
//!   the cutover, where it matters, is fenced by an UPDATE: see [`Fence`].)
//! - A process that died holds the lease until that expires: nobody here can see that it is dead.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

mod cells;
mod fence;
mod holder;
mod home;
mod record;
mod sql;

use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;

pub use self::fence::{Fence, Swap, TOKEN, lost};
use self::holder::Row;
pub use self::home::Home;
use self::sql::{Claimed, Part, Statements};
use crate::adapter::snowflake::session::{Sessions, Tag};
use crate::domain::journal::{Record, VERSION};
use crate::domain::name::hex;
use crate::ports::{Answer, Claim, Draft, Lease, Ledger, PortError, Rows, Token};

/// How often a statement is sent whose outcome is not known.
const ATTEMPTS: u32 = 3;

/// The ledger of one environment.
pub struct SnowflakeLedger {
    sessions: Sessions,
    tag: Tag,
    home: Home,
    environment: String,
    statements: Statements,
}

impl SnowflakeLedger {
    /// The ledger in `home` of `environment`, such as `SHOP` or `SHOP.MARTS`. Creates nothing.
    /// `sessions` is a pool of one session that is the ledger's own.
    #[must_use]
    pub fn new(sessions: Sessions, tag: Tag, home: Home, environment: String) -> Self {
        let statements = Statements::new(&home, &environment);
        Self { sessions, tag, home, environment, statements }
    }

    /// The environments that have a ledger in `home`: none where there is none.
    pub async fn environments(sessions: &Sessions, tag: &Tag, home: &Home) -> Answer<Vec<String>> {
        let any = Self::new(sessions.clone(), tag.clone(), home.clone(), String::new());
        let rows = any.read(&any.statements.environments()).await?;
        cells::rows(&rows).map(|row| row.text(0).map(str::to_owned)).collect()
    }

    /// Whether the row says that the lease is held under `token`.
    async fn holds(&self, token: Token) -> bool {
        let row = self.row().await.ok().flatten();
        row.and_then(|row| row.lease).is_some_and(|lease| lease.token == token)
    }

    /// Asks; what is not there is empty.
    async fn read(&self, query: &str) -> Answer<Rows> {
        match self.sessions.read(&self.tag, query).await {
            Err(PortError::Refused(failure)) if home::is_absent(&failure) => Ok(Rows::default()),
            Err(error) => Err(self.told(error).await),
            Ok(rows) => Ok(rows),
        }
    }

    /// Changes rows, once, and answers how many.
    async fn change(&self, statement: &str) -> Answer<u64> {
        let rows = self.sessions.write(&self.tag, statement).await?;
        // DML answers one row whose first cell counts; other statements say something in words.
        Ok(cells::rows(&rows).next().and_then(|row| row.number(0).ok()).unwrap_or(0))
    }

    /// As [`Self::change`], again where the outcome is not known; for statements that may be done
    /// twice.
    async fn repeat(&self, statement: &str) -> Answer<u64> {
        let mut attempt = 1;
        loop {
            match self.change(statement).await {
                Err(PortError::Unknown(error)) => {
                    // Whether anybody answers is found out by asking, with back-off.
                    let answers = self.sessions.read(&self.tag, "SELECT 1").await.is_ok();
                    if attempt == ATTEMPTS || !answers {
                        return Err(PortError::Unknown(error));
                    }
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Makes what is missing, the environment's row included.
    async fn make_environment(&self) -> Answer<()> {
        self.make().await?;
        match self.repeat(&self.statements.add_environment()).await {
            Err(error) => Err(self.told(error).await),
            Ok(_) => Ok(()),
        }
    }

    async fn row(&self) -> Answer<Option<Row>> {
        let rows = self.read(&self.statements.lease()).await?;
        cells::rows(&rows).next().map(|row| holder::read(&row, &self.place())).transpose()
    }

    /// The refusal of whoever lost the lease, who has it by now, if that can be told.
    async fn lost(&self, token: Token) -> PortError {
        let row = self.row().await.ok().flatten();
        PortError::Refused(holder::lost(token, row.as_ref()))
    }

    /// The first columns of a part that was written.
    async fn written(&self, part: &Part) -> Answer<Option<Rows>> {
        let rows = self.read(&self.statements.written(part)).await?;
        Ok(if rows.rows.is_empty() { None } else { Some(rows) })
    }

    /// The same for a part that has to be there.
    async fn found(&self, part: &Part) -> Answer<Rows> {
        for _ in 0..ATTEMPTS {
            match self.written(part).await {
                Ok(Some(rows)) => return Ok(rows),
                Ok(None) => {}
                Err(error) => return Err(PortError::Unknown(error_of(error))),
            }
        }
        Err(PortError::Unknown(anyhow!("a record that was written cannot be found")))
    }

    /// Writes a part, where its record's token still holds.
    async fn put(&self, part: &Part, token: Option<Token>) -> Answer<()> {
        let statement = self.statements.append(part, token);
        let mut made = false;
        let mut attempt = 1;
        loop {
            let unknown = match self.change(&statement).await {
                Ok(0) => None,
                Ok(_) => return Ok(()),
                Err(PortError::Unknown(error)) => Some(error),
                Err(PortError::Refused(failure)) if home::is_absent(&failure) && !made => {
                    if let Some(token) = token {
                        return Err(self.lost(token).await);
                    }
                    self.make().await?;
                    made = true;
                    continue;
                }
                Err(error) => return Err(self.told(error).await),
            };
            match (self.written(part).await, unknown, token) {
                (Ok(Some(_)), _, _) => return Ok(()),
                (Ok(None), None, Some(token)) => {
                    if attempt == ATTEMPTS || !self.holds(token).await {
                        return Err(self.lost(token).await);
                    }
                    attempt += 1;
                }
                (Ok(None), Some(_), _) if attempt < ATTEMPTS => attempt += 1,
                (_, Some(error), _) => return Err(PortError::Unknown(error)),
                (Err(error), None, _) => return Err(PortError::Unknown(anyhow!("{error}"))),
                (Ok(None), None, None) => {
                    let what = "Snowflake says that it wrote nothing, and nothing is there";
                    return Err(PortError::Unknown(anyhow!(what)));
                }
            }
        }
    }
}

fn refused(error: impl Into<anyhow::Error>) -> PortError {
    PortError::Refused(error.into().into())
}

/// Thirty-two random digits from the kernel.
fn nonce() -> Answer<String> {
    let mut bytes = [0u8; 16];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut bytes, flags).map_err(refused)?;
    Ok(hex(&bytes))
}

#[async_trait(?Send)]
impl Ledger for SnowflakeLedger {
    async fn load(&self) -> Answer<Vec<Record>> {
        let rows = self.read(&self.statements.journal()).await?;
        let row = |row: cells::Cells<'_>| {
            Ok(record::Row {
                seq: row.maybe(0).map(|_| row.number(0)).transpose()?,
                at: row.instant(1)?,
                id: row.text(2)?.to_owned(),
                index: row.number(3)?,
                of: row.number(4)?,
                text: row.text(5)?.to_owned(),
            })
        };
        let rows = cells::rows(&rows).map(row).collect::<Answer<Vec<_>>>()?;
        record::assemble(rows, &self.place()).map_err(PortError::Refused)
    }

    async fn append(&self, draft: Draft) -> Answer<Record> {
        let parts = record::parts(&draft, &nonce()?).map_err(refused)?;
        for part in &parts {
            self.put(part, draft.token).await?;
        }
        let head = parts.last().ok_or_else(|| refused(anyhow!("a record of no parts")))?;
        // It is there; only its number and its time are the server's.
        let rows = self.found(head).await?;
        let row = cells::rows(&rows).next();
        let row = row.ok_or_else(|| PortError::Unknown(anyhow!("a record was taken away")))?;
        Ok(Record {
            v: VERSION,
            seq: row.number(0)?,
            at: row.instant(1)?,
            operation: draft.operation,
            token: draft.token.map(|token| token.0),
            by: draft.by,
            entry: draft.entry,
        })
    }

    async fn lease(&self) -> Answer<Option<Lease>> {
        let row = self.row().await?;
        Ok(row.filter(|row| row.alive).and_then(|row| row.lease))
    }

    async fn acquire(&self, claim: Claim) -> Answer<Lease> {
        let nonce = nonce()?;
        let statement = self.statements.claim(&Claimed {
            nonce: &nonce,
            holder: &holder::text(&claim).map_err(refused)?,
            verb: &claim.verb,
            run: claim.run.as_str(),
            ttl: claim.ttl,
            outranked: if claim.outranks { &holder::OUTRANKED } else { &[] },
        });
        let (mut made, mut attempt) = (false, 1);
        loop {
            let mut granted = false;
            let unknown = match self.change(&statement).await {
                Ok(rows) => {
                    granted = rows > 0;
                    None
                }
                Err(PortError::Refused(failure)) if home::is_absent(&failure) && !made => None,
                Err(PortError::Unknown(error)) => Some(error),
                Err(error) => return Err(self.told(error).await),
            };
            // What it came to stands in the row, whatever was answered.
            let row = match self.row().await {
                Ok(row) => row,
                Err(error) => {
                    let error = unknown.unwrap_or_else(|| error_of(error));
                    return Err(PortError::Unknown(error));
                }
            };
            match (row, unknown) {
                (Some(Row { claim: Some(claim), lease: Some(lease), .. }), _) if claim == nonce => {
                    return Ok(lease);
                }
                (_, unknown) if (granted || unknown.is_some()) && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                (_, Some(error)) => return Err(PortError::Unknown(error)),
                (Some(Row { alive: true, lease: Some(lease), cutover, .. }), None) => {
                    return Err(PortError::Refused(holder::taken(&lease, cutover)));
                }
                (None, None) if !made => {
                    self.make_environment().await?;
                    made = true;
                }
                // Free by now: given back or expired since the statement looked.
                (_, None) if attempt < ATTEMPTS => attempt += 1,
                (_, None) => return Err(PortError::Refused(holder::slipped(&self.place()))),
            }
        }
    }

    async fn renew(&self, token: Token, ttl: Duration) -> Answer<()> {
        match self.repeat(&self.statements.renew(token, ttl)).await {
            Ok(0) => Err(self.lost(token).await),
            Err(PortError::Refused(failure)) if home::is_absent(&failure) => {
                Err(self.lost(token).await)
            }
            Err(error) => Err(self.told(error).await),
            Ok(_) => Ok(()),
        }
    }

    async fn release(&self, token: Token) -> Answer<()> {
        match self.repeat(&self.statements.release(token)).await {
            Err(PortError::Refused(failure)) if home::is_absent(&failure) => Ok(()),
            Err(error) => Err(self.told(error).await),
            Ok(_) => Ok(()),
        }
    }

    fn place(&self) -> String {
        format!("{} (environment {})", self.home.schema, self.environment)
    }
}

fn error_of(error: PortError) -> anyhow::Error {
    match error {
        PortError::Refused(failure) => failure.into(),
        PortError::Unknown(error) => error,
    }
}

#[cfg(test)]
mod tests;
