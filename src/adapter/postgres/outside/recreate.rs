//! Making anew, inside the swap's transaction.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Transaction};

use super::super::clone::bodies;
use super::super::definitions::{self, Kind, Node, Scope, head};
use super::super::words::{is_locked_out, is_lost, refused, said};
use super::Outside;
use crate::adapter::sql::identifier;
use crate::failure::Failure;
use crate::ports::{Answer, PortError};

const DOING: &str = "binding what is outside to what is live now";

/// Makes what was captured anew, after the renames. `renamed` holds names before and after: of what
/// was live (which went where the new live came from, or to an archive), and of what is live now.
pub async fn recreate(
    tx: &Transaction<'_>,
    outside: &Outside,
    renamed: &[(String, String)],
) -> Answer<()> {
    refuse(&outside.refusals)?;
    // A body that names what is made later, or what is gone, is no reason to stop.
    let text = "SET LOCAL check_function_bodies TO off";
    tx.batch_execute(text).await.map_err(|error| refused(DOING, &error))?;
    name_live_again(tx, &outside.lives, renamed).await?;
    if outside.is_empty() {
        return Ok(());
    }
    if !outside.rebuild && replace(tx, outside).await? {
        return Ok(());
    }
    rebuild(tx, outside).await
}

/// Refuses what cannot be made anew, if there is any.
pub fn refuse(refusals: &[String]) -> Answer<()> {
    if refusals.is_empty() {
        return Ok(());
    }
    Err(PortError::Refused(
        Failure::stopped(format!(
            "what is outside would go on with old data:\n  {}",
            refusals.join("\n  ")
        ))
        .next("drop what is named, or move it into a schema that dbt writes; then run it again"),
    ))
}

/// Validates the foreign keys that the swap added without looking at the rows; answers those that
/// do not hold, one sentence each.
pub async fn validate(client: &Client, outside: &Outside) -> Answer<Vec<String>> {
    let mut broken = Vec::new();
    for statement in outside.parts.iter().filter_map(|part| part.validate.as_ref()) {
        match client.batch_execute(statement).await {
            Ok(()) => {}
            Err(error) if is_lost(&error) => return Err(refused(statement, &error)),
            Err(error) => broken.push(format!("{}: {}", head(statement), said(&error))),
        }
    }
    Ok(broken)
}

/// Replaces in place; answers whether that went.
async fn replace(tx: &Transaction<'_>, outside: &Outside) -> Answer<bool> {
    let mut text = String::from("SAVEPOINT outside;\n");
    let parts = || outside.parts.iter().filter(|part| part.direct);
    for part in parts() {
        say(&mut text, &part.drop);
    }
    for node in outside.readers.making()? {
        if outside.direct.contains(&node.address) && matches!(node.kind, Kind::View | Kind::Routine)
        {
            for statement in &node.statements {
                say(&mut text, &replacing(statement));
            }
        }
    }
    for part in parts() {
        part.make.iter().for_each(|statement| say(&mut text, statement));
    }
    text.push_str("RELEASE SAVEPOINT outside");
    match tx.batch_execute(&text).await {
        Ok(()) => Ok(true),
        Err(error) if is_lost(&error) || is_locked_out(&error) => Err(refused(DOING, &error)),
        Err(_) => {
            let text = "ROLLBACK TO SAVEPOINT outside; RELEASE SAVEPOINT outside";
            tx.batch_execute(text).await.map_err(|error| refused(DOING, &error))?;
            Ok(false)
        }
    }
}

/// Drops everything and makes it again.
async fn rebuild(tx: &Transaction<'_>, outside: &Outside) -> Answer<()> {
    refuse(&outside.filled)?;
    let making = outside.readers.making()?;
    let readers: BTreeSet<u32> = making.iter().map(|node| node.address.1).collect();
    // What hangs on a reader goes with it, and is among what is said about it.
    let parts: Vec<_> =
        outside.parts.iter().filter(|part| !readers.contains(&part.relation)).collect();
    for part in &parts {
        one(tx, &part.drop).await?;
    }
    for node in making.iter().rev() {
        if let Some(statement) = dropping(tx, node).await? {
            one(tx, &statement).await?;
        }
    }
    for node in &making {
        for statement in &node.statements {
            one(tx, statement).await?;
        }
    }
    let me = current_user(tx).await?;
    for node in outside.readers.finishing() {
        let statements = match (&node.role, node.kind) {
            (Some(role), Kind::Grant) => {
                let (role, me) = (identifier(role), identifier(&me));
                let text = node.statements.join(";\n");
                vec![format!("SET LOCAL ROLE {role};\n{text};\nSET LOCAL ROLE {me}")]
            }
            _ => node.statements.clone(),
        };
        for statement in &statements {
            one(tx, statement).await?;
        }
    }
    for statement in parts.iter().flat_map(|part| &part.make) {
        one(tx, statement).await?;
    }
    Ok(())
}

