//! Copying schemas (written on another branch).
use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::connect::NewClient;
use crate::ports::Answer;

/// What is copied.
pub struct Copying<'a> {
    /// Opens a session.
    pub connect: &'a dyn Fn() -> NewClient<'a>,
    /// Live schema and build schema.
    pub pairs: &'a [(String, String)],
    /// Tables (schema, name) whose rows are not needed.
    pub without_rows: &'a BTreeSet<(String, String)>,
    /// The comment that each new schema gets in the transaction that creates it.
    pub marker: &'a str,
    /// How many sessions at once.
    pub jobs: usize,
}

/// Copies; answers notes.
pub async fn copy(copying: &Copying<'_>, progress: &dyn Fn(u64, u64)) -> Answer<Vec<String>> {
    use super::words::refused;
    use crate::adapter::sql::{identifier, literal};
    let client = (copying.connect)().await?;
    let no = |error| refused("copying", &error);
    for (live, build) in copying.pairs {
        let (l, b) = (identifier(live), identifier(build));
        let m = literal(copying.marker);
        client
            .batch_execute(&format!("CREATE SCHEMA {b}; COMMENT ON SCHEMA {b} IS {m}"))
            .await
            .map_err(no)?;
        let rows = client
            .query(
                "SELECT relname::text, relkind::text, CASE WHEN relkind = 'v' THEN \
                 pg_get_viewdef(oid) END FROM pg_class WHERE relnamespace = $1::text::regnamespace \
                 AND relkind IN ('r', 'v') ORDER BY relkind, oid",
                &[&l],
            )
            .await
            .map_err(no)?;
        for row in rows {
            let (name, kind): (String, String) = (row.get(0), row.get(1));
            let n = identifier(&name);
            let text = if kind == "r" {
                format!(
                    "CREATE TABLE {b}.{n} (LIKE {l}.{n} INCLUDING ALL); INSERT INTO {b}.{n} SELECT * FROM {l}.{n}"
                )
            } else {
                let def: String = row.get(2);
                format!(
                    "CREATE VIEW {b}.{n} AS {}",
                    def.replace(&format!("{live}."), &format!("{build}."))
                )
            };
            client.batch_execute(&text).await.map_err(no)?;
        }
    }
    progress(1, 1);
    Ok(Vec::new())
}

/// References from builds into lives, one sentence each.
pub async fn crossing(
    _client: &Client,
    _builds: &[String],
    _lives: &[String],
) -> Answer<Vec<String>> {
    Ok(Vec::new())
}
