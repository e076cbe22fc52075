//! [`Snowflake`]: the containers that dbt writes as an environment.
//!
//! Invariants: reading creates nothing; rendering touches nothing; what is swapped (the database or
//! its schemas) is pinned by the first release, by where its ledger is; a container is known by
//! `created_on`.
//!
//! May import `domain`, `ports` and its siblings.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use async_trait::async_trait;

use super::carry::Policy;
use super::grants::Container;
use super::ident::ObjectPath;
use super::ledger::{Fence, Home};
use super::perform::named;
use super::place::{self, Target};
use super::relink::Rewrite;
use super::render::{Renderer, Traits};
use super::session::{Sessions, Tag};
use super::unit::{self, NAMING, Unit};
use super::{choice, contents, doctor, look, past};
use crate::config::file::Isolation;
use crate::domain::containment::{Escape, pair_up};
use crate::domain::inventory::{Depth, Inventory, Local};
use crate::domain::journal::Baseline;
use crate::domain::name::{Naming, ReleaseId, RunId, SlotName};
use crate::domain::plan::{Effect, Pair, Rung, Step};
use crate::domain::project::{Manifest, Node, Survey};
use crate::domain::slot::Observation;
use crate::failure::{Failure, Outcome};
use crate::ports::{
    Answer, Dropped, HaltReceiver, Moment, Next, Observer, Probed, Reach, Redirect, Rows, Under,
    Warehouse,
};

/// What an environment is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This run, for query tags.
    pub run: RunId,
    /// What the configuration says is swapped.
    pub isolation: Isolation,
    /// Relations (`schema.name`) that may stay as they are where they cannot be relinked.
    pub allowed: BTreeSet<String>,
    /// What may be left behind.
    pub policy: Policy,
}

/// One environment of a Snowflake account.
pub struct Snowflake {
    pub(super) sessions: Sessions,
    pub(super) settings: Settings,
    pub(super) target: Target,
    /// What is swapped; shared with the ledger, which is elsewhere for each.
    pub(super) unit: Rc<Cell<Option<Unit>>>,
    /// Why, where it was chosen in this run.
    pub(super) why: RefCell<Option<String>>,
    live: RefCell<BTreeSet<SlotName>>,
    tag: RefCell<Tag>,
    /// Where dbt builds what, as far as this run knows.
    pairs: RefCell<Vec<Pair>>,
    /// Which containers have stamps, as far as is known.
    pub(super) stamped: RefCell<BTreeSet<SlotName>>,
    /// Up to when nothing was changed that this run does not know of.
    pub(super) touched: RefCell<contents::Touched>,
    /// Digests of tables, as long as these do not change.
    digests: RefCell<contents::Digests>,
    /// Relations whose grants dbt declares.
    pub(super) declared: RefCell<BTreeSet<ObjectPath>>,
    /// What was last seen.
    traits: RefCell<BTreeMap<SlotName, Traits>>,
}

impl Snowflake {
    pub(super) fn new(
        sessions: Sessions,
        settings: Settings,
        target: Target,
        unit: Rc<Cell<Option<Unit>>>,
    ) -> Self {
        let tag = Tag::new(settings.run.as_str(), "-", "look");
        Self {
            sessions,
            settings,
            target,
            unit,
            why: RefCell::new(None),
            tag: RefCell::new(tag),
            live: RefCell::default(),
            pairs: RefCell::default(),
            stamped: RefCell::default(),
            touched: RefCell::default(),
            digests: RefCell::default(),
            declared: RefCell::default(),
            traits: RefCell::default(),
        }
    }

    /// What is swapped; before anything was deployed or chosen, what one would look at first.
    pub(super) fn unit(&self) -> Unit {
        self.unit.get().unwrap_or(match self.settings.isolation {
            Isolation::Schema => Unit::Schema,
            Isolation::Auto | Isolation::Database => Unit::Database,
        })
    }

    /// The environment's name.
    pub(super) fn environment(&self) -> String {
        self.target.slot(self.unit()).0
    }

    /// What statements are sent for now.
    pub(super) fn tag(&self) -> Tag {
        self.tag.borrow().clone()
    }

    /// From now on statements are sent for a step.
    pub(super) fn begin(&self, under: &Under) -> Tag {
        let release = under.release.to_string();
        let tag = Tag::new(self.settings.run.as_str(), &release, &under.step);
        self.tag.replace(tag.clone());
        tag
    }

    pub(super) fn live_slots(&self) -> BTreeSet<SlotName> {
        let mut live = self.live.borrow().clone();
        if live.is_empty() {
            live.insert(self.target.slot(self.unit()));
        }
        live
    }

