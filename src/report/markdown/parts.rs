//! The parts of a report, each a piece of Markdown that stands on its own; empty where there is
//! nothing to say.
//!
//! May import `domain` and the rest of `report`.

use std::fmt::Write;

use super::Frame;
use super::escape::{block, code, link};
use crate::domain::history::Hold;
use crate::domain::inventory::{Change, What};
use crate::domain::journal::HoldKind;
use crate::domain::plan::{Plan, Step};
use crate::domain::project::DbtSummary;
use crate::domain::verify::{Action, Finding, Loss};
use crate::report::{Changed, Shown, Word, moment};

/// Characters of a name, and of a message in a cell.
const NAME: usize = 200;
const CELL: usize = 600;
/// How many findings of the gates are listed.
const FINDINGS: usize = 200;

/// A part under a heading; empty if it is.
pub fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("### {title}\n\n{body}") }
}

fn release(shown: &Shown) -> String {
    let commit = shown.commit.as_ref().map_or(String::new(), |commit| {
        let dirty = if shown.dirty { ", with uncommitted changes" } else { "" };
        format!(" (commit {}{dirty})", code(commit.short(), 20))
    });
    format!("**{}**{commit}", shown.release)
}

pub fn headline(changed: &Changed, frame: &Frame) -> String {
    let live =
        changed.live.as_ref().map_or_else(|| "nothing".to_owned(), |live| live.release.to_string());
    let plan = changed.plan.as_ref().map_or_else(String::new, |plan| plan.release.to_string());
    let place = code(&frame.environment, 100);
    match changed.word {
        Word::Planned => format!("## 📋 Plan of {} for {place}\n", super::verb(frame)),
        Word::Published => format!("## ✅ {live} is live in {place}\n"),
        Word::Built => format!("## 📦 {plan} is built and waits; {live} is live in {place}\n"),
        Word::RolledBack => format!("## ⏪ {live} is live again in {place}\n"),
        Word::Finished => format!("## ✅ Recovered: {live} is live in {place}\n"),
        Word::Abandoned => {
            format!("## ✅ Recovered: nothing had been published; {live} is live in {place}\n")
        }
        Word::TakenBack => format!("## ↩️ Recovered: taken back; {live} is live in {place}\n"),
        Word::NothingToDo => format!("## ✅ Nothing to do; {live} is live in {place}\n"),
        Word::Pruned => format!("## 🧹 Pruned; {live} is live in {place}\n"),
        Word::Held => format!("## ⏸️ Deploys to {place} are held\n"),
        Word::Resumed => format!("## ▶️ Deploys to {place} may go on\n"),
        Word::Marked => format!("## 📍 A restore point of {place} is recorded\n"),
        Word::Probed => format!("## 🔬 The warehouse of {place} was probed\n"),
    }
}

pub fn facts(changed: &Changed) -> String {
    let mut rows = Vec::new();
    if let Some(live) = &changed.live {
        let since = live.at.map_or(String::new(), |at| format!(", since {}", moment(at)));
        rows.push(("live", format!("{}{since}", release(live))));
    }
    if let Some(old) = &changed.previous {
        rows.push(("before it", format!("{}, kept", release(old))));
    }
    if let Some(dbt) = &changed.dbt {
        rows.push(("dbt", counts(dbt)));
    }
    if !changed.changes.is_empty() {
        rows.push(("relations that differ", changed.changes.len().to_string()));
    }
    if changed.seconds > 0.0 {
        rows.push(("took", format!("{:.1} s", changed.seconds)));
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str("| | |\n|---|---|\n");
    }
    for (what, value) in rows {
        let _ = writeln!(text, "| {what} | {value} |"); // writing to a String cannot fail
    }
    text
}

fn counts(dbt: &DbtSummary) -> String {
    let parts: Vec<String> = dbt
        .counts
        .iter()
        .take(12)
        .map(|(status, count)| format!("{count} {}", code(status, 30)))
        .collect();
    parts.join(", ")
}

pub fn take_back(changed: &Changed, frame: &Frame) -> String {
    let Some(undo) = &changed.undo else {
        return changed
            .next
            .as_ref()
            .map_or(String::new(), |next| section("Next", &block(next, 2000)));
    };
    let forward = changed.word == Word::RolledBack;
    let mut text = String::new();
    if let Some(url) = &frame.rollback_url {
        let button = link("Run workflow", url);
        let old = changed.previous.as_ref().filter(|_| forward);
        let target = old.map_or(String::new(), |old| format!(", target {}", old.release));
        let _ = writeln!(text, "Press {button}{target}, or type:\n");
    }
    text.push_str(&block(undo, 2000));
    section(if forward { "Bring it forward again" } else { "Take it back" }, &text)
}

