//! [`DuckDb`]: one file as an environment.
//!
//! Invariants: reading creates nothing; rendering touches nothing; what is observed is what one
//! set of files held at one moment (a cutover in between is noticed and the look repeated).
//! May import `domain`, `failure`, `ports` and this adapter's files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::child::{SqlChild, Trouble};
use super::contents;
use super::files::{self, Format};
use super::guard::Guard;
use super::home::Home;
use super::path::{self, LiveFile};
use super::slots::{self, Found};
use super::{probe, render, stamp, words};
use crate::domain::containment::Placement;
use crate::domain::inventory::{Depth, Inventory};
use crate::domain::journal::Baseline;
use crate::domain::name::{Naming, SlotName};
use crate::domain::plan::{Effect, Pair, Step};
use crate::domain::slot::{Content, Observation};
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Answer, PortError, Redirect, Rows, Token, Warehouse};

/// What an environment is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The profile's `path`, rendered.
    pub path: String,
    /// Where dbt runs: relative paths begin there.
    pub cwd: PathBuf,
    /// `HOME`, for a leading `~`.
    pub home: Option<PathBuf>,
    /// The Python of the dbt environment.
    pub python: PathBuf,
    /// Whether a leftover write-ahead log is taken in instead of stopping the deploy.
    pub allow_wal: bool,
    /// How long one query may take.
    pub query_timeout: Duration,
}

/// One DuckDB file as an environment.
pub struct DuckDb {
    pub(super) live: LiveFile,
    slots: [SlotName; 1],
    pub(super) home: Home,
    pub(super) sql: SqlChild,
    pub(super) guard: Mutex<Option<Guard>>,
    /// Live's mark when drift was judged; it must not have changed at the cutover.
    pub(super) drift_mark: RefCell<Option<String>>,
    allow_wal: bool,
    pub(super) query_timeout: Duration,
}

impl DuckDb {
    /// The environment that a profile names. Touches nothing; starts nothing.
    pub fn open(settings: Settings) -> Outcome<Self> {
        let live = path::resolve(&settings.path, &settings.cwd, settings.home.as_deref())?;
        Ok(Self {
            slots: [slots::slot(&live.path)],
            home: Home::of(&live.path),
            // Not resolved further: a virtual environment's Python is a link.
            sql: SqlChild::new(settings.cwd.join(settings.python)),
            guard: Mutex::new(None),
            drift_mark: RefCell::new(None),
            allow_wal: settings.allow_wal,
            query_timeout: settings.query_timeout,
            live,
        })
    }

    /// The live file.
    #[must_use]
    pub fn live_file(&self) -> &LiveFile {
        &self.live
    }

    /// The version of duckdb in the dbt environment.
    pub async fn duckdb_version(&self) -> Outcome<String> {
        self.sql.version().await
    }

    /// Asks a question that changes nothing.
    async fn read<T: DeserializeOwned>(&self, path: &Path, request: Value) -> Answer<T> {
        match self.sql.ask(&request, self.query_timeout).await? {
            Ok(answer) => serde_json::from_value(answer)
                .map_err(|error| PortError::Refused(anyhow::Error::new(error).into())),
            Err(Trouble::Sql { kind, message, .. }) => {
                Err(words::explain(path, &kind, &message).into())
            }
            Err(Trouble::Lost(message)) => Err(Failure::new(
                Kind::Unexpected,
                format!("reading {} with DuckDB: {message}", path.display()),
            )
            .into()),
        }
    }

    /// Observes; repeated while a cutover happens in between.
    pub(super) async fn observe_slots(&self) -> Answer<Observation> {
        let mut tries = 0;
        loop {
            let before = self.list()?;
            let mut observed = Observation::default();
            observed.slots.insert(self.slots[0].clone(), Content::Absent);
            let stamps = self.stamps(&before).await?;
            for (found, seen) in before.iter().zip(stamps) {
                observed.slots.insert(found.slot.clone(), self.content(found, seen)?);
            }
            tries += 1;
            if tries == 3 || same(&before, &self.list()?) {
                return Ok(observed);
            }
        }
    }

