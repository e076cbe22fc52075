//! Sessions as they are used: one that is kept for single statements that read, and a fresh one for
//! every transaction, so that a transaction that is given up half-way is undone with its session.
//!
//! Invariant: nobody is told that the outcome of a commit is unknown while the server may still be
//! working on it: whoever then reads stamps reads the last word.
//!
//! May import `failure`, `ports` and its siblings `connect` and `words`.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Transaction};

use super::connect::Connector;
use super::words;
use crate::ports::{Answer, PortError};

/// How long the end of a session that was lost is waited for.
const SETTLING: Duration = Duration::from_secs(20);

/// The sessions of one run.
pub(super) struct Sessions {
    pub(super) connector: Connector,
    reading: Mutex<Option<Rc<Client>>>,
}

impl Sessions {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, reading: Mutex::new(None) }
    }

    /// The session for single statements that read.
    pub(super) async fn reading(&self) -> Answer<Rc<Client>> {
        let mut kept = self.reading.lock().await;
        if let Some(client) = kept.as_ref().filter(|client| !client.is_closed()) {
            return Ok(client.clone());
        }
        let client = Rc::new(self.connector.connect().await?);
        *kept = Some(client.clone());
        Ok(client)
    }

    /// Asks; once more where the kept session had died without anyone noticing.
    pub(super) async fn ask(
        &self,
        doing: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Answer<Vec<Row>> {
        let client = self.reading().await?;
        match client.query(sql, parameters).await {
            Err(error) if words::is_lost(&error) => {
                self.reading.lock().await.take();
                let client = self.reading().await?;
                client.query(sql, parameters).await.map_err(|e| words::refused(doing, &e))
            }
            other => other.map_err(|error| words::refused(doing, &error)),
        }
    }

    /// A fresh session.
    pub(super) async fn fresh(&self) -> Answer<Fresh> {
        let client = self.connector.connect().await?;
        let row = client
            .query_one(
                "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()",
                &[],
            )
            .await
            .map_err(|error| words::refused("opening a session", &error))?;
        Ok(Fresh { client, pid: row.get(0), since: row.get(1) })
    }

    /// Turns the error of a commit into what it means, once the server is done with it.
    pub(super) async fn settled(
        &self,
        doing: &str,
        error: tokio_postgres::Error,
        pid: i32,
        since: &str,
    ) -> PortError {
        let error = words::uncertain(doing, error);
        if matches!(error, PortError::Unknown(_)) {
            self.wait_for_the_end_of(pid, since).await;
        }
        error
    }

    /// Ends what is left of a lost session and waits until it is gone.
    async fn wait_for_the_end_of(&self, pid: i32, since: &str) {
        let began = Instant::now();
        while began.elapsed() < SETTLING {
            if let Ok(client) = self.connector.connect().await {
                let gone = client
                    .query(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE pid = $1 AND backend_start::text = $2",
                        &[&pid, &since],
                    )
                    .await;
                if gone.is_ok_and(|rows| rows.is_empty()) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A session of its own, and what tells it from others on the server.
pub(super) struct Fresh {
    pub(super) client: Client,
    pub(super) pid: i32,
    pub(super) since: String,
}

impl Fresh {
    /// Begins a transaction.
    pub(super) async fn begin(&mut self, doing: &str) -> Answer<Transaction<'_>> {
        self.client.transaction().await.map_err(|error| words::refused(doing, &error))
    }
}
