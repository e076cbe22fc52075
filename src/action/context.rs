//! What the runner says about the run: addresses, the commit, the event.
//!
//! May import `failure`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::inputs::Env;
use crate::failure::{Failure, Outcome};

/// How much of the event file is read.
const EVENT_BYTES: u64 = 64 << 20;

/// The run's surroundings.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// `GITHUB_API_URL`.
    pub api: String,
    /// `GITHUB_SERVER_URL`.
    pub server: String,
    /// `owner/name`.
    pub repository: Option<String>,
    /// The run's number.
    pub run_id: Option<String>,
    /// The commit that the event is about.
    pub sha: Option<String>,
    /// The event's name.
    pub event: String,
    /// The event's file.
    pub event_path: Option<PathBuf>,
    /// The workspace.
    pub workspace: Option<PathBuf>,
}

impl Context {
    /// Reads it.
    #[must_use]
    pub fn read(env: Env<'_>) -> Self {
        let text = |name: &str| env(name).filter(|value| !value.is_empty());
        let address = |name: &str, default: &str| {
            text(name).unwrap_or_else(|| default.to_owned()).trim_end_matches('/').to_owned()
        };
        Self {
            api: address("GITHUB_API_URL", "https://api.github.com"),
            server: address("GITHUB_SERVER_URL", "https://github.com"),
            repository: text("GITHUB_REPOSITORY"),
            run_id: text("GITHUB_RUN_ID"),
            sha: text("GITHUB_SHA"),
            event: text("GITHUB_EVENT_NAME").unwrap_or_default(),
            event_path: text("GITHUB_EVENT_PATH").map(PathBuf::from),
            workspace: text("GITHUB_WORKSPACE").map(PathBuf::from),
        }
    }

    /// The run's address.
    #[must_use]
    pub fn run_url(&self) -> Option<String> {
        let (repository, run) = (self.repository.as_ref()?, self.run_id.as_ref()?);
        Some(format!("{}/{repository}/actions/runs/{run}", self.server))
    }

    /// The address of a workflow file's button.
    #[must_use]
    pub fn workflow_url(&self, file: &str) -> Option<String> {
        let file = file.rsplit('/').next().filter(|name| !name.is_empty())?;
        let repository = self.repository.as_ref()?;
        Some(format!("{}/{repository}/actions/workflows/{file}", self.server))
    }

    /// A path as the repository names it; as it is where it is not inside.
    #[must_use]
    pub fn in_repository(&self, path: &Path) -> String {
        let inside = self.workspace.as_ref().and_then(|root| path.strip_prefix(root).ok());
        inside.unwrap_or(path).display().to_string()
    }

    /// Refuses to deploy what a pull request that is not merged would bring. A dry run of a
    /// `pull_request` is let through: it publishes nothing, and GitHub gives a fork no secrets
    /// there; `pull_request_target` gives it all of them, so that not even a dry run is safe.
    pub fn refuse_unmerged(&self, verb: &str, dry_run: bool, allowed: bool) -> Outcome<()> {
        let about_a_pull_request = self.event.starts_with("pull_request");
        let deploys = matches!(verb, "deploy" | "build" | "promote");
        if allowed || !deploys || !about_a_pull_request {
            return Ok(());
        }
        if dry_run && self.event == "pull_request" {
            return Ok(());
        }
        if self.is_merged() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "the event is `{}`, and its pull request is not merged: a {verb} would put code into \
             production that nobody has accepted",
            self.event
        ))
        .production("production was not touched")
        .next(
            "run the deploy on `push` to the default branch (`switchback init` writes such a \
             workflow), or set `allow-pull-request: true`",
        ))
    }

    /// Whether the event says that its pull request is merged; what cannot be read is not.
    fn is_merged(&self) -> bool {
        let read = |path: &PathBuf| {
            let length = std::fs::metadata(path).ok()?.len();
            let text = (length <= EVENT_BYTES).then(|| std::fs::read(path).ok())??;
            serde_json::from_slice::<Value>(&text).ok()
        };
        let event = self.event_path.as_ref().and_then(read);
        event.is_some_and(|event| event["pull_request"]["merged"] == Value::Bool(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(event: &str, file: Option<&Path>) -> Context {
        Context {
            event: event.to_owned(),
            event_path: file.map(Path::to_path_buf),
            ..Context::default()
        }
    }

    #[test]
    fn a_pull_request_deploys_only_once_it_is_merged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("event.json");
        for (text, deploys) in [
            (r#"{"pull_request": {"merged": true}}"#, true),
            (r#"{"pull_request": {"merged": false}}"#, false),
            (r#"{"pull_request": {"merged": "true"}}"#, false),
            ("{", false),
        ] {
            std::fs::write(&file, text).unwrap();
            for event in ["pull_request", "pull_request_target"] {
                let answer = context(event, Some(&file)).refuse_unmerged("deploy", false, false);
                assert_eq!(answer.is_ok(), deploys, "{event} {text}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_merged_and_other_events_and_verbs_are_free() {
        let missing = context("pull_request", Some(Path::new("/nowhere")));
        assert!(missing.refuse_unmerged("deploy", false, false).is_err());
        assert!(missing.refuse_unmerged("deploy", true, false).is_ok());
        assert!(missing.refuse_unmerged("deploy", false, true).is_ok());
        assert!(missing.refuse_unmerged("rollback", false, false).is_ok());
        let target = context("pull_request_target", None);
        assert!(target.refuse_unmerged("build", true, false).is_err());
        assert!(context("push", None).refuse_unmerged("deploy", false, false).is_ok());
    }
}
