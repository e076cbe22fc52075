//! Rows, over several sessions on one snapshot: larger tables first. A large table is made together
//! with its rows (CREATE TABLE AS takes a quarter less time than INSERT: it keeps its page at hand),
//! where that makes the same table and the other sessions have enough to do meanwhile; else its rows
//! come in pieces. Keys, indexes and statistics follow each table at once, and foreign keys their
//! tables, while others are still being copied.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

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
/// How often, while a large transaction is under way, another is committed that does nothing but wake
/// the process that writes the log (see [`PIECE`]): it must come before 4 MB are full, which is what the
/// server buffers of its log where it has 128 MB of memory, its default.
const WAKE: Duration = Duration::from_millis(4);

struct Copy<'a> {
    work: RefCell<Work>,
    /// Told when a part is done: there may be something else to do.
    moved: Notify,
    /// Units whose rows are being copied in one large transaction, and their bytes.
    running: RefCell<BTreeMap<usize, u64>>,
    done: Cell<u64>,
    /// The most that was told to be done: an estimate may be ahead of what is known.
    told: Cell<u64>,
    total: u64,
    snapshot: String,
    /// How many rows of each unit were copied.
    rows: RefCell<BTreeMap<usize, u64>>,
    progress: &'a dyn Fn(u64, u64),
}

impl Copy<'_> {
    /// Tells that about so many bytes are there.
    fn tell(&self, bytes: u64) {
        self.told.set(bytes.max(self.told.get()));
        (self.progress)(self.told.get(), self.total);
    }
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
        told: Cell::new(0),
        total: original.tables.iter().map(|table| table.bytes).sum(),
        snapshot: literal(&original.snapshot),
        rows: RefCell::default(),
        progress,
    };
    copy.tell(0);
    let workers = try_join_all((0..jobs).map(|_| worker(copying, &copy)));
    tokio::select! {
        done = workers => done.map(drop)?,
        never = watch(watcher, &copy) => never,
    }
    copy.tell(copy.total);
    let rows = copy.rows.into_inner();
    let counted = original
        .tables
        .iter()
        .enumerate()
        .filter(|(_, table)| !original.bare.contains_key(&table.oid));
    Ok(counted
        .map(|(unit, table)| (table.live.clone(), rows.get(&unit).copied().unwrap_or_default()))
        .collect())
}

/// Of tables that may be made with their rows those for which it is worth it: in the time that a session
/// takes for one, all sessions are done with about as much, or other sessions would help it in pieces.
pub fn whole(tables: &[Table], jobs: usize) -> BTreeSet<Oid> {
    let total: u128 = tables.iter().map(|table| u128::from(table.bytes)).sum();
    let of_all = |bytes| u128::from(bytes) * jobs as u128 <= total * 2;
    let worth =
        |table: &&Table| table.whole.is_some() && table.bytes > 2 * PIECE && of_all(table.bytes);
    tables.iter().filter(worth).map(|table| table.oid).collect()
}

/// What belongs together: each table, in their order, then foreign keys. `ranges`: the server finds rows
/// by their place without reading all others.
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
            stages: stages(table, along, ranges, plan.whole.contains(&table.oid)),
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

fn stages(table: &Table, along: Along, ranges: bool, whole: bool) -> VecDeque<Stage> {
    // Queries would be planned blindly until the server came round to it by itself.
    let analyze = table.insert.is_some().then(|| format!("ANALYZE {}", table.build));
    let of = (table.bytes / PIECE).min(table.pages);
    let rows = match (&table.whole, &table.insert) {
        (Some(text), _) if whole => {
            let part = Part { text: text.clone(), bytes: table.bytes, reads: true };
            Some(Stage::Parts(VecDeque::from([part])))
        }
        (_, Some(insert)) if ranges && of > 2 => {
            Some(Stage::Pieces { insert: insert.clone(), pages: table.pages, at: 0, of })
        }
        _ => None,
    };
    let Some(rows) = rows else {
        let along = along.indexes.into_iter().chain(along.rest);
        let texts: Vec<String> =
            table.insert.clone().into_iter().chain(along).chain(analyze).collect();
        if texts.is_empty() {
            return VecDeque::new();
        }
        let text = texts.join(";\n");
        let part = Part { text, bytes: table.bytes, reads: table.insert.is_some() };
        return VecDeque::from([Stage::Parts(VecDeque::from([part]))]);
    };
    let mut stages = VecDeque::from([rows]);
    if !along.indexes.is_empty() {
        stages.push_back(parts(along.indexes));
    }
    let last: Vec<String> = along.rest.into_iter().chain(analyze).collect();
    stages.push_back(parts([last.join(";\n")]));
    stages
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
        if task.part.bytes > PIECE {
            copy.running.borrow_mut().insert(task.unit, task.part.bytes);
        }
        let said = client.simple_query(&transaction(&task, &copy.snapshot)).await;
        copy.running.borrow_mut().remove(&task.unit);
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
            copy.tell(copy.done.get());
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

/// Has the log written while there are large transactions, and tells how far they are by how much of it
/// there is; an answer that does not come is not missed.
async fn watch(client: &Client, copy: &Copy<'_>) {
    // Takes a number, so that there is something to commit.
    let sql = "SELECT txid_current(), (pg_current_wal_insert_lsn() - '0/0')::bigint AS log";
    // Whoever cannot be told how far a copy is still gets the copy.
    let Ok(asked) = client.prepare(sql).await else { return std::future::pending().await };
    let mut first = None;
    let mut told = Instant::now();
    loop {
        tokio::time::sleep(WAKE).await;
        if copy.running.borrow().is_empty() {
            continue;
        }
        let Ok(row) = client.query_one(&asked, &[]).await else { continue };
        let log: i64 = row.get("log");
        let began = *first.get_or_insert(log);
        if told.elapsed() < TICK {
            continue;
        }
        told = Instant::now();
        let done = copy.done.get();
        let most = done + copy.running.borrow().values().sum::<u64>();
        let written = u64::try_from(log - began).unwrap_or_default();
        copy.tell(written.clamp(done, most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: Oid, bytes: u64, pages: u64) -> Table {
        let insert = Some("INSERT INTO b.t (x) SELECT x FROM ONLY a.t".to_owned());
        let live = ("a".to_owned(), "t".to_owned());
        Table { oid, live, build: "b.t".into(), bytes, pages, insert, whole: None }
    }

    #[test]
    fn only_large_tables_come_in_pieces() {
        let pieces = |bytes, pages, ranges| {
            let stages = stages(&table(1, bytes, pages), Along::default(), ranges, false);
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
    fn a_large_table_is_made_with_its_rows_unless_it_is_most_of_all() {
        let large = |oid, bytes| Table { whole: Some("CREATE".into()), ..table(oid, bytes, 9) };
        let tables = [large(1, PIECE * 30), large(2, PIECE * 10), large(3, PIECE * 2)];
        assert_eq!(whole(&tables, 2), BTreeSet::from([1, 2]));
        assert_eq!(whole(&tables, 3), BTreeSet::from([2]), "others would help with the first");
        assert_eq!(whole(&[table(4, PIECE * 10, 9)], 1), BTreeSet::new(), "of another shape");
        let stages = stages(&tables[0], Along::default(), true, true);
        assert!(matches!(&stages[0], Stage::Parts(parts) if parts[0].text == "CREATE"));
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
