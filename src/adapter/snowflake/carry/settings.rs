//! What is set on a container and its schemas, and how two differ.
//!
//! Sources: `/sql-reference/sql/alter-database`, `alter-schema` (SET, UNSET, TAG, ENABLE MANAGED
//! ACCESS), `show-parameters` (`level` says where a parameter was set), `/user-guide/tables-temp-transient`
//! (a transient container cannot be made permanent).
//!
//! Pure. May import its siblings.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Line, lines};
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::{Ident, ObjectPath};
use crate::adapter::snowflake::session::literal;
use crate::ports::{Answer, Rows};

/// A tag's name: relative to the container where the tag lies in it and is cloned with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TagName {
    /// In the container.
    Inside(Vec<Ident>),
    /// Somewhere else.
    Outside(ObjectPath),
}

/// A parameter's value and type as SHOW prints them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    value: String,
    kind: String,
}

/// What is set on one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    transient: bool,
    managed: bool,
    comment: String,
    parameters: BTreeMap<String, Parameter>,
    tags: BTreeMap<TagName, String>,
}

/// A container (the empty name) and the schemas in it.
pub(super) type Side = BTreeMap<Vec<Ident>, Settings>;

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) statements: Vec<String>,
    /// How the two differ, in words.
    pub(super) differing: Vec<String>,
    pub(super) refused: Vec<String>,
    /// Where parameters or tags are to be changed.
    pub(super) places: BTreeSet<Vec<Ident>>,
}

/// Reads a row of SHOW DATABASES or SHOW SCHEMAS.
pub(super) fn read(line: Line<'_>) -> Settings {
    let options = line.text("options").to_uppercase();
    Settings {
        transient: options.contains("TRANSIENT"),
        managed: options.contains("MANAGED ACCESS"),
        comment: line.text("comment").to_owned(),
        ..Settings::default()
    }
}

impl Settings {
    /// Adds what SHOW PARAMETERS printed about a container of a kind, DATABASE or SCHEMA: its own.
    pub(super) fn parameters(&mut self, kind: &str, rows: &Rows) {
        for line in lines(rows).filter(|line| line.text("level").eq_ignore_ascii_case(kind)) {
            let value = line.text("value").to_owned();
            let parameter = Parameter { value, kind: line.text("type").to_uppercase() };
            self.parameters.insert(line.text("key").to_uppercase(), parameter);
        }
    }

    /// Takes over the parameters and tags of an earlier reading.
    pub(super) fn keep(&mut self, before: &Self) {
        self.parameters.clone_from(&before.parameters);
        self.tags.clone_from(&before.tags);
    }

    /// Adds a row of `TAG_REFERENCES`.
    pub(super) fn tag(&mut self, container: &Container, line: Line<'_>) -> Answer<()> {
        let names = ["TAG_DATABASE", "TAG_SCHEMA", "TAG_NAME"];
        let names: Vec<Ident> = names.iter().map(|name| line.ident(name)).collect::<Answer<_>>()?;
        let name = match (container, names.as_slice()) {
            (Container::Database(own), [database, rest @ ..]) if own.0 == *database => {
                TagName::Inside(rest.to_vec())
            }
            (Container::Schema(own), [database, schema, name])
                if own.database.0 == *database && own.schema.0 == *schema =>
            {
                TagName::Inside(vec![name.clone()])
            }
            _ => {
                let quoted: Vec<String> = names.iter().map(Ident::quoted).collect();
                let path = ObjectPath::from_sql(&quoted.join("."));
                TagName::Outside(path.map_err(|error| {
                    crate::failure::Failure::stopped(format!("a tag's name is odd: {error}"))
                })?)
            }
        };
        self.tags.insert(name, line.text("TAG_VALUE").to_owned());
        Ok(())
    }
}

/// What gives `to`, which is `container`, what is set on `from`. Schemas that only one side has are
/// left alone: whether they may be missing is not decided here.
pub(super) fn changes(container: &Container, from: &Side, to: &Side) -> Changes {
    let mut changes = Changes::default();
    for (name, live) in from {
        let Some(now) = to.get(name) else {
            continue;
        };
        let (what, shown) = match name.as_slice() {
            [] => (container.sql(), container.sql()),
            name => {
                let sql = format!("SCHEMA {}", container.full(name));
                (sql.clone(), sql)
            }
        };
        if live.transient != now.transient {
            let (is, was) = if live.transient {
                ("permanent", "transient")
            } else {
                ("transient", "permanent")
            };
            changes.refused.push(format!(
                "{shown} is {is} and live's is {was}: Snowflake cannot change that; it has to be \
                 cloned anew as {was}"
            ));
        }
        if (&live.parameters, &live.tags) != (&now.parameters, &now.tags) {
            changes.places.insert(name.clone());
        }
        one(container, &what, live, now, &mut changes);
    }
    changes
}

fn one(container: &Container, what: &str, live: &Settings, now: &Settings, changes: &mut Changes) {
    let mut alter = |statement: String, difference: String| {
        changes.statements.push(format!("ALTER {what} {statement}"));
        changes.differing.push(format!("{what}: {difference}"));
    };
    if live.managed != now.managed {
        let word = if live.managed { "ENABLE" } else { "DISABLE" };
        alter(format!("{word} MANAGED ACCESS"), "managed access".to_owned());
    }
    if live.comment != now.comment {
        let statement = match live.comment.as_str() {
            "" => "UNSET COMMENT".to_owned(),
            text => format!("SET COMMENT = {}", literal(text)),
        };
        alter(statement, "the comment".to_owned());
    }
    for (key, parameter) in &live.parameters {
        if now.parameters.get(key).map(|now| &now.value) != Some(&parameter.value) {
            alter(format!("SET {key} = {}", parameter.written(key)), format!("parameter {key}"));
        }
    }
    for key in now.parameters.keys().filter(|key| !live.parameters.contains_key(*key)) {
        alter(format!("UNSET {key}"), format!("parameter {key}, which live does not set"));
    }
    let full = |name: &TagName| match name {
        TagName::Inside(name) => container.full(name),
        TagName::Outside(path) => path.quoted(),
    };
    for (name, value) in
        live.tags.iter().filter(|(name, value)| now.tags.get(*name) != Some(*value))
    {
        let name = full(name);
        alter(format!("SET TAG {name} = {}", literal(value)), format!("tag {name}"));
    }
    for name in now.tags.keys().filter(|name| !live.tags.contains_key(*name)).map(full) {
        alter(format!("UNSET TAG {name}"), format!("tag {name}, which live does not have"));
    }
}

impl Parameter {
    /// As SET takes it: numbers, truth and the few that are words stand bare.
    fn written(&self, key: &str) -> String {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let bare = matches!(self.kind.as_str(), "NUMBER" | "BOOLEAN")
            || key == "STORAGE_SERIALIZATION_POLICY";
        if bare && !self.value.is_empty() && self.value.chars().all(word) {
            self.value.clone()
        } else {
            literal(&self.value)
        }
    }
}
