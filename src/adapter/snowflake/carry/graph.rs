//! Tasks and alerts: what ran in what was live runs in the new live, and nowhere else.
//!
//! Sources: `/user-guide/tasks-graphs` (all tasks of a graph lie in one schema; only the root is
//! scheduled, so suspending it stops the graph; a task of a graph cannot be changed while its root
//! runs: error 091421), `/sql-reference/sql/alter-task`, `alter-alert`, `show-tasks`
//! (`predecessors`, `task_relations`).
//!
//! Order, graph by graph: in the new live the children and then the root are resumed, only then is
//! the root of what was live suspended. So an interruption leaves it told by the state itself what
//! is still to be done, and doing it again finds nothing.
//!
//! Pure. May import its siblings.

use std::collections::{BTreeMap, BTreeSet};

use super::table::lines;
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::{Ident, dotted_shown};
use crate::ports::{Answer, Rows};

/// A task or an alert; names are relative to its container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// Whether it runs.
    pub(super) started: bool,
    /// The tasks it waits for; for a finalizer, the root.
    pub(super) after: BTreeSet<Vec<Ident>>,
}

/// Tasks, or alerts, by name.
pub(super) type Tasks = BTreeMap<Vec<Ident>, Task>;

/// What is to be done, in order, and what is worth a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) statements: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Reads SHOW TASKS or SHOW ALERTS.
pub(super) fn read(container: &Container, rows: &Rows) -> Answer<Tasks> {
    let mut tasks = Tasks::new();
    for line in lines(rows) {
        let within = match container {
            Container::Database(_) => vec![line.ident("schema_name")?],
            Container::Schema(_) => vec![],
        };
        let named = |name: Ident| within.iter().cloned().chain([name]).collect::<Vec<_>>();
        let relations: serde_json::Value =
            serde_json::from_str(line.text("task_relations")).unwrap_or_default();
        let mut after = names(line.text("predecessors"));
        after.extend(relations["FinalizedRootTask"].as_str().into_iter().flat_map(names));
        let started = line.text("state").eq_ignore_ascii_case("started");
        let after = after.into_iter().map(named).collect();
        tasks.insert(named(line.ident("name")?), Task { started, after });
    }
    Ok(tasks)
}

/// The last parts of the names in `["DB.S.T", …]`, or in a list with commas: a graph lies in one
/// schema.
fn names(text: &str) -> Vec<Ident> {
    let listed: Vec<String> = serde_json::from_str(text)
        .unwrap_or_else(|_| text.trim_matches(['[', ']']).split(',').map(str::to_owned).collect());
    let last = |name: &String| dotted_shown(name).ok()?.pop();
    listed.iter().filter_map(last).collect()
}

/// The root of a task's graph. A graph without one (it cannot be made) is its own.
fn root<'a>(tasks: &'a Tasks, name: &'a Vec<Ident>) -> &'a Vec<Ident> {
    let (mut at, mut steps) = (name, 0);
    while let Some(before) = tasks.get(at).and_then(|task| task.after.first()) {
        steps += 1;
        if steps > tasks.len() || !tasks.contains_key(before) {
            break;
        }
        at = before;
    }
    at
}

/// How many tasks stand before it.
fn depth(tasks: &Tasks, name: &Vec<Ident>, limit: usize) -> usize {
    let before = tasks.get(name).map(|task| &task.after);
    let deeper = before.into_iter().flatten().filter(|_| limit > 0);
    deeper.map(|one| 1 + depth(tasks, one, limit - 1)).max().unwrap_or(0)
}

/// Decides for tasks (`kind` TASK) or alerts (ALERT).
pub(super) fn steps(
    kind: &str,
    (displaced, old): (&Container, &Tasks),
    (live, new): (&Container, &Tasks),
) -> Steps {
    let mut steps = Steps::default();
    let alter = |container: &Container, name: &[Ident], what: &str| {
        format!("ALTER {kind} {} {what}", container.full(name))
    };
    let shown = |name: &[Ident]| {
        let name: Vec<String> = name.iter().map(ToString::to_string).collect();
        format!("{} {}", kind.to_lowercase(), name.join("."))
    };
    for (name, task) in old.iter().filter(|(name, task)| task.started && root(old, name) == *name) {
        if task.after.iter().any(|before| old.contains_key(before)) {
            continue; // a cycle
        }
        match new.get(name) {
            None => steps.notes.push(format!(
                "{} ran in what was live and is not in the new release: it does not run any more",
                shown(name)
            )),
            Some(now) if now.started => {}
            Some(_) => {
                let mut members: Vec<_> =
                    old.iter().filter(|(one, _)| *one != name && root(old, one) == name).collect();
                members.sort_by_key(|(one, _)| std::cmp::Reverse(depth(old, one, old.len())));
                for (one, was) in members {
                    match new.get(one) {
                        None if was.started => steps.notes.push(format!(
                            "{} ran in what was live and is not in the new release",
                            shown(one)
                        )),
                        Some(now) if was.started && !now.started => {
                            steps.statements.push(alter(live, one, "RESUME"));
                        }
                        Some(now) if !was.started && now.started => {
                            steps.statements.push(alter(live, one, "SUSPEND"));
                        }
                        None | Some(_) => {}
                    }
                }
                steps.statements.push(alter(live, name, "RESUME"));
                steps.notes.push(format!("{} was resumed", shown(name)));
            }
        }
        steps.statements.push(alter(displaced, name, "SUSPEND"));
    }
    steps
}
