//! Answers as text for people: what happened, what is live, what to type next.

use std::fmt::Write;

use super::{Answer, Changed, Checked, Row, Shown, Status, Word, moment};
use crate::domain::history::Hold;
use crate::domain::inventory::{Change, What};
use crate::domain::journal::HoldKind;
use crate::domain::verify::Loss;
use crate::failure::Failure;

/// How many relations a report lists before it says how many more there are.
const LISTED: usize = 25;

/// An answer as text that ends with a newline.
#[must_use]
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Changed(changed) => self::changed(changed),
        Answer::Status(status) => self::status(status),
        Answer::Releases(rows) => releases(rows),
        Answer::Doctor(checks) => doctor(checks),
        Answer::Said(_, message) => format!("{message}\n"),
    }
}

/// A failure as text that ends with a newline.
#[must_use]
pub fn failure(failure: &Failure) -> String {
    let mut text = format!("error: {}\n", failure.explanation());
    if let Some(production) = &failure.production {
        let _ = writeln!(text, "state: {production}");
    }
    if let Some(next) = &failure.next {
        let _ = writeln!(text, " next: {next}");
    }
    text
}

fn name(shown: &Shown) -> String {
    match (&shown.commit, shown.dirty) {
        (Some(commit), true) => {
            format!("{} (commit {} with uncommitted changes)", shown.release, commit.short())
        }
        (Some(commit), false) => format!("{} (commit {})", shown.release, commit.short()),
        (None, _) => shown.release.to_string(),
    }
}

fn changed(changed: &Changed) -> String {
    let mut text = String::new();
    if changed.word == Word::Planned {
        if let Some(plan) = &changed.plan {
            let _ = write!(text, "{plan}");
        }
    } else {
        text.push_str(&headline(changed));
        text.push_str(&change_table(&changed.changes));
    }
    if let Some(loss) = &changed.loss {
        text.push_str(&self::loss(loss));
    }
    for finding in &changed.findings {
        let _ = writeln!(text, "warning: {finding}");
    }
    for note in &changed.notes {
        let _ = writeln!(text, "{note}");
    }
    if changed.word == Word::Planned {
        text.push_str("dry run: nothing was touched\n");
    } else if let Some(hold) = &changed.hold {
        let _ = writeln!(text, "{}", held(hold));
    }
    if let Some(undo) = &changed.undo {
        let what = match (changed.word, &changed.previous) {
            (Word::RolledBack, Some(old)) => format!("bring {} forward again", old.release),
            _ => "take it back".to_owned(),
        };
        let _ = writeln!(text, "{what} with: {undo}");
    }
    if let Some(next) = &changed.next {
        let _ = writeln!(text, "{next}");
    }
    text
}

fn headline(changed: &Changed) -> String {
    let live = changed.live.as_ref().map_or_else(|| "nothing".to_owned(), name);
    let before = changed
        .previous
        .as_ref()
        .map_or_else(String::new, |old| format!("; before it {} was live and is kept", name(old)));
    let took = format!("{:.1} s", changed.seconds);
    let plan = changed.plan.as_ref().map_or_else(String::new, |plan| plan.release.to_string());
    match changed.word {
        Word::Published => format!("{live} is live, after {took}{before}\n"),
        Word::RolledBack => format!("{live} is live again, after {took}{before}\n"),
        Word::Built => format!("{plan} is built and waits, after {took}; {live} is still live\n"),
        Word::Finished => {
            format!(
                "recovered: the interrupted swap had happened, and the rest is done now; {live} is live\n"
            )
        }
        Word::Abandoned => {
            format!(
                "recovered: the interrupted run had not published anything; {live} is live, as before\n"
            )
        }
        Word::TakenBack => {
            format!("recovered: the interrupted run was taken back; {live} is live\n")
        }
        Word::NothingToDo if changed.live.is_none() => "nothing to do\n".to_owned(),
        Word::NothingToDo => format!("nothing to do; {live} is live\n"),
        Word::Pruned => format!("pruned; {live} is live\n"),
        Word::Planned | Word::Held | Word::Resumed | Word::Marked | Word::Probed => String::new(),
    }
}

