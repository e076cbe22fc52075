//! Reads what a source and its clone hold and has it judged.
//!
//! A dozen statements a side, whatever the number of objects, in parallel; and three about the
//! account. May import `failure`, `ports` and its siblings.

use std::collections::BTreeSet;

use super::Policy;
use super::kinds::{Account, Class, Found, State, is_never_cloned, judge};
use super::privileges;
use super::seen::bad;
use super::table::{self, Line, few, is_system, is_unknown_here, lines, list, own_row, paths};
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::{Ident, SchemaPath};
use crate::adapter::snowflake::session::{Sessions, Tag};
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Rows};

/// What a row is.
type Classify = fn(Line<'_>) -> Class;

/// What SHOW is asked for, and what it is.
const LISTS: [(&str, Classify); 9] = [
    ("TABLES", table_class),
    ("VIEWS", view_class),
    ("STAGES", stage_class),
    ("PIPES", |_| Class::Pipe),
    ("STREAMS", |_| Class::Stream),
    ("TASKS", |_| Class::Task),
    ("ALERTS", |_| Class::Alert),
    ("SEQUENCES", |_| Class::Other("SEQUENCE".to_owned())),
    ("FILE FORMATS", |_| Class::Other("FILE FORMAT".to_owned())),
];

fn table_class(line: Line<'_>) -> Class {
    let is = |column: &str, kind: &str| line.says(column) || line.text("kind").contains(kind);
    if is("is_external", "EXTERNAL") {
        Class::ExternalTable
    } else if is("is_hybrid", "HYBRID") {
        Class::HybridTable
    } else if is("is_iceberg", "ICEBERG") {
        Class::IcebergTable
    } else if is("is_dynamic", "DYNAMIC") {
        Class::DynamicTable
    } else if is("is_event", "EVENT") {
        Class::EventTable
    } else {
        Class::Table
    }
}

fn view_class(line: Line<'_>) -> Class {
    if line.says("is_materialized") { Class::MaterializedView } else { Class::View }
}

fn stage_class(line: Line<'_>) -> Class {
    let external = line.text("type").to_uppercase().starts_with("EXTERNAL");
    Class::Stage { internal: !external && line.text("url").is_empty() }
}

/// Compares a source with its clone, which has just been made: what a clone leaves out or changes
/// is refused by name, or a note.
pub async fn objects(
    sessions: &Sessions,
    tag: &Tag,
    from: &Container,
    to: &Container,
    policy: &Policy,
) -> Answer<Vec<String>> {
    let (source, clone, account) = tokio::join!(
        found(sessions, tag, from),
        found(sessions, tag, to),
        account(sessions, tag, from)
    );
    let (source, clone, account) = (source?, clone?, account?);
    let verdict = judge(from, &source, &clone, &account, policy);
    if verdict.refused.is_empty() {
        return Ok(verdict.notes);
    }
    let lines: Vec<String> = verdict.refused.iter().map(|one| format!("\n  {one}")).collect();
    let message = format!("a clone of {} would lose something:{}", from.sql(), lines.concat());
    Err(PortError::Refused(Failure::stopped(message).next(
        "allow by kind in switchback.yml what may be lost or is made again elsewhere, and run it again",
    )))
}

/// What a clone of `container` would leave out or change: what would stop a deploy, and what is
/// worth a word.
pub async fn at_risk(
    sessions: &Sessions,
    tag: &Tag,
    container: &Container,
    policy: &Policy,
) -> Answer<(Vec<String>, Vec<String>)> {
    let source = found(sessions, tag, container).await?;
    let clone = source
        .iter()
        .filter(|((class, ..), _)| !is_never_cloned(class))
        .map(|(key, state)| (key.clone(), *state))
        .collect();
    let account = account(sessions, tag, container).await?;
    let verdict = judge(container, &source, &clone, &account, policy);
    Ok((verdict.refused, verdict.notes))
}

/// Everything in a container.
async fn found(sessions: &Sessions, tag: &Tag, container: &Container) -> Answer<Found> {
    let sql = container.sql();
    let mut questions: Vec<String> =
        LISTS.iter().map(|(what, _)| format!("SHOW {what} IN {sql}")).collect();
    questions.push(format!("SHOW USER FUNCTIONS IN {sql}"));
    questions.push(format!("SHOW PROCEDURES IN {sql}"));
    questions.push(privileges::question(container));
    let answers = match sessions.read_all(tag, questions).await {
        Ok(answers) => answers,
        // More than SHOW prints at once, most likely: one by one and page by page.
        Err(PortError::Refused(failure)) if table::is_too_long(&failure) => {
            paged(sessions, tag, container).await?
        }
        Err(error) => return Err(error),
    };
    let mut found = Found::new();
    for ((_, class), rows) in LISTS.iter().zip(&answers) {
        for line in lines(rows) {
            add(&mut found, container, line, class(line))?;
        }
    }
    let mut routines = Vec::new();
    for (kind, rows) in ["FUNCTION", "PROCEDURE"].iter().zip(&answers[LISTS.len()..]) {
        routines.extend(privileges::routines(container, kind, rows).map_err(|row| bad(&row))?);
    }
    for one in &routines {
        let key = (Class::Other(one.kind.clone()), one.name.clone(), one.arguments.clone());
        found.insert(key, State::default());
    }
    let told = answers.last().map(|rows| {
        privileges::read(container, rows, &BTreeSet::new(), &routines).map_err(|row| bad(&row))
    });
    for (key, (kind, _)) in told.transpose()?.unwrap_or_default().owned {
        // What SHOW has listed is known closer; schemas come with what is in them.
        if !LISTED.contains(&kind.as_str())
            && !privileges::is_relation(&kind)
            && !key.name.is_empty()
        {
            found.insert((Class::Other(kind), key.name, key.arguments), State::default());
        }
    }
    Ok(found)
}

/// Kinds that a list of their own answers for.
const LISTED: [&str; 9] = [
    "STAGE",
    "PIPE",
    "STREAM",
    "TASK",
    "ALERT",
    "SEQUENCE",
    "FILE FORMAT",
    "FUNCTION",
    "PROCEDURE",
];

async fn paged(sessions: &Sessions, tag: &Tag, container: &Container) -> Answer<Vec<Rows>> {
    let schemas = schemas(sessions, tag, container).await?;
    let mut answers = Vec::new();
    let rest = ["USER FUNCTIONS", "PROCEDURES"];
    for what in LISTS.iter().map(|(what, _)| *what).chain(rest) {
        answers.push(list(sessions, tag, what, container, &schemas, table::PAGE).await?);
    }
    answers.push(sessions.read(tag, &privileges::question(container)).await?);
    Ok(answers)
}

async fn schemas(sessions: &Sessions, tag: &Tag, container: &Container) -> Answer<Vec<SchemaPath>> {
    let sql = match container {
        Container::Database(database) => format!("SHOW SCHEMAS IN DATABASE {}", database.quoted()),
        Container::Schema(_) => own_row(container),
    };
    let rows = sessions.read(tag, &sql).await?;
    let names: Vec<Ident> = lines(&rows).map(|line| line.ident("name")).collect::<Answer<_>>()?;
    Ok(paths(container, names.iter().filter(|name| !is_system(name))))
}

fn add(found: &mut Found, container: &Container, line: Line<'_>, class: Class) -> Answer<()> {
    let schema = line.ident("schema_name")?;
    if is_system(&schema) || line.text("kind") == "TEMPORARY" {
        return Ok(());
    }
    let name = match container {
        Container::Database(_) => vec![schema, line.ident("name")?],
        Container::Schema(_) => vec![line.ident("name")?],
    };
    let state = State {
        started: line.text("state").eq_ignore_ascii_case("started"),
        clustered: line.text("automatic_clustering").eq_ignore_ascii_case("on"),
    };
    found.insert((class, name, None), state);
    Ok(())
}

/// Shares, replication and failover groups. What of a database is shared is found among the grants
/// of the container; here it is the database as a whole.
async fn account(sessions: &Sessions, tag: &Tag, container: &Container) -> Answer<Account> {
    let mut account = Account::default();
    let Container::Database(database) = container else {
        return Ok(account);
    };
    const QUESTIONS: [&str; 3] = ["SHOW SHARES", "SHOW REPLICATION GROUPS", "SHOW FAILOVER GROUPS"];
    let [shares, replication, failover] = QUESTIONS;
    let (shares, replication, failover) = tokio::join!(
        sessions.read(tag, shares),
        sessions.read(tag, replication),
        sessions.read(tag, failover)
    );
    let shares = answered(shares, QUESTIONS[0], &mut account)?;
    let ours = |line: &Line<'_>| {
        line.text("database_name") == database.as_str()
            && !line.text("kind").eq_ignore_ascii_case("INBOUND")
    };
    account.shares =
        lines(&shares).filter(ours).map(|line| format!("share {}", line.text("name"))).collect();
    for (kind, groups, sql) in
        [("REPLICATION", replication, QUESTIONS[1]), ("FAILOVER", failover, QUESTIONS[2])]
    {
        let groups = answered(groups, sql, &mut account)?;
        for line in lines(&groups) {
            let name = line.ident("name")?;
            let listed = line.cell("allowed_databases").map(|all| {
                all.split(',').map(|one| one.trim().trim_matches('"').to_owned()).collect()
            });
            let databases: Vec<String> = if let Some(listed) = listed {
                listed
            } else {
                let sql = format!("SHOW DATABASES IN {kind} GROUP {}", name.quoted());
                let rows = answered(sessions.read(tag, &sql).await, &sql, &mut account)?;
                lines(&rows).map(|line| line.text("name").to_owned()).collect()
            };
            if databases.iter().any(|one| one == database.as_str()) {
                account.groups.push(format!("{} group {name}", kind.to_lowercase()));
            }
        }
    }
    account.notes = match account.notes.as_slice() {
        [] => vec![],
        some => vec![format!("this role may not ask, so it is not known: {}", few(some))],
    };
    Ok(account)
}

/// The answer to a question about the account, which the role may not be allowed to ask.
fn answered(answer: Answer<Rows>, sql: &str, account: &mut Account) -> Answer<Rows> {
    match answer {
        Ok(rows) => Ok(rows),
        Err(PortError::Refused(failure)) => {
            if !is_unknown_here(&failure) {
                account.notes.push(sql.to_owned());
            }
            Ok(Rows::default())
        }
        Err(error) => Err(error),
    }
}
