//! Rows, over several sessions on one snapshot: larger tables first, and large tables in pieces.
//! Keys, indexes and statistics follow each table at once, and foreign keys their tables, while others
//! are still being copied.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::Notify;
use tokio_postgres::types::Oid;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::super::definitions::{Version, head};
use super::super::words::refused;
use super::plan::{Along, Plan};
use super::read::{Original, Table};
use super::work::{Next, Part, Stage, Task, Unit, Work};
use super::{Copying, settle};
use crate::adapter::sql::literal;
use crate::ports::Answer;

/// How often progress is told while a table is being copied.
const TICK: Duration = Duration::from_millis(500);
/// Tables of more than two such pieces are copied in pieces, each in a transaction of its own. Well
/// below what the server buffers of its log (`wal_buffers`, 16 MB where there is memory): each commit
/// wakes the process that writes the log. In larger transactions the buffer runs full, and all sessions
/// write it themselves, page by page, waiting for each other.
const PIECE: u64 = 4 * 1024 * 1024;

struct Copy<'a> {
    work: RefCell<Work>,
    /// Told when a part is done: there may be something else to do.
    moved: Notify,
    /// Tables in one piece that are being copied.
    running: RefCell<BTreeSet<String>>,
    done: Cell<u64>,
    total: u64,
    snapshot: String,
    /// How many rows of each unit were copied.
    rows: RefCell<BTreeMap<usize, u64>>,
    progress: &'a dyn Fn(u64, u64),
}

/// Copies the rows of every table and answers how many each has, those without rows left out.
/// `watcher` is a session with nothing else to do.
pub async fn copy(
    copying: &Copying<'_>,
    original: &Original,
    plan: Plan,
    watcher: &Client,
    progress: &dyn Fn(u64, u64),
) -> Answer<BTreeMap<(String, String), u64>> {
    let ranges = Version::of(watcher).await?.is(14);
    let work = Work::of(units(&original.tables, plan, ranges));
    let jobs = work.sessions(copying.jobs);
    let copy = Copy {
        work: RefCell::new(work),
        moved: Notify::new(),
        running: RefCell::default(),
        done: Cell::new(0),
        total: original.tables.iter().map(|table| table.bytes).sum(),
        snapshot: literal(&original.snapshot),
        rows: RefCell::default(),
        progress,
    };
    progress(0, copy.total);
    let workers = try_join_all((0..jobs).map(|_| worker(copying, &copy)));
    tokio::select! {
        done = workers => done.map(drop)?,
        never = watch(watcher, &copy) => never,
    }
    progress(copy.total, copy.total);
    let rows = copy.rows.into_inner();
    let counted = original.tables.iter().enumerate().filter(|(_, table)| !table.bare);
    Ok(counted
        .map(|(unit, table)| (table.live.clone(), rows.get(&unit).copied().unwrap_or_default()))
        .collect())
}

/// What belongs together: each table, in their order, then foreign keys. `ranges`: the server finds rows by their place without reading all others.
fn units(tables: &[Table], mut plan: Plan, ranges: bool) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut places: BTreeMap<Oid, BTreeSet<usize>> = BTreeMap::new();
    let mut sizes: BTreeMap<Oid, u64> = BTreeMap::new();
    for table in tables {
        let along = plan.along.remove(&table.oid).unwrap_or_default();
        places.entry(table.oid).or_default().insert(units.len());
        sizes.insert(table.oid, table.bytes);
        units.push(Unit {
            name: table.build.clone(),
            bytes: table.bytes,
            stages: stages(table, along, ranges),
            needs: BTreeSet::new(),
        });
    }
    for foreign in plan.foreign {
        // They would lock each other out, or each the other's second table, where they share one.
        let mut needs = BTreeSet::new();
        for table in &foreign.tables {
            needs.extend(places.get(table).into_iter().flatten().copied());
            places.entry(*table).or_default().insert(units.len());
        }
        let size = |table| sizes.get(table).copied().unwrap_or_default();
        units.push(Unit {
            name: format!("`{}`", head(&foreign.text)),
            bytes: foreign.tables.iter().map(size).max().unwrap_or_default(),
            stages: VecDeque::from([parts([foreign.text])]),
            needs,
        });
    }
    units
}

fn stages(table: &Table, along: Along, ranges: bool) -> VecDeque<Stage> {
    // Queries would be planned blindly until the server came round to it by itself.
    let analyze = table.insert.is_some().then(|| format!("ANALYZE {}", table.build));
    let of = (table.bytes / PIECE).min(table.pages);
    match &table.insert {
        Some(insert) if ranges && of > 2 => {
            let mut stages = VecDeque::new();
            let insert = insert.clone();
            stages.push_back(Stage::Pieces { insert, pages: table.pages, at: 0, of });
            if !along.indexes.is_empty() {
                stages.push_back(parts(along.indexes));
            }
            let last: Vec<String> = along.rest.into_iter().chain(analyze).collect();
            stages.push_back(parts([last.join(";\n")]));
            stages
        }
        insert => {
            let along = along.indexes.into_iter().chain(along.rest);
            let texts: Vec<String> =
                insert.clone().into_iter().chain(along).chain(analyze).collect();
            if texts.is_empty() {
                return VecDeque::new();
            }
            let text = texts.join(";\n");
            let part = Part { text, bytes: table.bytes, reads: insert.is_some() };
            VecDeque::from([Stage::Parts(VecDeque::from([part]))])
        }
    }
}

