//! The generated profile: `profiles.yml` with one key of one output changed, everything else byte
//! for byte as it was, Jinja, comments and anchors included.
//!
//! The scalar is found by the spans of a YAML event parser, replaced in the text, and the result
//! is proved by parsing both texts with another parser and comparing. An output that is an alias
//! or gets the key through a merge gets an explicit key, which overrides the merged one; the
//! anchored output stays as it is.
//!
//! May import `failure` and its siblings `jinja`, `spans` and `yaml`.

use std::fmt::Write as _;
use std::ops::Range;

use serde_yaml::Value;

use super::jinja;
use super::spans::{Entry, Shape, Tree};
use super::yaml::load;
use crate::failure::{Failure, Outcome};

/// The key to change: `keys` inside output `target` of `profile`.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The profile's name.
    pub profile: &'a str,
    /// The output's name.
    pub target: &'a str,
    /// The key, and the keys inside it: `["config_options", "access_mode"]`.
    pub keys: &'a [&'a str],
}

impl Place<'_> {
    fn path(&self) -> Vec<&str> {
        [self.profile, "outputs", self.target]
            .into_iter()
            .chain(self.keys.iter().copied())
            .collect()
    }
}

/// `text` with the value at `place` changed to the text `value`, whatever characters it holds.
pub fn splice(text: &str, place: &Place<'_>, value: &str) -> Outcome<String> {
    let path = place.path();
    let value = escape_jinja(value);
    let before = load(text).map_err(|why| cannot(place, &why))?;
    let mut wanted = before.clone();
    set(&mut wanted, &path, &value)
        .ok_or_else(|| cannot(place, "that output is not there or is not a mapping"))?;
    let root = Tree::parse(text).map_err(|why| cannot(place, &why))?;
    let edit = Editor { text }.edit(&root, &path, &wanted).map_err(|why| cannot(place, &why))?;
    let mut new = String::with_capacity(text.len() + edit.with.len());
    new.push_str(&text[..edit.at.start]);
    new.push_str(&edit.with);
    new.push_str(&text[edit.at.end..]);
    prove(&before, &wanted, &new, &path).map_err(|why| cannot(place, &why))?;
    Ok(new)
}

fn cannot(place: &Place<'_>, why: &str) -> Failure {
    Failure::usage(format!(
        "profiles.yml cannot be adapted for the build: key `{}` of target `{}` in profile `{}`: \
         {why}",
        place.keys.join("."),
        place.target,
        place.profile
    ))
    .next("write that output as a plain mapping with the key in it")
}

/// Sets the text at `path`; only the keys inside the output may be missing.
fn set(value: &mut Value, path: &[&str], text: &str) -> Option<()> {
    let mut at = value;
    for (depth, key) in path.iter().enumerate() {
        if depth > 3 && at.is_null() {
            *at = Value::Mapping(serde_yaml::Mapping::new());
        }
        let mapping = at.as_mapping_mut()?;
        let key = Value::from(*key);
        if depth >= 3 {
            mapping.entry(key.clone()).or_insert(Value::Null);
        }
        at = mapping.get_mut(&key)?;
    }
    *at = Value::from(text);
    Some(())
}

/// The chosen output must be as wanted and nothing else may differ, except that what shares the
/// value through an anchor takes the new one too (dbt reads only the chosen output).
fn prove(before: &Value, wanted: &Value, new: &str, path: &[&str]) -> Result<(), String> {
    let after = load(new).map_err(|error| format!("the changed text is no YAML: {error}"))?;
    let chosen = |value: &Value| path[..3].iter().try_fold(value.clone(), |v, k| v.get(k).cloned());
    if chosen(wanted) != chosen(&after) {
        return Err("other keys of the output share the value through an anchor".to_owned());
    }
    let leaf = path.last().copied().unwrap_or_default();
    if same_but(leaf, before, &after) {
        Ok(())
    } else {
        Err("the change would reach other keys".to_owned())
    }
}

