//! What live is made of, with every name as it will be in the build, and the snapshot that its rows
//! are read with. The session stays in its transaction: it keeps the locks and the snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::Oid;

use super::super::definitions::{self, Definitions, Kind, Scope, rows, schema_oids};
use super::super::words::{is_locked_out, refused};
use super::{Copying, bodies};
use crate::adapter::sql::{identifier, literal};
use crate::failpoint::wait;
use crate::failure::Failure;
use crate::ports::Answer;

/// How often locks are asked for; each time for [`PATIENCE`] at most, so that nobody waits longer
/// behind us.
const TRIES: u32 = 30;
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(300);

/// Live, read.
pub struct Original {
    /// Its definitions, with the build's names.
    pub definitions: Definitions,
    /// Its tables with rows of their own.
    pub tables: Vec<Table>,
    /// Statements that set the build's sequences to live's values.
    pub counters: Vec<String>,
    /// The exported snapshot.
    pub snapshot: String,
    /// Tables that come without rows, and their names in the build.
    pub bare: BTreeMap<Oid, String>,
    /// What cannot be copied, and what is worth a word.
    pub notes: Vec<String>,
}

/// A table whose rows are copied.
pub struct Table {
    /// Its OID in live.
    pub oid: Oid,
    /// Its schema and name in live.
    pub live: (String, String),
    /// Its name in the build, whole and quoted.
    pub build: String,
    /// What it takes on disk, without indexes.
    pub bytes: u64,
    /// Its pages, those of long values aside.
    pub pages: u64,
    /// The statement that copies its rows; `None` where there are none.
    pub insert: Option<String>,
    /// The statements that make it with its rows, where that makes the same table.
    pub whole: Option<String>,
}

/// Reads live.
pub async fn original(client: &Client, copying: &Copying<'_>) -> Answer<Original> {
    let lives: Vec<String> = copying.pairs.iter().map(|(live, _)| live.clone()).collect();
    lock(client, &lives).await?;
    let found = schema_oids(client, &lives).await?;
    let schemas: Vec<Oid> = found.values().copied().collect();
    refuse_shared_tables(client, &schemas).await?;
    let mut notes: Vec<String> = definitions::left_out(client, &schemas)
        .await?
        .into_iter()
        .map(|what| format!("not copied: {what}"))
        .collect();
    let names = bodies::names(client, &lives).await?;
    let unread = unread(client, copying, &schemas).await?;
    let counters = counters(client, copying, &schemas).await?;
    let snapshot = rows(client, "SELECT pg_export_snapshot() AS name", &[]).await?[0].get("name");

    let doing = |error| refused("reading live's definitions", &error);
    let mut renames = String::from("SAVEPOINT renamed;\n");
    for (live, build) in copying.pairs.iter().filter(|(live, _)| found.contains_key(live)) {
        let (live, build) = (identifier(live), identifier(build));
        renames = format!("{renames}ALTER SCHEMA {live} RENAME TO {build};\n");
    }
    client.batch_execute(&renames).await.map_err(doing)?;
    let scope = Scope::of_schemas(client, &schemas).await?;
    let mut definitions = definitions::read(client, &scope).await?;
    let (tables, bare) = tables(client, copying, &schemas, &unread).await?;
    client.batch_execute("ROLLBACK TO SAVEPOINT renamed").await.map_err(doing)?;

    for node in definitions.nodes.iter_mut().filter(|node| node.kind == Kind::Routine) {
        for statement in &mut node.statements {
            *statement = bodies::repoint(statement, copying.pairs, &names);
        }
        notes.extend(bodies::doubts(&node.statements[0], &lives));
    }
    Ok(Original { definitions, tables, counters, snapshot, bare, notes })
}

/// Begins a transaction and locks every table against changes of its shape, also those that are made
/// meanwhile.
async fn lock(client: &Client, lives: &[String]) -> Answer<()> {
    let doing = |error| refused("locking live's tables against changes of their shape", &error);
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout TO {}",
        literal(&format!("{}ms", wait(PATIENCE).as_millis()))
    );
    let mut tries = 0;
    'again: loop {
        client.batch_execute(&begin).await.map_err(doing)?;
        let mut locked = BTreeSet::new();
        loop {
            let sql = "SELECT format('ONLY %I.%I', n.nspname, c.relname) AS name \
                       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                       WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') ORDER BY c.oid";
            let found: BTreeSet<String> =
                rows(client, sql, &[&lives]).await?.iter().map(|row| row.get("name")).collect();
            let more: Vec<&str> = found.difference(&locked).map(String::as_str).collect();
            if more.is_empty() {
                return Ok(());
            }
            let text = format!("LOCK TABLE {} IN ACCESS SHARE MODE", more.join(", "));
            if let Err(error) = client.batch_execute(&text).await {
                client.batch_execute("ROLLBACK").await.map_err(doing)?;
                tries += 1;
                let gone = error.code().is_some_and(|code| code.code() == "42P01");
                if tries == TRIES || !(gone || is_locked_out(&error)) {
                    return Err(doing(error));
                }
                tokio::time::sleep(wait(PAUSE)).await;
                continue 'again;
            }
            locked = found;
        }
    }
}

