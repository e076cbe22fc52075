//! What a snapshot's `target_schema` and `target_database` say, moved where they are written: dbt
//! takes them past every macro.
//!
//! In a snapshot's own `config(…)` the value is passed to the macro that moves; in YAML (the
//! project file, snapshot files) the scalar is replaced by the moved one, or by a template that
//! moves what the written template says.
//!
//! May import `failure`, the parent's `jinja`, `spans` and `yaml`, and its siblings `lex`, `macros`,
//! `mover` and `rewrite`.

use std::path::Path;

use serde_yaml::Value;

use super::lex::{Kind, Token, tokens};
use super::macros::{before, closing, is_symbol, is_word, next};
use super::mover::Mover;
use super::rewrite::{Edit, applied};
use crate::adapter::dbt::jinja::is_template;
use crate::adapter::dbt::spans::{Shape, Tree};
use crate::adapter::dbt::yaml;
use crate::failure::Outcome;

/// A snapshot file's text with its targets moved; `None` if it sets none.
#[must_use]
pub fn moved_sql(text: &str, movers: &[Mover]) -> Option<String> {
    if !movers.iter().any(|mover| text.contains(mover.component.snapshot_key())) {
        return None;
    }
    let tokens = tokens(text)?;
    let mut edits: Vec<Edit> = Vec::new();
    for open in 0..tokens.len() {
        let is_call = is_symbol(text, &tokens[open], "(")
            && before(&tokens, open).is_some_and(|at| is_word(text, &tokens[at], "config"));
        if let (true, Some(close)) = (is_call, closing(text, &tokens, open)) {
            arguments(text, &tokens, open, close, movers, &mut edits);
        }
    }
    (!edits.is_empty()).then(|| applied(text, edits))
}

/// Wraps the values of the arguments between two brackets that set a target.
fn arguments(
    text: &str,
    tokens: &[Token],
    open: usize,
    close: usize,
    movers: &[Mover],
    edits: &mut Vec<Edit>,
) {
    let mut at = open;
    while at < close {
        let name = next(tokens, at);
        let equals = name.and_then(|name| next(tokens, name));
        let end = argument_end(text, tokens, at + 1, close);
        if let (Some(name), Some(equals)) = (name, equals)
            && is_symbol(text, &tokens[equals], "=")
            && let Some(first) = next(tokens, equals)
            && let Some(mover) =
                movers.iter().find(|one| is_word(text, &tokens[name], one.component.snapshot_key()))
        {
            let (from, to) = (tokens[first].at.start, tokens[end].at.start);
            let value = text[from..to].trim_end();
            let with = format!("{}({value})", mover.component.mover());
            edits.push((from..from + value.len(), with));
        }
        at = end;
    }
}

/// The comma or bracket that ends the argument which begins at a token.
fn argument_end(text: &str, tokens: &[Token], begin: usize, close: usize) -> usize {
    let mut at = begin;
    while at < close {
        if is_symbol(text, &tokens[at], ",") {
            return at;
        }
        let opens = tokens[at].kind == Kind::Symbol
            && matches!(&text[tokens[at].at.clone()], "(" | "[" | "{");
        at = if opens { closing(text, tokens, at).unwrap_or(close) } else { at } + 1;
    }
    close
}

/// A YAML text with the targets below its key `snapshots` moved; `None` if there are none, or if
/// they cannot be replaced without touching anything else.
pub fn moved_yaml(text: &str, movers: &[Mover]) -> Outcome<Option<String>> {
    if !movers.iter().any(|mover| text.contains(mover.component.snapshot_key())) {
        return Ok(None);
    }
    let (Ok(tree), Ok(mut value)) = (Tree::parse(text), yaml::load(text)) else {
        return Ok(None);
    };
    let mut edits = Vec::new();
    if let (Shape::Mapping(entries), Some(inner)) = (&tree.shape, value.get_mut("snapshots"))
        && let Some(entry) = entries.iter().rfind(|entry| entry.key == "snapshots")
    {
        below(text, &entry.value, inner, movers, &mut edits)?;
    }
    if edits.is_empty() {
        return Ok(None);
    }
    let new = applied(text, edits);
    // An anchor may have carried the change elsewhere.
    Ok(yaml::load(&new).is_ok_and(|new| new == value).then_some(new))
}

fn below(
    text: &str,
    tree: &Tree,
    value: &mut Value,
    movers: &[Mover],
    edits: &mut Vec<Edit>,
) -> Outcome<()> {
    match &tree.shape {
        Shape::Sequence(items) => {
            for (item, inner) in items.iter().zip(value.as_sequence_mut().into_iter().flatten()) {
                below(text, item, inner, movers, edits)?;
            }
        }
        Shape::Mapping(entries) => {
            for entry in entries {
                let Some(inner) = value.get_mut(entry.key.as_str()) else { continue };
                let key = entry.key.trim_start_matches(['+', ' ']);
                let mover = movers.iter().find(|one| one.component.snapshot_key() == key);
                match (mover, inner.as_str().map(str::to_owned)) {
                    (Some(mover), Some(written)) => {
                        let new = if is_template(&written) {
                            mover.inline(&written)
                        } else {
                            mover.name(&written)?
                        };
                        let json = serde_json::to_string(&new).map_err(anyhow::Error::from)?;
                        edits.push(replacement(text, &entry.value, json));
                        *inner = Value::from(new);
                    }
                    _ => below(text, &entry.value, inner, movers, edits)?,
                }
            }
        }
        Shape::Scalar | Shape::Alias => {}
    }
    Ok(())
}

/// A YAML text with another path under a key; `None` if the key is not there as a scalar.
pub fn with_text(text: &str, key: &str, value: &Path) -> Outcome<Option<String>> {
    let Ok(Tree { shape: Shape::Mapping(entries), .. }) = Tree::parse(text) else {
        return Ok(None);
    };
    let Some(entry) = entries.iter().rfind(|entry| entry.key == key) else { return Ok(None) };
    let json = serde_json::to_string(&value.to_string_lossy()).map_err(anyhow::Error::from)?;
    Ok(Some(applied(text, vec![replacement(text, &entry.value, json)])))
}

/// An anchor before the scalar stays.
fn replacement(text: &str, tree: &Tree, json: String) -> Edit {
    let old = &text[tree.at.clone()];
    let anchor = old.split_whitespace().next().filter(|first| first.starts_with('&'));
    let with = match anchor {
        Some(anchor) => format!("{anchor} {json}"),
        None => json,
    };
    (tree.at.clone(), with)
}

#[cfg(test)]
#[path = "snapshots_tests.rs"]
mod tests;
