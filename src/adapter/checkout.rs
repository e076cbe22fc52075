//! The git checkout the project lives in: which commit, and whether it has changes beside it.
//!
//! Asks the `git` executable, with a time-out. No git, or no checkout, is no error: a release may
//! come from a plain folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::domain::name::CommitId;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What dbt, DuckDB and Switchback leave in a checkout whose `.gitignore` does not name it.
const NOT_SOURCE: &[&str] = &[
    ":(exclude,glob)**/target/**",
    ":(exclude,glob)**/logs/**",
    ":(exclude,glob)**/dbt_packages/**",
    ":(exclude,glob)**/.switchback/**",
    ":(exclude,glob)**/*.duckdb",
    ":(exclude,glob)**/*.duckdb.wal",
    ":(exclude,glob)**/.user.yml",
];

/// What is known of the checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// HEAD.
    pub commit: Option<CommitId>,
    /// Whether tracked files differ from HEAD, or files are there that git does not know.
    pub dirty: bool,
}

/// Looks at the checkout that holds `folder`.
pub async fn of(folder: &Path) -> Checkout {
    let Some(head) = git(folder, &["rev-parse", "--verify", "HEAD"]).await else {
        return Checkout::default();
    };
    let mut status = vec!["status", "--porcelain", "--", "."];
    status.extend(NOT_SOURCE);
    let changes = git(folder, &status).await.unwrap_or_default();
    Checkout { commit: Some(CommitId(head.trim().to_owned())), dirty: !changes.trim().is_empty() }
}

/// The checkout's own folder.
pub async fn root(folder: &Path) -> Option<PathBuf> {
    let path = git(folder, &["rev-parse", "--show-toplevel"]).await?;
    Some(PathBuf::from(path.trim_end_matches('\n')))
}

/// The branch that is merged into: the remote's default, else the one that is checked out.
pub async fn default_branch(folder: &Path) -> Option<String> {
    let remote = git(folder, &["symbolic-ref", "--short", "refs/remotes/origin/HEAD"]).await;
    let remote = remote.and_then(|name| name.trim().strip_prefix("origin/").map(str::to_owned));
    if remote.is_some() {
        return remote;
    }
    let here = git(folder, &["symbolic-ref", "--short", "HEAD"]).await?;
    Some(here.trim().to_owned()).filter(|name| !name.is_empty())
}

async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        // In a container the workspace belongs to another user; reading it is harmless.
        .args(["-c", "safe.directory=*", "-C"])
        .arg(folder)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(TIMEOUT, output).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
