//! [`Postgres`]: schemas of one database as an environment.
//!
//! Invariants: reading creates nothing; rendering touches nothing; what an environment consists of
//! is what history names and what the project writes.
//! May import `domain`, `failure`, `ports` and this adapter's files.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::clone::Bare;
use super::connect::Connector;
use super::guard::Guard;
use super::profile::Settings;
use super::render::{self, Around};
use super::session::Sessions;
use crate::domain::containment::{Escape, Placed, pair_up};
use crate::domain::inventory::{Depth, Inventory, Local};
use crate::domain::journal::Baseline;
use crate::domain::name::{Naming, ReleaseId, Role, SlotName};
use crate::domain::plan::{Effect, Pair, Rung, Step};
use crate::domain::project::{Manifest, Node, Survey};
use crate::domain::slot::Observation;
use crate::failure::Outcome;
use crate::ports::{Answer, Next, Observer, Overlay, Redirect, Rows, Under, Warehouse};

/// PostgreSQL cuts longer names, and two cut names may be one.
pub(super) const LONGEST: usize = 63;

const NAMING: Naming = Naming::Identifiers { max_bytes: LONGEST };

/// One or more schemas of a database as an environment.
pub struct Postgres {
    pub(super) settings: Settings,
    pub(super) sessions: Sessions,
    /// On live, from the look for drift to the cutover.
    pub(super) guard: Mutex<Option<Guard>>,
    /// Live slots that history or the project names.
    known: RefCell<BTreeSet<SlotName>>,
    /// Where the live slots are being built.
    pub(super) built: RefCell<Vec<Pair>>,
    /// Live schema and relation of the nodes whose access dbt decides.
    granted: RefCell<BTreeSet<(String, String)>>,
    /// Live tables that this run makes anew before anybody reads them.
    pub(super) rebuilt: RefCell<Bare>,
    /// Live schema and name of the tables whose rows were copied, and how many there were.
    pub(super) copied: RefCell<BTreeMap<(String, String), u64>>,
    /// Whoever is told how far a copy has got.
    pub(super) observer: Option<Rc<dyn Observer>>,
}

impl Postgres {
    /// The environment that a target names. Connects to nothing.
    pub fn open(settings: Settings) -> Outcome<Self> {
        let connector = Connector::new(&settings)?;
        Ok(Self {
            sessions: Sessions::new(connector),
            settings,
            guard: Mutex::new(None),
            known: RefCell::default(),
            built: RefCell::default(),
            granted: RefCell::default(),
            rebuilt: RefCell::default(),
            copied: RefCell::default(),
            observer: None,
        })
    }

    /// Tells `observer` how far a copy has got.
    #[must_use]
    pub fn watched(self, observer: Rc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// What opens sessions.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.sessions.connector
    }

    /// The environment's name: dbt's base schema.
    pub(super) fn environment(&self) -> &str {
        &self.settings.schema
    }

    /// The live schemas.
    pub(super) fn lives(&self) -> Vec<String> {
        self.live().into_iter().map(|slot| slot.0).collect()
    }

    /// Every name that stands for a live slot's content somewhere, and that live slot's name: what
    /// views of a build or of an archive call their own.
    pub(super) fn aliases(&self, release: Option<ReleaseId>) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for live in self.live() {
            for role in release.into_iter().flat_map(|id| [Role::Build(id), Role::Archive(id)]) {
                found.insert(NAMING.slot(&live, role).0, live.0.clone());
            }
        }
        for pair in self.built.borrow().iter() {
            found.insert(pair.other.0.clone(), pair.live.0.clone());
        }
        found
    }

    fn place(&self, node: &Node) -> Result<Placed, String> {
        let relation = &node.relation;
        if relation.database != self.settings.database {
            return Err(format!(
                "it writes to `{relation}`, which is in the database `{}` and not in `{}`, where \
                 the schemas are swapped",
                relation.database, self.settings.database
            ));
        }
        if relation.schema.len() > LONGEST {
            return Err(format!(
                "the name of its schema `{}` has {} bytes, and PostgreSQL cuts names after {LONGEST}",
                relation.schema,
                relation.schema.len()
            ));
        }
        let local = Local { schema: String::new(), identifier: relation.identifier.clone() };
        Ok(Placed { slot: relation.schema.as_str().into(), local })
    }
}