/// Functions in what is live now that name where it came from name it by its new name.
async fn name_live_again(
    tx: &Transaction<'_>,
    lives: &[String],
    renamed: &[(String, String)],
) -> Answer<()> {
    let is_live = |name: &String| lives.contains(name);
    let back: Vec<(String, String)> =
        renamed
            .iter()
            .map(|(from, to)| {
                if is_live(from) { (to.clone(), from.clone()) } else { (from.clone(), to.clone()) }
            })
            .filter(|(from, to)| is_live(to) && !is_live(from))
            .collect();
    let client = tx.client();
    // Of an extension's functions none has a body that names a schema of ours.
    let sql = "SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
               WHERE n.nspname = ANY ($1::text[]) AND NOT EXISTS (SELECT FROM pg_depend d \
               WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))";
    let found = definitions::rows(client, sql, &[&lives]).await?;
    let routines = found.iter().map(|row| row.get("oid")).collect();
    let scope = Scope { routines, ..Scope::default() };
    if back.is_empty() || scope.routines.is_empty() {
        return Ok(());
    }
    // What lies in live now lay under the old name before.
    let names = bodies::names(client, lives).await?;
    let names =
        back.iter().filter_map(|(from, to)| Some((from.clone(), names.get(to)?.clone()))).collect();
    let read = definitions::read(client, &scope).await?;
    for node in read.nodes.iter().filter(|node| node.kind == Kind::Routine) {
        for statement in &node.statements {
            let repointed = bodies::repoint(statement, &back, &names);
            if repointed != *statement {
                one(tx, &repointed).await?;
            }
        }
    }
    Ok(())
}

async fn one(tx: &Transaction<'_>, statement: &str) -> Answer<()> {
    tx.batch_execute(statement)
        .await
        .map_err(|error| refused(&format!("{DOING}: saying `{}`", head(statement)), &error))
}

async fn current_user(tx: &Transaction<'_>) -> Answer<String> {
    let row = tx.query_one("SELECT current_user::text", &[]).await;
    Ok(row.map_err(|error| refused(DOING, &error))?.get(0))
}

fn say(text: &mut String, statement: &str) {
    text.push_str(statement);
    text.push_str(";\n");
}

/// The statement that replaces what another creates.
fn replacing(statement: &str) -> String {
    match statement.strip_prefix("CREATE VIEW ") {
        Some(rest) => format!("CREATE OR REPLACE VIEW {rest}"),
        // Functions are printed so.
        None => statement.to_owned(),
    }
}

/// The statement that drops what a node makes, where that does not go along with something else. A
/// function is known by its identity: its signature may name types that have moved.
async fn dropping(tx: &Transaction<'_>, node: &Node) -> Answer<Option<String>> {
    let first = node.statements.iter().find(|text| text.starts_with("CREATE "));
    let named = |what: &str| {
        let name = qualified(first?.strip_prefix("CREATE ")?.strip_prefix(what)?.trim_start())?;
        Some(format!("DROP {what} {name}"))
    };
    match node.kind {
        Kind::View => Ok(named("VIEW")),
        Kind::Materialized => Ok(named("MATERIALIZED VIEW")),
        Kind::Routine => {
            let sql = "SELECT format('DROP ROUTINE %s', $1::oid::regprocedure)";
            let row = tx.query_one(sql, &[&node.address.1]).await;
            Ok(Some(row.map_err(|error| refused(DOING, &error))?.get(0)))
        }
        _ => Ok(None),
    }
}

/// The name at the beginning of a text, with its schema.
fn qualified(text: &str) -> Option<&str> {
    let mut quoted = false;
    let end = text.find(|c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        !quoted && c.is_whitespace()
    })?;
    Some(&text[..end])
}
