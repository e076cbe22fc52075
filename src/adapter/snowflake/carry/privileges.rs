//! Grants from `INFORMATION_SCHEMA.OBJECT_PRIVILEGES`, which answers for every object of a database
//! at once (`/sql-reference/info-schema/object_privileges`).
//!
//! What the page leaves open is not assumed. It "only displays objects for which the current role
//! has been granted access privileges": an object without its OWNERSHIP row is asked for on its own.
//! Whether it lists every grantee is found out by comparing it with SHOW GRANTS on the container.
//! It names grantees without saying that they are database roles (`GRANTED_TO` is ROLE, APPLICATION
//! or APPLICATION ROLE): an object with a grantee of a database role's name is asked for too. How
//! it names functions and procedures is not said: what is not plainly one of those that SHOW lists
//! is asked for.
//!
//! Pure. May import `ports` and its siblings.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Line, lines};
use crate::adapter::snowflake::grants::{BadRow, Container, Grants, On, Shown};
use crate::adapter::snowflake::ident::{Ident, dotted_shown};
use crate::adapter::snowflake::session::literal;
use crate::adapter::sql;
use crate::ports::Rows;

/// Kinds that share one namespace (`/sql-reference/sql/create-view`: a table and a view in the same
/// schema cannot have the same name).
const RELATIONS: [&str; 8] = [
    "TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "DYNAMIC TABLE",
    "EXTERNAL TABLE",
    "ICEBERG TABLE",
    "HYBRID TABLE",
    "EVENT TABLE",
];

/// What an object is found by: the namespace, the name relative to its container, the argument
/// types of a function or procedure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    space: String,
    /// Relative to the container.
    pub(super) name: Vec<Ident>,
    /// As in [`On::Object`].
    pub(super) arguments: Option<String>,
}

impl Key {
    /// The key of an object of a kind.
    pub(super) fn new(kind: &str, name: Vec<Ident>, arguments: Option<String>) -> Self {
        let space = if is_relation(kind) { "RELATION" } else { kind };
        Self { space: space.to_owned(), name, arguments }
    }

    /// A kind that it may be of: the only one of its namespace, or any relation.
    pub(super) fn kind(&self) -> &str {
        if self.space == "RELATION" { "TABLE" } else { &self.space }
    }

    /// The key of what a grant is on; `None` for the container itself and for rules.
    pub(super) fn of(on: &On) -> Option<Self> {
        match on {
            On::Object { kind, name, arguments } if !name.is_empty() => {
                Some(Self::new(kind, name.clone(), arguments.clone()))
            }
            _ => None,
        }
    }
}

pub(super) fn is_relation(kind: &str) -> bool {
    RELATIONS.contains(&kind)
}

/// An object as a list of SHOW has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    /// `TABLE`, `VIEW`, `FUNCTION`, …
    pub(super) kind: String,
    /// Relative to the container.
    pub(super) name: Vec<Ident>,
    /// As in [`On::Object`].
    pub(super) arguments: Option<String>,
}

impl Listed {
    pub(super) fn key(&self) -> Key {
        Key::new(&self.kind, self.name.clone(), self.arguments.clone())
    }

    /// The statement that asks for its grants alone.
    pub(super) fn question(&self, container: &Container) -> String {
        let arguments = self.arguments.as_ref().map(|types| format!("({types})"));
        let (kind, name) = (&self.kind, container.full(&self.name));
        format!("SHOW GRANTS ON {kind} {name}{}", arguments.unwrap_or_default())
    }
}

/// The question.
pub(super) fn question(container: &Container) -> String {
    let database = container.database();
    let mut sql = format!(
        "SELECT * FROM {}.INFORMATION_SCHEMA.OBJECT_PRIVILEGES WHERE OBJECT_CATALOG = {}",
        database.quoted(),
        literal(database.as_str())
    );
    if let Container::Schema(path) = container {
        let schema = literal(path.schema.as_str());
        let own = format!("OBJECT_TYPE = 'SCHEMA' AND OBJECT_NAME = {schema}");
        sql = format!("{sql} AND (OBJECT_SCHEMA = {schema} OR ({own}))");
    }
    sql
}

