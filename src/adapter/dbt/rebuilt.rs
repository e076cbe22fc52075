//! Which tables this run makes anew without anybody reading their old rows before: a copy of
//! production need not hold those rows. Pure.
//!
//! In doubt a table is not named. A table is named only if the first command that builds anything
//! builds everything; dbt's own `table` materialization makes it; nothing that dbt may run before it
//! names it or a view that reads it, in its code, its hooks or the macros that it reaches; and nothing
//! of that finds relations by looking around or puts their names together.
//!
//! May import its siblings `commands`, `manifest` and `mapped`.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::subcommand;
use super::manifest::{Raw, RawNode};

/// Options that change nothing about what is built; those of the second list have a value.
const HARMLESS: [&str; 12] = [
    "--full-refresh",
    "-f",
    "--fail-fast",
    "-x",
    "--debug",
    "-d",
    "--quiet",
    "-q",
    "--no-use-colors",
    "--no-partial-parse",
    "--warn-error",
    "--store-failures",
];
const HARMLESS_WITH_VALUE: [&str; 4] = ["--threads", "--vars", "--log-level", "--log-format"];

/// Variables of the environment that would make dbt build less.
pub const NARROWING: [&str; 8] = [
    "RESOURCE_TYPES",
    "EXCLUDE_RESOURCE_TYPES",
    "SELECT",
    "EXCLUDE",
    "DEFER",
    "STATE",
    "FAVOR_STATE",
    "EMPTY",
];

/// Packages whose macros are dbt's own.
const DBT: [&str; 2] = ["dbt", "dbt_postgres"];

/// Words by which code looks around for relations.
const LOOKS_AROUND: [&str; 7] = [
    "information_schema",
    "graph",
    "get_relation",
    "list_relations",
    "list_relations_without_caching",
    "get_relations_by_pattern",
    "get_relations_by_prefix",
];

/// A model's id → the ids of all nodes that dbt runs after it.
pub type Rebuilt = BTreeMap<String, BTreeSet<String>>;

/// The tables that are made anew.
#[must_use]
pub fn rebuilt(raw: &Raw<'_>, commands: &[Vec<String>]) -> Rebuilt {
    let Some(alone) = builds_everything(commands) else { return Rebuilt::new() };
    if raw.has_selectors() || overrides_tables(raw) {
        return Rebuilt::new();
    }
    let project = Project::of(raw, alone);
    let mut candidates: BTreeMap<String, &str> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (id, node) in &raw.nodes {
        let name = node.relation_identifier();
        let counts = node.is_plain_table() && is_plain(name);
        if counts && candidates.insert(name.to_owned(), id).is_some() {
            twice.insert(name.to_owned()); // in two schemas
        }
    }
    candidates.retain(|name, _| !twice.contains(name));
    for source in raw.sources.values() {
        candidates.remove(&*source.source_identifier().to_lowercase());
    }
    let mut found = Rebuilt::new();
    for (name, id) in candidates {
        let after = project.descendants(id);
        let too_early = |readers: &BTreeSet<&str>| readers.iter().any(|one| !after.contains(one));
        let views = after.iter().filter_map(|child| project.views.get(child));
        let mut faces = views.map(String::as_str).chain([name.as_str()]);
        let is_read = faces.any(|face| project.readers.get(face).is_some_and(too_early));
        if !is_read && !too_early(&project.dark) {
            found.insert(id.to_owned(), after.into_iter().map(str::to_owned).collect());
        }
    }
    found
}

/// Whether the first command that builds anything builds everything; and whether it is the first to
/// run hooks.
fn builds_everything(commands: &[Vec<String>]) -> Option<bool> {
    let mut alone = true;
    for words in commands {
        match subcommand(words)? {
            "deps" => {}
            "seed" if is_whole(words) => alone = false,
            "build" | "run" if is_whole(words) => return Some(alone),
            _ => return None,
        }
    }
    None
}

fn is_whole(words: &[String]) -> bool {
    let mut words = words.iter();
    let mut commands = 0;
    while let Some(word) = words.next() {
        let option = word.split('=').next().unwrap_or(word);
        if !word.starts_with('-') {
            commands += 1;
        } else if HARMLESS_WITH_VALUE.contains(&option) {
            if option == word {
                words.next();
            }
        } else if !HARMLESS.contains(&word.as_str()) {
            return false;
        }
    }
    commands == 1
}

