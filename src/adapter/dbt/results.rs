//! `run_results.json` and `sources.json`: how each node of a command ended.
//!
//! May import `domain` and its sibling `mapped`.

use serde::Deserialize;

use super::mapped::{Text, or_default};
use crate::domain::project::{DbtSummary, NodeResult};

/// Failures that are kept; a broken source can fail thousands of nodes.
const KEPT: usize = 100;

/// The file as dbt writes it.
#[derive(Debug, Deserialize)]
pub struct RawResults<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    results: Vec<RawResult<'a>>,
}

#[derive(Debug, Deserialize)]
struct RawResult<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    unique_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    status: Text<'a>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    /// `sources.json` has its message here.
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
    #[serde(default, deserialize_with = "or_default")]
    execution_time: f64,
}

impl RawResults<'_> {
    /// Adds the results to a summary; the nodes' files are the manifest's to tell.
    pub fn add_to(&self, summary: &mut DbtSummary) {
        for raw in &self.results {
            *summary.counts.entry(raw.status.to_string()).or_default() += 1;
            let message = raw.message.as_ref().or(raw.error.as_ref());
            let result = NodeResult {
                unique_id: raw.unique_id.to_string(),
                status: raw.status.to_string(),
                message: message.map(ToString::to_string),
                file: None,
                seconds: raw.execution_time,
            };
            if result.failed() && summary.failures.len() < KEPT {
                summary.failures.push(result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_and_failures_kept() {
        let text = r#"{"metadata": {}, "results": [
          {"unique_id": "model.shop.a", "status": "success", "message": "OK", "execution_time": 0.5},
          {"unique_id": "test.shop.t", "status": "fail", "message": "Got 3 \"rows\"", "execution_time": 1.5},
          {"unique_id": "source.shop.s", "status": "runtime error", "error": "no such table"},
          {"unique_id": "model.shop.b", "status": "skipped", "message": null}], "elapsed_time": 2}"#;
        let raw: RawResults<'_> = serde_json::from_str(text).unwrap();
        let mut summary = DbtSummary::default();
        raw.add_to(&mut summary);
        assert_eq!(summary.counts["success"], 1);
        assert_eq!(summary.counts["skipped"], 1);
        assert_eq!(summary.failures.len(), 2);
        assert_eq!(summary.failures[0].message.as_deref(), Some("Got 3 \"rows\""));
        assert_eq!(summary.failures[1].message.as_deref(), Some("no such table"));
    }
}
