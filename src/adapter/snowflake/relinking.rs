//! Relinks the views of a container: finds those that name what is about to change, re-creates each
//! in its place, and proves that their columns are the same.
//!
//! All or nothing before anything is written: one view that cannot be rewritten faithfully, or whose
//! text this role cannot see, stops it and is named with line and column, unless the operator has
//! accepted it by name.
//!
//! May import `domain`, `ports` and its siblings.

use std::collections::{BTreeMap, BTreeSet};

use super::grants::Container;
use super::ident::{Ident, Object, ObjectPath, Schema, SchemaPath};
use super::look::{cell, paged};
use super::relink::{Rewrite, rewrite};
use super::session::{Sessions, Tag, literal, whole};
use super::{contents, stamp, unit, view};
use crate::domain::inventory::Column;
use crate::failure::Failure;
use crate::ports::{Answer, Rows};

/// How many definitions one statement asks for.
const ASKED_AT_ONCE: usize = 50;

/// A view as SHOW VIEWS prints it.
struct Shown {
    path: ObjectPath,
    text: String,
    materialized: bool,
}

/// Relinks the views of `slot`. Answers what is worth a word.
///
/// What a build's schema is called stands in its views until they are relinked once more, after the
/// cutover; `is_live` says that this is then. A text that will be in doubt there is in doubt before.
pub async fn relink(
    sessions: &Sessions,
    tag: &Tag,
    slot: &Container,
    names: &[Rewrite],
    is_live: bool,
    allowed: &BTreeSet<String>,
) -> Answer<Vec<String>> {
    let shown = views(sessions, tag, slot).await?;
    let later = if is_live { Vec::new() } else { inverse(names) };
    let judge = Judge { live: if is_live { None } else { in_live(slot, names) }, allowed };
    let mut doubts = Vec::new();
    let mut notes = Vec::new();
    let mut affected = Vec::new();
    for one in shown {
        match mentions(&one, names, &later) {
            Ok(false) => {}
            Ok(true) => affected.push(one.path),
            Err(why) => judge.hear(&one.path, &why, &mut doubts, &mut notes),
        }
    }
    if affected.is_empty() && doubts.is_empty() {
        return Ok(notes);
    }
    let mut statements = Vec::new();
    let (ddl, before) =
        tokio::join!(definitions(sessions, tag, &affected), columns(sessions, tag, slot));
    let before = before?;
    for (path, ddl) in ddl? {
        match recreated(&ddl, &path, names) {
            Ok(statement) => statements.push((path, statement)),
            Err(why) => judge.hear(&path, &why, &mut doubts, &mut notes),
        }
    }
    if !doubts.is_empty() {
        return Err(Failure::stopped(format!(
            "{} of {} cannot be rewritten faithfully, and may name what is about to change:\n  {}",
            counted(doubts.len(), "view"),
            unit::slot(slot),
            doubts.join("\n  ")
        ))
        .next(
            "correct what is named above; or accept it with `allow: {relations: [schema.name]}` in \
             switchback.yml: it is then left as it is",
        )
        .into());
    }
    if statements.is_empty() {
        return Ok(notes);
    }
    let texts = statements.iter().map(|(_, text)| text.clone()).collect();
    whole(sessions.run_all(tag, texts).await)?;
    let after = columns(sessions, tag, slot).await?;
    let differ: Vec<String> = statements
        .iter()
        .filter(|(path, _)| before.get(&key(path)) != after.get(&key(path)))
        .map(|(path, _)| path.to_string())
        .collect();
    if !differ.is_empty() {
        return Err(Failure::stopped(format!(
            "these views have other columns after they were re-created with the same query: {}",
            differ.join(", ")
        ))
        .next("their tables have changed since the views were made: re-create them with dbt")
        .into());
    }
    notes.push(format!("{} relinked", counted(statements.len(), "view")));
    Ok(notes)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The way back from names that were replaced; a name that was dropped has none.
fn inverse(names: &[Rewrite]) -> Vec<Rewrite> {
    let back = |how: &Rewrite| match how {
        Rewrite::ReplaceSchema(from, to) => {
            let there = SchemaPath { database: from.database.clone(), schema: to.clone() };
            Some(Rewrite::ReplaceSchema(there, from.schema.clone()))
        }
        Rewrite::DropDatabase(_) | Rewrite::DropSchema(_) => None,
    };
    names.iter().filter_map(back).collect()
}

/// The name that a build's schema will have as production: the configuration and the gates know its
/// relations by it. `None` for a database, whose schemas keep their names.
fn in_live(slot: &Container, names: &[Rewrite]) -> Option<String> {
    let Container::Schema(own) = slot else { return None };
    names.iter().find_map(|how| match how {
        Rewrite::ReplaceSchema(live, to) if *to == own.schema => {
            Some(live.schema.as_str().to_owned())
        }
        _ => None,
    })
}

/// Whether what cannot be relinked was accepted.
struct Judge<'a> {
    live: Option<String>,
    allowed: &'a BTreeSet<String>,
}

