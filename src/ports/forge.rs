//! What Switchback tells the place where the code lives (GitHub): deployments, and a comment on the
//! pull request that brought the commit.
//!
//! Law: a forge never decides anything. Whatever goes wrong there is a [`Complaint`], a sentence
//! that the front door shows as a warning; the run's verdict and exit code stay what they are.
//! Every call is bounded in time by the adapter itself.
//!
//! May import `domain`.

use std::fmt;

use async_trait::async_trait;

use crate::domain::name::CommitId;

/// Why the forge was not told, and what would help, as one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint(pub String);

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a forge answers.
pub type Told<T> = Result<T, Complaint>;

/// The forge's number of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeploymentId(pub u64);

/// What a deployment is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// A new release goes live.
    Deploy,
    /// An earlier (or later) release goes live again.
    Rollback,
}

impl Task {
    /// The word the forge keeps.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
        }
    }
}

/// How far a deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is under way.
    InProgress,
    /// It is live.
    Success,
    /// It is not.
    Failure,
    /// It was live, and another one is now.
    Inactive,
}

impl Progress {
    /// The word the forge knows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Inactive => "inactive",
        }
    }
}

/// A deployment to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The commit whose content goes live.
    pub commit: CommitId,
    /// The environment, such as `production`.
    pub environment: String,
    /// What it is about.
    pub task: Task,
    /// In words; cut to what the forge keeps.
    pub description: String,
}

/// The place where the code lives.
#[async_trait(?Send)]
pub trait Forge {
    /// The deployment of this commit to this environment that this very workflow run has already
    /// made (a job with `environment:` does), or a new one.
    async fn deployment(&self, wish: &Wish) -> Told<DeploymentId>;

    /// Records how far a deployment is.
    async fn progress(&self, id: DeploymentId, state: Progress, description: &str) -> Told<()>;

    /// Marks the environment's other deployments that count as live inactive; returns how many.
    async fn supersede(&self, environment: &str, by: DeploymentId) -> Told<usize>;

    /// The pull request that brought a commit.
    async fn pull_request(&self, commit: &CommitId) -> Told<Option<u64>>;

    /// Writes the one comment that begins with `marker`: updates it where it is there already.
    async fn comment(&self, pull_request: u64, marker: &str, body: &str) -> Told<()>;
}
