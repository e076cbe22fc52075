//! The course of a run: what an observer saw of it, for reports that are written whether it ended
//! well or not.
//!
//! May import `domain`.

use std::time::Duration;

use crate::domain::inventory::Change;
use crate::domain::project::DbtSummary;
use crate::domain::verify::Finding;

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Well.
    Done,
    /// It failed, or the run ended in it.
    Failed,
}

/// One step or phase that began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// What it was, in words of ours.
    pub what: String,
    /// Since the run's beginning.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub fate: Fate,
}

/// What was seen of a run.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Its steps and phases, in order.
    pub passed: Vec<Passed>,
    /// What dbt did last.
    pub dbt: Option<DbtSummary>,
    /// The relations that differ between live and the build.
    pub changes: Vec<Change>,
    /// What the gates found.
    pub findings: Vec<Finding>,
    /// What was warned of.
    pub warnings: Vec<String>,
    /// Whether a cutover began.
    pub swap_began: bool,
}
