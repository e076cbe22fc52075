//! Where a name goes: production's name to the build's, as a function here and as the Jinja of the
//! macros that do the same inside dbt. Idempotent: what a wrapper has moved already stays.
//!
//! The target's own key is redirected too, so what a project's macro says is one of: production's
//! name (the macro ignores the target); the build's; or something made of the target's build name,
//! such as `analytics__build_r2_marts`, which is taken back to production's `analytics_marts`
//! first. A schema of none of these is given the suffix: nothing in production is its place.
//!
//! May import `failure` and `ports`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::failure::{Failure, Outcome};
use crate::ports::Overlay;

/// The part of a relation's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// `generate_schema_name`.
    Schema,
    /// `generate_database_name`.
    Database,
}

impl Component {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Schema, Self::Database];

    fn word(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Database => "database",
        }
    }

    /// dbt's macro.
    #[must_use]
    pub fn macro_name(self) -> String {
        format!("generate_{}_name", self.word())
    }

    /// That macro's first parameter.
    #[must_use]
    pub fn parameter(self) -> String {
        format!("custom_{}_name", self.word())
    }

    /// The macro of ours that moves a name.
    #[must_use]
    pub fn mover(self) -> String {
        format!("switchback_moved_{}", self.word())
    }

    /// What a macro of this name places, as dbt calls it, dispatches to it, or offers it.
    #[must_use]
    pub fn placed_by(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| {
            let base = one.macro_name();
            let dispatched = name.strip_suffix(&base).is_some_and(|rest| rest.ends_with("__"));
            name == base || dispatched || Some(name) == one.helper()
        })
    }

    /// A macro of dbt's that ignores the target's schema and is meant to be called by a project's.
    #[must_use]
    pub fn helper(self) -> Option<&'static str> {
        match self {
            Self::Schema => Some("generate_schema_name_for_env"),
            Self::Database => None,
        }
    }

    /// The snapshot configuration that sets it past any macro.
    #[must_use]
    pub fn snapshot_key(self) -> &'static str {
        match self {
            Self::Schema => "target_schema",
            Self::Database => "target_database",
        }
    }
}

/// How the names of one component move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mover {
    /// Of what.
    pub component: Component,
    /// Production's name → the build's.
    moved: BTreeMap<String, String>,
    /// The build's names, as they are compared → as they are written.
    builds: BTreeMap<String, String>,
    /// What takes a name made of a build's back to production's, longest first: the build's names
    /// that were shortened, and the suffix. A macro may have changed their case.
    back: Vec<(String, String)>,
    suffix: String,
    /// Whether what is not known gets the suffix.
    suffixes: bool,
    max_bytes: usize,
    folds: bool,
}

impl Mover {
    /// The mover of a component; `None` if nothing of it moves. `target` is the name in the target,
    /// as production and as the build, if the profile's key is this component's.
    #[must_use]
    pub fn new(
        component: Component,
        overlay: &Overlay,
        target: Option<(&str, &str)>,
    ) -> Option<Self> {
        let map = match component {
            Component::Schema => &overlay.schemas,
            Component::Database => &overlay.databases,
        };
        if map.is_empty() {
            return None;
        }
        let fold = |text: &str| folded(text, overlay.folds);
        let pairs = map.iter().map(|(live, build)| (live.as_str(), build.as_str()));
        let shortened =
            |(live, build): &(&str, &str)| *build != format!("{live}{}", overlay.suffix);
        let taken = pairs.clone().chain(target).filter(|pair| shortened(pair) && pair.0 != pair.1);
        let mut back: Vec<(String, String)> = taken
            .chain([("", overlay.suffix.as_str())])
            .flat_map(|(live, build)| {
                let as_written = (fold(build), fold(live));
                let (lower, upper) = (str::to_lowercase, str::to_uppercase);
                let cased = [lower, upper].map(|cased| (fold(&cased(build)), fold(&cased(live))));
                std::iter::once(as_written).chain(cased)
            })
            .filter(|(build, _)| !build.is_empty())
            .collect();
        back.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        back.dedup();
        Some(Self {
            component,
            moved: pairs.clone().map(|(live, build)| (fold(live), build.to_owned())).collect(),
            builds: pairs.map(|(_, build)| (fold(build), build.to_owned())).collect(),
            back,
            suffix: overlay.suffix.clone(),
            suffixes: component == Component::Schema,
            max_bytes: overlay.max_bytes,
            folds: overlay.folds,
        })
    }

