//! Reports as GitHub's Markdown: the job summary, and the comment on a pull request.
//!
//! Invariants: text of others is inert (see [`escape`]); a document never exceeds its limit, and
//! where something is left out for that, it says so. Pure.
//!
//! May import `domain`, `failure` and the rest of `report`.

pub mod escape;
mod parts;
#[cfg(test)]
mod tests;
mod timeline;

use std::fmt::Write;

use self::escape::{code, link};
use super::course::Course;
use super::{Answer, Changed, Word, answer_text};
use crate::failure::{Failure, Kind, Outcome};

/// GitHub's limit for the summary of a step.
pub const SUMMARY_LIMIT: usize = 1 << 20;
/// GitHub's limit for a comment: characters, which are at least a byte each.
pub const COMMENT_LIMIT: usize = 65_536;

/// What a report needs to know of where it is shown.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The verb.
    pub verb: String,
    /// The environment's name.
    pub environment: String,
    /// The address of the workflow run.
    pub run_url: Option<String>,
    /// The address of the rollback button.
    pub rollback_url: Option<String>,
    /// Where the whole report is, relative to the workspace.
    pub report_path: Option<String>,
}

/// One run, as it is told.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// How it ended.
    pub result: &'a Outcome<Answer>,
    /// What was seen of it.
    pub course: &'a Course,
    /// Where it is told.
    pub frame: &'a Frame,
}

/// How far a document goes into detail.
#[derive(Clone, Copy)]
struct Detail {
    limit: usize,
    /// GitHub's limit in words.
    named: &'static str,
    relations: usize,
    nodes: usize,
    message: usize,
    timeline: bool,
}

const SUMMARY: Detail = Detail {
    // What GitHub could not be told is added at the end.
    limit: SUMMARY_LIMIT - (128 << 10),
    named: "1 MiB a summary",
    relations: 1000,
    nodes: 100,
    message: 20_000,
    timeline: true,
};
const COMMENT: Detail = Detail {
    limit: COMMENT_LIMIT,
    named: "65,536 characters a comment",
    relations: 20,
    nodes: 10,
    message: 3000,
    timeline: false,
};

/// The marker that our comment for an environment begins with.
#[must_use]
pub fn marker(environment: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = crate::domain::name::hex(&Sha256::digest(environment.as_bytes())[..8]);
    format!("<!-- switchback:{digest} -->")
}

/// The job summary.
#[must_use]
pub fn summary(told: Told<'_>) -> String {
    document(String::new(), told, SUMMARY)
}

/// The comment on a pull request.
#[must_use]
pub fn comment(told: Told<'_>) -> String {
    document(format!("{}\n", marker(&told.frame.environment)), told, COMMENT)
}

/// What GitHub could not be told, as an addition to the summary; empty where there is nothing.
#[must_use]
pub fn complaints(complaints: &[String]) -> String {
    parts::section("Not told to GitHub", &parts::list(complaints, 10))
}

/// Puts parts together, the most important first, and says what had to be left out.
fn document(begin: String, told: Told<'_>, detail: Detail) -> String {
    const RESERVE: usize = 600;
    let mut text = begin;
    let mut left_out: Vec<&str> = Vec::new();
    for (name, part) in parts_of(told, detail) {
        if part.is_empty() {
            continue;
        }
        if text.len() + part.len() + RESERVE > detail.limit {
            left_out.push(name);
        } else {
            text.push_str(&part);
            text.push('\n');
        }
    }
    if !left_out.is_empty() {
        let place =
            told.frame.report_path.as_ref().map_or(String::new(), |path| {
                format!(" The whole report is in {}.", code(path, 150))
            });
        let _ = writeln!(
            text,
            "\n**Cut to GitHub’s limit of {}; left out: {}.**{place}",
            detail.named,
            left_out.join(", ")
        );
    }
    text
}

