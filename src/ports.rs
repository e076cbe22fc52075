//! What the engine and the verbs need from the outside world, as traits. Adapters implement them;
//! only the engine calls the methods that mutate (`perform`, `append`, lease methods).
//!
//! Law: a port error is `Refused` (nothing happened) or `Unknown` (it may have happened). A swap is
//! its own inverse, so an `Unknown` is settled by reading stamps, never by trying again.
//!
//! May import `domain` and `failure`.

pub mod forge;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::domain::containment::Escape;
use crate::domain::inventory::{Change, Depth, Inventory, Local};
use crate::domain::journal::Baseline;
use crate::domain::name::{Identity, Naming, ReleaseId, Role, SlotName};
use crate::domain::plan::{Effect, Pair, Rung, Step, Verb};
use crate::domain::project::{DbtSummary, Manifest, Node, Survey};
use crate::domain::slot::Observation;
use crate::domain::verify::Finding;
use crate::failure::{Failure, Outcome};

pub use ledger::{Claim, Draft, Lease, Ledger};

/// Why a port did not do what it was asked.
#[derive(Debug)]
pub enum PortError {
    /// Nothing happened.
    Refused(Failure),
    /// It may have happened.
    Unknown(anyhow::Error),
}

impl From<Failure> for PortError {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Refused(failure) => failure,
            PortError::Unknown(error) => error.into(),
        }
    }
}

impl std::fmt::Display for PortError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(failure) => write!(f, "{failure}"),
            Self::Unknown(error) => write!(f, "{error:#}"),
        }
    }
}

/// What a port answers.
pub type Answer<T> = Result<T, PortError>;

/// The lease's fencing token: higher than every token given out before in this environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(pub u64);

/// The rows a query returned, as text, at most as many as were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// Column names.
    pub columns: Vec<String>,
    /// Values as text; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Where dbt writes instead of production: one profile key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The profile's key, such as `path`.
    pub key: &'static str,
    /// Its value for the build.
    pub value: String,
    /// What else moves dbt, where the project's macros ignore the target.
    pub overlay: Option<Overlay>,
}

/// How the names that the project's macros give are moved, for an overlay of the project: the second
/// rung of the ladder. Production's names come from a survey without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Production's schemas and the build's name for each; empty where schemas keep their names.
    pub schemas: BTreeMap<String, String>,
    /// The same for databases.
    pub databases: BTreeMap<String, String>,
    /// What a schema gets that is none of these, so that nothing is written to production's.
    pub suffix: String,
    /// The longest identifier the warehouse keeps whole.
    pub max_bytes: usize,
    /// Whether names that differ only in case are the same to the warehouse.
    pub folds: bool,
}

impl Overlay {
    /// The overlay for a warehouse where schemas are swapped and a slot is named as its schema:
    /// every schema that dbt writes in production goes to the build of `release`.
    #[must_use]
    pub fn of_schemas(production: &Manifest, max_bytes: usize, release: ReleaseId) -> Self {
        let naming = Naming::Identifiers { max_bytes };
        let slot = |live: &str| naming.slot(&SlotName::from(live), Role::Build(release)).0;
        let written = production.nodes.values().map(|node| node.relation.schema.as_str());
        Self {
            schemas: written.map(|live| (live.to_owned(), slot(live))).collect(),
            databases: BTreeMap::new(),
            suffix: slot(""),
            max_bytes,
            folds: false,
        }
    }
}

/// A moment that a warehouse can be asked about later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, by its own clock.
    pub at: DateTime<Utc>,
    /// The id of a query at that moment.
    pub query: Option<String>,
}

/// What a probe found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// As a table.
    pub text: String,
    /// As JSON that can be given to others: without names of the account's.
    pub json: String,
    /// How many facts are not as assumed.
    pub differ: usize,
}

/// How far back a container can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The earliest moment.
    pub since: DateTime<Utc>,
    /// What limits it, in words.
    pub limited_by: String,
}

/// Under which lease and for what effects are performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Under {
    /// The lease's fencing token.
    pub fence: Token,
    /// The release that is being made or published.
    pub release: ReleaseId,
    /// The step's key.
    pub step: String,
    /// What the operation is.
    pub verb: Verb,
}

/// One environment of one warehouse.
#[async_trait(?Send)]
pub trait Warehouse {
    /// The warehouse's name as dbt's profile has it (`duckdb`, …).
    fn kind(&self) -> &'static str;

    /// How it names builds and archives.
    fn naming(&self) -> Naming;

    /// The live slots that make up the environment, as far as they are known.
    fn live(&self) -> Vec<SlotName>;

    /// Live slots that the ledger or the project names beside those of the profile.
    fn know(&self, slots: &BTreeSet<SlotName>) {
        let _ = slots;
    }

