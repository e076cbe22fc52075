//! What is inside a slot: relations, columns, row counts, definitions and, where asked for, a digest
//! of every table's rows; and whether live has changed since it was cloned.
//!
//! A fixed number of statements whatever the size, and one for each hundred tables where rows are
//! digested. `LAST_ALTERED` also moves without a change (`/sql-reference/info-schema/tables`), so it
//! only nominates: rows, definitions and `HASH_AGG` against the table's own past decide.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

pub use super::digest::{Digests, Touched, digest, undecided};
use super::grants::Container;
use super::ident::{Ident, Object, ObjectPath, Schema, SchemaPath};
use super::look::cell;
use super::relink::{Rewrite, rewrite};
use super::session::{Sessions, Tag, literal};
use super::{stamp, view};
use crate::domain::inventory::{Column, Inventory, Local, Relation, RelationKind};
use crate::domain::journal::Baseline;
use crate::domain::name::hex;
use crate::ports::{Answer, PortError, Rows};

/// A relation as the Information Schema has it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub path: ObjectPath,
    /// What it is.
    pub relation: Relation,
    /// When it was created, which tells it from another of its name.
    pub created: Option<String>,
    /// When anything about it last changed, perhaps.
    pub last_altered: Option<String>,
}

/// Relations by the name that they have (or will have) in live.
pub type Contents = BTreeMap<Local, Found>;

/// The Information Schema's rows of one kind, in the container alone.
fn select(container: &Container, what: &str, columns: &str) -> String {
    let database = container.database().quoted();
    let within = match container {
        Container::Database(_) => {
            format!("TABLE_SCHEMA NOT IN ('INFORMATION_SCHEMA', '{}')", stamp::OWN_SCHEMA)
        }
        Container::Schema(path) => format!(
            "TABLE_SCHEMA = {} AND TABLE_NAME <> '{}'",
            literal(path.schema.as_str()),
            stamp::IN_SCHEMA
        ),
    };
    format!("SELECT {columns} FROM {database}.INFORMATION_SCHEMA.{what} WHERE {within}")
}

/// The query for every column in a container.
#[must_use]
pub fn columns_of(container: &Container) -> String {
    select(
        container,
        "COLUMNS",
        "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, DATA_TYPE, \
         CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE",
    )
}

/// The query for how long each table keeps its past, the shortest first.
#[must_use]
pub fn retentions_of(container: &Container) -> String {
    let tables = select(container, "TABLES", "TABLE_SCHEMA, TABLE_NAME, RETENTION_TIME");
    format!("{tables} AND RETENTION_TIME IS NOT NULL ORDER BY RETENTION_TIME, 1, 2 LIMIT 1")
}

/// A container that is asked for its contents.
pub struct Asked {
    /// Which.
    pub container: Container,
    /// The schema's name in live, where the slot is one.
    pub schema: Option<String>,
    /// What makes definitions comparable between containers.
    pub neutral: Vec<Rewrite>,
}

/// Reads what is in several containers at once.
pub async fn read(sessions: &Sessions, tag: &Tag, asked: &[Asked]) -> Answer<Vec<Contents>> {
    let tables = "TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ROW_COUNT, CREATED, LAST_ALTERED";
    let statements = asked.iter().flat_map(|Asked { container, .. }| {
        [
            select(container, "TABLES", tables),
            columns_of(container),
            select(container, "VIEWS", "TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION"),
        ]
    });
    let answers = sessions.read_all(tag, statements.collect()).await?;
    let all = asked.iter().zip(answers.chunks(3)).map(|(one, answers)| match answers {
        [tables, columns, views] => assemble(one, tables, columns, views),
        _ => Contents::new(),
    });
    Ok(all.collect())
}