/// What the view answered.
#[derive(Default)]
pub(super) struct Told {
    /// The grants, those on the container too.
    pub(super) grants: Grants,
    /// Owner and kind of every object whose OWNERSHIP row is there.
    pub(super) owned: BTreeMap<Key, (String, Ident)>,
    /// Objects that have to be asked for one by one.
    pub(super) doubtful: BTreeSet<Key>,
}

/// Reads the view's rows. `roles` are the database's own roles, `routines` its functions and
/// procedures as SHOW lists them.
pub(super) fn read(
    container: &Container,
    rows: &Rows,
    roles: &BTreeSet<Ident>,
    routines: &[Listed],
) -> Result<Told, BadRow> {
    let mut told = Told::default();
    let mut shown = Rows { columns: COLUMNS.map(str::to_owned).to_vec(), rows: Vec::new() };
    for line in lines(rows) {
        let kind = line.text("OBJECT_TYPE").to_uppercase().replace('_', " ");
        let Some((name, arguments)) = relative(container, &kind, line, routines) else {
            continue;
        };
        let key = Key::new(&kind, name.clone(), arguments.clone());
        let privilege = line.text("PRIVILEGE_TYPE").to_uppercase();
        let bad = || BadRow(format!("{kind} {}: {privilege}", line.text("OBJECT_NAME")));
        let grantee = Ident::verbatim(line.text("GRANTEE")).map_err(|_| bad())?;
        if privilege == "OWNERSHIP" {
            told.owned.insert(key, (kind, grantee));
            continue;
        }
        let to = line.cell("GRANTED_TO").unwrap_or("ROLE").to_uppercase().replace('_', " ");
        if to == "ROLE" && roles.contains(&grantee) {
            told.doubtful.insert(key);
            continue;
        }
        shown.rows.push(
            [
                privilege,
                kind,
                written(container, &name, arguments.as_deref()),
                to,
                line.text("GRANTEE").to_owned(),
                line.says("IS_GRANTABLE").to_string(),
                line.says("IS_INHERITED").to_string(),
            ]
            .map(Some)
            .to_vec(),
        );
    }
    told.grants.add(Shown::On, container, &quoted(shown, roles))?;
    let owned = &told.owned;
    let unowned = told.grants.0.keys().filter_map(|grant| Key::of(&grant.on));
    told.doubtful.extend(unowned.filter(|key| !owned.contains_key(key)));
    told.grants
        .0
        .retain(|grant, _| Key::of(&grant.on).is_none_or(|key| !told.doubtful.contains(&key)));
    Ok(told)
}

const COLUMNS: [&str; 7] = [
    "privilege",
    "granted_on",
    "name",
    "granted_to",
    "grantee_name",
    "grant_option",
    "is_inherited",
];

/// The rows with the names of database roles in quotes. Whether SHOW writes them so is not said: a
/// text that is the very name of one of `roles` is that role.
pub(super) fn quoted(mut rows: Rows, roles: &BTreeSet<Ident>) -> Rows {
    let at = |names: [&str; 2]| {
        let is = |column: &String| names.iter().any(|name| column.eq_ignore_ascii_case(name));
        rows.columns.iter().position(is)
    };
    let (Some(kind), Some(name)) = (at(["granted_to", "grant_to"]), at(["grantee_name"; 2])) else {
        return rows;
    };
    for row in &mut rows.rows {
        let is_role =
            row[kind].as_ref().is_some_and(|kind| kind.replace('_', " ") == "DATABASE ROLE");
        let role = roles.iter().find(|role| row[name].as_deref() == Some(role.as_str()));
        if let (true, Some(role)) = (is_role, role) {
            row[name] = Some(role.quoted());
        }
    }
    rows
}

