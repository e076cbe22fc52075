//! [`DuckDb`]: one file as an environment.
//!
//! Invariants: reading creates nothing; rendering touches nothing; what is observed is what one
//! set of files held at one moment (a cutover in between is noticed and the look repeated).
//! May import `domain`, `failure`, `ports` and this adapter's files.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::child::{SqlChild, Trouble};
use super::contents;
use super::files;
use super::guard::Guard;
use super::home::Home;
use super::path::{self, LiveFile};
use super::{probe, render, slots, words};
use crate::domain::containment::{Escape, Placement, escapes};
use crate::domain::inventory::{Depth, Inventory};
use crate::domain::journal::Baseline;
use crate::domain::name::{Naming, ReleaseId, Role, SlotName};
use crate::domain::plan::{Effect, Pair, Rung, Step};
use crate::domain::project::{Manifest, Survey};
use crate::domain::slot::Observation;
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Answer, Next, PortError, Redirect, Rows, Under, Warehouse};

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
    pub(super) slots: [SlotName; 1],
    pub(super) home: Home,
    pub(super) sql: SqlChild,
    /// On live and on what came in; they end with this value.
    pub(super) guards: Mutex<Vec<Guard>>,
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
            guards: Mutex::new(Vec::new()),
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

    fn marks(&self) -> Answer<BTreeMap<SlotName, String>> {
        let path = &self.live.path;
        let mark = contents::mark(path).map_err(|e| files::refused("cannot read", path, e))?;
        Ok(BTreeMap::from([(self.slots[0].clone(), mark)]))
    }
}

#[async_trait(?Send)]
impl Warehouse for DuckDb {
    fn kind(&self) -> &'static str {
        "duckdb"
    }

    fn naming(&self) -> Naming {
        Naming::Files
    }

    fn live(&self) -> Vec<SlotName> {
        self.slots.to_vec()
    }

    fn ladder(
        &self,
        release: ReleaseId,
        _production: Option<&Manifest>,
    ) -> Option<Vec<(Rung, Redirect)>> {
        let value = Naming::Files.slot(&self.slots[0], Role::Build(release)).to_string();
        Some(vec![(Rung::Profile, Redirect { key: "path", value, overlay: None })])
    }

    fn contain(
        &self,
        survey: &Survey,
        release: ReleaseId,
        allowed_external: &BTreeSet<String>,
    ) -> Result<Vec<Pair>, Vec<Escape>> {
        let placement = Placement::File { database: self.live.database.clone() };
        let escaped = escapes(survey, &placement, allowed_external);
        if !escaped.is_empty() {
            return Err(escaped);
        }
        let live = self.slots[0].clone();
        let other = Naming::Files.slot(&live, Role::Build(release));
        Ok(vec![Pair { live, other }])
    }

    async fn preflight(&self) -> Outcome<()> {
        probe::check(&self.live, &self.home, self.sql.python(), self.allow_wal)?;
        self.sql.version().await?;
        self.live_is_readable().await
    }

    async fn observe(&self) -> Answer<Observation> {
        self.observe_slots().await
    }

    fn render(&self, step: &Step) -> Vec<Effect> {
        render::effects(step, self.allow_wal)
    }

    async fn perform(&self, effects: &[Effect], under: &Under) -> Answer<Vec<String>> {
        let fence = under.fence;
        if effects.is_empty() {
            return Ok(Vec::new());
        }
        self.fenced(fence).await?;
        for (done, effect) in effects.iter().enumerate() {
            if let Effect::Sql { slot, .. } = effect
                && Self::is_moved(slot, &effects[done..])?
            {
                continue; // an earlier attempt got further than this
            }
            self.perform_one(effect, fence).await?;
        }
        Ok(Vec::new())
    }

    async fn baseline(&self, _: Next) -> Answer<Baseline> {
        let marks = self.marks()?;
        let slot = &self.slots[0];
        let rows = contents::rows(&self.inventory(slot, slot, Depth::Counts).await?);
        Ok(Baseline { marks, rows, definitions: BTreeMap::new() })
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
        let rows = contents::rows(&self.inventory(slot, slot, Depth::Counts).await?);
        Ok(contents::drift(&baseline.rows, &rows))
    }

    async fn inventory(
        &self,
        slot: &SlotName,
        _live: &SlotName,
        depth: Depth,
    ) -> Answer<Inventory> {
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
