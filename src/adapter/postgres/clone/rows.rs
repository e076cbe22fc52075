//! Rows, over several sessions on one snapshot: larger tables first, and large tables in pieces, so
//! that several sessions are busy with one table. Keys, indexes and statistics follow each table at
//! once, while others are still being copied.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_postgres::Client;

use super::super::definitions::Version;
use super::super::words::refused;
use super::plan::Plan;
use super::read::{Original, Table};
use super::{Copying, settle};
use crate::adapter::sql::literal;
use crate::ports::Answer;

/// How often progress is told while a table is being copied.
const TICK: Duration = Duration::from_millis(500);
/// Tables of more than two such pieces are copied in pieces. Small enough that rows of one moment stay
/// together on disk, large enough that a statement more does not show.
const PIECE: u64 = 32 * 1024 * 1024;

/// Rows of a table that one statement copies.
struct Piece<'a> {
    table: &'a Table,
    /// Its place among the table's pieces, and how many there are.
    at: u64,
    of: u64,
}

struct Work<'a> {
    queue: RefCell<VecDeque<Piece<'a>>>,
    /// Tables of one piece that are being copied.
    running: RefCell<Vec<&'a str>>,
    /// Pieces that are not copied yet, by table.
    left: RefCell<BTreeMap<u32, u64>>,
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
        .filter(|table| table.insert.is_some() || plan.along.contains_key(&table.oid))
        .collect();
    tables.sort_by_key(|table| std::cmp::Reverse(table.bytes));
    let ranges = Version::of(watcher).await?.is(14);
    let queue: VecDeque<Piece<'_>> =
        tables.iter().flat_map(|table| pieces(table, ranges)).collect();
    let jobs = copying.jobs.clamp(1, queue.len().max(1));
    let work = Work {
        total: tables.iter().map(|table| table.bytes).sum(),
        left: RefCell::new(queue.iter().map(|piece| (piece.table.oid, piece.of)).collect()),
        queue: RefCell::new(queue),
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

/// The pieces of a table. `ranges`: the server finds rows by their place without reading all others.
fn pieces(table: &Table, ranges: bool) -> impl Iterator<Item = Piece<'_>> {
    let wanted = table.bytes / PIECE;
    let of =
        if ranges && table.insert.is_some() && wanted > 2 { wanted.min(table.pages) } else { 1 };
    (0..of.max(1)).map(move |at| Piece { table, at, of: of.max(1) })
}

async fn worker(copying: &Copying<'_>, work: &Work<'_>) -> Answer<()> {
    let client = (copying.connect)().await?;
    settle(&client).await?;
    loop {
        let Some(piece) = work.queue.borrow_mut().pop_front() else { return Ok(()) };
        let table = piece.table;
        let doing = |error| refused(&format!("copying the rows of {}", table.build), &error);
        if piece.of == 1 {
            work.running.borrow_mut().push(&table.build);
        }
        let copied = client.batch_execute(&statement(&piece, work)).await;
        work.running.borrow_mut().retain(|name| *name != table.build);
        copied.map_err(doing)?;
        let bytes = table.bytes * (piece.at + 1) / piece.of - table.bytes * piece.at / piece.of;
        work.done.set(work.done.get() + bytes);
        (work.progress)(work.done.get(), work.total);
        let was_last = work.left.borrow_mut().get_mut(&table.oid).is_some_and(|left| {
            *left -= 1;
            *left == 0
        });
        if was_last && piece.of > 1 {
            let text = transaction("BEGIN", None, hanging(table, work));
            client.batch_execute(&text).await.map_err(doing)?;
        }
    }
}

fn statement(piece: &Piece<'_>, work: &Work<'_>) -> String {
    let (table, of) = (piece.table, piece.of);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    let Some(insert) = &table.insert else {
        return transaction(begin, None, hanging(table, work));
    };
    let snapshot = format!("SET TRANSACTION SNAPSHOT {}", work.snapshot);
    if of == 1 {
        let mut parts = vec![insert.clone()];
        parts.extend(hanging(table, work));
        return transaction(begin, Some(snapshot), parts);
    }
    let page = |at: u64| table.pages * at / of;
    let mut text = format!("{insert} WHERE ctid >= '({},0)'", page(piece.at));
    if piece.at + 1 < of {
        text = format!("{text} AND ctid < '({},0)'", page(piece.at + 1));
    }
    transaction(begin, Some(snapshot), vec![text])
}

/// What follows a table's rows.
fn hanging(table: &Table, work: &Work<'_>) -> Vec<String> {
    let mut parts: Vec<String> =
        work.plan.along.get(&table.oid).into_iter().flatten().cloned().collect();
    if table.insert.is_some() {
        // Queries would be planned blindly until the server came round to it by itself.
        parts.push(format!("ANALYZE {}", table.build));
    }
    parts
}

fn transaction(begin: &str, snapshot: Option<String>, parts: Vec<String>) -> String {
    let all = [begin.to_owned()].into_iter().chain(snapshot).chain(parts);
    let mut text = all.collect::<Vec<_>>().join(";\n");
    text.push_str(";\nCOMMIT");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(bytes: u64, pages: u64) -> Table {
        let insert = Some("INSERT INTO b.t (x) SELECT x FROM ONLY a.t".to_owned());
        Table { oid: 1, build: "b.t".into(), bytes, pages, insert }
    }

    #[test]
    fn only_large_tables_come_in_pieces_and_each_page_is_in_one_of_them() {
        let count = |bytes, pages, ranges| pieces(&table(bytes, pages), ranges).count();
        assert_eq!(count(PIECE * 2, 8192, true), 1);
        assert_eq!(count(PIECE * 5, 20_480, true), 5);
        assert_eq!(count(PIECE * 5, 20_480, false), 1);
        assert_eq!(count(PIECE * 5, 3, true), 3, "of long values");
        let plan = Plan::default();
        let work = Work {
            queue: RefCell::default(),
            running: RefCell::default(),
            left: RefCell::default(),
            done: Cell::new(0),
            total: 0,
            plan: &plan,
            snapshot: "'s'".into(),
            progress: &|_, _| {},
        };
        let table = table(PIECE * 3, 10);
        let said: Vec<String> = pieces(&table, true).map(|one| statement(&one, &work)).collect();
        let ranges: Vec<&str> = said
            .iter()
            .filter_map(|text| Some(text.split_once("WHERE ")?.1.split_once(';')?.0))
            .collect();
        assert_eq!(
            ranges,
            [
                "ctid >= '(0,0)' AND ctid < '(3,0)'",
                "ctid >= '(3,0)' AND ctid < '(6,0)'",
                "ctid >= '(6,0)'"
            ]
        );
    }
}
