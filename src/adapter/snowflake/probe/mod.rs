//! `doctor --probe`: settles, on the user's own account, the facts that this adapter leans on.
//!
//! The facts are data (`catalogue`); experiments settle them (`clones`, `swaps`, `views`, `rights`,
//! `past`, `metadata`), each in scratch containers of its own (`lab`, `site`); what cannot be looked
//! at has a reason (`obstacle`); everything is dropped again (`clean`), whatever happens; `report`
//! prints.
//!
//! Invariants: nothing is created, changed or dropped whose name does not begin with this probe's
//! own random prefix, except that scratch schemas stand in the profile's database where no database
//! can be created; nothing is read but what the probe made and the lists of SHOW; a missing
//! privilege makes a fact unsettled and ends nothing else. May import `config`, `failure`, `ports`
//! and its siblings.

mod catalogue;
mod clean;
mod clones;
mod fact;
mod lab;
mod metadata;
mod obstacle;
mod past;
mod report;
mod rights;
mod setup;
mod site;
mod swaps;
mod views;

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

pub use self::catalogue::FACTS;
pub use self::fact::{Basis, Expected, Experiment, Fact, Finding, Level, Verdict};
use self::lab::Lab;
use self::obstacle::{Obstacle, Step};
pub use self::report::{About, Report};
use super::ident::{Database, Ident};
use super::session::Sessions;
use crate::failure::{Failure, Kind, Outcome};

/// How a probe names things, and what it may use besides.
#[derive(Clone, Debug)]
pub struct ProbeNames {
    prefix: String,
    database: Option<Database>,
    grantee: Option<Ident>,
    withheld: Vec<(String, &'static str)>,
    pause: Duration,
}

impl ProbeNames {
    /// A random prefix. `database` is the profile's: scratch schemas stand in it if no database
    /// can be created.
    pub fn random(database: Option<Database>) -> Outcome<Self> {
        let digits = setup::random().map_err(|error| {
            Failure::new(Kind::Unexpected, format!("no name for the probe: {error}"))
        })?;
        let mut withheld = Vec::new();
        if let Some(name) = &database {
            report::withhold(&mut withheld, name.as_str().to_owned(), "database");
        }
        Ok(Self {
            prefix: format!("{}{digits}", setup::PREFIX),
            database,
            grantee: None,
            withheld,
            pause: Duration::from_millis(1500),
        })
    }

    /// An existing role to grant things to, for a role of ours that cannot create one.
    #[must_use]
    pub fn granting_to(mut self, role: Ident) -> Self {
        report::withhold(&mut self.withheld, role.as_str().to_owned(), "grantee");
        self.grantee = Some(role);
        self
    }

    /// Leaves a name out of the JSON report: the account and the user, as the profile writes them.
    #[must_use]
    pub fn withholding(mut self, name: &str, word: &'static str) -> Self {
        report::withhold(&mut self.withheld, name.to_owned(), word);
        self
    }