    /// Where `name` goes.
    pub fn name(&self, name: &str) -> Outcome<String> {
        let name = name.trim();
        let key = folded(name, self.folds);
        if name.is_empty() || self.builds.contains_key(&key) {
            return Ok(name.to_owned());
        }
        if let Some(build) = self.moved.get(&key) {
            return Ok(build.clone());
        }
        let mut was = key.clone();
        for (build, live) in &self.back {
            was = was.replace(build, live);
        }
        if let Some(build) = self.moved.get(&was) {
            return Ok(build.clone());
        }
        if was != key || !self.suffixes {
            return Ok(name.to_owned());
        }
        let moved = format!("{name}{}", self.suffix);
        if moved.len() > self.max_bytes {
            return Err(Failure::usage(format!(
                "schema `{name}`, to which dbt writes no node in production, has no place in the \
                 build: `{moved}` is longer than {} bytes",
                self.max_bytes
            ))
            .next("give that schema a shorter name"));
        }
        Ok(moved)
    }

    /// The macro that does the same.
    #[must_use]
    pub fn source(&self) -> String {
        let too_long = if self.suffixes {
            format!(
                "{{%- if {UNKNOWN} and (name ~ suffix).encode('utf-8') | length > {} -%}}\n    \
                 {{%- do exceptions.raise_compiler_error('Switchback: schema ' ~ name ~ ', to \
                 which dbt writes no node in production, has no place in the build: with ' ~ \
                 suffix ~ ' it is too long') -%}}\n{{%- endif -%}}\n",
                self.max_bytes
            )
        } else {
            String::new()
        };
        format!(
            "{{% macro {}(found) -%}}\n{{%- if found is none -%}}{{{{ return(found) }}}}\
             {{%- endif -%}}\n{}{too_long}{{{{ return({}) }}}}\n{{%- endmacro %}}\n",
            self.component.mover(),
            self.prologue(),
            self.expression()
        )
    }

    /// A template that renders `template` and moves the result, without any macro.
    #[must_use]
    pub fn inline(&self, template: &str) -> String {
        format!(
            "{{%- set found -%}}{template}{{%- endset -%}}{}{{{{ {} }}}}",
            self.prologue().replace('\n', ""),
            self.expression()
        )
    }

    /// Sets what the expression reads, from `found`.
    fn prologue(&self) -> String {
        let key = if self.folds { "name | lower" } else { "name" };
        let mut was = "key".to_owned();
        for (build, live) in &self.back {
            let _ = write!(was, ".replace({}, {})", quoted(build), quoted(live));
        }
        format!(
            "{{%- set name = found | string | trim -%}}\n{{%- set key = {key} -%}}\n\
             {{%- set moved = {} -%}}\n{{%- set builds = {} -%}}\n{{%- set was = {was} -%}}\n\
             {{%- set suffix = {} -%}}\n",
            dictionary(&self.moved),
            dictionary(&self.builds),
            quoted(&self.suffix)
        )
    }

    fn expression(&self) -> String {
        let unknown = if self.suffixes { "name ~ suffix" } else { "name" };
        format!(
            "name if not name or key in builds else moved[key] if key in moved else moved[was] \
             if was in moved else ({unknown} if {UNKNOWN} else name)"
        )
    }
}

/// Whether a name is neither production's nor made of the build's.
const UNKNOWN: &str = "name and key not in builds and key not in moved and was == key";

fn folded(text: &str, folds: bool) -> String {
    if folds { text.to_lowercase() } else { text.to_owned() }
}

fn dictionary(map: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> =
        map.iter().map(|(key, value)| format!("{}: {}", quoted(key), quoted(value))).collect();
    format!("{{{}}}", entries.join(", "))
}

/// A string as Jinja reads it, with nothing in it that dbt's own scan for tags could trip over.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        if !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '$') {
            quoted.push(c);
        } else {
            let _ = write!(quoted, "\\u{:04x}", u32::from(c)); // Writing to a text cannot fail.
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
#[path = "mover_tests.rs"]
mod tests;