/// The name relative to the container, with the argument types of a routine; `None` for what is
/// not an object in the container, or a routine that is not plainly one of those listed.
fn relative(
    container: &Container,
    kind: &str,
    line: Line<'_>,
    routines: &[Listed],
) -> Option<(Vec<Ident>, Option<String>)> {
    let own = |column: &str| Ident::verbatim(line.text(column)).ok();
    let mut name = match (container, kind) {
        (Container::Database(_), "DATABASE") | (Container::Schema(_), "SCHEMA") => vec![],
        (Container::Schema(_), "DATABASE") | (_, "DATABASE ROLE") => return None,
        (Container::Database(_), kind) if kind != "SCHEMA" => {
            vec![own("OBJECT_SCHEMA")?, own("OBJECT_NAME")?]
        }
        _ => vec![own("OBJECT_NAME")?],
    };
    if name.first().is_some_and(super::table::is_system) && name.len() > 1 {
        return None;
    }
    if !matches!(kind, "FUNCTION" | "PROCEDURE") {
        return Some((name, None));
    }
    let last = name.pop()?;
    let bare = last.as_str().split('(').next().unwrap_or_default();
    name.push(Ident::verbatim(bare).ok()?);
    let mut same = routines.iter().filter(|one| one.kind == kind && one.name == name);
    match (same.next(), same.next()) {
        (Some(one), None) => Some((name, one.arguments.clone())),
        _ => None,
    }
}

/// A relative name as SHOW GRANTS writes it.
fn written(container: &Container, name: &[Ident], arguments: Option<&str>) -> String {
    match (arguments, name.split_last()) {
        (Some(types), Some((last, before))) => {
            let last = sql::identifier(&format!("{}({types})", last.as_str()));
            format!("{}.{last}", container.full(before))
        }
        _ => container.full(name),
    }
}

/// The functions or procedures that SHOW lists; builtin ones are left out.
/// `arguments` is `F(NUMBER, VARCHAR) RETURN VARCHAR` (`/sql-reference/sql/show-user-functions`).
pub(super) fn routines(
    container: &Container,
    kind: &str,
    rows: &Rows,
) -> Result<Vec<Listed>, BadRow> {
    let mut found = Vec::new();
    for line in lines(rows).filter(|line| !line.says("is_builtin")) {
        let signature = line.text("arguments");
        let bad = || BadRow(format!("{} {signature}", kind.to_lowercase()));
        let types = signature.split_once('(').ok_or_else(bad)?.1;
        let end = types.find(") RETURN").or_else(|| types.rfind(')')).ok_or_else(bad)?;
        // Types that may be left out in a call are in brackets of their own; they are arguments
        // all the same.
        let types = types[..end].replace("DEFAULT ", "").replace(['[', ']'], "");
        let mut name = vec![Ident::verbatim(line.text("name")).map_err(|_| bad())?];
        let schema = Ident::verbatim(line.text("schema_name")).map_err(|_| bad())?;
        if super::table::is_system(&schema) {
            continue;
        }
        if matches!(container, Container::Database(_)) {
            name.insert(0, schema);
        }
        found.push(Listed {
            kind: kind.to_owned(),
            name,
            arguments: Some(types.trim().to_owned()),
        });
    }
    Ok(found)
}

/// The relations that SHOW OBJECTS lists.
pub(super) fn relations(container: &Container, rows: &Rows) -> Vec<Listed> {
    let mut found = Vec::new();
    for line in lines(rows) {
        let name = [line.text("schema_name"), line.text("name")];
        let Ok([schema, name]) = <[Ident; 2]>::try_from(
            name.iter().filter_map(|part| Ident::verbatim(*part).ok()).collect::<Vec<_>>(),
        ) else {
            continue;
        };
        if super::table::is_system(&schema) {
            continue;
        }
        let kind = match line.text("kind").to_uppercase().replace('_', " ").as_str() {
            "TRANSIENT" | "TEMPORARY" | "" => "TABLE".to_owned(),
            other => other.to_owned(),
        };
        let name = match container {
            Container::Database(_) => vec![schema, name],
            Container::Schema(_) => vec![name],
        };
        found.push(Listed { kind, name, arguments: None });
    }
    found
}

/// A database role's name as SHOW prints it, alone or with its database.
pub(super) fn role(container: &Container, text: &str) -> Option<Ident> {
    match dotted_shown(text).ok()?.as_slice() {
        [role] => Some(role.clone()),
        [database, role] if *database == container.database().0 => Some(role.clone()),
        _ => None,
    }
}