    /// How long the server's clock is given to move on between two moments.
    #[must_use]
    pub fn pausing(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// What every name of the probe begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    fn grantee(&self) -> Option<&Ident> {
        self.grantee.as_ref()
    }
}

/// How long a statement that is on its way may take when the probe is interrupted.
const GRACE: Duration = Duration::from_secs(20);

/// Runs the probe; SIGINT and SIGTERM end it early, and it still drops what it made.
pub async fn run(sessions: &Sessions, names: ProbeNames, progress: &dyn Fn(&str)) -> Report {
    run_until(sessions, names, progress, interrupted()).await
}

/// As [`run`], ended early by `stop`. Dropping this future instead leaves scratch containers behind.
pub async fn run_until(
    sessions: &Sessions,
    names: ProbeNames,
    progress: &dyn Fn(&str),
    stop: impl Future<Output = ()>,
) -> Report {
    let lab = Lab::new(sessions, names);
    let (mut about, mut others) = (About::default(), Vec::new());
    {
        let work = Box::pin(experiments(&lab, progress, &mut about, &mut others));
        let mut work = work;
        tokio::pin!(stop);
        tokio::select! {
            () = &mut work => {}
            () = &mut stop => {
                lab.stopped.set(true);
                progress(&format!(
                    "interrupted; dropping everything that is called {}…",
                    lab.names.prefix()
                ));
                // Better to hear what became of a CREATE than to cancel it.
                let _ = tokio::time::timeout(GRACE, &mut work).await;
            }
        }
    }
    progress("dropping what the probe made");
    let left = Box::pin(lab.clean()).await;
    about.withheld.extend(lab.names.withheld.iter().cloned());
    // The longest first: a name may be part of another.
    about.withheld.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    Report {
        prefix: lab.names.prefix().to_owned(),
        about,
        interrupted: lab.stopped.get(),
        findings: in_order(&lab),
        left,
        others,
        statements: lab.ran.into_inner(),
    }
}

/// Waits for SIGINT or SIGTERM; for ever if signals cannot be watched.
async fn interrupted() {
    let listen = |kind| signal(kind).ok();
    let (Some(mut interrupt), Some(mut terminate)) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn experiments(
    lab: &Lab<'_>,
    progress: &dyn Fn(&str),
    about: &mut About,
    others: &mut Vec<String>,
) {
    progress("asking the account");
    match lab.introduce().await {
        Ok(found) => *about = found,
        Err(obstacle) => {
            for (experiment, level) in agenda() {
                finish(lab, experiment, level, Some(&obstacle));
            }
            return;
        }
    }
    *others = lab.others().await;
    lab.settle_home().await;
    lab.settle_reader().await;
    let agenda = agenda();
    for (at, (experiment, level)) in agenda.iter().copied().enumerate() {
        if lab.stopped.get() {
            break;
        }
        progress(&format!("{} of {}: {}", at + 1, agenda.len(), lab::group(experiment, level)));
        let from = lab.made.borrow().len();
        lab.begin(experiment, level);
        let ended = Box::pin(perform(lab, experiment, level)).await;
        finish(lab, experiment, level, ended.as_ref().err());
        if !lab.stopped.get() {
            lab.outside("clean-up");
            Box::pin(lab.tidy(from)).await;
        }
    }
}

/// Every experiment at every level that has facts there.
fn agenda() -> Vec<(Experiment, Level)> {
    let mut agenda = Vec::new();
    for level in [Level::Database, Level::Schema, Level::Anywhere] {
        for fact in FACTS.iter().filter(|fact| fact.levels.contains(&level)) {
            if !agenda.contains(&(fact.experiment, level)) {
                agenda.push((fact.experiment, level));
            }
        }
    }
    agenda
}

async fn perform(lab: &Lab<'_>, experiment: Experiment, level: Level) -> Step<()> {
    match experiment {
        Experiment::Clone => clones::plain(lab, level).await,
        Experiment::CloneOwner => clones::owner(lab, level).await,
        Experiment::CloneUnseen => clones::unseen(lab, level).await,
        Experiment::CloneHybrid => clones::hybrid(lab, level).await,
        Experiment::DatabaseRole => clones::database_role(lab, level).await,
        Experiment::Transient => clones::transient(lab, level).await,
        Experiment::Swap => swaps::swap(lab, level).await,
        Experiment::SwapOwner => swaps::owner(lab, level).await,
        Experiment::SwapAcross => swaps::across(lab, level).await,
        Experiment::Tags => swaps::tags(lab, level).await,
        Experiment::Grants => rights::plain(lab, level).await,
        Experiment::FutureGrants => rights::future(lab, level).await,
        Experiment::InheritedGrants => rights::inherited(lab, level).await,
        Experiment::PrivilegeView => rights::view(lab, level).await,
        Experiment::Views => views::names(lab, level).await,
        Experiment::CopyGrants => views::copy_grants(lab).await,
        Experiment::Definition => views::definition(lab).await,
        Experiment::Past => past::after_swap(lab, level).await,
        Experiment::PastView => past::view(lab, level).await,
        Experiment::Block => swaps::block(lab, level).await,
        Experiment::RowCount => metadata::row_count(lab).await,
        Experiment::Race => metadata::race(lab).await,
        Experiment::Shows => metadata::shows(lab).await,
        Experiment::LastAltered => metadata::last_altered(lab).await,
        Experiment::HashAgg => metadata::hash_agg(lab).await,
    }
}

/// Whatever an experiment did not get to is unsettled, and why.
fn finish(lab: &Lab<'_>, experiment: Experiment, level: Level, ended: Option<&Obstacle>) {
    let nothing = Obstacle::new("the experiment did not get there");
    let why = ended.unwrap_or(&nothing).to_string();
    let mut findings = lab.findings.borrow_mut();
    for fact in FACTS.iter().filter(|fact| fact.experiment == experiment) {
        let settled = |finding: &Finding| finding.fact.id == fact.id && finding.level == level;
        if fact.levels.contains(&level) && !findings.iter().any(settled) {
            findings.push(Finding::unsettled(fact, level, why.clone()));
        }
    }
}

/// The findings in the order of the agenda, every fact at every level once; what was not begun is
/// unsettled.
fn in_order(lab: &Lab<'_>) -> Vec<Finding> {
    for (experiment, level) in agenda() {
        finish(lab, experiment, level, Some(&Obstacle::interrupted()));
    }
    let findings = lab.findings.take();
    let mut ordered = Vec::with_capacity(findings.len());
    for (experiment, level) in agenda() {
        for fact in FACTS.iter().filter(|fact| fact.experiment == experiment) {
            let this = |found: &&Finding| found.fact.id == fact.id && found.level == level;
            ordered.extend(findings.iter().find(this).cloned());
        }
    }
    ordered
}
