//! Rows, over several sessions on one snapshot: larger tables first, each in a transaction of its own
//! with its keys, indexes and statistics, so that a table is there with everything or not at all.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_postgres::Client;

use super::super::words::refused;
use super::plan::Plan;
use super::read::{Original, Table};
use super::{Copying, settle};
use crate::adapter::sql::literal;
use crate::ports::Answer;

/// How often progress is told while a table is being copied.
const TICK: Duration = Duration::from_millis(500);

struct Work<'a> {
    queue: RefCell<VecDeque<&'a Table>>,
    running: RefCell<BTreeSet<&'a str>>,
    done: Cell<u64>,
    total: u64,
    plan: &'a Plan,
    snapshot: String,
    progress: &'a dyn Fn(u64, u64),
}

/// Copies the rows of every table. `watcher` is a session with nothing else to do.
pub async fn copy(
    copying: &Copying<'_>,
    original: &Original,
    plan: &Plan,
    watcher: &Client,
    progress: &dyn Fn(u64, u64),
) -> Answer<()> {
    let mut tables: Vec<&Table> = original
        .tables
        .iter()
        .filter(|table| table.insert.is_some() || plan.with_rows.contains_key(&table.oid))
        .collect();
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    let jobs = copying.jobs.clamp(1, tables.len().max(1));
    let work = Work {
        total: tables.iter().map(|table| table.bytes).sum(),
        queue: RefCell::new(tables.into()),
        running: RefCell::default(),
        done: Cell::new(0),
        plan,
        snapshot: literal(&original.snapshot),
        progress,
    };
    progress(0, work.total);
    let workers = try_join_all((0..jobs).map(|_| worker(copying, &work)));
    tokio::select! {
        done = workers => done.map(drop)?,
        never = watch(watcher, &work) => never,
    }
    progress(work.total, work.total);
    Ok(())
}

async fn worker(copying: &Copying<'_>, work: &Work<'_>) -> Answer<()> {
    let client = (copying.connect)().await?;
    settle(&client).await?;
    loop {
        let Some(table) = work.queue.borrow_mut().pop_front() else { return Ok(()) };
        work.running.borrow_mut().insert(&table.build);
        let copied = client.batch_execute(&statement(table, work)).await;
        work.running.borrow_mut().remove(table.build.as_str());
        copied.map_err(|error| refused(&format!("copying the rows of {}", table.build), &error))?;
        work.done.set(work.done.get() + table.bytes);
        (work.progress)(work.done.get(), work.total);
    }
}

fn statement(table: &Table, work: &Work<'_>) -> String {
    let mut text = String::from("BEGIN ISOLATION LEVEL REPEATABLE READ;\n");
    if let Some(insert) = &table.insert {
        text.push_str(&format!("SET TRANSACTION SNAPSHOT {};\n{insert};\n", work.snapshot));
    }
    for further in work.plan.with_rows.get(&table.oid).into_iter().flatten() {
        text.push_str(further);
        text.push_str(";\n");
    }
    if table.insert.is_some() {
        // Queries would be planned blindly until the server came round to it by itself.
        text.push_str(&format!("ANALYZE {};\n", table.build));
    }
    text.push_str("COMMIT");
    text
}

/// Tells how far the tables in progress have grown; an answer that does not come is not missed.
async fn watch(client: &Client, work: &Work<'_>) {
    let sql = "SELECT coalesce(sum(pg_table_size(to_regclass(name))), 0)::bigint AS bytes \
               FROM unnest($1::text[]) name";
    loop {
        tokio::time::sleep(TICK).await;
        let names: Vec<String> =
            work.running.borrow().iter().map(|name| (*name).to_owned()).collect();
        let before = work.done.get();
        if let Ok(row) = client.query_one(sql, &[&names]).await {
            let bytes: i64 = row.get("bytes");
            // A table that was finished meanwhile is counted already.
            if work.done.get() == before {
                let now = before + u64::try_from(bytes).unwrap_or_default();
                (work.progress)(now.min(work.total), work.total);
            }
        }
    }
}