    /// Whether several slots are swapped in by way of copies (see [`Step::Stage`]).
    fn stages(&self) -> bool {
        false
    }

    /// Settles what depends on the project as production sees it: which slots there are, and
    /// what is swapped. Called before anything is planned, with the production parse, where
    /// [`Warehouse::ladder`] asks for it.
    async fn settle(&self, production: &Manifest) -> Outcome<()> {
        let _ = production;
        Ok(())
    }

    /// The ways to move dbt into the build of `release`, best first; `None` where the production
    /// parse must be known first.
    fn ladder(
        &self,
        release: ReleaseId,
        production: Option<&Manifest>,
    ) -> Option<Vec<(Rung, Redirect)>>;

    /// What a node's relation is called where it is stored: warehouses fold what dbt wrote.
    fn stored(&self, node: &Node) -> Local {
        Local { schema: node.relation.schema.clone(), identifier: node.relation.identifier.clone() }
    }

    /// Pairs what dbt writes as production with what it writes in the build of `release`: the live
    /// slots and where each of them is built; or every node that is not contained. Pure.
    fn contain(
        &self,
        survey: &Survey,
        release: ReleaseId,
        allowed_external: &BTreeSet<String>,
    ) -> Result<Vec<Pair>, Vec<Escape>>;

    /// Whether a deploy can work here at all, found out without touching live; called before dbt
    /// starts.
    async fn preflight(&self) -> Outcome<()>;

    /// A step begins: what is sent from now on is sent for it. Changes nothing.
    async fn enter(&self, under: &Under) {
        let _ = under;
    }

    /// Reads the stamps of live, builds and archives.
    async fn observe(&self) -> Answer<Observation>;

    /// The effects that carry out a step. Pure: what a dry run prints is what a run performs.
    fn render(&self, step: &Step) -> Vec<Effect>;

    /// Performs effects in order and answers what is worth a word. Effects that cut over test the
    /// fence in the same critical section as they act, and refuse when another run has taken the
    /// lease.
    async fn perform(&self, effects: &[Effect], under: &Under) -> Answer<Vec<String>>;

    /// Live's marks and row counts, for judging drift later. What a copy that comes next counts itself
    /// may be left out.
    async fn baseline(&self, next: Next) -> Answer<Baseline>;

    /// A baseline with what the copy that followed it counted.
    fn counted(&self, baseline: Baseline) -> Baseline {
        baseline
    }

    /// What was written to live since `baseline`, one sentence each; empty if nothing.
    async fn drift(&self, baseline: &Baseline) -> Answer<Vec<String>>;

    /// The relations inside a slot, under the names that they have (or will have) in `live`, the
    /// live slot it belongs to; empty if the slot is absent.
    async fn inventory(&self, slot: &SlotName, live: &SlotName, depth: Depth) -> Answer<Inventory>;

    /// [`Warehouse::inventory`] of every live slot and of every slot that is to take its place, with
    /// digests where both together have at most `compared` rows; what is known not to have changed
    /// since it was copied needs none.
    async fn inventories(&self, pairs: &[Pair], compared: u64) -> Answer<(Inventory, Inventory)> {
        let all = async |depth| -> Answer<(Inventory, Inventory)> {
            let (mut live, mut other) = (Inventory::new(), Inventory::new());
            for pair in pairs {
                live.extend(self.inventory(&pair.live, &pair.live, depth).await?);
                other.extend(self.inventory(&pair.other, &pair.live, depth).await?);
            }
            Ok((live, other))
        };
        if compared == u64::MAX {
            return all(Depth::Contents).await;
        }
        let counted = all(Depth::Counts).await?;
        if compared == 0 || rows(&counted) > compared {
            return Ok(counted);
        }
        all(Depth::Contents).await
    }

    /// Whether it can read its own past.
    fn has_past(&self) -> bool {
        false
    }

    /// Whether what is live is not known before [`Warehouse::settle`].
    fn needs_project(&self) -> bool {
        false
    }

    /// The moment by the warehouse's own clock, and the id of a query at it; `None` where it cannot
    /// read its own past.
    async fn moment(&self) -> Answer<Option<Moment>> {
        Ok(None)
    }

    /// How far back a container can be read, and what keeps it from being read further back.
    async fn reach(&self, slot: &SlotName) -> Answer<Option<Reach>> {
        let _ = slot;
        Ok(None)
    }

    /// Which of these slots do not exist any more and can be brought back as they were when they
    /// were dropped.
    async fn dropped(&self, slots: &[SlotName]) -> Answer<BTreeMap<SlotName, Dropped>> {
        let _ = slots;
        Ok(BTreeMap::new())
    }

    /// What can be found out, without touching anything, about whether a deploy works here and what
    /// it would meet: what was looked at, and what was found. `production` is the project's parse,
    /// where there is one.
    async fn examine(&self, production: Option<&Manifest>) -> Vec<(String, Outcome<String>)> {
        let _ = production;
        Vec::new()
    }