impl Judge<'_> {
    fn hear(
        &self,
        path: &ObjectPath,
        why: &str,
        doubts: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) {
        let schema = self.live.as_deref().unwrap_or(path.schema.schema.as_str());
        let name = format!("{schema}.{}", path.object.as_str());
        if self.allowed.iter().any(|one| one.eq_ignore_ascii_case(&name)) {
            notes.push(format!("{name} was not relinked, as allowed: {why}"));
        } else {
            doubts.push(format!("{name}: {why}"));
        }
    }
}

async fn views(sessions: &Sessions, tag: &Tag, slot: &Container) -> Answer<Vec<Shown>> {
    let rows = paged(sessions, tag, &format!("SHOW VIEWS IN {}", slot.sql())).await?;
    let one = |row: &Vec<Option<String>>| {
        let schema = cell(&rows, row, "schema_name")?;
        if matches!(slot, Container::Database(_))
            && matches!(schema, "INFORMATION_SCHEMA" | stamp::OWN_SCHEMA)
        {
            return None;
        }
        let schema = Schema(Ident::verbatim(schema).ok()?);
        let path = SchemaPath { database: slot.database().clone(), schema };
        Some(Shown {
            path: path.object(Object(Ident::verbatim(cell(&rows, row, "name")?).ok()?)),
            text: cell(&rows, row, "text").unwrap_or_default().to_owned(),
            materialized: cell(&rows, row, "is_materialized") == Some("true"),
        })
    };
    Ok(rows.rows.iter().filter_map(one).collect())
}

/// Whether a view's query names what is about to change, or why that cannot be told, now or `later`.
fn mentions(one: &Shown, names: &[Rewrite], later: &[Rewrite]) -> Result<bool, String> {
    if one.text.is_empty() {
        return Err("this role cannot see its text (it is secure and another role's)".to_owned());
    }
    let (query, from) = match view::parse(&one.text) {
        Ok(view) => (&one.text[view.query.clone()], view.query.start),
        Err(_) => (one.text.as_str(), 0),
    };
    let doubts: Vec<String> = later
        .iter()
        .flat_map(|how| rewrite(query, how).doubts)
        .map(|doubt| doubt.within(&one.text, from).to_string())
        .collect();
    if !doubts.is_empty() {
        return Err(doubts.join("; "));
    }
    let mut changed = false;
    for how in names {
        let found = rewrite(query, how);
        changed |= found.changed > 0 || !found.doubts.is_empty();
    }
    if changed && one.materialized {
        return Err("a materialized view cannot be re-created without being filled again".into());
    }
    Ok(changed)
}

