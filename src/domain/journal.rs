//! The journal: what was intended and done, in the order it was written.
//!
//! The format is versioned and only ever grows: entries written by an older Switchback must
//! still fold (`tests/ledgers/` keeps one of each version). Times are UTC.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::inventory::Change;
use super::name::{CommitId, Fingerprint, Identity, RunId, SlotName};
use super::plan::{Effect, Plan};
use super::project::{DbtSummary, Written};
use super::verify::Finding;

/// The version written into every record.
pub const VERSION: u32 = 1;

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// A person or a bot, as GitHub or the operating system names it.
    pub name: String,
    /// The address of the workflow run, where there is one.
    pub run_url: Option<String>,
    /// The host the process ran on.
    pub host: String,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run_url {
            Some(url) => write!(f, "{} ({url})", self.name),
            None => write!(f, "{} on {}", self.name, self.host),
        }
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format's version.
    pub v: u32,
    /// Counts up from 1 without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: DateTime<Utc>,
    /// The operation it belongs to: the run that began it (`recover` writes under the run it
    /// finishes).
    pub operation: RunId,
    /// The lease's fencing token under which it was written; none for entries that need no lease.
    pub token: Option<u64>,
    /// Who wrote it.
    pub by: Actor,
    /// What.
    pub entry: Entry,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// An operation began, with its whole plan.
    Began(Box<Began>),
    /// A step is about to act.
    Intended {
        /// The step's key.
        step: String,
        /// What it is about to do.
        effects: Vec<Effect>,
    },
    /// A step has acted.
    Done {
        /// The step's key.
        step: String,
        /// What it found or left.
        evidence: Evidence,
    },
    /// A step did not succeed.
    Failed {
        /// The step's key.
        step: String,
        /// Why.
        message: String,
    },
    /// An operation ended.
    Ended {
        /// How.
        ending: Ending,
        /// In words.
        message: Option<String>,
    },
    /// Deploys are stopped until `resume`.
    Held {
        /// Why.
        reason: String,
    },
    /// Deploys may go on.
    Resumed {
        /// Why.
        reason: String,
    },
    /// A restore point was recorded.
    Marked(Mark),
}

/// A recorded restore point, for warehouses that can read their own past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What it is called.
    pub name: String,
    /// The moment, by the warehouse's own clock.
    pub at: DateTime<Utc>,
    /// The id of a query at that moment, where the warehouse has such.
    pub query: Option<String>,
    /// The containers that were live.
    pub containers: BTreeMap<SlotName, Identity>,
    /// Why, in the actor's words.
    pub reason: Option<String>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Its release is live.
    Published,
    /// Its release is built and waits for `promote`.
    Built,
    /// Its release was live and was swapped back.
    SwappedBack,
    /// It stopped before publishing.
    Abandoned,
    /// It changed no release (prune).
    Finished,
}

/// What holds a rollback sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// The code that was displaced is not deployed again.
    SameCommit,
    /// Nothing is deployed.
    All,
    /// No hold.
    None,
}

impl fmt::Display for HoldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameCommit => "same-commit",
            Self::All => "all",
            Self::None => "none",
        })
    }
}

/// How an operation began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// What it is going to do.
    pub plan: Plan,
    /// The checkout's HEAD, for operations that build.
    pub commit: Option<CommitId>,
    /// Whether the checkout had changes beside that commit.
    pub dirty: bool,
    /// What dbt would build, for operations that build.
    pub fingerprint: Option<Fingerprint>,
    /// Why, in the actor's words.
    pub reason: Option<String>,
    /// The hold a rollback sets once it has swapped.
    pub hold: Option<HoldKind>,
    /// Live content that was not made by Switchback, by its identity; adopted as
    /// `plan.displaces`.
    pub adopted: BTreeMap<SlotName, Identity>,
    /// The relations dbt writes in this release, for operations that build.
    pub writes: Vec<Written>,
}

/// What live looked like when the clone was made; drift is judged against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Per live slot, a mark that changes whenever its content does.
    pub marks: BTreeMap<SlotName, String>,
    /// Rows per table (`schema.name`).
    pub rows: BTreeMap<String, u64>,
    /// A digest of each relation's definition (`schema.name`), where the warehouse compares them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<String, String>,
}

/// What a step found or left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// It was performed; there is nothing more to say.
    Performed,
    /// It was found done already (by `recover`, or after an error of unknown outcome).
    Observed,
    /// The clone was made of this.
    Cloned(Baseline),
    /// dbt ran.
    Built(DbtSummary),
    /// The gates' verdicts and all differences to live.
    Verified {
        /// What the gates found.
        findings: Vec<Finding>,
        /// Every relation that differs.
        changes: Vec<Change>,
    },
    /// What was written to live since the clone (empty: nothing).
    Drifted(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json_that_reads_back() {
        let record = Record {
            v: VERSION,
            seq: 1,
            at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
            operation: "run-1".into(),
            token: Some(4),
            by: Actor { name: "ada".into(), run_url: None, host: "laptop".into() },
            entry: Entry::Done { step: "clone".into(), evidence: Evidence::Performed },
        };
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }
}
