//! The guard on live: a transaction of its own that keeps writers out from the look for drift to the
//! cutover, which happens in the same transaction.
//!
//! Invariant: readers are never kept out here. May import `domain`, `failpoint`, `failure`, `ports` and this
//! adapter's files.

use std::time::{Duration, Instant};

use super::contents::{self, Listed};
use super::session::Fresh;
use super::warehouse::Postgres;
use super::{lease, sql, words};
use crate::failpoint::wait;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Token};

/// How long one attempt waits for writers; who comes behind it waits as long.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long writers are waited for altogether.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// Live under guard.
pub(super) struct Guard {
    /// Its session, with a transaction open.
    pub(super) fresh: Fresh,
    /// What the catalogs said of live when writers were kept out.
    pub(super) mark: String,
}

impl Postgres {
    /// Keeps writers out of live. The guard of an earlier look is given up for it.
    pub(super) async fn keep_writers_out(&self, fence: Token) -> Answer<()> {
        let mut kept = self.guard.lock().await;
        kept.take();
        let doing = "keeping writers out of production";
        let no = |error| words::refused(doing, &error);
        let lives = self.lives();
        let fresh = self.sessions.fresh().await?;
        let client = &fresh.client;
        let name = guard_name(self.environment());
        client
            .execute("SELECT set_config('application_name', $1, false)", &[&name])
            .await
            .map_err(no)?;
        client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL lock_timeout TO '{}ms'",
                wait(ATTEMPT).as_millis()
            ))
            .await
            .map_err(no)?;
        lease::fence(client, self.environment(), fence).await?;
        let began = Instant::now();
        loop {
            client.batch_execute("SAVEPOINT guarding").await.map_err(no)?;
            let listed = contents::relations(client, &lives, true).await.map_err(no)?;
            match client.batch_execute(&share_locks(&listed)).await {
                Ok(()) => {
                    let again = contents::relations(client, &lives, true).await.map_err(no)?;
                    if same(&listed, &again) {
                        break;
                    }
                }
                Err(error) if words::is_locked_out(&error) && began.elapsed() < wait(PATIENCE) => {}
                Err(error) if words::is_locked_out(&error) => {
                    client.batch_execute("ROLLBACK TO SAVEPOINT guarding").await.map_err(no)?;
                    return Err(self.held_up(client, &listed, "written to").await);
                }
                Err(error) => return Err(no(error)),
            }
            client.batch_execute("ROLLBACK TO SAVEPOINT guarding").await.map_err(no)?;
            tokio::time::sleep(wait(PAUSE)).await;
        }
        let mark = mark(client, &lives).await.map_err(no)?;
        *kept = Some(Guard { fresh, mark });
        Ok(())
    }

    /// The failure of waiting for others in vain, who are named.
    pub(super) async fn held_up(
        &self,
        client: &tokio_postgres::Client,
        listed: &[Listed],
        how: &str,
    ) -> PortError {
        let oids: Vec<u32> = listed.iter().map(|one| one.oid).collect();
        let rows = client.query(sql::HOLDERS, &[&oids]).await.unwrap_or_default();
        let who: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let who = if who.is_empty() { "others".to_owned() } else { who.join(", ") };
        PortError::Refused(
            Failure::new(
                Kind::Locked,
                format!(
                    "production is being {how} by {who}, and no moment without them was found in {} s",
                    PATIENCE.as_secs()
                ),
            )
            .next("wait for them to end, or end them with pg_terminate_backend, and run it again"),
        )
    }
}

/// The name under which a guard's session is known to whoever takes the lease from its run.
pub(super) fn guard_name(environment: &str) -> String {
    let mut name = format!("switchback guard {environment}");
    let mut end = name.len().min(63);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

/// What the catalogs say of live now.
pub(super) async fn mark(
    client: &impl tokio_postgres::GenericClient,
    lives: &[String],
) -> Result<String, tokio_postgres::Error> {
    Ok(client.query_one(sql::CATALOG_MARK, &[&lives]).await?.get(0))
}

pub(super) fn same(one: &[Listed], other: &[Listed]) -> bool {
    let key = |all: &[Listed]| -> Vec<(u32, String)> {
        all.iter().map(|one| (one.oid, one.name.clone())).collect()
    };
    key(one) == key(other)
}

/// Only tables can be written to; what refreshes a materialized view is noticed at the cutover.
fn share_locks(listed: &[Listed]) -> String {
    let tables: Vec<String> = listed
        .iter()
        .filter(|one| matches!(one.kind.as_str(), "r" | "p"))
        .map(|one| format!("ONLY {}", sql::name(&one.schema, &one.name)))
        .collect();
    if tables.is_empty() {
        return String::new();
    }
    format!("LOCK TABLE {} IN SHARE MODE", tables.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, kind: &str) -> Listed {
        let (schema, owner) = ("s".to_owned(), "o".to_owned());
        Listed {
            schema,
            name: name.into(),
            kind: kind.into(),
            oid: 1,
            owner,
            countable: true,
            by_value: false,
        }
    }

    #[test]
    fn only_tables_are_kept_from_writers_and_none_of_their_children() {
        let all = [listed("a", "r"), listed("v", "v"), listed("p", "p")];
        assert_eq!(
            share_locks(&all),
            "LOCK TABLE ONLY \"s\".\"a\", ONLY \"s\".\"p\" IN SHARE MODE"
        );
        assert_eq!(share_locks(&all[1..2]), "");
    }

    #[test]
    fn a_guards_name_fits_into_a_name_of_postgres() {
        assert!(guard_name(&"é".repeat(80)).len() <= 63);
    }
}