/// A table that inherits across the border would be in two hierarchies at once, and show its rows
/// twice.
async fn refuse_shared_tables(client: &Client, schemas: &[Oid]) -> Answer<()> {
    let sql = "SELECT i.inhrelid::regclass::text AS child, i.inhparent::regclass::text AS parent \
               FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
               JOIN pg_class p ON p.oid = i.inhparent \
               WHERE c.relkind IN ('r', 'p', 'f') AND (c.relnamespace = ANY ($1)) \
                     <> (p.relnamespace = ANY ($1))";
    let found = rows(client, sql, &[&schemas]).await?;
    let Some(row) = found.first() else { return Ok(()) };
    let (child, parent): (String, String) = (row.get("child"), row.get("parent"));
    Err(Failure::stopped(format!(
        "{child} is a partition or a child of {parent}, and only one of them lies in a schema that \
         is swapped: a copy would show its rows twice"
    ))
    .next("move both into one schema, or out of the schemas that dbt writes")
    .into())
}

async fn tables(
    client: &Client,
    copying: &Copying<'_>,
    schemas: &[Oid],
    unread: &BTreeSet<Oid>,
) -> Answer<(Vec<Table>, BTreeMap<Oid, String>)> {
    let mut found = Vec::new();
    let mut bare = BTreeMap::new();
    for row in rows(client, include_str!("sql/tables.sql"), &[&schemas]).await? {
        let (schema, name): (String, String) = (row.get("schema"), row.get("name"));
        let live = copying.pairs.iter().find(|(_, build)| *build == schema);
        let Some((live, _)) = live else { continue };
        let oid = row.get("oid");
        let build = format!("{}.{}", identifier(&schema), identifier(&name));
        let without = unread.contains(&oid);
        if without {
            bare.insert(oid, build.clone());
        }
        let kind: String = row.get("kind");
        if kind != "r" {
            continue;
        }
        let (columns, values): (String, String) = (row.get("columns"), row.get("values"));
        let (bytes, pages): (i64, i64) = (row.get("bytes"), row.get("pages"));
        let empty: bool = row.get("empty");
        let from = format!("{}.{}", identifier(live), identifier(&name));
        let with_rows = !without && !empty;
        let whole = (with_rows && row.get("plain")).then(|| {
            let unlogged = if row.get("unlogged") { "UNLOGGED " } else { "" };
            let made =
                format!("CREATE {unlogged}TABLE {build} AS SELECT {values} FROM ONLY {from}");
            match row.get("required") {
                "" => made,
                required => format!("{made};\nALTER TABLE {build} {required}"),
            }
        });
        let insert = with_rows.then(|| {
            // Rows without values are rows too.
            let columns = if columns.is_empty() { columns } else { format!("({columns}) ") };
            format!(
                "INSERT INTO {build} {columns}OVERRIDING SYSTEM VALUE SELECT {values} FROM ONLY {from}"
            )
        });
        let bytes = if insert.is_some() { u64::try_from(bytes).unwrap_or_default() } else { 0 };
        let pages = u64::try_from(pages).unwrap_or_default();
        let live = (live.clone(), name);
        found.push(Table { oid, live, build, bytes, pages, insert, whole });
    }
    Ok((found, bare))
}

/// Of the tables whose rows are not needed those that nothing reads or refers to but what may, and
/// whose names, and those of the views over them, no function says.
async fn unread(client: &Client, copying: &Copying<'_>, schemas: &[Oid]) -> Answer<BTreeSet<Oid>> {
    if copying.without_rows.is_empty() {
        return Ok(BTreeSet::new());
    }
    let key =
        |row: &tokio_postgres::Row| -> (String, String) { (row.get("schema"), row.get("name")) };
    let mut wanted: BTreeMap<Oid, &BTreeSet<(String, String)>> = BTreeMap::new();
    let mut names: Vec<(String, Oid)> = Vec::new();
    for row in rows(client, include_str!("sql/plain.sql"), &[&schemas]).await? {
        let key = key(&row);
        if let Some(may) = copying.without_rows.get(&key) {
            wanted.insert(row.get("oid"), may);
            names.push((key.1, row.get("oid")));
        }
    }
    let oids: Vec<Oid> = wanted.keys().copied().collect();
    let mut unread: BTreeSet<Oid> = oids.iter().copied().collect();
    for row in rows(client, include_str!("sql/readers.sql"), &[&oids]).await? {
        let of: Oid = row.get("of");
        let reader = row.get::<_, Option<String>>("name").map(|_| key(&row));
        match reader.filter(|reader| wanted.get(&of).is_some_and(|may| may.contains(reader))) {
            Some((_, view)) => names.push((view, of)),
            None => drop(unread.remove(&of)),
        }
    }
    let sql = "SELECT lower(p.prosrc) AS body FROM pg_proc p WHERE p.pronamespace = ANY ($1)";
    for row in rows(client, sql, &[&schemas]).await? {
        let body: String = row.get("body");
        let is_word = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '_';
        let words: BTreeSet<&str> = body.split(|c| !is_word(c)).collect();
        for (_, oid) in names.iter().filter(|(name, _)| words.contains(name.as_str())) {
            unread.remove(oid);
        }
    }
    Ok(unread)
}

async fn counters(client: &Client, copying: &Copying<'_>, schemas: &[Oid]) -> Answer<Vec<String>> {
    let sql = "SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relnamespace = ANY ($1) AND c.relkind = 'S' ORDER BY c.oid";
    let mut found = Vec::new();
    for row in rows(client, sql, &[&schemas]).await? {
        let (schema, name): (String, String) = (row.get("schema"), row.get("name"));
        for (live, build) in copying.pairs.iter().filter(|(live, _)| *live == schema) {
            let name = identifier(&name);
            let to = literal(&format!("{}.{name}", identifier(build)));
            found.push(format!(
                "SELECT setval({to}::regclass, last_value, is_called) FROM {}.{name}",
                identifier(live)
            ));
        }
    }
    Ok(found)
}
