//! Reports: what a run answers, as values, and their rendering as text, Markdown and
//! JSON. Pure.
//!
//! May import `domain`, `failure` and what stands above them; nothing here does I/O.

pub mod course;
mod json;
pub mod markdown;
#[cfg(test)]
mod tests;
mod text;

use chrono::{DateTime, Utc};

use crate::domain::history::{History, Hold, Release, ReleaseState};
use crate::domain::inventory::Change;
use crate::domain::name::{CommitId, ReleaseId};
use crate::domain::plan::Plan;
use crate::domain::project::DbtSummary;
use crate::domain::verify::{Finding, Loss};

pub use json::{answer as answer_json, failure as failure_json};
pub use text::{answer as answer_text, change_table, failure as failure_text};

/// The workflow file that is the rollback button, as `init` writes it and reports link to it.
pub const ROLLBACK_WORKFLOW: &str = "switchback-rollback.yml";

/// How a run ended, as one word of a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A dry run: here is the plan.
    Planned,
    /// A new release is live.
    Published,
    /// A build waits.
    Built,
    /// An earlier (or later) release is live again.
    RolledBack,
    /// An interrupted cutover was finished: its release is live.
    Finished,
    /// An interrupted operation was given up: production is what it was.
    Abandoned,
    /// An interrupted cutover was taken back.
    TakenBack,
    /// There was nothing to do.
    NothingToDo,
    /// Archives were dropped.
    Pruned,
    /// Deploys are held.
    Held,
    /// Deploys may go on.
    Resumed,
    /// A restore point was recorded.
    Marked,
    /// The warehouse was tried.
    Probed,
}

impl Word {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Published => "published",
            Self::Built => "built",
            Self::RolledBack => "rolled-back",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::TakenBack => "taken-back",
            Self::NothingToDo => "nothing-to-do",
            Self::Pruned => "pruned",
            Self::Held => "held",
            Self::Resumed => "resumed",
            Self::Marked => "marked",
            Self::Probed => "probed",
        }
    }
}

/// A release as reports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub release: ReleaseId,
    /// The commit it was built from.
    pub commit: Option<CommitId>,
    /// Whether the checkout had changes beside the commit.
    pub dirty: bool,
    /// When it was published; none for what was there before.
    pub at: Option<DateTime<Utc>>,
}

impl Shown {
    /// The release that is live now; `at` is when it last became so.
    #[must_use]
    pub fn live(history: &History, release: ReleaseId) -> Self {
        let since = history
            .publications
            .last()
            .filter(|last| last.release == release && last.at != DateTime::<Utc>::MIN_UTC)
            .map(|last| last.at);
        let shown = Self::of(history, release);
        Self { at: since.or(shown.at), ..shown }
    }

    /// A release of the history.
    #[must_use]
    pub fn of(history: &History, release: ReleaseId) -> Self {
        let known: Option<&Release> = history.release(release);
        Self {
            release,
            commit: known.and_then(|one| one.commit.clone()),
            dirty: known.is_some_and(|one| one.dirty),
            at: known.filter(|one| one.state != ReleaseState::Adopted).map(|one| one.at),
        }
    }
}

/// What a verb that changes what is live answers.
#[derive(Clone, Debug)]
pub struct Changed {
    /// How it ended.
    pub word: Word,
    /// What is live now.
    pub live: Option<Shown>,
    /// What was live before, where that changed.
    pub previous: Option<Shown>,
    /// What was done, or on a dry run would be.
    pub plan: Option<Plan>,
    /// The relations that differ.
    pub changes: Vec<Change>,
    /// What the gates found.
    pub findings: Vec<Finding>,
    /// What dbt did.
    pub dbt: Option<DbtSummary>,
    /// What a rollback takes out of production.
    pub loss: Option<Loss>,
    /// The hold that stands now.
    pub hold: Option<Hold>,
    /// Sentences that belong to the answer.
    pub notes: Vec<String>,
    /// The command that undoes it, where it changed what is live.
    pub undo: Option<String>,
    /// What else to do next, in a sentence.
    pub next: Option<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Changed {
    /// An answer with nothing in it yet but how it ended, what is live and what is held.
    #[must_use]
    pub fn new(word: Word, live: Option<Shown>, history: &History) -> Self {
        Self {
            word,
            live,
            previous: None,
            plan: None,
            changes: Vec::new(),
            findings: Vec::new(),
            dbt: None,
            loss: None,
            hold: history.hold().cloned(),
            notes: Vec::new(),
            undo: None,
            next: None,
            seconds: 0.0,
        }
    }
}

/// What `status` answers.
#[derive(Clone, Debug)]
pub struct Status {
    /// The live slots, for people and programs.
    pub environment: String,
    /// The warehouse.
    pub warehouse: String,
    /// What is live; none: nothing yet.
    pub live: Option<Shown>,
    /// What is live is not what the ledger says, or cannot be read: why.
    pub doubt: Option<String>,
    /// The hold.
    pub hold: Option<Hold>,
    /// The unfinished operation: release, step, since when, and who.
    pub unfinished: Option<(ReleaseId, String, DateTime<Utc>, String)>,
    /// Whether a run is at it right now, in words.
    pub running: Option<String>,
    /// Builds that wait for `promote`.
    pub waiting: Vec<Shown>,
    /// Where the ledger is.
    pub ledger: String,
}

/// One line of `releases`.
#[derive(Clone, Debug)]
pub struct Row {
    /// The release.
    pub shown: Shown,
    /// `live`, `archived`, `waiting`, `gone`, `swapped-back`.
    pub state: &'static str,
    /// Whether a rollback took it out.
    pub displaced: bool,
    /// Who made it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// What it can be brought back by (`archive`), and until when in words.
    pub restorable: Option<(String, String)>,
    /// Whether it is what `rollback` goes to by itself.
    pub is_previous: bool,
}

/// One line of `doctor`.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was looked at.
    pub what: String,
    /// What was found; an error is what a deploy would fail on.
    pub found: Result<String, String>,
    /// What to do about it.
    pub next: Option<String>,
}

/// What a verb answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It changed something (or shows what it would change).
    Changed(Box<Changed>),
    /// `status`.
    Status(Box<Status>),
    /// `releases`, newest first.
    Releases(Vec<Row>),
    /// `doctor`.
    Doctor(Vec<Checked>),
    /// A word and a sentence.
    Said(Word, String),
}

/// A moment as people read it.
#[must_use]
pub fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