    /// Looks at everything, and remembers what it is like.
    pub(super) async fn look(
        &self,
        tag: &Tag,
    ) -> Answer<(Observation, BTreeMap<SlotName, look::Seen>)> {
        let (unit, environment) = (self.unit(), self.environment());
        let database = &self.target.base.database;
        let (observation, seen) =
            look::observe(&self.sessions, tag, unit, database, &environment, &self.stamped).await?;
        let traits = seen.iter().map(|(slot, one)| (slot.clone(), one.traits)).collect();
        self.traits.replace(traits);
        Ok((observation, seen))
    }

    /// Each slot's contents under the names of the live one beside it, comparable between containers.
    async fn contents(&self, slots: &[(&SlotName, &SlotName)]) -> Answer<Vec<contents::Contents>> {
        let asked = slots.iter().map(|(slot, live)| self.asked(slot, live));
        let asked = asked.collect::<Answer<Vec<_>>>()?;
        contents::read(&self.sessions, &self.tag(), &asked).await
    }

    fn asked(&self, slot: &SlotName, live: &SlotName) -> Answer<contents::Asked> {
        let (own, live) = (named(slot)?, named(live)?);
        let mut neutral = vec![Rewrite::DropDatabase(own.database().clone())];
        let schema = match &live {
            Container::Database(database) => {
                neutral.push(Rewrite::DropDatabase(database.clone()));
                None
            }
            Container::Schema(path) => {
                neutral.clear();
                for pair in self.pairs.borrow().iter() {
                    if let (Ok(Container::Schema(from)), Ok(Container::Schema(to))) =
                        (unit::container(&pair.other), unit::container(&pair.live))
                    {
                        neutral.push(Rewrite::ReplaceSchema(from, to.schema));
                    }
                }
                Some(path.schema.as_str().to_owned())
            }
        };
        Ok(contents::Asked { container: own, schema, neutral })
    }

    async fn digest(&self, wanted: &mut [(&mut contents::Contents, &Vec<Local>)]) -> Answer<()> {
        let mut known = self.digests.take();
        let done = contents::digest(&self.sessions, &self.tag(), wanted, &mut known).await;
        self.digests.replace(known);
        done
    }
}