/// The definitions as `GET_DDL` prints them: with policies and tags, which SHOW leaves out.
async fn definitions(
    sessions: &Sessions,
    tag: &Tag,
    views: &[ObjectPath],
) -> Answer<Vec<(ObjectPath, String)>> {
    let batches: Vec<&[ObjectPath]> = views.chunks(ASKED_AT_ONCE).collect();
    let statement = |batch: &&[ObjectPath]| {
        let one = |(at, path): (usize, &ObjectPath)| {
            let name = literal(&path.quoted());
            format!("SELECT {at} AS AT, GET_DDL('VIEW', {name}, TRUE) AS DDL")
        };
        batch.iter().enumerate().map(one).collect::<Vec<_>>().join(" UNION ALL ")
    };
    let answers = sessions.read_all(tag, batches.iter().map(statement).collect()).await?;
    let mut found = Vec::new();
    for (batch, rows) in batches.iter().zip(answers) {
        for row in rows.rows {
            let at = row.first().and_then(|cell| cell.as_deref()?.parse::<usize>().ok());
            let ddl = row.get(1).cloned().flatten();
            if let (Some(path), Some(ddl)) = (at.and_then(|at| batch.get(at)), ddl) {
                found.push((path.clone(), ddl));
            }
        }
    }
    Ok(found)
}

/// The statement that re-creates a view with all names rewritten.
fn recreated(ddl: &str, path: &ObjectPath, names: &[Rewrite]) -> Result<String, String> {
    let mut statement = ddl.to_owned();
    for how in names {
        statement = view::recreate(&statement, path, how)
            .map_err(|doubts| {
                let each: Vec<String> = doubts.iter().map(ToString::to_string).collect();
                each.join("; ")
            })?
            .statement;
    }
    Ok(statement)
}

type Columns = BTreeMap<(String, String), Vec<(String, Column)>>;

fn key(path: &ObjectPath) -> (String, String) {
    (path.schema.schema.as_str().to_owned(), path.object.as_str().to_owned())
}

async fn columns(sessions: &Sessions, tag: &Tag, slot: &Container) -> Answer<Columns> {
    let rows: Rows = sessions.read(tag, &contents::columns_of(slot)).await?;
    let mut all = Columns::new();
    for row in &rows.rows {
        let text = |name: &str| cell(&rows, row, name).unwrap_or_default().to_owned();
        let column =
            Column { name: text("COLUMN_NAME"), data_type: contents::data_type(&rows, row) };
        let key = (text("TABLE_SCHEMA"), text("TABLE_NAME"));
        all.entry(key).or_default().push((text("ORDINAL_POSITION"), column));
    }
    for shape in all.values_mut() {
        shape.sort_by_key(|(position, _)| position.parse::<u32>().unwrap_or_default());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::ident::Database;
    use super::*;

    fn shown(text: &str, materialized: bool) -> Shown {
        Shown { path: ObjectPath::from_sql("B.M.V").unwrap(), text: text.into(), materialized }
    }

    fn names() -> Vec<Rewrite> {
        let database = |name: &str| Database(Ident::verbatim(name).unwrap());
        vec![Rewrite::DropDatabase(database("B")), Rewrite::DropDatabase(database("P"))]
    }

    #[test]
    fn a_view_is_affected_by_its_query_and_not_by_its_own_name() {
        assert_eq!(
            mentions(&shown("create view B.M.V as select * from M.T", false), &names(), &[]),
            Ok(false)
        );
        assert_eq!(
            mentions(&shown("create view B.M.V as select * from P.M.T", false), &names(), &[]),
            Ok(true)
        );
        assert!(mentions(&shown("", false), &names(), &[]).is_err());
        assert!(
            mentions(&shown("create view B.M.V as select * from B.M.T", true), &names(), &[])
                .is_err()
        );
    }

    #[test]
    fn several_names_are_rewritten_in_one_statement() {
        let ddl = "create or replace view B.M.V as select * from B.M.T join P.M.U using (id);";
        let path = ObjectPath::from_sql("B.M.V").unwrap();
        let text = recreated(ddl, &path, &names()).unwrap();
        assert!(text.ends_with("select * from M.T join M.U using (id)"), "{text}");
        assert_eq!(text.matches("COPY GRANTS").count(), 1, "{text}");
    }
}