    /// Tries on the warehouse itself, in scratch containers of its own, whether it behaves as this
    /// adapter assumes; `None` where there is nothing to try. `halt` ends it, and what it made goes.
    async fn probe(&self, observer: &dyn Observer, halt: HaltReceiver) -> Outcome<Option<Probed>> {
        let _ = (observer, halt);
        Ok(None)
    }

    /// Runs a read-only query inside a slot and returns at most `limit` rows.
    async fn query(&self, slot: &SlotName, sql: &str, limit: usize) -> Answer<Rows>;
}

/// A container that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Which container it was.
    pub identity: Identity,
    /// When it was dropped.
    pub at: DateTime<Utc>,
}

/// What comes after a look at live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A copy of all of it, after which [`Warehouse::counted`] is asked.
    Copy,
    /// No copy.
    Other,
}

/// The rows of both sides of a comparison together.
#[must_use]
pub fn rows((one, two): &(Inventory, Inventory)) -> u64 {
    one.values().chain(two.values()).filter_map(|relation| relation.rows).sum()
}

/// Why a run has to end early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, as a cancelled workflow sends.
    Terminate,
    /// Another run took the lease; who, in words.
    LeaseLost(String),
}

/// A receiver of [`Halt`]s: `None` until there is one.
pub type HaltReceiver = watch::Receiver<Option<Halt>>;

/// Waits until there is a reason to halt.
pub async fn halted(halt: &mut HaltReceiver) -> Halt {
    loop {
        if let Some(reason) = halt.borrow_and_update().clone() {
            return reason;
        }
        if halt.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Where dbt is to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// In the build slots.
    Build(Redirect),
    /// In production, which it must only read; the redirect, where the warehouse has one, makes
    /// the connection read-only.
    LiveReadOnly,
}

/// How a series of dbt commands ended.
#[derive(Clone, Debug)]
pub enum DbtEnd {
    /// All succeeded.
    Succeeded(DbtSummary),
    /// One did not; the rest were not run.
    Failed {
        /// The results so far.
        summary: DbtSummary,
        /// What happened, naming the command and the failed nodes.
        message: String,
    },
    /// The run was halted; the process tree has been ended.
    Halted(Halt),
}

/// The dbt project.
#[async_trait(?Send)]
pub trait Dbt {
    /// Parses the project as production only; a survey after it does not parse that side again.
    async fn production(&self, halt: HaltReceiver) -> Outcome<Manifest>;

    /// Parses the project as production and as the build. Fails with `Usage` where dbt cannot
    /// parse it. `halt` ends the parse. With an overlay, which was made from an earlier survey, the
    /// parse as production of that survey is used again.
    async fn survey(&self, redirect: &Redirect, halt: HaltReceiver) -> Outcome<Survey>;

    /// Runs commands, streaming their output, until one fails.
    async fn run(
        &self,
        commands: &[Vec<String>],
        site: &Site,
        halt: HaltReceiver,
    ) -> Outcome<DbtEnd>;

    /// dbt's version and where it is, in words. Fails with `Usage` where Switchback or the project
    /// does not support it.
    async fn version(&self) -> Outcome<String>;

    /// The project's folder.
    fn project_dir(&self) -> PathBuf;
}

/// Where the time comes from.
pub trait Clock {
    /// Now, in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// What happens while a run goes on, for whoever watches.
#[derive(Clone, Debug)]
pub enum Event {
    /// A phase outside the plan began, such as reading the project.
    Phase(String),
    /// The phase ended.
    PhaseEnded,
    /// A step began: its place, how many there are, the step.
    StepBegan {
        /// Counted from 1.
        index: usize,
        /// Steps in the plan.
        of: usize,
        /// The step.
        step: Box<Step>,
    },
    /// A step ended well.
    StepEnded {
        /// The step.
        step: Box<Step>,
        /// How long it took.
        took: Duration,
        /// Something worth a word, such as `14 nodes`.
        note: Option<String>,
    },
    /// A step did not end well.
    StepFailed {
        /// The step.
        step: Box<Step>,
    },
    /// How far a copy of production has got.
    Copied {
        /// Bytes that are copied.
        done: u64,
        /// Bytes in all.
        of: u64,
    },
    /// A piece of dbt's output, as it came.
    DbtOutput(Vec<u8>),
    /// dbt has ended, well or not: what its nodes came to.
    DbtEnded(Box<DbtSummary>),
    /// The gates have judged: the relations that differ, and what was found.
    Judged(Vec<Change>, Vec<Finding>),
    /// Something the user should know.
    Note(String),
    /// Something the user should look at.
    Warning(String),
}

/// Whoever watches a run.
pub trait Observer {
    /// Told of every event, in order. Must not block for long.
    fn event(&self, event: Event);
}