fn parts(texts: impl IntoIterator<Item = String>) -> Stage {
    let part = |text| Part { text, bytes: 0, reads: false };
    Stage::Parts(texts.into_iter().map(part).collect())
}

async fn worker(copying: &Copying<'_>, copy: &Copy<'_>) -> Answer<()> {
    let client = (copying.connect)().await?;
    settle(&client).await?;
    let mut last = None;
    loop {
        // Before asking, or what is done meanwhile would be missed.
        let moved = copy.moved.notified();
        let next = copy.work.borrow_mut().next(last);
        let task = match next {
            Next::Say(task) => task,
            Next::Wait => {
                moved.await;
                continue;
            }
            Next::Nothing => return Ok(()),
        };
        let name = copy.work.borrow().name(task.unit).to_owned();
        let watched = task.part.bytes > PIECE;
        if watched {
            copy.running.borrow_mut().insert(name.clone());
        }
        let said = client.simple_query(&transaction(&task, &copy.snapshot)).await;
        copy.running.borrow_mut().remove(&name);
        let said = said.map_err(|error| refused(&format!("copying {name}"), &error))?;
        if task.part.reads {
            // Only what copies rows says how many.
            let rows = said.iter().map(|message| match message {
                SimpleQueryMessage::CommandComplete(rows) => *rows,
                _ => 0,
            });
            *copy.rows.borrow_mut().entry(task.unit).or_default() += rows.sum::<u64>();
        }
        if task.part.bytes > 0 {
            copy.done.set(copy.done.get() + task.part.bytes);
            (copy.progress)(copy.done.get(), copy.total);
        }
        last = Some(task.unit);
        copy.work.borrow_mut().done(task.unit);
        copy.moved.notify_waiters();
    }
}

fn transaction(task: &Task, snapshot: &str) -> String {
    let begin = match (task.part.reads, task.alone) {
        (true, _) => {
            format!("BEGIN ISOLATION LEVEL REPEATABLE READ;\nSET TRANSACTION SNAPSHOT {snapshot}")
        }
        (false, true) => "BEGIN".to_owned(),
        // Helpers of one session would take from another what it would do.
        (false, false) => "BEGIN;\nSET LOCAL max_parallel_maintenance_workers TO 0".to_owned(),
    };
    format!("{begin};\n{};\nCOMMIT", task.part.text)
}

/// Tells how far the tables in progress have grown; an answer that does not come is not missed.
async fn watch(client: &Client, copy: &Copy<'_>) {
    let sql = "SELECT coalesce(sum(pg_table_size(to_regclass(name))), 0)::bigint AS bytes \
               FROM unnest($1::text[]) name";
    loop {
        tokio::time::sleep(TICK).await;
        let names: Vec<String> = copy.running.borrow().iter().cloned().collect();
        let before = copy.done.get();
        if names.is_empty() {
            continue;
        }
        if let Ok(row) = client.query_one(sql, &[&names]).await {
            let bytes: i64 = row.get("bytes");
            // A table that was finished meanwhile is counted already.
            if copy.done.get() == before {
                let now = before + u64::try_from(bytes).unwrap_or_default();
                (copy.progress)(now.min(copy.total), copy.total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: Oid, bytes: u64, pages: u64) -> Table {
        let insert = Some("INSERT INTO b.t (x) SELECT x FROM ONLY a.t".to_owned());
        let live = ("a".to_owned(), "t".to_owned());
        Table { oid, live, build: "b.t".into(), bare: false, bytes, pages, insert }
    }

    #[test]
    fn only_large_tables_come_in_pieces() {
        let pieces = |bytes, pages, ranges| {
            let stages = stages(&table(1, bytes, pages), Along::default(), ranges);
            match &stages[0] {
                Stage::Pieces { of, .. } => *of,
                Stage::Parts(_) => 1,
            }
        };
        assert_eq!(pieces(PIECE * 2, 1024, true), 1);
        assert_eq!(pieces(PIECE * 5, 2560, true), 5);
        assert_eq!(pieces(PIECE * 5, 2560, false), 1);
        assert_eq!(pieces(PIECE * 5, 3, true), 3, "of long values");
    }

    #[test]
    fn foreign_keys_with_a_table_in_common_come_one_after_another() {
        let foreign = |tables: &[Oid]| super::super::plan::Foreign {
            text: "ALTER".to_owned(),
            tables: tables.iter().copied().collect(),
        };
        let plan = Plan {
            foreign: vec![foreign(&[1, 2]), foreign(&[2, 3]), foreign(&[4])],
            ..Plan::default()
        };
        let tables: Vec<Table> = (1..=4).map(|oid| table(oid, 1, 1)).collect();
        let units = units(&tables, plan, true);
        let needs = |at: usize| units[at].needs.iter().copied().collect::<Vec<_>>();
        assert_eq!(needs(4), [0, 1]);
        assert_eq!(needs(5), [1, 2, 4]);
        assert_eq!(needs(6), [3]);
    }
}
