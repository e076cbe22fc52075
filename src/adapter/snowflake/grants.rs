//! Grants, read from what SHOW prints into values that mean the same on every container.
//!
//! Sources: `/sql-reference/sql/show-grants` (columns; FUTURE names them `grant_on` and
//! `grant_to`; only what the role may see is printed), `/user-guide/inherited-grants-using`.
//! Everything is kept relative to its container, so that the grants of live and of a candidate
//! can be compared. What a row says and this does not understand is refused by name: a grant that
//! is skipped silently is access that is lost.
//!
//! May import `ports` and its sibling `ident`.

use std::collections::BTreeMap;
use std::fmt;

use super::ident::{Database, Ident, SchemaPath, dotted_shown};
use crate::ports::Rows;

/// The container whose grants these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Container {
    /// A database.
    Database(Database),
    /// A schema.
    Schema(SchemaPath),
}

impl Container {
    /// The database it is or lies in.
    #[must_use]
    pub fn database(&self) -> &Database {
        match self {
            Self::Database(database) => database,
            Self::Schema(path) => &path.database,
        }
    }

    /// `DATABASE name` or `SCHEMA name`, for SQL.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::Database(database) => format!("DATABASE {}", database.quoted()),
            Self::Schema(path) => format!("SCHEMA {}", path.quoted()),
        }
    }

    /// The name's parts.
    fn parts(&self) -> Vec<Ident> {
        match self {
            Self::Database(database) => vec![database.0.clone()],
            Self::Schema(path) => vec![path.database.0.clone(), path.schema.0.clone()],
        }
    }

    /// What a name inside this container is called relative to it.
    fn relative(&self, name: &[Ident]) -> Option<Vec<Ident>> {
        name.strip_prefix(self.parts().as_slice()).map(<[Ident]>::to_vec)
    }

    /// A relative name, for SQL.
    #[must_use]
    pub fn full(&self, relative: &[Ident]) -> String {
        let parts = self.parts();
        let all: Vec<String> = parts.iter().chain(relative).map(Ident::quoted).collect();
        all.join(".")
    }
}

/// What a privilege is granted on, relative to the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// The container itself, or a schema, table, view, … in it.
    Object {
        /// `TABLE`, `FILE FORMAT`, … as GRANT writes it.
        kind: String,
        /// Its name relative to the container; empty for the container itself.
        name: Vec<Ident>,
        /// The types of a function's or procedure's arguments.
        arguments: Option<String>,
    },
    /// Objects of a kind that are yet to be created.
    Future {
        /// As above.
        kind: String,
        /// Where; empty for the container itself.
        within: Vec<Ident>,
    },
    /// All objects of a kind, now and later (`/user-guide/inherited-grants-intro`).
    Inherited {
        /// As above.
        kind: String,
        /// Where; empty for the container itself.
        within: Vec<Ident>,
    },
}

/// Who may use a privilege.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// An account role.
    Role(Ident),
    /// A role of the container's own database: it is cloned with its database, and only there can
    /// it be granted anything (`/sql-reference/sql/grant-privilege`).
    DatabaseRole(Ident),
    /// A user.
    User(Ident),
    /// A native application.
    Application(Ident),
    /// A share: refused unless allowed.
    Share(String),
    /// Anything else, as it is printed.
    Other(String, String),
}

/// One privilege.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// On what.
    pub on: On,
    /// To whom.
    pub to: Grantee,
    /// Which.
    pub privilege: String,
}

/// Grants, each with whether it may be passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(pub BTreeMap<Grant, bool>);

/// A row that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow(pub String);

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this grant cannot be read: {}", self.0)
    }
}

impl std::error::Error for BadRow {}

/// Which SHOW command printed the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// `SHOW GRANTS ON …`
    On,
    /// `SHOW FUTURE GRANTS IN …`
    Future,
    /// `SHOW INHERITED GRANTS IN …`
    Inherited,
}

struct Row<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

impl Row<'_> {
    fn cell(&self, names: &[&str]) -> Option<&str> {
        let is = |column: &String| names.iter().any(|name| column.eq_ignore_ascii_case(name));
        let at = self.columns.iter().position(is)?;
        self.cells.get(at)?.as_deref()
    }

    fn must(&self, names: &[&str]) -> Result<&str, BadRow> {
        self.cell(names).ok_or_else(|| BadRow(format!("no {} in {}", names[0], self.text())))
    }

    fn text(&self) -> String {
        let pairs = self.columns.iter().zip(self.cells);
        let pairs = pairs.filter_map(|(column, cell)| Some(format!("{column}={}", cell.as_ref()?)));
        pairs.collect::<Vec<_>>().join(", ")
    }

    /// Whether a row of `SHOW GRANTS ON` only repeats an inherited grant. How it says so is not
    /// documented; any column that speaks of inheritance counts.
    fn is_inherited(&self) -> bool {
        self.columns.iter().zip(self.cells).any(|(column, cell)| {
            let cell = cell.as_deref().unwrap_or_default();
            column.to_lowercase().contains("inherit")
                && !matches!(cell.to_lowercase().as_str(), "" | "false" | "n" | "no")
        })
    }
}

