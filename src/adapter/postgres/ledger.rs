//! The journal and the lease of one environment, in the schema `switchback` of its database.
//!
//! Invariants: reading creates nothing; `seq` counts from 1 without gaps, given out under a lock;
//! what is fenced is tested in the transaction that writes it.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::connect::Connector;
use super::guard::guard_name;
use super::lease::{self, Holder};
use super::session::Sessions;
use super::words;
use crate::domain::journal::{Record, VERSION};
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, Claim, Draft, Lease, Ledger, PortError, Token};

const ROW: &str = "SELECT token, holder::text, taken_at, expires_at FROM switchback.leases \
                   WHERE environment = $1";

/// The ledger of one environment.
pub struct SchemaLedger {
    sessions: Sessions,
    environment: String,
    /// Held for as long as this process lives, so that the server can say that it does.
    alive: Mutex<Option<(Token, Client)>>,
}

impl SchemaLedger {
    /// The ledger of the environment whose base schema is `environment`. Connects to nothing.
    #[must_use]
    pub fn open(connector: Connector, environment: impl Into<String>) -> Self {
        Self {
            sessions: Sessions::new(connector),
            environment: environment.into(),
            alive: Mutex::new(None),
        }
    }

    async fn is_there(&self) -> Answer<bool> {
        let sql = "SELECT to_regclass('switchback.journal') IS NOT NULL \
                   AND to_regclass('switchback.leases') IS NOT NULL";
        let rows = self.sessions.ask("looking for the ledger", sql, &[]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Makes the ledger and this environment's row, where they are not there yet.
    async fn create(&self) -> Answer<()> {
        let doing = "creating the ledger in the schema `switchback`";
        if !self.is_there().await? {
            let mut fresh = self.sessions.fresh().await?;
            let tx = fresh.begin(doing).await?;
            tx.batch_execute(lease::CREATE).await.map_err(|e| words::refused(doing, &e))?;
            tx.commit().await.map_err(|e| words::uncertain(doing, e))?;
        }
        let sql = "INSERT INTO switchback.leases (environment) VALUES ($1) ON CONFLICT DO NOTHING";
        let client = self.sessions.reading().await?;
        let added = client.execute(sql, &[&self.environment]).await;
        added.map(drop).map_err(|e| words::refused(doing, &e))
    }

    /// Whether a process keeps the advisory lock of this token.
    async fn is_alive(&self, client: &Client, token: Token) -> Answer<bool> {
        if self.alive.lock().await.as_ref().is_some_and(|(ours, _)| *ours == token) {
            return Ok(true);
        }
        let key = lease::alive_key(&self.environment, token);
        let looking = |error| words::refused("looking for the lease's holder", &error);
        let free: bool = client
            .query_one("SELECT pg_try_advisory_lock_shared($1)", &[&key])
            .await
            .map_err(looking)?
            .get(0);
        if free {
            client
                .execute("SELECT pg_advisory_unlock_shared($1)", &[&key])
                .await
                .map_err(looking)?;
        }
        Ok(!free)
    }

    /// Ends what a run whose lease was taken still keeps from production, should it be unable to do
    /// that itself: its guard keeps writers out, and would keep a cutover out.
    async fn end_guards(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = $1";
        // Where that may not be done, the cutover waits for its turn and says for whom.
        let name = guard_name(&self.environment);
        let _ = self.sessions.ask("ending what an earlier run holds", sql, &[&name]).await;
    }

    async fn come_alive(&self, token: Token) -> Answer<Client> {
        let client = self.sessions.connector.connect().await?;
        let key = lease::alive_key(&self.environment, token);
        client
            .execute("SELECT pg_advisory_lock($1)", &[&key])
            .await
            .map_err(|error| words::refused_by_the_ledger("holding the lease", &error))?;
        Ok(client)
    }
}

#[async_trait(?Send)]
impl Ledger for SchemaLedger {
    async fn load(&self) -> Answer<Vec<Record>> {
        if !self.is_there().await? {
            return Ok(Vec::new());
        }
        let sql = "SELECT seq, record::text FROM switchback.journal WHERE environment = $1 \
                   ORDER BY seq";
        let rows = self.sessions.ask("reading the ledger", sql, &[&self.environment]).await?;
        let mut records = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let (seq, text): (i64, String) = (row.get(0), row.get(1));
            let record: Record = serde_json::from_str(&text)
                .map_err(|error| self.damaged(seq, &error.to_string()))?;
            if record.v > VERSION {
                return Err(self.damaged(seq, "a newer Switchback wrote it; run that one"));
            }
            if usize::try_from(seq).ok() != Some(index + 1) {
                return Err(self.damaged(seq, "records before it are missing"));
            }
            records.push(record);
        }
        Ok(records)
    }

    async fn append(&self, draft: Draft) -> Answer<()> {
        let doing = "writing the ledger";
        let no = |error| words::refused_by_the_ledger(doing, &error);
        if draft.token.is_none() {
            self.create().await?; // Whoever has a token has the ledger.
        }
        let mut fresh = self.sessions.fresh().await?;
        let (pid, since) = (fresh.pid, fresh.since.clone());
        let tx = fresh.begin(doing).await?;
        let key = lease::alive_key(&self.environment, Token(0));
        tx.execute("SELECT pg_advisory_xact_lock($1)", &[&key]).await.map_err(no)?;
        if let Some(token) = draft.token {
            lease::fence(&tx, &self.environment, token).await?;
        }
        let row = tx
            .query_one(
                "SELECT coalesce(max(seq), 0) + 1, now() FROM switchback.journal \
                 WHERE environment = $1",
                &[&self.environment],
            )
            .await
            .map_err(no)?;
        let (seq, at): (i64, DateTime<Utc>) = (row.get(0), row.get(1));
        let record = Record {
            v: VERSION,
            seq: u64::try_from(seq).unwrap_or(0),
            at,
            operation: draft.operation,
            token: draft.token.map(|token| token.0),
            by: draft.by,
            entry: draft.entry,
        };
        let text = serde_json::to_string(&record)
            .map_err(|error| PortError::Refused(anyhow::Error::new(error).into()))?;
        let sql = "INSERT INTO switchback.journal VALUES ($1, $2, $3::text::json)";
        tx.execute(sql, &[&self.environment, &seq, &text]).await.map_err(no)?;
        match tx.commit().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.sessions.settled(doing, error, pid, &since).await),
        }
    }

    async fn lease(&self) -> Answer<Option<Lease>> {
        if !self.is_there().await? {
            return Ok(None);
        }
        let sql = format!("{ROW} AND expires_at > now()");
        let rows = self.sessions.ask("reading the lease", &sql, &[&self.environment]).await?;
        let Some(lease) = rows.first().map(lease::of).transpose()?.flatten() else {
            return Ok(None);
        };
        let client = self.sessions.reading().await?;
        Ok(if self.is_alive(&client, lease.token).await? { Some(lease) } else { None })
    }

    async fn acquire(&self, claim: Claim) -> Answer<Lease> {
        let doing = "taking the lease";
        let no = |error| words::refused(doing, &error);
        self.create().await?;
        let mut fresh = self.sessions.fresh().await?;
        let (pid, since) = (fresh.pid, fresh.since.clone());
        let tx = fresh.begin(doing).await?;
        // Waits for a cutover that is under way: it ends under the lease that it began under.
        let sql = "SELECT token, holder::text, taken_at, expires_at, \
                   coalesce(expires_at > now(), false), (SELECT coalesce(max((record->>'token')::bigint), 0) \
                   FROM switchback.journal j WHERE j.environment = l.environment) \
                   FROM switchback.leases l WHERE environment = $1 FOR UPDATE";
        let row = tx.query_one(sql, &[&self.environment]).await.map_err(no)?;
        let (last, current, journalled): (i64, bool, i64) = (row.get(0), row.get(4), row.get(5));
        if let Some(holder) = lease::of(&row)?
            && current
            && self.is_alive(tx.client(), holder.token).await?
            && !(claim.outranks && lease::is_outranked(&holder))
        {
            return Err(PortError::Refused(lease::taken(&holder)));
        }
        let token = last.max(journalled) + 1;
        let granted = Token(u64::try_from(token).unwrap_or(0));
        let alive = self.come_alive(granted).await?;
        let holder = serde_json::to_string(&Holder::of(&claim))
            .map_err(|error| PortError::Refused(anyhow::Error::new(error).into()))?;
        let sql = "UPDATE switchback.leases SET token = $2, holder = $3::text::json, \
                   taken_at = now(), expires_at = now() + $4::text::interval WHERE environment = $1 \
                   RETURNING token, holder::text, taken_at, expires_at";
        let row = tx
            .query_one(sql, &[&self.environment, &token, &holder, &lease::interval(claim.ttl)])
            .await
            .map_err(no)?;
        let lease = lease::of(&row)?;
        if let Err(error) = tx.commit().await {
            return Err(self.sessions.settled(doing, error, pid, &since).await);
        }
        self.alive.lock().await.replace((granted, alive));
        self.end_guards().await;
        lease.ok_or_else(|| {
            PortError::Refused(Failure::new(Kind::Unexpected, "the lease that was taken is empty"))
        })
    }

    async fn renew(&self, token: Token, ttl: Duration) -> Answer<()> {
        let doing = "renewing the lease";
        let sql = "UPDATE switchback.leases SET expires_at = now() + $3::text::interval \
                   WHERE environment = $1 AND token = $2 AND holder IS NOT NULL";
        let number = i64::try_from(token.0).unwrap_or(i64::MAX);
        let client = self.sessions.reading().await?;
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&self.environment, &number, &lease::interval(ttl)];
        let changed = client.execute(sql, &parameters).await;
        if changed.map_err(|error| words::refused_by_the_ledger(doing, &error))? == 0 {
            let rows = self.sessions.ask(doing, ROW, &[&self.environment]).await?;
            let holder = rows.first().map(lease::of).transpose()?.flatten();
            return Err(PortError::Refused(lease::lost(holder.as_ref())));
        }
        // The session that shows that we live may have been cut.
        let mut alive = self.alive.lock().await;
        if alive.as_ref().is_some_and(|(ours, client)| *ours == token && client.is_closed()) {
            *alive = Some((token, self.come_alive(token).await?));
        }
        Ok(())
    }

    async fn release(&self, token: Token) -> Answer<()> {
        let sql = "UPDATE switchback.leases SET holder = NULL, taken_at = NULL, expires_at = NULL \
                   WHERE environment = $1 AND token = $2";
        let number = i64::try_from(token.0).unwrap_or(i64::MAX);
        let client = self.sessions.reading().await?;
        client
            .execute(sql, &[&self.environment, &number])
            .await
            .map_err(|error| words::refused("giving the lease back", &error))?;
        let mut alive = self.alive.lock().await;
        if alive.as_ref().is_some_and(|(ours, _)| *ours == token) {
            alive.take();
        }
        Ok(())
    }

    fn place(&self) -> String {
        format!("schema {} of {}", lease::SCHEMA, self.sessions.connector.place())
    }
}

impl SchemaLedger {
    fn damaged(&self, seq: i64, what: &str) -> PortError {
        PortError::Refused(
            Failure::new(
                Kind::Unexpected,
                format!(
                    "record {seq} of environment {} in switchback.journal cannot be used: {what}",
                    self.environment
                ),
            )
            .next("restore the table switchback.journal; nothing was touched"),
        )
    }
}
