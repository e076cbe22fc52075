//! What we read of GitHub's answers: the few fields we use, so that an answer with others, or
//! without the rest, is understood.
//!
//! May import `domain`.

use serde::Deserialize;

use crate::domain::name::CommitId;

/// A deployment.
#[derive(Debug, Deserialize)]
pub struct Deployment {
    /// Its number.
    pub id: u64,
}

/// A deployment's status.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// How far it is.
    pub state: String,
    /// The run that said so.
    #[serde(default)]
    pub log_url: Option<String>,
}

/// Whatever was made or changed.
#[derive(Debug, Deserialize)]
pub struct Made {
    /// Its number.
    pub id: u64,
}

/// A comment.
#[derive(Debug, Deserialize)]
pub struct Comment {
    /// Its number.
    pub id: u64,
    /// Its text.
    #[serde(default)]
    pub body: Option<String>,
    /// Who wrote it; none where the account is gone.
    #[serde(default)]
    pub user: Option<Account>,
}

/// An account.
#[derive(Debug, Default, Deserialize)]
pub struct Account {
    /// Its name.
    #[serde(default)]
    pub login: String,
    /// `User`, `Bot`, ….
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// Whose token ours is, as far as GitHub tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Author {
    /// A person's, or a machine user's.
    Account(String),
    /// An app's, such as the one that each job is given. GitHub does not tell an app its own name.
    App,
}

impl Author {
    /// Whether a comment can be ours. Anybody can write the words that ours begins with; a comment
    /// that its author can change afterwards must never become our report.
    pub fn wrote(&self, comment: &Comment) -> bool {
        comment.user.as_ref().is_some_and(|user| match self {
            Self::Account(login) => user.login.eq_ignore_ascii_case(login),
            // People cannot be bots, and an app writes only where it was let in.
            Self::App => user.kind == "Bot",
        })
    }
}

/// A pull request.
#[derive(Debug, Deserialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// `open` or `closed`.
    #[serde(default)]
    pub state: String,
    /// When it was merged, if it was.
    #[serde(default)]
    pub merged_at: Option<String>,
    /// The commit that merging it made.
    #[serde(default)]
    pub merge_commit_sha: Option<String>,
    /// Its last commit.
    #[serde(default)]
    pub head: Option<Head>,
}

/// A pull request's head.
#[derive(Debug, Deserialize)]
pub struct Head {
    /// Its last commit.
    #[serde(default)]
    pub sha: String,
}

/// The pull request to tell about a commit: the one whose merge made it, else one that was merged
/// with it inside, else an open one that ends with it.
pub fn chosen(pulls: &[Pull], commit: &CommitId) -> Option<u64> {
    let merged = |pull: &&Pull| pull.merged_at.is_some();
    let made =
        |pull: &&Pull| merged(pull) && pull.merge_commit_sha.as_deref() == Some(commit.as_str());
    let ends = |pull: &&Pull| {
        pull.state == "open" && pull.head.as_ref().is_some_and(|head| head.sha == commit.as_str())
    };
    let found = pulls.iter().find(made);
    let found = found.or_else(|| pulls.iter().find(merged)).or_else(|| pulls.iter().find(ends));
    found.map(|pull| pull.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulls(text: &str) -> Vec<Pull> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_comment_that_somebody_else_wrote_is_never_ours() {
        let by = |login: &str, kind: &str| Comment {
            id: 1,
            body: None,
            user: Some(Account { login: login.into(), kind: kind.into() }),
        };
        let app = Author::App;
        assert!(app.wrote(&by("github-actions[bot]", "Bot")));
        assert!(!app.wrote(&by("github-actions[bot]", "User")));
        let me = Author::Account("deployer".into());
        assert!(me.wrote(&by("Deployer", "User")));
        assert!(!me.wrote(&by("mallory", "User")) && !me.wrote(&by("github-actions[bot]", "Bot")));
        assert!(!app.wrote(&Comment { id: 1, body: None, user: None }));
    }

    #[test]
    fn the_pull_request_that_made_the_commit_comes_first() {
        let known = pulls(
            r#"[{"number": 1, "state": "open", "merged_at": null, "head": {"sha": "c"}},
                {"number": 2, "state": "closed", "merged_at": "2026-01-01T00:00:00Z", "merge_commit_sha": "x"},
                {"number": 3, "state": "closed", "merged_at": "2026-01-01T00:00:00Z", "merge_commit_sha": "c"}]"#,
        );
        assert_eq!(chosen(&known, &"c".into()), Some(3));
        assert_eq!(chosen(&known[..2], &"c".into()), Some(2));
        assert_eq!(chosen(&known[..1], &"c".into()), Some(1));
        assert_eq!(chosen(&known[..1], &"other".into()), None);
        assert_eq!(chosen(&[], &"c".into()), None);
    }
}