impl Grants {
    /// Adds the rows that a SHOW command printed about `container` or something in it.
    ///
    /// OWNERSHIP of what exists is left out: it is never carried (`/sql-reference/sql/create-view`
    /// COPY GRANTS), and the owner is compared on its own. A *future* OWNERSHIP grant counts.
    pub fn add(&mut self, shown: Shown, container: &Container, rows: &Rows) -> Result<(), BadRow> {
        for cells in &rows.rows {
            let row = Row { columns: &rows.columns, cells };
            let privilege = row.must(&["privilege"])?.to_uppercase();
            if shown == Shown::On && (privilege == "OWNERSHIP" || row.is_inherited()) {
                continue;
            }
            let grant =
                Grant { on: on(shown, container, &row)?, to: grantee(container, &row)?, privilege };
            let option = row.cell(&["grant_option"]);
            let option = option.is_some_and(|cell| cell.eq_ignore_ascii_case("true"));
            *self.0.entry(grant).or_default() |= option;
        }
        Ok(())
    }
}

fn on(shown: Shown, container: &Container, row: &Row<'_>) -> Result<On, BadRow> {
    let kind = row.must(&["granted_on", "grant_on"])?.to_uppercase().replace('_', " ");
    let name = row.must(&["name"])?;
    let outside = || BadRow(format!("it is not in {}: {}", container.sql(), row.text()));
    if shown == Shown::On {
        let parts = dotted_shown(name).map_err(|_| BadRow(row.text()))?;
        let mut relative = container.relative(&parts).ok_or_else(outside)?;
        let mut arguments = None;
        if matches!(kind.as_str(), "FUNCTION" | "PROCEDURE") {
            let last = relative.pop().ok_or_else(outside)?;
            let (own, types) = signature(last.as_str()).ok_or_else(|| BadRow(row.text()))?;
            relative.push(own);
            arguments = Some(types);
        }
        return Ok(On::Object { kind, name: relative, arguments });
    }
    // `DB.SCHEMA.<TABLE>`: where, and what kind.
    let place = match name.rfind(".<") {
        Some(at) if name.ends_with('>') => &name[..at],
        _ => name,
    };
    let parts = dotted_shown(place).map_err(|_| BadRow(row.text()))?;
    let within = container.relative(&parts).ok_or_else(outside)?;
    Ok(if shown == Shown::Future {
        On::Future { kind, within }
    } else {
        On::Inherited { kind, within }
    })
}

/// The name and the argument types of `NAME(A NUMBER, B VARCHAR):VARCHAR`.
fn signature(text: &str) -> Option<(Ident, String)> {
    let (name, rest) = text.split_once('(')?;
    let inside = &rest[..rest
        .rfind(')')
        .filter(|end| {
            // The last parenthesis may belong to the type of the result.
            rest.find("):").is_none_or(|colon| colon == *end)
        })
        .or_else(|| rest.find("):"))?];
    let mut types = Vec::new();
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                let argument = inside[begin..at].trim();
                begin = at + 1;
                // `A NUMBER` or `NUMBER`; a type of several words keeps all but the name.
                let kind = argument.split_once(char::is_whitespace);
                types.push(kind.map_or(argument, |(_, kind)| kind.trim()));
            }
            _ => {}
        }
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '(' | ')' | ',');
    let whole = |kind: &&str| {
        kind.chars().all(plain)
            && kind.starts_with(|c: char| c.is_ascii_alphabetic())
            && kind.matches('(').count() == kind.matches(')').count()
    };
    types.retain(|kind| !kind.is_empty());
    if depth != 0 || !types.iter().all(whole) {
        return None;
    }
    Some((Ident::verbatim(name).ok()?, types.join(", ")))
}

fn grantee(container: &Container, row: &Row<'_>) -> Result<Grantee, BadRow> {
    let kind = row.must(&["granted_to", "grant_to"])?.to_uppercase().replace('_', " ");
    let text = row.must(&["grantee_name"])?;
    let bad = || BadRow(row.text());
    // Whether SHOW quotes an odd name here is not documented; a text that begins with a quote is
    // read as quoted, everything else is the name itself, dots included.
    let whole = || match text.strip_prefix('"') {
        Some(_) => Ident::from_sql(text),
        None => Ident::verbatim(text),
    };
    Ok(match kind.as_str() {
        "ROLE" => Grantee::Role(whole().map_err(|_| bad())?),
        "USER" => Grantee::User(whole().map_err(|_| bad())?),
        "APPLICATION" => Grantee::Application(whole().map_err(|_| bad())?),
        "SHARE" => Grantee::Share(text.to_owned()),
        "DATABASE ROLE" => match dotted_shown(text).map_err(|_| bad())?.as_slice() {
            [role] => Grantee::DatabaseRole(role.clone()),
            [database, role] if *database == container.database().0 => {
                Grantee::DatabaseRole(role.clone())
            }
            _ => return Err(bad()),
        },
        _ => Grantee::Other(kind, text.to_owned()),
    })
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(name) => write!(f, "role {name}"),
            Self::DatabaseRole(name) => write!(f, "database role {name}"),
            Self::User(name) => write!(f, "user {name}"),
            Self::Application(name) => write!(f, "application {name}"),
            Self::Share(name) => write!(f, "share {name}"),
            Self::Other(kind, name) => write!(f, "{} {name}", kind.to_lowercase()),
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: &[Ident]| {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            if parts.is_empty() { "the container".to_owned() } else { parts.join(".") }
        };
        match self {
            Self::Object { kind, name, .. } if name.is_empty() => {
                write!(f, "the {}", kind.to_lowercase())
            }
            Self::Object { kind, name, .. } => {
                write!(f, "{} {}", kind.to_lowercase(), joined(name))
            }
            Self::Future { kind, within } => {
                write!(f, "every future {} in {}", kind.to_lowercase(), joined(within))
            }
            Self::Inherited { kind, within } => {
                write!(f, "every {} in {}, inherited", kind.to_lowercase(), joined(within))
            }
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} to {}", self.privilege, self.on, self.to)
    }
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