fn same_but(leaf: &str, before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Mapping(before), Value::Mapping(after)) => {
            before.keys().all(|key| after.contains_key(key))
                && after.iter().all(|(key, value)| {
                    key.as_str() == Some(leaf)
                        || match before.get(key) {
                            Some(old) => same_but(leaf, old, value),
                            // A mapping made to hold the key.
                            None => value.get(leaf).is_some(),
                        }
                })
        }
        (Value::Null, Value::Mapping(after)) => after.len() == 1 && after.contains_key(leaf),
        _ => before == after,
    }
}

/// A piece of the text and what replaces it.
struct Edit {
    at: Range<usize>,
    with: String,
}

struct Editor<'a> {
    text: &'a str,
}

impl Editor<'_> {
    /// The edit that makes `node` equal `wanted`, which differs from it only at `path`.
    fn edit(&self, node: &Tree, path: &[&str], wanted: &Value) -> Result<Edit, String> {
        let Some((key, inner)) = path.split_first() else {
            return match node.shape {
                Shape::Scalar | Shape::Alias => Ok(self.replace(node, json(wanted)?)),
                _ => Err("it is no text".to_owned()),
            };
        };
        let value = wanted.get(key).unwrap_or(&Value::Null);
        match &node.shape {
            Shape::Mapping(entries) => match entries.iter().rfind(|entry| entry.key == *key) {
                Some(entry) => self.edit(&entry.value, inner, value),
                None => self.insert(node, entries, &format!("{}: {}", quote(key), json(value)?)),
            },
            Shape::Alias => {
                let alias = &self.text[node.at.clone()];
                let with = format!("{{<<: {alias} , {}: {}}}", quote(key), json(value)?);
                Ok(self.replace(node, with))
            }
            Shape::Scalar => Ok(self.replace(node, json(wanted)?)),
            Shape::Sequence(_) => Err(format!("`{key}` is looked for in a list")),
        }
    }

    fn replace(&self, node: &Tree, with: String) -> Edit {
        let old = &self.text[node.at.clone()];
        // An anchor stays, so that the aliases of it still find it.
        let anchor = old.split_whitespace().next().filter(|first| first.starts_with('&'));
        let with = match anchor {
            Some(anchor) => format!("{anchor} {with}"),
            None => with,
        };
        let blank_before = self.text[..node.at.start].ends_with(char::is_whitespace);
        let with = if old.is_empty() && !blank_before {
            format!(" {with}") // `key:` with nothing after it.
        } else {
            with
        };
        Edit { at: node.at.clone(), with }
    }

    /// Puts an entry before the first one.
    fn insert(&self, node: &Tree, entries: &[Entry], entry: &str) -> Result<Edit, String> {
        if self.text[node.at.clone()].ends_with('{') {
            let at = node.at.end;
            let comma = if entries.is_empty() { "" } else { ", " };
            return Ok(Edit { at: at..at, with: format!("{entry}{comma}") });
        }
        let first = entries.first().ok_or("the output is empty")?.at;
        let line = self.text[..first].rfind('\n').map_or(0, |end| end + 1);
        let indent = &self.text[line..first];
        if !indent.chars().all(|c| c == ' ') {
            return Err("its first key does not stand on a line of its own".to_owned());
        }
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        Ok(Edit { at: first..first, with: format!("{entry}{newline}{indent}") })
    }
}

/// A YAML value as JSON, which is YAML in every version and every context.
fn json(value: &Value) -> Result<String, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            0x20..0x7f => ascii.push(c),
            // Only inside strings: YAML readers differ in which of these they take as they are.
            code @ ..0x1_0000 => write!(ascii, "\\u{code:04x}").map_err(|e| e.to_string())?,
            code => write!(ascii, "\\U{code:08x}").map_err(|e| e.to_string())?,
        }
    }
    Ok(ascii)
}

fn quote(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(plain) {
        return key.to_owned();
    }
    json(&Value::from(key)).unwrap_or_else(|_| key.to_owned())
}

/// A text that dbt's Jinja renders to `value`.
fn escape_jinja(value: &str) -> String {
    if jinja::is_template(value) { value.replace('{', "{{ '{' }}") } else { value.to_owned() }
}

#[cfg(test)]
#[path = "splice_tests.rs"]
mod tests;
