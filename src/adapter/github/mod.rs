//! GitHub behind the `Forge` port, over `octocrab`.
//!
//! Nothing here is retried blindly: reads and updates that mean the same twice are repeated, what
//! creates something is not. Every request and every wait is bounded; a permission that is missing
//! is named with the line to add.
//!
//! May import `domain`, `config` (for secrets), `ports`.

mod answer;
mod client;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use self::client::Client;
use self::wire::{Comment, Deployment, Made, Pull, Status, chosen};
use crate::config::secret::Secret;
use crate::domain::name::CommitId;
use crate::ports::forge::{DeploymentId, Forge, Progress, Told, Wish};

/// How many characters of a deployment's or a status's description GitHub keeps.
const DESCRIPTION: usize = 140;
/// How many of the environment's latest deployments are looked at.
const DEPLOYMENTS: usize = 15;
/// How many pages of a hundred comments are searched for ours.
const COMMENT_PAGES: usize = 10;

/// Where and as whom GitHub is spoken to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address of the API, from `GITHUB_API_URL`.
    pub api: String,
    /// `owner/name`.
    pub repository: String,
    /// The token.
    pub token: Secret,
    /// This workflow run's number.
    pub run_id: Option<String>,
    /// The address of this workflow run.
    pub run_url: Option<String>,
    /// Where people look at the environment.
    pub environment_url: Option<String>,
    /// How long one request may take.
    pub patience: Duration,
}

/// One repository on GitHub.
pub struct GitHub {
    client: Client,
    settings: Settings,
}

/// Permissions as a workflow names them.
const DEPLOYMENTS_WRITE: &str = "deployments: write";
const PULLS_WRITE: &str = "pull-requests: write";
const PULLS_READ: &str = "pull-requests: read";

impl GitHub {
    /// A client for one repository. Speaks to nobody yet.
    pub fn new(settings: Settings) -> Told<Self> {
        let client = Client::new(&settings)?;
        Ok(Self { client, settings })
    }

    /// A deployment of this commit that this very run has made.
    async fn made_by_this_run(&self, wish: &Wish) -> Told<Option<DeploymentId>> {
        let Some(run) = &self.settings.run_id else {
            return Ok(None);
        };
        let query = format!(
            "?sha={}&environment={}&per_page={DEPLOYMENTS}",
            encoded(wish.commit.as_str()),
            encoded(&wish.environment)
        );
        let known: Vec<Deployment> = self
            .client
            .get(
                "looking for this run's deployment",
                DEPLOYMENTS_WRITE,
                &format!("/deployments{query}"),
            )
            .await?;
        for deployment in known {
            let statuses = self.statuses(deployment.id).await?;
            let ours =
                |status: &Status| status.log_url.as_deref().is_some_and(|url| names_run(url, run));
            if statuses.iter().any(ours) {
                return Ok(Some(DeploymentId(deployment.id)));
            }
        }
        Ok(None)
    }

    async fn statuses(&self, deployment: u64) -> Told<Vec<Status>> {
        let path = format!("/deployments/{deployment}/statuses?per_page=10");
        self.client.get("reading a deployment", DEPLOYMENTS_WRITE, &path).await
    }

