//! Copying schemas with everything in them, as one consistent moment.
//!
//! How: one session locks live's tables against changes of their shape (ACCESS SHARE, as `pg_dump`
//! does), exports its snapshot, and inside a savepoint gives live's schemas the names of the build,
//! so that PostgreSQL prints every definition with those names; the renames are rolled back and were
//! never seen by anybody. Then the definitions are said one after another, rows come in over several
//! sessions on the exported snapshot, and indexes, keys and the rest follow. At the end both sides
//! are read again: what is missing is named.
//!
//! Invariants: nothing in live is changed; every new schema carries the marker from the transaction
//! that creates it; rows of all tables are of one moment.
//!
//! May import `adapter::sql`, `failpoint`, `failure`, `ports` and its siblings.

pub mod bodies;
mod crossing;
mod finish;
#[cfg(test)]
mod measure;
mod plan;
mod read;
mod rows;
mod say;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

pub use crossing::crossing;
pub use say::say;

use super::connect::NewClient;
use super::definitions;
use super::words::refused;
use crate::adapter::sql::{identifier, literal};
use crate::ports::Answer;

/// Live schema and name of tables that come without rows, and of those who may read each.
pub type Bare = BTreeMap<(String, String), BTreeSet<(String, String)>>;

/// The comment on a table in the build that came without rows, until dbt has made it anew: a new
/// table does not have it.
pub const BARE: &str = "switchback: without rows until dbt makes it anew";

/// What is copied.
pub struct Copying<'a> {
    /// Opens a session.
    pub connect: &'a dyn Fn() -> NewClient<'a>,
    /// Live schema and build schema.
    pub pairs: &'a [(String, String)],
    /// Tables whose rows are not needed, if nothing in live reads them but what may.
    pub without_rows: &'a Bare,
    /// The comment that each new schema gets in the transaction that creates it.
    pub marker: &'a str,
    /// How many sessions copy rows at once.
    pub jobs: usize,
}

/// What was copied.
#[derive(Debug)]
pub struct Copied {
    /// What was not carried, and what is worth a word.
    pub notes: Vec<String>,
    /// Live schema and name of every table whose rows were copied, and how many there were.
    pub rows: BTreeMap<(String, String), u64>,
}

/// Copies. `progress` is told bytes done and bytes in all. A live schema that does not exist yet gets
/// an empty build.
pub async fn copy(copying: &Copying<'_>, progress: &dyn Fn(u64, u64)) -> Answer<Copied> {
    let reader = (copying.connect)().await?;
    let writer = (copying.connect)().await?;
    settle(&reader).await?;
    settle(&writer).await?;
    let original = read::original(&reader, copying).await?;
    make_schemas(&writer, copying).await?;
    let mut plan = plan::Plan::of(&original, &rows::whole(&original.tables, copying.jobs))?;
    let after = std::mem::take(&mut plan.after);
    say(&writer, &plan.before).await?;
    let rows = rows::copy(copying, &original, plan, &writer, progress).await?;
    say(&writer, &original.counters).await?;
    reader.batch_execute("ROLLBACK").await.map_err(|error| refused("reading live", &error))?;
    say(&writer, &after).await?;
    let notes = finish::finish(copying, &writer, &original).await?;
    let mark = |name: &String| format!("COMMENT ON TABLE {name} IS {}", literal(BARE));
    let marks: Vec<String> = original.bare.values().map(mark).collect();
    say(&writer, &marks).await?;
    finish::make_durable(&writer).await?;
    Ok(Copied { notes, rows })
}

/// What the copy's sessions need beside what every session is told.
async fn settle(client: &Client) -> Answer<()> {
    let text = "SET search_path TO pg_catalog; SET row_security TO off; \
                SET check_function_bodies TO off; SET default_tablespace TO ''; \
                SET synchronous_commit TO off; SET DateStyle TO ISO; SET statement_timeout TO 0; \
                SET idle_in_transaction_session_timeout TO 0";
    client.batch_execute(text).await.map_err(|error| refused("preparing to copy", &error))?;
    if definitions::Version::of(client).await?.is(14) {
        // A statement of ours ends by itself when we are gone; not every platform can tell.
        let _ = client.batch_execute("SET client_connection_check_interval TO '2s'").await;
    }
    Ok(())
}

async fn make_schemas(client: &Client, copying: &Copying<'_>) -> Answer<()> {
    let marker = literal(copying.marker);
    let mut text = String::from("BEGIN;\n");
    for (_, build) in copying.pairs {
        let build = identifier(build);
        text = format!("{text}CREATE SCHEMA {build};\nCOMMENT ON SCHEMA {build} IS {marker};\n");
    }
    text.push_str("COMMIT");
    if let Err(error) = client.batch_execute(&text).await {
        let _ = client.batch_execute("ROLLBACK").await;
        return Err(refused("creating the build's schemas", &error));
    }
    Ok(())
}
