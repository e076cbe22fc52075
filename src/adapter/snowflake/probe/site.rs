//! A scratch container: its names, and the statements about it. Pure.
//!
//! May import `ports` and its siblings.

use super::fact::Level;
use super::lab::Made;
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::{Database, Ident, SchemaPath};
use crate::adapter::snowflake::session::literal;
use crate::ports::Rows;

/// A scratch container and the schema in it (or that it is) where objects stand.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) level: Level,
    /// `DATABASE` or `SCHEMA`.
    pub(super) kind: &'static str,
    /// Its own name.
    pub(super) name: Ident,
    /// Its complete name, for SQL.
    pub(super) path: String,
    /// The schema that objects stand in, for SQL.
    pub(super) inside: String,
    /// For the adapter's own parsers.
    pub(super) container: Container,
}

impl Site {
    pub(super) fn database(database: Database) -> Self {
        Self {
            level: Level::Database,
            kind: "DATABASE",
            name: database.0.clone(),
            path: database.quoted(),
            inside: format!("{}.S", database.quoted()),
            container: Container::Database(database),
        }
    }

    pub(super) fn schema(path: SchemaPath) -> Self {
        Self {
            level: Level::Schema,
            kind: "SCHEMA",
            name: path.schema.0.clone(),
            path: path.quoted(),
            inside: path.quoted(),
            container: Container::Schema(path),
        }
    }

    /// For the list of what must go.
    pub(super) fn made(&self) -> Made {
        let name = self.name.as_str().to_owned();
        Made { kind: self.kind, name, path: self.path.clone() }
    }

    /// An object in it, for SQL.
    pub(super) fn at(&self, object: &str) -> String {
        format!("{}.{object}", self.inside)
    }

    /// `CREATE … CLONE`; `tail` is a point in time, say.
    pub(super) fn cloning(&self, to: &Self, tail: &str) -> String {
        format!("CREATE {} {} CLONE {}{tail}", self.kind, to.path, self.path)
    }

    /// `AT (TIMESTAMP => …)`, the way the adapter writes it.
    pub(super) fn then(&self, to: &Self, moment: &str) -> String {
        let at = format!(" AT (TIMESTAMP => {}::TIMESTAMP_TZ)", literal(moment));
        self.cloning(to, &at)
    }

    /// `ALTER … SWAP WITH`.
    pub(super) fn swapping(&self, with: &Self) -> String {
        format!("ALTER {} {} SWAP WITH {}", self.kind, self.path, with.path)
    }

    /// `ALTER …`.
    pub(super) fn altering(&self, how: &str) -> String {
        format!("ALTER {} {} {how}", self.kind, self.path)
    }

    /// SHOW that lists it.
    pub(super) fn show(&self) -> String {
        let begins = literal(self.name.as_str());
        match &self.container {
            Container::Database(_) => format!("SHOW DATABASES STARTS WITH {begins}"),
            Container::Schema(path) => {
                format!("SHOW SCHEMAS IN DATABASE {} STARTS WITH {begins}", path.database.quoted())
            }
        }
    }
}

/// The cells of one column; empty if there is no such column.
pub(super) fn column(rows: &Rows, name: &str) -> Vec<Option<String>> {
    let at = rows.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    rows.rows.iter().map(|row| at.and_then(|at| row.get(at).cloned().flatten())).collect()
}

/// Which of these columns are not there.
pub(super) fn missing(rows: &Rows, names: &[&str]) -> Vec<String> {
    let there = |name: &&&str| !rows.columns.iter().any(|c| c.eq_ignore_ascii_case(name));
    names.iter().filter(there).map(|name| (*name).to_owned()).collect()
}

/// Whether a SHOW GRANTS row gives `privilege` to the role `to`.
pub(super) fn gives(rows: &Rows, privilege: &str, to: &Ident) -> bool {
    let privileges = column(rows, "privilege");
    let pairs = privileges.into_iter().zip(column(rows, "grantee_name"));
    let is = |pair: (Option<String>, Option<String>)| {
        pair.0.is_some_and(|given| given.eq_ignore_ascii_case(privilege))
            && pair.1.is_some_and(|name| name == to.as_str() || name == to.quoted())
    };
    pairs.into_iter().any(is)
}

/// Where something is after a swap of A with B: under B's name (it went along), under A's, or
/// neither.
pub(super) fn went(at_a: bool, at_b: bool) -> &'static str {
    match (at_a, at_b) {
        (false, true) => "travels",
        (true, false) => "stays",
        (true, true) => "is at both",
        (false, false) => "is lost",
    }
}