/// The relations that differ, as an aligned table.
#[must_use]
pub fn change_table(changes: &[Change]) -> String {
    let mut text = String::new();
    let width = changes.iter().take(LISTED).map(|c| c.relation.chars().count()).max().unwrap_or(0);
    for change in changes.iter().take(LISTED) {
        let rows = match (change.rows_before, change.rows_after) {
            (Some(before), Some(after)) if before == after => format!("{after} rows"),
            (Some(before), Some(after)) => format!("{before} → {after} rows"),
            (None, Some(after)) => format!("{after} rows"),
            (Some(before), None) => format!("{before} rows before"),
            (None, None) => "view".to_owned(),
        };
        let what: Vec<String> = change
            .what
            .iter()
            .filter(|what| !matches!(what, What::Rows))
            .map(ToString::to_string)
            .collect();
        let line = format!("  {:<width$}  {rows:<18}  {}", change.relation, what.join(", "));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if changes.len() > LISTED {
        let _ = writeln!(text, "  … and {} more relations", changes.len() - LISTED);
    }
    text
}

fn loss(loss: &Loss) -> String {
    let mut text = String::new();
    let kinds = [
        ("leaves production, and dbt can rebuild it from its sources", &loss.rebuildable),
        ("leaves production: snapshot versions that dbt cannot rebuild", &loss.snapshot_versions),
        ("leaves production: rows that dbt does not write", &loss.not_written_by_dbt),
    ];
    for (what, changes) in kinds {
        if !changes.is_empty() {
            let _ = writeln!(text, "{what}:");
            text.push_str(&change_table(changes));
        }
    }
    text
}

fn held(hold: &Hold) -> String {
    let what = match hold.kind {
        HoldKind::SameCommit => "held: the code that was rolled back is not deployed again",
        HoldKind::All | HoldKind::None => "held: nothing is deployed",
    };
    format!(
        "{what} (by {}, {}: {})\n      other code is{} accepted; lift it with: switchback resume --reason TEXT",
        hold.by,
        moment(hold.at),
        hold.reason,
        if hold.kind == HoldKind::SameCommit { "" } else { " not" },
    )
}

fn status(status: &Status) -> String {
    let mut text = format!("environment  {} ({})\n", status.environment, status.warehouse);
    let live = match (&status.live, &status.doubt) {
        (_, Some(doubt)) => doubt.clone(),
        (Some(live), None) => match live.at {
            Some(at) => format!("{}, since {}", name(live), moment(at)),
            None => format!("{}, made before Switchback", name(live)),
        },
        (None, None) => "nothing yet".to_owned(),
    };
    let _ = writeln!(text, "live         {live}");
    let hold = status.hold.as_ref().map_or_else(|| "no".to_owned(), held);
    let _ = writeln!(text, "held         {}", hold.trim_start_matches("held: "));
    let unfinished = match (&status.unfinished, &status.running) {
        (_, Some(running)) => format!("no, but under way: {running}"),
        (Some((release, step, at, by)), None) => format!(
            "{release}, interrupted at {step} since {} ({by}); run: switchback recover",
            moment(*at)
        ),
        (None, None) => "no".to_owned(),
    };
    let _ = writeln!(text, "unfinished   {unfinished}");
    for waiting in &status.waiting {
        let _ = writeln!(text, "waiting      {}; run: switchback promote", name(waiting));
    }
    let _ = writeln!(text, "ledger       {}", status.ledger);
    text
}

fn releases(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no release yet; the first one comes with: switchback deploy\n".to_owned();
    }
    let mut text = String::new();
    for row in rows {
        let at = row.shown.at.map_or_else(|| "before Switchback".to_owned(), moment);
        let commit = match (&row.shown.commit, row.shown.dirty) {
            (Some(commit), dirty) => format!("{}{}", commit.short(), if dirty { "+" } else { "" }),
            (None, _) => "-".to_owned(),
        };
        let mut state = row.state.to_owned();
        if row.displaced {
            state.push_str(", rolled back");
        }
        if row.is_previous {
            state.push_str(" ← rollback goes here");
        }
        let until = row
            .restorable
            .as_ref()
            .map_or_else(String::new, |(_, until)| format!("  kept {until}"));
        let reason = row.reason.as_ref().map_or_else(String::new, |why| format!("  “{why}”"));
        let release = row.shown.release.to_string();
        let _ = writeln!(
            text,
            "{release:<5} {at:<23}  {commit:<8}  {:<12}  {state}{until}{reason}",
            row.actor
        );
    }
    text
}

fn doctor(checks: &[Checked]) -> String {
    let mut text = String::new();
    for check in checks {
        let (mark, found) = match &check.found {
            Ok(found) => ("ok  ", found),
            Err(found) => ("FAIL", found),
        };
        let _ = writeln!(text, "{mark}  {:<10}  {found}", check.what);
        if let Some(next) = &check.next {
            let _ = writeln!(text, "      next: {next}");
        }
    }
    text
}