    fn list(&self) -> Answer<Vec<Found>> {
        let path = &self.live.path;
        let mut all = slots::list(&self.home, self.live.file_name())
            .map_err(|error| files::refused("cannot list", &self.home.directory, error))?;
        let live = files::stat(path).map_err(|e| files::refused("cannot look at", path, e))?;
        all.extend(live.map(|stat| Found {
            slot: self.slots[0].clone(),
            stat,
            created_by_us: false,
        }));
        Ok(all)
    }

    /// What DuckDB says of each file: all in one request, or one by one where a file is so
    /// damaged that reading it ends the child.
    async fn stamps(&self, all: &[Found]) -> Answer<Vec<Seen>> {
        let mut seen: Vec<Seen> = all.iter().map(|found| look(found.slot.as_path())).collect();
        let readable: Vec<usize> =
            (0..all.len()).filter(|n| matches!(seen[*n], Seen::Stamp(_))).collect();
        let mut groups = vec![readable];
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            let names: Vec<_> = group.iter().map(|n| all[*n].slot.as_str()).collect();
            let request = json!({"op": "stamps", "files": names});
            match self.sql.ask(&request, self.query_timeout).await? {
                Ok(answer) => {
                    let answers: Vec<RawStamp> = serde_json::from_value(answer)
                        .map_err(|error| PortError::Refused(anyhow::Error::new(error).into()))?;
                    for (n, answer) in group.into_iter().zip(answers) {
                        seen[n] = answer.into();
                    }
                }
                Err(_) if group.len() > 1 => groups.extend(group.into_iter().map(|n| vec![n])),
                Err(Trouble::Lost(what) | Trouble::Sql { message: what, .. }) => {
                    seen[group[0]] = Seen::Unreadable(format!("DuckDB cannot read it: {what}"));
                }
            }
        }
        Ok(seen)
    }

    fn content(&self, found: &Found, seen: Seen) -> Answer<Content> {
        let path = found.slot.as_path();
        let is_live = path == self.live.path;
        let stamp = match seen {
            Seen::Stamp(stamp) => stamp,
            Seen::Busy(reason) => return Ok(Content::Busy { reason }),
            // A copy of ours that was cut short: it must stay droppable.
            _ if found.created_by_us => None,
            Seen::Wrong(kind, message) if is_live => {
                return Err(words::explain(path, &kind, &message).into());
            }
            Seen::NoDuckDb if is_live => return Err(no_database(path, found.stat.size).into()),
            Seen::Encrypted if is_live => {
                return Err(words::encrypted(found.slot.as_str()).into());
            }
            Seen::Unreadable(reason) if is_live => {
                return Err(Failure::new(
                    Kind::Unexpected,
                    format!("production {} cannot be read: {reason}", path.display()),
                )
                .into());
            }
            Seen::Wrong(_, reason) | Seen::Unreadable(reason) => {
                return Ok(Content::Busy { reason });
            }
            Seen::NoDuckDb => return Ok(busy("it is not a DuckDB file")),
            Seen::Encrypted => return Ok(busy("it is encrypted")),
        };
        Ok(Content::Present {
            identity: found.stat.identity.clone(),
            stamp,
            created_by_us: found.created_by_us,
        })
    }

    fn marks(&self) -> Answer<BTreeMap<SlotName, String>> {
        let path = &self.live.path;
        let mark = contents::mark(path).map_err(|e| files::refused("cannot read", path, e))?;
        Ok(BTreeMap::from([(self.slots[0].clone(), mark)]))
    }
}