/// Where the tables that this run makes anew lie in live, and where what refers to them lies.
fn rebuilt(survey: &Survey) -> Bare {
    let place = |id: &String| {
        let relation = &survey.production.nodes.get(id)?.relation;
        Some((relation.schema.clone(), relation.identifier.clone()))
    };
    let all = survey.rebuilt.iter();
    all.filter_map(|(id, readers)| Some((place(id)?, readers.iter().filter_map(place).collect())))
        .collect()
}

/// The schemas that dbt writes.
fn schemas(manifest: &Manifest) -> impl Iterator<Item = &str> {
    manifest.nodes.values().map(|node| node.relation.schema.as_str())
}

#[async_trait(?Send)]
impl Warehouse for Postgres {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn naming(&self) -> Naming {
        NAMING
    }

    fn live(&self) -> Vec<SlotName> {
        let known = self.known.borrow();
        if known.is_empty() {
            return vec![self.environment().into()];
        }
        known.iter().cloned().collect()
    }

    fn know(&self, slots: &BTreeSet<SlotName>) {
        self.known.borrow_mut().extend(slots.iter().cloned());
    }

    async fn settle(&self, production: &Manifest) -> Outcome<()> {
        self.known.borrow_mut().extend(schemas(production).map(SlotName::from));
        // Preflight did not know of all these.
        self.check().await?;
        self.check_outside().await
    }

    fn ladder(
        &self,
        release: ReleaseId,
        production: Option<&Manifest>,
    ) -> Option<Vec<(Rung, Redirect)>> {
        let production = production?;
        let value = NAMING.slot(&self.environment().into(), Role::Build(release)).0;
        let moved = |overlay| Redirect { key: "schema", value: value.clone(), overlay };
        let overlay = Overlay::of_schemas(production, LONGEST, release);
        Some(vec![(Rung::Profile, moved(None)), (Rung::Overlay, moved(Some(overlay)))])
    }

    fn contain(
        &self,
        survey: &Survey,
        release: ReleaseId,
        allowed_external: &BTreeSet<String>,
    ) -> Result<Vec<Pair>, Vec<Escape>> {
        let mut pairs = pair_up(survey, allowed_external, &|node| self.place(node))?;
        // What dbt does not write any more comes along as it is: all slots are of one release.
        for live in self.live() {
            if !pairs.iter().any(|pair| pair.live == live) {
                let other = NAMING.slot(&live, Role::Build(release));
                pairs.push(Pair { live, other });
            }
        }
        pairs.sort_by(|one, other| one.live.cmp(&other.live));
        let production = &survey.production;
        let granted = production.nodes.values().filter(|node| node.declares_grants);
        let granted = granted.map(|node| &node.relation);
        self.granted
            .replace(granted.map(|one| (one.schema.clone(), one.identifier.clone())).collect());
        self.rebuilt.replace(rebuilt(survey));
        self.built.replace(pairs.clone());
        Ok(pairs)
    }

    async fn preflight(&self) -> Outcome<()> {
        self.check().await
    }

    async fn observe(&self) -> Answer<Observation> {
        self.observe_slots().await
    }

    fn render(&self, step: &Step) -> Vec<Effect> {
        let granted = self.granted.borrow();
        let around = Around { environment: self.environment(), naming: NAMING, granted: &granted };
        render::effects(step, &around)
    }

    async fn perform(&self, effects: &[Effect], under: &Under) -> Answer<Vec<String>> {
        self.perform_all(effects, under).await
    }

    async fn baseline(&self, next: Next) -> Answer<Baseline> {
        self.take_baseline(next).await
    }

    fn counted(&self, mut baseline: Baseline) -> Baseline {
        for ((schema, name), rows) in self.copied.borrow().iter() {
            baseline.rows.entry(format!("{schema}.{name}")).or_insert(*rows);
        }
        baseline
    }

    async fn drift(&self, baseline: &Baseline) -> Answer<Vec<String>> {
        self.find_drift(baseline).await
    }

    async fn inventory(&self, slot: &SlotName, live: &SlotName, depth: Depth) -> Answer<Inventory> {
        self.list(slot, live, depth).await
    }

    async fn inventories(&self, pairs: &[Pair], compared: u64) -> Answer<(Inventory, Inventory)> {
        self.list_all(pairs, compared).await
    }

    async fn query(&self, slot: &SlotName, sql: &str, limit: usize) -> Answer<Rows> {
        self.ask_in(slot, sql, limit).await
    }
}