fn overrides_tables(raw: &Raw<'_>) -> bool {
    raw.macros
        .values()
        .any(|one| one.name().starts_with("materialization_table") && !DBT.contains(&one.package()))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// What code says.
#[derive(Clone, Default)]
struct Said {
    /// Names of relations of the project.
    names: BTreeSet<String>,
    /// Whether it may read what it does not name.
    dark: bool,
}

impl Said {
    fn take(&mut self, text: &str, names: &BTreeSet<String>) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
        for word in text.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            let word = word.to_lowercase();
            self.dark |= LOOKS_AROUND.contains(&word.as_str()) || word.starts_with("pg_");
            if names.contains(&word) {
                self.names.insert(word);
            }
        }
    }
}

/// Who says what, with the macros that it reaches, and what runs after what.
#[derive(Default)]
struct Project<'a> {
    /// A relation's name → the nodes that say it.
    readers: BTreeMap<String, BTreeSet<&'a str>>,
    /// The nodes that may read what they do not name.
    dark: BTreeSet<&'a str>,
    /// Who refers to a node.
    children: BTreeMap<&'a str, Vec<&'a str>>,
    /// Names of what has no rows of its own.
    views: BTreeMap<&'a str, String>,
}

impl<'a> Project<'a> {
    /// `alone`: no command runs hooks before the one that builds.
    fn of(raw: &'a Raw<'a>, alone: bool) -> Self {
        let name = |node: &RawNode<'_>| node.relation_identifier().to_lowercase();
        let names: BTreeSet<String> = raw.nodes.values().map(name).collect();
        let mut macros: BTreeMap<&str, Said> = BTreeMap::new();
        for (id, one) in raw.macros.iter().filter(|(_, one)| !DBT.contains(&one.package())) {
            macros.entry(id).or_default().take(&one.macro_sql, &names);
        }
        let mut project = Self::default();
        for (id, node) in raw.nodes.iter().chain(&raw.functions) {
            for parent in node.parents() {
                project.children.entry(parent).or_default().push(id);
            }
            if node.is_view() {
                project.views.insert(id, name(node));
            }
            if alone && id.contains("on-run-end") {
                continue; // after everything
            }
            let mut said = Said::default();
            for text in node.own_texts() {
                said.take(text, &names);
                said.dark |= names_are_put_together(text);
            }
            let mut reached: BTreeSet<&str> = BTreeSet::new();
            let mut next: Vec<&str> = node.macros().collect();
            while let Some(one) = next.pop() {
                if reached.insert(one)
                    && let Some(found) = raw.macro_by_id(one)
                {
                    next.extend(found.macros());
                    if let Some(more) = macros.get(one) {
                        said.names.extend(more.names.iter().cloned());
                        said.dark |= more.dark;
                    }
                }
            }
            for name in said.names {
                project.readers.entry(name).or_default().insert(id);
            }
            if said.dark {
                project.dark.insert(id);
            }
        }
        project
    }

    /// What dbt runs only once this node is there.
    fn descendants(&self, id: &'a str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::new();
        let mut next = vec![id];
        while let Some(one) = next.pop() {
            let children = self.children.get(one).into_iter().flatten();
            next.extend(children.filter(|child| seen.insert(**child)));
        }
        seen
    }
}

/// Whether a relation's name, or part of one, is an expression that is no `ref` and no `source`.
fn names_are_put_together(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut at = 0;
    while let Some(found) = lower[at..].find("{{") {
        let start = at + found;
        let before = lower[..start].trim_end_matches(['"', '-']);
        let expression = lower[start + 2..].trim_start_matches(['-', ' ', '\n', '\t', '\r']);
        // `this` is the node's own relation; a table that reads itself is no candidate.
        let named = ["ref(", "ref (", "source(", "source (", "this }}", "this}}", "this.schema"];
        let by_graph = named.iter().any(|word| expression.starts_with(word));
        let last = before.split_whitespace().next_back().unwrap_or_default();
        let after_keyword = before.ends_with(char::is_whitespace)
            && matches!(last, "from" | "join" | "into" | "update" | "table" | ",");
        if before.ends_with('.') || (after_keyword && !by_graph && !is_target(expression)) {
            return true;
        }
        at = start + 2;
    }
    false
}

/// `{{ target.schema }}.name`: the name stands in the text.
fn is_target(expression: &str) -> bool {
    expression
        .strip_prefix("target.schema")
        .is_some_and(|rest| rest.trim_start_matches(['-', ' ']).starts_with("}}."))
}

#[cfg(test)]
#[path = "rebuilt_tests.rs"]
mod tests;
