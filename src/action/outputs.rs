//! The action's outputs: what they are, and their values. Written with random delimiters, so that
//! no text in them can end its value early.
//!
//! May import `domain`, `failure`, `report` and `cli`.

use super::random;
use crate::cli::Ended;
use crate::domain::name::ReleaseId;
use crate::domain::project::DbtSummary;
use crate::failure::Kind;
use crate::report::course::Course;
use crate::report::{Answer, Word, failure_json};

/// The outputs, with what they mean; `action.yml` is checked against this table.
pub const OUTPUTS: &[(&str, &str)] = &[
    ("outcome", "How the run ended, one word of a closed set"),
    (
        "status",
        "What it did to production: changed, unchanged, swapped-back, unfinished or unknown",
    ),
    ("release", "The release this run made, published or brought back"),
    ("previous-release", "The release that was live before"),
    ("live-release", "The release that is live now"),
    ("rolled-back", "true where an earlier release was put back, also by itself; otherwise false"),
    ("rollback-command", "The command that undoes this run; the reason in it is yours"),
    ("plan", "The plan as JSON; empty where it is longer than 100,000 characters"),
    ("report-path", "The whole report as JSON, a path relative to the workspace"),
    ("models", "How many nodes dbt built"),
    ("tests", "How many tests dbt ran"),
    ("failures", "How many nodes and tests failed"),
    ("skipped", "How many nodes dbt skipped"),
    ("findings", "How many things the gates found"),
    ("relations-changed", "How many relations differ from what was live"),
];

/// The longest plan that is put out.
const PLAN: usize = 100_000;

/// The values.
#[must_use]
pub fn outputs(
    ended: &Ended,
    course: &Course,
    report_path: Option<&str>,
) -> Vec<(&'static str, String)> {
    let name = |release: Option<ReleaseId>| release.map_or(String::new(), |r| r.to_string());
    let mut values = vec![
        ("status", status(ended, course).to_owned()),
        ("rolled-back", rolled_back(ended).to_string()),
        ("report-path", report_path.unwrap_or_default().to_owned()),
    ];
    let mut dbt = course.dbt.as_ref();
    let mut found = (course.findings.len(), course.changes.len());
    match &ended.result {
        Ok(Answer::Changed(changed)) => {
            values.push(("outcome", changed.word.as_str().to_owned()));
            let release = changed.plan.as_ref().filter(|_| changed.word != Word::Pruned);
            values.push(("release", name(release.map(|plan| plan.release))));
            values.push(("previous-release", name(changed.previous.as_ref().map(|p| p.release))));
            values.push(("live-release", name(changed.live.as_ref().map(|live| live.release))));
            values.push(("rollback-command", changed.undo.clone().unwrap_or_default()));
            let plan = changed.plan.as_ref().and_then(|plan| serde_json::to_string(plan).ok());
            values.push(("plan", plan.filter(|text| text.len() <= PLAN).unwrap_or_default()));
            dbt = changed.dbt.as_ref().or(dbt);
            found = (found.0.max(changed.findings.len()), found.1.max(changed.changes.len()));
        }
        Ok(Answer::Said(word, _)) => values.push(("outcome", word.as_str().to_owned())),
        Ok(Answer::Status(status)) => {
            values.push(("live-release", name(status.live.as_ref().map(|live| live.release))));
        }
        Ok(Answer::Releases(_) | Answer::Doctor(_)) => {}
        Err(failure) => {
            let outcome = failure_json(failure)["outcome"].as_str().unwrap_or_default().to_owned();
            values.push(("outcome", outcome));
        }
    }
    let count = |words: &[&str]| dbt.map_or(0, |dbt| counted(dbt, words)).to_string();
    values.push(("models", count(&["success"])));
    values.push(("tests", count(&["pass", "warn", "fail"])));
    values.push(("failures", count(&["error", "fail", "runtime error", "partial success"])));
    values.push(("skipped", count(&["skipped"])));
    values.push(("findings", found.0.to_string()));
    values.push(("relations-changed", found.1.to_string()));
    values
}

fn counted(dbt: &DbtSummary, words: &[&str]) -> u32 {
    words.iter().filter_map(|word| dbt.counts.get(*word)).sum()
}

/// What the run did to production. `unknown` rather than a guess.
fn status(ended: &Ended, course: &Course) -> &'static str {
    match &ended.result {
        Ok(Answer::Changed(changed)) => match changed.word {
            Word::Published | Word::RolledBack | Word::Finished | Word::TakenBack => "changed",
            Word::Planned
            | Word::Built
            | Word::Abandoned
            | Word::NothingToDo
            | Word::Pruned
            | Word::Held
            | Word::Resumed
            | Word::Marked
            | Word::Probed => "unchanged",
        },
        Ok(_) => "unchanged",
        Err(failure) => match failure.kind {
            Kind::SwappedBack => "swapped-back",
            Kind::Unfinished => "unfinished",
            Kind::Usage | Kind::Stopped => "unchanged",
            Kind::Unexpected | Kind::Held | Kind::Locked | Kind::Interrupted | Kind::Terminated => {
                if course.swap_began {
                    "unknown"
                } else {
                    "unchanged"
                }
            }
        },
    }
}

fn rolled_back(ended: &Ended) -> bool {
    match &ended.result {
        Ok(Answer::Changed(changed)) => {
            matches!(changed.word, Word::RolledBack | Word::TakenBack)
        }
        Ok(_) => false,
        Err(failure) => failure.kind == Kind::SwappedBack,
    }
}

/// The values as the runner's file wants them.
#[must_use]
pub fn rendered(values: &[(&'static str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let delimiter = format!("switchback_{}", random());
        text.extend([name, "<<", &delimiter, "\n", value, "\n", &delimiter, "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    fn failed(kind: Kind) -> Ended {
        Ended { code: kind.exit_code(), result: Err(Failure::new(kind, "m")) }
    }

    #[test]
    fn every_output_is_in_the_table() {
        let names: Vec<&str> = OUTPUTS.iter().map(|(name, _)| *name).collect();
        for (name, _) in outputs(&failed(Kind::Stopped), &Course::default(), None) {
            assert!(names.contains(&name), "{name}");
        }
    }

    #[test]
    fn what_was_done_to_production_is_never_guessed() {
        let swapped = Course { swap_began: true, ..Course::default() };
        let before = Course::default();
        assert_eq!(status(&failed(Kind::Terminated), &swapped), "unknown");
        assert_eq!(status(&failed(Kind::Terminated), &before), "unchanged");
        assert_eq!(status(&failed(Kind::Locked), &swapped), "unknown");
        assert_eq!(status(&failed(Kind::SwappedBack), &swapped), "swapped-back");
        assert!(rolled_back(&failed(Kind::SwappedBack)));
    }

    #[test]
    fn a_value_cannot_end_itself() {
        let text = rendered(&[("plan", "x\nEOF\noutcome<<EOF\nevil".to_owned())]);
        let lines: Vec<&str> = text.lines().collect();
        let delimiter = lines[0].strip_prefix("plan<<").unwrap();
        assert_eq!(lines.iter().filter(|line| **line == delimiter).count(), 1);
        assert_eq!(lines.last(), Some(&delimiter));
        assert_eq!(delimiter.len(), "switchback_".len() + 32);
    }
}
