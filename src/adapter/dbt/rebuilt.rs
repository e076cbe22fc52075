//! Which tables this run makes anew without anybody reading their old rows before: a copy of
//! production need not hold those rows. Pure.
//!
//! In doubt a table is not named. A table is named only if the first command that builds anything
//! builds everything; dbt's own `table` materialization makes it; nothing that dbt may run before it
//! names it, in its code, its hooks or the macros that it reaches; and nothing of that finds relations
//! by looking around or puts their names together.
//!
//! May import its siblings `commands`, `manifest` and `mapped`.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::subcommand;
use super::manifest::Raw;

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

/// A model's id → the ids of the nodes that refer to it.
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
    let mut read: BTreeSet<&str> = BTreeSet::new();
    for (reader, texts) in &project.texts {
        for name in texts.words.iter().filter_map(|word| candidates.get_key_value(word)) {
            if !project.runs_after(reader, name.1) {
                read.insert(name.0);
            }
        }
    }
    let dark: Vec<&str> =
        project.texts.iter().filter(|(_, texts)| texts.dark).map(|(id, _)| *id).collect();
    let named = candidates.iter().filter(|(name, _)| !read.contains(name.as_str()));
    named
        .filter(|(_, id)| dark.iter().all(|reader| project.runs_after(reader, id)))
        .map(|(_, id)| ((*id).to_owned(), project.children(id)))
        .collect()
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

/// What a node says: in its code, its hooks, and the macros that it reaches.
#[derive(Default)]
struct Texts {
    words: BTreeSet<String>,
    /// Whether it may read what it does not name.
    dark: bool,
}

struct Project<'a> {
    texts: BTreeMap<&'a str, Texts>,
    parents: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Project<'a> {
    /// `alone`: no command runs hooks before the one that builds.
    fn of(raw: &'a Raw<'a>, alone: bool) -> Self {
        let macros: BTreeMap<&str, Texts> = raw
            .macros
            .iter()
            .filter(|(_, one)| !DBT.contains(&one.package()))
            .map(|(id, one)| (&**id, Texts::of_macro(&one.macro_sql)))
            .collect();
        let mut project = Self { texts: BTreeMap::new(), parents: BTreeMap::new() };
        for (id, node) in raw.nodes.iter().chain(&raw.functions) {
            project.parents.insert(id, node.parents().collect());
            if alone && id.contains("on-run-end") {
                continue; // after everything
            }
            let mut texts = Texts::default();
            node.own_texts().for_each(|text| texts.add(text));
            let mut reached: BTreeSet<&str> = BTreeSet::new();
            let mut next: Vec<&str> = node.macros().collect();
            while let Some(one) = next.pop() {
                if reached.insert(one)
                    && let Some(found) = raw.macro_by_id(one)
                {
                    next.extend(found.macros());
                    if let Some(said) = macros.get(one) {
                        texts.words.extend(said.words.iter().cloned());
                        texts.dark |= said.dark;
                    }
                }
            }
            project.texts.insert(id, texts);
        }
        project
    }

    /// Whether dbt runs `reader` only once `made` is there.
    fn runs_after(&self, reader: &str, made: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![reader];
        while let Some(one) = next.pop() {
            for parent in self.parents.get(one).into_iter().flatten() {
                if *parent == made {
                    return true;
                }
                if seen.insert(*parent) {
                    next.push(parent);
                }
            }
        }
        false
    }

    fn children(&self, id: &str) -> BTreeSet<String> {
        let refers = self.parents.iter().filter(|(_, parents)| parents.contains(&id));
        refers.map(|(child, _)| (*child).to_owned()).collect()
    }
}

impl Texts {
    fn of_macro(text: &str) -> Self {
        let mut texts = Self::default();
        texts.take_words(text);
        texts
    }

    /// Adds the code of a node or a hook.
    fn add(&mut self, text: &str) {
        self.take_words(text);
        self.dark |= names_are_put_together(text);
    }

    fn take_words(&mut self, text: &str) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
        for word in text.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            let word = word.to_lowercase();
            self.dark |= LOOKS_AROUND.contains(&word.as_str()) || word.starts_with("pg_");
            self.words.insert(word);
        }
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
