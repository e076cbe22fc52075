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
