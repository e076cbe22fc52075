//! The rewriting of a macro file: the macros that name schemas or databases get another name, and a
//! wrapper takes their old one, so that who calls them by it gets the build's name.
//!
//! Exact by token: text, comments, raw blocks and strings keep every byte, also a name in
//! `adapter.dispatch('…')`, which then finds the wrapper. Lines keep their numbers; wrappers stand
//! at the end. Inside the macros that were renamed, a call of another one of them reaches the
//! original: it must judge what it would have judged.
//!
//! May import its siblings `lex`, `macros` and `mover`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::lex::{Kind, Token};
use super::macros::{Definition, before, is_symbol, next};
use super::mover::Component;

/// Macros that get another name, by package.
pub type Renamed = BTreeMap<String, BTreeSet<String>>;

/// A piece of the text and what replaces it.
pub type Edit = (Range<usize>, String);

/// The name that a macro of a package gets: no other package has it, or a call from inside that
/// package would find the wrong one.
#[must_use]
pub fn renamed(package: &str, name: &str) -> String {
    format!("switchback_{package}__{name}")
}

/// What a macro of this name and signature places, if dbt could call it: with what was configured,
/// and the node. (Some packages use the name for a macro of their own, with one parameter.)
#[must_use]
pub fn placing(text: &str, tokens: &[Token], definition: &Definition) -> Option<Component> {
    let component = Component::placed_by(&definition.name)?;
    let callable =
        definition.params.len() >= 2 || mentions(text, tokens, &definition.body, "varargs");
    callable.then_some(component)
}

/// A file's text with its definitions renamed and wrapped. `root` is whether `package` is the root
/// project, whose macros every package sees by their bare name.
#[must_use]
pub fn rewritten(
    text: &str,
    tokens: &[Token],
    definitions: &[Definition],
    (package, root): (&str, bool),
    all: &Renamed,
) -> String {
    let Some(ours) = all.get(package) else { return text.to_owned() };
    let mut edits: Vec<Edit> = Vec::new();
    let mut wrappers = String::new();
    for definition in definitions {
        let Some(component) = placing(text, tokens, definition) else { continue };
        if !ours.contains(&definition.name) {
            continue;
        }
        edits.push((definition.name_at.clone(), renamed(package, &definition.name)));
        for at in definition.body.clone() {
            if let Some(name) = original(text, tokens, at, (package, root), all) {
                edits.push((tokens[at].at.clone(), name));
            }
        }
        wrappers.push_str(&wrapper(text, tokens, definition, (package, root), component));
    }
    let mut new = applied(text, edits);
    new.push_str(&wrappers);
    new
}

/// The new name of the macro that a token mentions, if it mentions one that was renamed.
fn original(
    text: &str,
    tokens: &[Token],
    at: usize,
    (package, root): (&str, bool),
    all: &Renamed,
) -> Option<String> {
    if tokens[at].kind != Kind::Name {
        return None;
    }
    let name = &text[tokens[at].at.clone()];
    let symbol = |at: Option<usize>, symbol| {
        at.is_some_and(|at: usize| is_symbol(text, &tokens[at], symbol))
    };
    let previous = before(tokens, at);
    let owner = if symbol(previous, ".") {
        let owner = before(tokens, previous?)?;
        // `package.macro`, and not `a.package.macro` or `f().macro`.
        if tokens[owner].kind != Kind::Name || symbol(before(tokens, owner), ".") {
            return None;
        }
        &text[tokens[owner].at.clone()]
    } else {
        // Where a package calls a bare name, dbt may look in the root project first: that call is
        // left to find the wrapper it would find.
        let is_argument = symbol(next(tokens, at), "=");
        if !root || is_argument || symbol(previous, "|") {
            return None;
        }
        package
    };
    let known = all.get(owner).is_some_and(|names| names.contains(name));
    known.then(|| renamed(owner, name))
}

/// A macro of the old name and signature that moves what the original says.
fn wrapper(
    text: &str,
    tokens: &[Token],
    definition: &Definition,
    (package, root): (&str, bool),
    component: Component,
) -> String {
    let mut arguments = definition.params.clone();
    for (word, call) in [("varargs", "*varargs"), ("kwargs", "**kwargs")] {
        if mentions(text, tokens, &definition.body, word) {
            arguments.push(call.to_owned());
        }
    }
    let name = renamed(package, &definition.name);
    let original = if root { name } else { format!("{package}.{name}") };
    format!(
        "\n{{% macro {}({}) -%}}\n    {{{{ return({}({original}({}))) }}}}\n{{%- endmacro %}}\n",
        definition.name,
        &text[definition.signature.clone()],
        component.mover(),
        arguments.join(", ")
    )
}

fn mentions(text: &str, tokens: &[Token], within: &Range<usize>, word: &str) -> bool {
    tokens[within.clone()]
        .iter()
        .any(|token| token.kind == Kind::Name && &text[token.at.clone()] == word)
}

/// A text with edits that do not overlap.
#[must_use]
pub fn applied(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(at, _)| at.start);
    let mut new = String::with_capacity(text.len());
    let mut done = 0;
    for (at, with) in edits {
        new.push_str(&text[done..at.start]);
        new.push_str(&with);
        done = at.end;
    }
    new.push_str(&text[done..]);
    new
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