    /// Our comment on a pull request. The first page is where it mostly is: comments come oldest
    /// first.
    async fn our_comment(&self, pull_request: u64, marker: &str) -> Told<Option<u64>> {
        for page in 1..=COMMENT_PAGES {
            let path = format!("/issues/{pull_request}/comments?per_page=100&page={page}");
            let comments: Vec<Comment> =
                self.client.get("looking for the comment", PULLS_WRITE, &path).await?;
            let last = comments.len() < 100;
            let ours = |one: &Comment| one.body.as_deref().is_some_and(|b| b.starts_with(marker));
            if let Some(found) = comments.into_iter().find(ours) {
                return Ok(Some(found.id));
            }
            if last {
                break;
            }
        }
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Forge for GitHub {
    async fn deployment(&self, wish: &Wish) -> Told<DeploymentId> {
        if let Some(found) = self.made_by_this_run(wish).await? {
            return Ok(found);
        }
        let body = json!({
            "ref": wish.commit.as_str(),
            "task": wish.task.as_str(),
            "auto_merge": false,
            "required_contexts": [],
            "environment": wish.environment,
            "description": cut(&wish.description),
            "transient_environment": false,
            "production_environment": true,
        });
        let made: Made = self
            .client
            .create("recording a deployment", DEPLOYMENTS_WRITE, "/deployments", &body)
            .await?;
        Ok(DeploymentId(made.id))
    }

    async fn progress(&self, id: DeploymentId, state: Progress, description: &str) -> Told<()> {
        let mut body = json!({
            "state": state.as_str(),
            "description": cut(description),
            // GitHub does this for environments that are not production only; we do it ourselves.
            "auto_inactive": false,
        });
        if let Some(url) = &self.settings.run_url {
            body["log_url"] = json!(url);
        }
        if let (Some(url), Progress::Success) = (&self.settings.environment_url, state) {
            body["environment_url"] = json!(url);
        }
        let path = format!("/deployments/{}/statuses", id.0);
        let _: Made = self
            .client
            .create("recording how far the deployment is", DEPLOYMENTS_WRITE, &path, &body)
            .await?;
        Ok(())
    }

    async fn supersede(&self, environment: &str, by: DeploymentId) -> Told<usize> {
        let path =
            format!("/deployments?environment={}&per_page={DEPLOYMENTS}", encoded(environment));
        let known: Vec<Deployment> =
            self.client.get("looking for earlier deployments", DEPLOYMENTS_WRITE, &path).await?;
        let mut count = 0;
        for deployment in known.iter().filter(|one| one.id != by.0) {
            let statuses = self.statuses(deployment.id).await?;
            // Newest first.
            if statuses.first().is_some_and(|latest| latest.state == Progress::Success.as_str()) {
                let id = DeploymentId(deployment.id);
                self.progress(id, Progress::Inactive, "another release is live").await?;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn pull_request(&self, commit: &CommitId) -> Told<Option<u64>> {
        let path = format!("/commits/{}/pulls?per_page=30", encoded(commit.as_str()));
        let pulls: Vec<Pull> =
            self.client.get("looking for the commit's pull request", PULLS_READ, &path).await?;
        Ok(chosen(&pulls, commit))
    }

    async fn comment(&self, pull_request: u64, marker: &str, body: &str) -> Told<()> {
        let what = "writing the comment";
        let body = json!({ "body": body });
        if let Some(comment) = self.our_comment(pull_request, marker).await? {
            let path = format!("/issues/comments/{comment}");
            let _: Made = self.client.update(what, PULLS_WRITE, &path, &body).await?;
        } else {
            let path = format!("/issues/{pull_request}/comments");
            let _: Made = self.client.create(what, PULLS_WRITE, &path, &body).await?;
        }
        Ok(())
    }
}

/// Whether a job's address belongs to a run: `…/runs/7/job/9`, but not `…/runs/77`.
fn names_run(url: &str, run: &str) -> bool {
    let mut parts = url.split('/').skip_while(|part| *part != "runs").skip(1);
    parts.next() == Some(run)
}

/// A value inside a path or a query.
fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A description as GitHub keeps it: one line, at most so many characters.
fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(DESCRIPTION - 1) {
        Some((at, _)) if line.chars().count() > DESCRIPTION => format!("{}…", &line[..at]),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_from_another_whose_number_begins_the_same() {
        assert!(names_run("https://github.com/o/r/actions/runs/7/job/9", "7"));
        assert!(names_run("https://github.com/o/r/actions/runs/7", "7"));
        assert!(!names_run("https://github.com/o/r/actions/runs/77/job/7", "7"));
        assert!(!names_run("https://github.com/o/7", "7"));
    }

    #[test]
    fn descriptions_are_one_line_of_a_hundred_and_forty_characters() {
        assert_eq!(cut("a\nb"), "a b");
        assert_eq!(cut(&"ä".repeat(140)).chars().count(), 140);
        let long = cut(&"ä".repeat(141));
        assert_eq!(long.chars().count(), 140);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn names_in_addresses_cannot_leave_their_place() {
        assert_eq!(encoded("prod/eu ?#&é"), "prod%2Feu%20%3F%23%26%C3%A9");
    }
}
