//! What was written to live since a moment: baselines and what is found against them.
//!
//! Invariants: no counter is believed. PostgreSQL's statistics lag behind commits by seconds; here
//! every row is looked at for the transaction that wrote it, which costs what counting costs. While
//! drift is judged writers are kept out, and they are until the cutover.
//! May import `domain`, `ports` and this adapter's files.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::GenericClient;

use super::contents::{self, Listed};
use super::warehouse::Postgres;
use super::{sql, stamp, words};
use crate::domain::journal::Baseline;
use crate::domain::name::SlotName;
use crate::ports::{Answer, Next};

/// How many transactions are looked at for those that are under way.
const LOOKED_AT: u32 = 20_000_000;
/// Between the two parts of a mark.
const BETWEEN: &str = "; snapshot ";

impl Postgres {
    pub(super) async fn take_baseline(&self, next: Next) -> Answer<Baseline> {
        let doing = "looking at production before it is copied";
        let lives = self.lives();
        let mut fresh = self.sessions.fresh().await?;
        let taking = async {
            let tx = contents::reader(&mut fresh.client).await?;
            let moment: String = tx.query_one(&sql::moment(LOOKED_AT), &[]).await?.get(0);
            let mut baseline = Baseline::default();
            for (schema, oid) in identities(&tx, &lives).await? {
                baseline.marks.insert(SlotName(schema), format!("schema {oid}{BETWEEN}{moment}"));
            }
            for one in contents::relations(&tx, &lives, false).await? {
                // Rows that are copied are counted then, which is all the same: what was deleted before
                // that is in no copy.
                let place = (one.schema.clone(), one.name.clone());
                let copied = next == Next::Copy
                    && one.kind == "r"
                    && !self.rebuilt.borrow().contains_key(&place);
                if one.countable && !copied {
                    let text = sql::count(&one.schema, &one.name);
                    let rows: i64 = tx.query_one(text.as_str(), &[]).await?.get(0);
                    baseline.rows.insert(named(&one), u64::try_from(rows).unwrap_or(0));
                }
            }
            baseline.definitions = definitions(&tx, &lives).await?;
            Ok::<_, tokio_postgres::Error>(baseline)
        };
        taking.await.map_err(|error| words::refused(doing, &error))
    }

    pub(super) async fn find_drift(&self, baseline: &Baseline) -> Answer<Vec<String>> {
        let doing = "looking for what was written to production meanwhile";
        let lives = self.lives();
        let guard = self.guard.lock().await;
        let fresh;
        let client = if let Some(guard) = guard.as_ref() {
            &guard.fresh.client
        } else {
            fresh = self.sessions.fresh().await?;
            &fresh.client
        };
        let finding = async {
            // Inside the guard's transaction, which goes on; what is set here does not.
            client.batch_execute("BEGIN; SAVEPOINT look").await?;
            let found = compare(client, &lives, baseline).await;
            client.batch_execute("ROLLBACK TO SAVEPOINT look").await?;
            found
        };
        finding.await.map_err(|error| words::refused(doing, &error))
    }
}

/// Compares live with a baseline.
async fn compare(
    tx: &impl GenericClient,
    lives: &[String],
    baseline: &Baseline,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let mut sentences = Vec::new();
    let now: BTreeMap<String, String> = identities(tx, lives).await?.into_iter().collect();
    for (slot, mark) in &baseline.marks {
        let then = mark.split(BETWEEN).next().unwrap_or_default();
        match now.get(slot.as_str()) {
            None => sentences.push(format!("the schema {slot} is gone")),
            Some(oid) if format!("schema {oid}") != then => {
                sentences.push(format!("the schema {slot} was dropped and made anew"));
            }
            Some(_) => {}
        }
    }
    let mut seen = BTreeSet::new();
    let listed = contents::relations(tx, lives, false).await?;
    for one in listed.iter().filter(|one| one.countable) {
        let name = named(one);
        let moment = baseline
            .marks
            .get(&SlotName(one.schema.clone()))
            .and_then(|mark| mark.split(BETWEEN).nth(1))
            .unwrap_or("1:1:");
        let text = sql::written_since(&one.schema, &one.name);
        let row = tx.query_one(text.as_str(), &[&moment]).await?;
        let (rows, new): (i64, i64) = (row.get(0), row.get(1));
        sentences.extend(told(&name, baseline.rows.get(&name).copied(), rows, new));
        seen.insert(name);
    }
    for (name, rows) in &baseline.rows {
        if seen.insert(name.clone()) {
            sentences.push(format!("{name} is gone; it had {rows} rows"));
        }
    }
    sentences.extend(redefined(&baseline.definitions, &definitions(tx, lives).await?, &seen));
    Ok(sentences)
}

/// What is to be said of a table with so many rows, of which so many are new.
fn told(name: &str, before: Option<u64>, rows: i64, new: i64) -> Option<String> {
    match before {
        None => Some(format!("{name} is new, with {rows} rows")),
        Some(old) if i64::try_from(old) != Ok(rows) => {
            Some(format!("{name} had {old} rows and has {rows}"))
        }
        Some(_) if new > 0 => Some(format!("{name}: {new} of its {rows} rows were written")),
        Some(_) => None,
    }
}

/// What is to be said of definitions. New tables and those that are gone were told with their rows.
fn redefined(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    tables: &BTreeSet<String>,
) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) if old != new => Some(format!("{name} has another definition")),
            (None, Some(_)) if !tables.contains(name) => Some(format!("{name} is new")),
            (Some(_), None) if !tables.contains(name) => Some(format!("{name} is gone")),
            _ => None,
        })
        .collect()
}

async fn definitions(
    tx: &impl GenericClient,
    lives: &[String],
) -> Result<BTreeMap<String, String>, tokio_postgres::Error> {
    let path: Vec<&str> = lives.iter().map(String::as_str).collect();
    tx.batch_execute(&sql::search_path(&path)).await?;
    let rows = tx.query(sql::DEFINITIONS, &[&lives, &stamp::TABLE]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn identities(
    tx: &impl GenericClient,
    lives: &[String],
) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    let sql = "SELECT nspname::text, oid::text FROM pg_namespace WHERE nspname = ANY($1)";
    let rows = tx.query(sql, &[&lives]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn named(one: &Listed) -> String {
    format!("{}.{}", one.schema, one.name)
}
