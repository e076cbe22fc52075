//! Against the emulator, through the real driver; what is pure has its tests in `pure`.

mod grants;
mod objects;
mod pure;
mod roles;
mod settings;
mod tasks;

use super::Policy;
use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::{Database, Ident, SchemaPath};
use crate::adapter::snowflake::testing::Emulator;
use crate::ports::{Answer, PortError};

fn ident(name: &str) -> Ident {
    Ident::verbatim(name).unwrap()
}

fn database(name: &str) -> Container {
    Container::Database(Database(ident(name)))
}

fn schema(text: &str) -> Container {
    Container::Schema(SchemaPath::from_sql(text).unwrap())
}

/// Runs statements one after the other.
fn sql(emulator: &Emulator, statements: &[&str]) {
    for statement in statements {
        emulator.sql(statement);
    }
}

/// A small production: P with a schema S, two tables and a view, and roles who read it.
fn shop(test: &str, switches: &[&str]) -> Option<Emulator> {
    let arguments: Vec<&str> = switches.iter().flat_map(|one| ["--u", one]).collect();
    let emulator = Emulator::start_with(test, &arguments)?;
    sql(
        &emulator,
        &[
            "CREATE ROLE READER",
            "CREATE ROLE ANALYST",
            "CREATE ROLE DEPLOYER",
            "CREATE DATABASE P",
            "CREATE SCHEMA P.S",
            "CREATE TABLE P.S.T AS SELECT 1 AS ID",
            "CREATE TABLE P.S.\"my t\" AS SELECT 1 AS ID",
            "CREATE VIEW P.S.V AS SELECT ID FROM T",
        ],
    );
    Some(emulator)
}

/// What a refusal says.
fn refused(answer: Answer<Vec<String>>) -> String {
    match answer {
        Err(PortError::Refused(failure)) => failure.message,
        other => panic!("not refused: {other:?}"),
    }
}

/// The grants on something, in a line each: privilege, kind, grantee, option.
fn held(emulator: &Emulator, what: &str) -> Vec<String> {
    let rows = emulator.sql(&format!("SHOW GRANTS ON {what}"));
    let text = |cell: &Option<String>| cell.clone().unwrap_or_default();
    let rows = rows.iter().filter(|row| row[1].as_deref() != Some("OWNERSHIP"));
    rows.map(|row| {
        format!("{} {} {} {}", text(&row[1]), text(&row[4]), text(&row[5]), text(&row[6]))
    })
    .collect()
}

/// The statements since the log was cleared that change something.
fn written(emulator: &Emulator) -> Vec<String> {
    let reads = ["SHOW", "SELECT", "ALTER SESSION"];
    emulator
        .log()
        .into_iter()
        .filter(|sql| !reads.iter().any(|word| sql.starts_with(word)))
        .collect()
}

fn forget(emulator: &Emulator) {
    emulator.control(&serde_json::json!({"op": "log", "clear": true}));
}