#[async_trait(?Send)]
impl Warehouse for Snowflake {
    fn kind(&self) -> &'static str {
        "snowflake"
    }

    fn naming(&self) -> Naming {
        NAMING
    }

    fn live(&self) -> Vec<SlotName> {
        self.live_slots().into_iter().collect()
    }

    fn know(&self, slots: &BTreeSet<SlotName>) {
        self.live.borrow_mut().extend(slots.iter().cloned());
    }

    fn stages(&self) -> bool {
        self.unit() == Unit::Schema
    }

    async fn settle(&self, production: &Manifest) -> Outcome<()> {
        choice::settle(self, production).await?;
        if self.unit() == Unit::Schema {
            let slots = place::slots(Unit::Schema, production);
            choice::refuse_foreign(self, &slots).await?;
            self.know(&slots);
        }
        Ok(())
    }

    fn ladder(
        &self,
        release: ReleaseId,
        production: Option<&Manifest>,
    ) -> Option<Vec<(Rung, Redirect)>> {
        match (self.unit.get(), production) {
            (Some(Unit::Database), _) => Some(self.target.ladder(Unit::Database, release, None)),
            (Some(Unit::Schema), Some(production)) => {
                Some(self.target.ladder(Unit::Schema, release, Some(production)))
            }
            _ => None,
        }
    }

    fn stored(&self, node: &Node) -> Local {
        match place::path(node) {
            Ok(path) => Local {
                schema: path.schema.schema.as_str().to_owned(),
                identifier: path.object.as_str().to_owned(),
            },
            // Containment refuses what is no name.
            Err(_) => Local { schema: String::new(), identifier: node.relation.identifier.clone() },
        }
    }

    fn contain(
        &self,
        survey: &Survey,
        _release: ReleaseId,
        allowed_external: &BTreeSet<String>,
    ) -> Result<Vec<Pair>, Vec<Escape>> {
        let unit = self.unit();
        let pairs = pair_up(survey, allowed_external, &|node| place::placed(unit, node))?;
        let both = survey.production.nodes.values().chain(survey.build.nodes.values());
        let declared = both.filter(|node| node.declares_grants);
        self.declared.replace(declared.filter_map(|node| place::path(node).ok()).collect());
        self.pairs.replace(pairs.clone());
        Ok(pairs)
    }

    async fn preflight(&self) -> Outcome<()> {
        choice::preflight(self).await
    }

    async fn enter(&self, under: &Under) {
        let tag = self.begin(under);
        self.sessions.retag(&tag).await;
    }

    async fn observe(&self) -> Answer<Observation> {
        Ok(self.look(&self.tag()).await?.0)
    }

    fn render(&self, step: &Step) -> Vec<Effect> {
        let environment = self.environment();
        let traits = self.traits.borrow();
        let schema = choice::home(self.unit(), &self.target.base.database);
        let lease = Fence::new(&Home { schema }, &environment);
        Renderer {
            unit: self.unit(),
            environment: &environment,
            lease: &lease,
            traits: &|slot| traits.get(slot).copied().unwrap_or_default(),
        }
        .effects(step)
    }

    async fn perform(&self, effects: &[Effect], under: &Under) -> Answer<Vec<String>> {
        self.perform_all(effects, under).await
    }

    async fn baseline(&self, _: Next) -> Answer<Baseline> {
        let tag = self.tag();
        let live: Vec<SlotName> = self.live_slots().into_iter().collect();
        let pairs: Vec<_> = live.iter().map(|slot| (slot, slot)).collect();
        // What is written between the two looks like drift later; it is in the copy, which comes
        // after both.
        let (now, contents) = tokio::join!(self.now(&tag), self.contents(&pairs));
        let now = now?;
        let mut baseline = Baseline::default();
        for (slot, contents) in live.into_iter().zip(contents?) {
            contents::baseline(&contents, &mut baseline);
            baseline.marks.insert(slot, now.clone());
        }
        self.touched.borrow_mut().live = Some(now);
        Ok(baseline)
    }

    async fn drift(&self, baseline: &Baseline) -> Answer<Vec<String>> {
        let tag = self.tag();
        let Some(since) = baseline.marks.values().min() else { return Ok(Vec::new()) };
        let pairs: Vec<_> = baseline.marks.keys().map(|slot| (slot, slot)).collect();
        let all = self.contents(&pairs).await?.into_iter().flatten().collect();
        let (mut said, nominated) = contents::changes(&all, baseline, since);
        said.extend(contents::rows_since(&self.sessions, &tag, &nominated, since).await?);
        Ok(said)
    }

    async fn inventory(&self, slot: &SlotName, live: &SlotName, depth: Depth) -> Answer<Inventory> {
        let mut found = self.contents(&[(slot, live)]).await?.pop().unwrap_or_default();
        if depth == Depth::Contents {
            let all: Vec<Local> = found.keys().cloned().collect();
            self.digest(&mut [(&mut found, &all)]).await?;
        }
        Ok(contents::inventory(found))
    }

    async fn inventories(&self, pairs: &[Pair], compared: u64) -> Answer<(Inventory, Inventory)> {
        let (live, other) = (
            pairs.iter().map(|pair| (&pair.live, &pair.live)),
            pairs.iter().map(|pair| (&pair.other, &pair.live)),
        );
        let slots: Vec<_> = live.chain(other).collect();
        let mut live: Vec<contents::Contents> = self.contents(&slots).await?;
        let mut other = live.split_off(pairs.len()).into_iter().flatten().collect();
        let mut live = live.into_iter().flatten().collect();
        let rows = |all: &contents::Contents| -> u64 {
            all.values().filter_map(|one| one.relation.rows).sum()
        };
        if compared > 0 && rows(&live).saturating_add(rows(&other)) <= compared {
            let asked = contents::undecided(&live, &other, &self.touched.borrow());
            self.digest(&mut [(&mut live, &asked), (&mut other, &asked)]).await?;
        }
        Ok((contents::inventory(live), contents::inventory(other)))
    }

    fn has_past(&self) -> bool {
        true
    }

    fn needs_project(&self) -> bool {
        self.live.borrow().is_empty() && self.unit.get() != Some(Unit::Database)
    }

    async fn moment(&self) -> Answer<Option<Moment>> {
        past::moment(self).await.map(Some)
    }

    async fn reach(&self, slot: &SlotName) -> Answer<Option<Reach>> {
        past::reach(self, slot).await.map(Some)
    }

    async fn dropped(&self, slots: &[SlotName]) -> Answer<BTreeMap<SlotName, Dropped>> {
        past::dropped(self, slots).await
    }

    async fn examine(&self, production: Option<&Manifest>) -> Vec<(String, Outcome<String>)> {
        doctor::examine(self, production).await
    }

    async fn probe(&self, observer: &dyn Observer, halt: HaltReceiver) -> Outcome<Option<Probed>> {
        doctor::probe(self, observer, halt).await.map(Some)
    }

    async fn query(&self, slot: &SlotName, sql: &str, limit: usize) -> Answer<Rows> {
        self.query_in(slot, sql, limit).await
    }
}

/// The failure of a database that is not there.
pub(super) fn no_database(target: &Target, role: &str) -> Failure {
    Failure::usage(format!(
        "there is no database {} that role {role} can see",
        target.base.database
    ))
    .next("check `database` and `role` in profiles.yml; dbt needs the database to exist")
}