fn assemble(asked: &Asked, tables: &Rows, columns: &Rows, views: &Rows) -> Contents {
    let Asked { container, schema, neutral } = asked;
    let key = |rows: &Rows, row: &[Option<String>]| {
        let schema_name = cell(rows, row, "TABLE_SCHEMA")?.to_owned();
        let identifier = cell(rows, row, "TABLE_NAME")?.to_owned();
        Some((schema_name, identifier))
    };
    let mut shapes: BTreeMap<(String, String), Vec<(u32, Column)>> = BTreeMap::new();
    for row in &columns.rows {
        let position = cell(columns, row, "ORDINAL_POSITION").and_then(|text| text.parse().ok());
        if let (Some(key), Some(name)) = (key(columns, row), cell(columns, row, "COLUMN_NAME")) {
            let column = Column { name: name.to_owned(), data_type: data_type(columns, row) };
            shapes.entry(key).or_default().push((position.unwrap_or_default(), column));
        }
    }
    let texts: BTreeMap<(String, String), String> = views
        .rows
        .iter()
        .filter_map(|row| {
            let text = cell(views, row, "VIEW_DEFINITION")?;
            Some((key(views, row)?, text.to_owned()))
        })
        .collect();
    let one = |row: &Vec<Option<String>>| {
        let key = key(tables, row)?;
        let kind = kind(cell(tables, row, "TABLE_TYPE")?)?;
        let mut shape = shapes.remove(&key).unwrap_or_default();
        shape.sort_by_key(|(position, _)| *position);
        let rows = cell(tables, row, "ROW_COUNT").and_then(|count| count.parse().ok());
        let relation = Relation {
            kind,
            columns: shape.into_iter().map(|(_, column)| column).collect(),
            rows: if kind == RelationKind::Table { rows } else { None },
            definition: texts.get(&key).map(|text| neutralized(text, neutral)),
            content: None,
        };
        let (schema_name, identifier) = key;
        let path = ObjectPath {
            schema: SchemaPath {
                database: container.database().clone(),
                schema: Schema(Ident::verbatim(schema_name.clone()).ok()?),
            },
            object: Object(Ident::verbatim(identifier.clone()).ok()?),
        };
        let [created, last_altered] =
            ["CREATED", "LAST_ALTERED"].map(|name| cell(tables, row, name).map(str::to_owned));
        let schema = schema.clone().unwrap_or(schema_name);
        Some((Local { schema, identifier }, Found { path, relation, created, last_altered }))
    };
    tables.rows.iter().filter_map(one).collect()
}

fn kind(table_type: &str) -> Option<RelationKind> {
    match table_type {
        "VIEW" => Some(RelationKind::View),
        "MATERIALIZED VIEW" => Some(RelationKind::MaterializedView),
        "LOCAL TEMPORARY" | "TEMPORARY TABLE" => None, // a session's own
        _ => Some(RelationKind::Table),
    }
}

/// A column's type with what tells it from others of its name.
#[must_use]
pub fn data_type(rows: &Rows, row: &[Option<String>]) -> String {
    let text = |name: &str| cell(rows, row, name);
    let name = text("DATA_TYPE").unwrap_or_default();
    match (text("NUMERIC_PRECISION"), text("NUMERIC_SCALE"), text("CHARACTER_MAXIMUM_LENGTH")) {
        (Some(precision), Some(scale), _) if name == "NUMBER" => {
            format!("{name}({precision},{scale})")
        }
        (_, _, Some(length)) if name == "TEXT" => format!("{name}({length})"),
        _ => name.to_owned(),
    }
}

/// A view's query without the names that differ from container to container.
fn neutralized(text: &str, neutral: &[Rewrite]) -> String {
    let mut query =
        view::parse(text).map_or_else(|_| text.to_owned(), |v| text[v.query].to_owned());
    for how in neutral {
        let relinked = rewrite(&query, how);
        if relinked.doubts.is_empty() {
            query = relinked.text;
        }
    }
    query
}

/// As the gates see it.
#[must_use]
pub fn inventory(contents: Contents) -> Inventory {
    contents.into_iter().map(|(local, found)| (local, found.relation)).collect()
}

/// What live looks like at `at`, the server's own time.
pub fn baseline(contents: &Contents, baseline: &mut Baseline) {
    for (local, found) in contents {
        let name = local.to_string();
        if let Some(rows) = found.relation.rows {
            baseline.rows.insert(name.clone(), rows);
        }
        baseline.definitions.insert(name, definition(&found.relation));
    }
}

fn definition(relation: &Relation) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{:?}", relation.kind));
    for column in &relation.columns {
        digest.update(format!("\n{} {}", column.name, column.data_type));
    }
    digest.update(relation.definition.as_deref().unwrap_or_default());
    hex(&digest.finalize()[..8])
}