pub fn held(hold: Option<&Hold>) -> String {
    let Some(hold) = hold else {
        return String::new();
    };
    let commit = hold
        .commit
        .as_ref()
        .map_or(String::new(), |commit| format!(" (commit {})", code(commit.short(), 20)));
    let what = match hold.kind {
        HoldKind::SameCommit => {
            format!("The code that was rolled back{commit} is not deployed again; other code is.")
        }
        HoldKind::All | HoldKind::None => "Nothing is deployed until it is lifted.".to_owned(),
    };
    let text = format!(
        "{what} Set by {}, {}, because: {}. Lift it with:\n\n{}",
        code(&hold.by.name, NAME),
        moment(hold.at),
        code(&hold.reason, CELL),
        block("switchback resume --reason TEXT", 200)
    );
    section("Held", &text)
}

pub fn gates(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut text = String::from("| | gate | what it found |\n|---|---|---|\n");
    for finding in findings.iter().take(FINDINGS) {
        let mark = match finding.action {
            Action::Stop => "🛑 stops",
            Action::Warn => "⚠️ warns",
            Action::Off => "off",
        };
        let (gate, message) = (code(&finding.gate, NAME), code(&finding.message, CELL));
        let _ = writeln!(text, "| {mark} | {gate} | {message} |");
    }
    text.push_str(&more(findings.len(), FINDINGS, "findings"));
    section("Gates", &text)
}

/// The relations that differ: rows before and after, and what else.
pub fn changes(title: &str, changes: &[Change], most: usize) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut text =
        String::from("| relation | rows before | rows after | what differs |\n|---|--:|--:|---|\n");
    for change in changes.iter().take(most) {
        let rows = |rows: Option<u64>| rows.map_or("–".to_owned(), thousands);
        let what: Vec<String> = change.what.iter().map(differs).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            code(&change.relation, NAME),
            rows(change.rows_before),
            rows(change.rows_after),
            what.join(", ")
        );
    }
    text.push_str(&more(changes.len(), most, "relations"));
    section(title, &text)
}

fn differs(what: &What) -> String {
    let name = |text: &str| code(text, NAME);
    match what {
        What::New => "new".to_owned(),
        What::Gone => "**gone**".to_owned(),
        What::Kind(..) => code(&what.to_string(), NAME),
        What::ColumnAdded(column) => format!("column {} added", name(column)),
        What::ColumnGone(column) => format!("column {} **gone**", name(column)),
        What::ColumnRetyped(column, before, after) => {
            format!("column {}: {} → {}", name(column), name(before), name(after))
        }
        What::Rows => "rows".to_owned(),
        What::Definition => "other definition".to_owned(),
        What::Content => "other values".to_owned(),
    }
}

/// A number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn more(all: usize, most: usize, what: &str) -> String {
    if all > most { format!("\n… and {} more {what}\n", all - most) } else { String::new() }
}

pub fn loss(loss: Option<&Loss>, most: usize) -> String {
    let Some(loss) = loss else {
        return String::new();
    };
    [
        ("Leaves production, and dbt can rebuild it", &loss.rebuildable),
        ("Leaves production: snapshot versions that dbt cannot rebuild", &loss.snapshot_versions),
        ("Leaves production: rows that dbt does not write", &loss.not_written_by_dbt),
    ]
    .into_iter()
    .map(|(title, list)| changes(title, list, most))
    .filter(|text| !text.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

/// What was done to access rules, where the warehouse has any to carry.
pub fn grants(plan: Option<&Plan>) -> String {
    let steps = plan.map_or(&[][..], |plan| &plan.steps);
    let effects: usize = steps
        .iter()
        .filter(|one| matches!(one.step, Step::SyncGrants { .. }))
        .map(|one| one.effects.len())
        .sum();
    if effects == 0 {
        return String::new();
    }
    let text = format!("Carried from what was live to what came in: {effects} changes.\n");
    section("Access rules", &text)
}

/// Sentences, one a line.
pub fn list(texts: &[String], most: usize) -> String {
    let mut text = String::new();
    for one in texts.iter().take(most) {
        let _ = writeln!(text, "- {}", code(one, CELL));
    }
    text.push_str(&more(texts.len(), most, "like these"));
    text
}

/// The nodes that dbt failed on.
pub fn nodes(dbt: Option<&DbtSummary>, most: usize) -> String {
    let failures = dbt.map_or(&[][..], |dbt| &dbt.failures);
    if failures.is_empty() {
        return String::new();
    }
    let mut text = String::from("| node | status | message | file |\n|---|---|---|---|\n");
    for node in failures.iter().take(most) {
        let file = node.file.as_ref().map_or(String::new(), |file| code(file, NAME));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {file} |",
            code(&node.unique_id, NAME),
            code(&node.status, 30),
            code(node.message.as_deref().unwrap_or_default(), CELL),
        );
    }
    text.push_str(&more(failures.len(), most, "nodes"));
    section("What dbt failed on", &text)
}

pub fn sentence(what: &str, text: Option<&str>) -> String {
    text.map_or(String::new(), |text| format!("**{what}:** {}\n", code(text, 2000)))
}

pub fn next(next: Option<&str>) -> String {
    next.map_or(String::new(), |next| section("What to do", &block(next, 3000)))
}