/// What was found in one file.
enum Seen {
    Stamp(Option<crate::domain::slot::Stamp>),
    Busy(String),
    NoDuckDb,
    Encrypted,
    Unreadable(String),
    Wrong(String, String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawStamp {
    Stamp(Option<Vec<Option<String>>>),
    Error {
        #[serde(rename = "type")]
        kind: String,
        message: String,
    },
}

impl From<RawStamp> for Seen {
    fn from(raw: RawStamp) -> Self {
        match raw {
            RawStamp::Stamp(row) => Self::Stamp(row.as_deref().and_then(stamp::parse)),
            RawStamp::Error { message, .. } if words::is_lock(&message) => Self::Busy(message),
            RawStamp::Error { kind, message } => Self::Wrong(kind, message),
        }
    }
}

/// Looks at a file's first bytes; `Seen::Stamp` means that DuckDB is to be asked.
fn look(path: &Path) -> Seen {
    match files::format(path) {
        Ok(Format::DuckDb) => Seen::Stamp(None),
        Ok(Format::Encrypted) => Seen::Encrypted,
        Ok(Format::Other) => Seen::NoDuckDb,
        Err(error) => Seen::Unreadable(error.to_string()),
    }
}

fn busy(reason: &str) -> Content {
    Content::Busy { reason: reason.to_owned() }
}

fn no_database(path: &Path, size: u64) -> Failure {
    let path = path.display();
    if size == 0 {
        return Failure::usage(format!(
            "{path} is empty (0 bytes), which DuckDB does not accept as a database"
        ))
        .next(format!("remove it (`rm '{path}'`): the first deploy creates it"));
    }
    Failure::usage(format!("{path} is not a DuckDB file")).next("correct `path` in profiles.yml")
}

fn same(before: &[Found], after: &[Found]) -> bool {
    let key = |all: &[Found]| -> Vec<_> {
        all.iter().map(|found| (found.slot.clone(), found.stat.identity.clone())).collect()
    };
    key(before) == key(after)
}

#[async_trait(?Send)]
impl Warehouse for DuckDb {
    fn kind(&self) -> &'static str {
        "duckdb"
    }

    fn naming(&self) -> Naming {
        Naming::Files
    }

    fn live(&self) -> &[SlotName] {
        &self.slots
    }

    fn placement(&self) -> Placement {
        Placement::File { database: self.live.database.clone() }
    }

    fn redirect(&self, pairs: &[Pair]) -> Redirect {
        let build = pairs.first().map(|pair| pair.other.to_string());
        Redirect { key: "path", value: build.unwrap_or_default() }
    }

    async fn preflight(&self) -> Outcome<()> {
        probe::check(&self.live, &self.home, self.allow_wal)?;
        self.sql.version().await?;
        let observed = self.observe_slots().await?;
        if let Content::Busy { reason } = observed.content(&self.slots[0]) {
            return Err(words::explain(&self.live.path, "IOException", reason)
                .production("Production is unchanged by Switchback."));
        }
        Ok(())
    }

    async fn observe(&self) -> Answer<Observation> {
        self.observe_slots().await
    }

    fn render(&self, step: &Step) -> Vec<Effect> {
        render::effects(step, self.allow_wal)
    }

    async fn perform(&self, effects: &[Effect], fence: Token) -> Answer<()> {
        if effects.is_empty() {
            return Ok(());
        }
        self.fenced(fence).await?;
        for effect in effects {
            self.perform_one(effect, fence).await?;
        }
        Ok(())
    }

    async fn baseline(&self) -> Answer<Baseline> {
        let marks = self.marks()?;
        let rows = contents::rows(&self.inventory(&self.slots[0], Depth::Counts).await?);
        Ok(Baseline { marks, rows })
    }

    async fn drift(&self, baseline: &Baseline) -> Answer<Vec<String>> {
        let now = self.marks()?;
        let slot = &self.slots[0];
        self.drift_mark.replace(now.get(slot).cloned());
        if let Some(wal) = self.live.names().flat_map(files::wals).next() {
            return Ok(vec![format!(
                "{} holds writes that are not in the file yet",
                wal.display()
            )]);
        }
        if now == baseline.marks {
            return Ok(Vec::new());
        }
        let rows = contents::rows(&self.inventory(slot, Depth::Counts).await?);
        Ok(contents::drift(&baseline.rows, &rows))
    }

    async fn inventory(&self, slot: &SlotName, depth: Depth) -> Answer<Inventory> {
        let path = slot.as_path();
        if !path.exists() {
            return Ok(Inventory::new());
        }
        let request =
            json!({"op": "inventory", "file": path, "contents": depth == Depth::Contents});
        Ok(contents::inventory(self.read(path, request).await?))
    }

    async fn query(&self, slot: &SlotName, sql: &str, limit: usize) -> Answer<Rows> {
        #[derive(Deserialize)]
        struct Raw {
            columns: Vec<String>,
            rows: Vec<Vec<Option<String>>>,
        }
        let path = slot.as_path();
        let request = json!({"op": "query", "file": path, "sql": sql, "limit": limit});
        let Raw { columns, rows } = self.read(path, request).await?;
        Ok(Rows { columns, rows })
    }
}