/// What differs from the baseline without a look at rows, one sentence each, and the tables that
/// only their rows can tell about.
#[must_use]
pub fn changes<'a>(
    contents: &'a Contents,
    baseline: &Baseline,
    since: &str,
) -> (Vec<String>, Vec<(String, &'a Found)>) {
    let mut said = Vec::new();
    let mut nominated = Vec::new();
    for (local, found) in contents {
        let name = local.to_string();
        let Some(before) = baseline.definitions.get(&name) else {
            said.push(format!("{name} is new"));
            continue;
        };
        if *before != definition(&found.relation) {
            said.push(format!("{name} has another definition"));
            continue;
        }
        match (baseline.rows.get(&name), found.relation.rows) {
            (Some(before), Some(now)) if *before != now => {
                said.push(format!("{name} had {before} rows and has {now}"));
            }
            (Some(_), Some(_)) if found.last_altered.as_deref().is_some_and(|at| at > since) => {
                nominated.push((name, found));
            }
            _ => {}
        }
    }
    let names: Vec<String> = contents.keys().map(ToString::to_string).collect();
    for name in baseline.definitions.keys().filter(|name| !names.contains(name)) {
        said.push(format!("{name} is gone"));
    }
    (said, nominated)
}

/// Whether rows of nominated tables differ from those at `since`.
pub async fn rows_since(
    sessions: &Sessions,
    tag: &Tag,
    nominated: &[(String, &Found)],
    since: &str,
) -> Answer<Vec<String>> {
    let mut said = Vec::new();
    for (name, found) in nominated {
        let path = found.path.quoted();
        let sql = format!(
            "SELECT (SELECT HASH_AGG(*) FROM {path}) IS NOT DISTINCT FROM (SELECT HASH_AGG(*) FROM \
             {path} AT(TIMESTAMP => {}::TIMESTAMP_TZ)) AS SAME",
            literal(since)
        );
        match sessions.read(tag, &sql).await {
            Ok(rows) => {
                let same = rows.rows.first().and_then(|row| row.first()).cloned().flatten();
                if same.as_deref() != Some("true") {
                    said.push(format!("{name} has as many rows as before, but not the same ones"));
                }
            }
            Err(PortError::Refused(failure)) => said.push(format!(
                "{name} was touched since {since}, and whether its rows changed cannot be told: \
                 {failure}"
            )),
            Err(error) => return Err(error),
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::super::unit::container;
    use super::*;

    fn rows(columns: &[&str], rows: &[&[&str]]) -> Rows {
        let cells = |row: &&[&str]| {
            let cell = |cell: &&str| (!cell.is_empty()).then(|| (*cell).to_owned());
            row.iter().map(cell).collect()
        };
        Rows {
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            rows: rows.iter().map(cells).collect(),
        }
    }

    fn contents(count: &str, text: &str, altered: &str) -> Contents {
        let live = container(&"SHOP".into()).unwrap();
        let tables = rows(
            &["TABLE_SCHEMA", "TABLE_NAME", "TABLE_TYPE", "ROW_COUNT", "LAST_ALTERED"],
            &[&["M", "T", "BASE TABLE", count, altered], &["M", "V", "VIEW", "", altered]],
        );
        let columns = rows(
            &["TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "ORDINAL_POSITION", "DATA_TYPE"],
            &[&["M", "T", "B", "2", "TEXT"], &["M", "T", "A", "1", "DATE"]],
        );
        let views = rows(&["TABLE_SCHEMA", "TABLE_NAME", "VIEW_DEFINITION"], &[&["M", "V", text]]);
        let neutral = vec![Rewrite::DropDatabase(live.database().clone())];
        let asked = Asked { container: live, schema: None, neutral };
        assemble(&asked, &tables, &columns, &views)
    }

    const VIEW: &str = "create or replace view SHOP.M.V as (select * from SHOP.M.T)";

    #[test]
    fn relations_have_their_columns_in_order_and_views_a_text_without_their_database() {
        let found = contents("3", VIEW, "x");
        let table = &found[&Local { schema: "M".into(), identifier: "T".into() }];
        let names: Vec<&str> = table.relation.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!((names, table.relation.rows), (vec!["A", "B"], Some(3)));
        let view = &found[&Local { schema: "M".into(), identifier: "V".into() }];
        assert_eq!(view.relation.definition.as_deref(), Some("(select * from M.T)"));
    }

    #[test]
    fn only_rows_can_tell_about_a_table_that_was_touched_and_looks_the_same() {
        let mut before = Baseline::default();
        baseline(&contents("3", VIEW, "2026-01-01T00:00:00Z"), &mut before);
        let since = "2026-02-01T00:00:00Z";
        let same = contents("3", VIEW, "2026-01-01T00:00:00Z");
        assert!(changes(&same, &before, since).0.is_empty());
        let touched = contents("3", VIEW, "2026-03-01T00:00:00Z");
        let (said, nominated) = changes(&touched, &before, since);
        assert!(said.is_empty());
        assert_eq!(nominated.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["M.T"]);
        let other = contents("4", "create view SHOP.M.V as select 1", "x");
        assert_eq!(
            changes(&other, &before, since).0,
            ["M.T had 3 rows and has 4", "M.V has another definition"]
        );
    }
}