type Part = (&'static str, String);

fn parts_of(told: Told<'_>, detail: Detail) -> Vec<Part> {
    let frame = told.frame;
    let mut parts = match told.result {
        Ok(Answer::Changed(changed)) => of_changed(changed, told, detail),
        Ok(answer) => vec![
            ("the headline", format!("## {} in {}\n", verb(frame), code(&frame.environment, 100))),
            ("the answer", escape::block(&answer_text(answer), detail.message)),
        ],
        Err(failure) => of_failure(failure, told, detail),
    };
    parts.push(("warnings", warnings(told.course, detail)));
    if detail.timeline {
        parts.push(("the timeline", parts::section("Timeline", &timeline::timeline(told.course))));
    } else if let Some(url) = &frame.run_url {
        parts.push(("the run", format!("{}\n", link("The run, with everything", url))));
    }
    parts
}

/// What was warned of, without what the gates' own table says.
fn warnings(course: &Course, detail: Detail) -> String {
    let said: Vec<String> = course.findings.iter().map(ToString::to_string).collect();
    let rest: Vec<String> =
        course.warnings.iter().filter(|text| !said.contains(text)).cloned().collect();
    parts::section("Warnings", &parts::list(&rest, detail.nodes))
}

fn verb(frame: &Frame) -> String {
    code(&format!("switchback {}", frame.verb), 60)
}

fn of_changed(changed: &Changed, told: Told<'_>, detail: Detail) -> Vec<Part> {
    let frame = told.frame;
    let headline = parts::headline(changed, frame);
    let differing =
        if changed.changes.is_empty() { &told.course.changes } else { &changed.changes };
    let mut parts = vec![("the headline", headline), ("the facts", parts::facts(changed))];
    if changed.word == Word::Planned
        && let Some(plan) = &changed.plan
    {
        let shown = escape::block(&plan.to_string(), detail.message);
        parts.push(("the plan", parts::section("The plan", &shown)));
    }
    parts.extend([
        ("how to take it back", parts::take_back(changed, frame)),
        ("what is held", parts::held(changed.hold.as_ref())),
        ("the gates", parts::gates(&changed.findings)),
        ("what leaves production", parts::loss(changed.loss.as_ref(), detail.relations)),
        ("what changed", parts::changes("What changed", differing, detail.relations)),
        ("access rules", parts::grants(changed.plan.as_ref())),
        ("notes", parts::section("Notes", &parts::list(&changed.notes, detail.nodes))),
    ]);
    parts
}

fn of_failure(failure: &Failure, told: Told<'_>, detail: Detail) -> Vec<Part> {
    let Told { course, frame, .. } = told;
    let what = match failure.kind {
        Kind::Unexpected => "❌ Failed unexpectedly",
        Kind::Usage => "❌ Not started: bad usage or configuration",
        Kind::Stopped => "🛑 Stopped before publishing",
        Kind::SwappedBack => "↩️ Published, then swapped back",
        Kind::Held => "⏸️ Refused: held",
        Kind::Locked => "⏸️ Refused: another run is at it",
        Kind::Unfinished => "❗ Unfinished: it needs recover",
        Kind::Interrupted | Kind::Terminated => "✋ Ended by a signal",
    };
    let headline = format!("## {what} ({} in {})\n", verb(frame), code(&frame.environment, 100));
    let mut parts = vec![
        ("the headline", headline),
        ("production’s state", parts::sentence("State", failure.production.as_deref())),
        ("what happened", escape::block(&failure.explanation(), detail.message)),
        ("what to do", parts::next(failure.next.as_deref())),
        ("the gates", parts::gates(&course.findings)),
        ("failed nodes", parts::nodes(course.dbt.as_ref(), detail.nodes)),
        (
            "what would have changed",
            parts::changes("What would have changed", &course.changes, detail.relations),
        ),
    ];
    if failure.kind == Kind::Unfinished
        && let Some(url) = &frame.rollback_url
    {
        parts.push((
            "the button",
            format!("A rollback recovers first by itself: {}.\n", link("Run workflow", url)),
        ));
    }
    parts
}
