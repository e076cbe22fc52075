//! The stamp: one row of a small table inside the container, and the word in a new container's
//! comment that says who made it before it has a stamp.
//!
//! In a database it is `SWITCHBACK.STAMP`, in a schema `SWITCHBACK_STAMP`. It travels with the content
//! through clone and swap; it names the container it was written in by `created_on`, so that a clone
//! that was not stamped anew is told from its original.
//!
//! May import `domain` and its siblings.

use super::grants::Container;
use super::ident::{Database, Ident, Object, ObjectPath, Schema, SchemaPath};
use super::session::literal;
use crate::domain::name::{Identity, ReleaseId};
use crate::domain::slot::{Seal, Stamp};
use crate::ports::Rows;

/// Our own schema in a database that is swapped; also that of a ledger.
pub const OWN_SCHEMA: &str = "SWITCHBACK";
/// The stamp's table in a database.
pub const IN_DATABASE: &str = "STAMP";
/// The stamp's table in a schema.
pub const IN_SCHEMA: &str = "SWITCHBACK_STAMP";
/// What stands for the container's `created_on` in a plan's SQL, known only once it exists.
pub const IDENTITY: &str = "$identity";

/// How the comment of a container begins that we are making.
const MADE_BY_US: &str = "switchback: being made";

/// The comment of a container of ours that is not stamped yet.
#[must_use]
pub fn marker(environment: &str, release: ReleaseId) -> String {
    format!("{MADE_BY_US}, {release} of {environment}")
}

/// Whether a container's comment is [`marker`]'s.
#[must_use]
pub fn is_marked(comment: &str, environment: &str) -> bool {
    comment.starts_with(MADE_BY_US) && comment.ends_with(&format!(" of {environment}"))
}

fn own(name: &str) -> Option<Ident> {
    Ident::verbatim(name).ok()
}

/// Our own schema in a database.
fn own_schema(database: &Database) -> Option<SchemaPath> {
    Some(SchemaPath { database: database.clone(), schema: Schema(own(OWN_SCHEMA)?) })
}

/// The stamp's table in a container.
#[must_use]
pub fn table(container: &Container) -> String {
    let (schema, name) = match container {
        Container::Database(database) => (own_schema(database), IN_DATABASE),
        Container::Schema(path) => (Some(path.clone()), IN_SCHEMA),
    };
    let object = own(name).map(Object);
    match (schema, object) {
        (Some(schema), Some(object)) => ObjectPath { schema, object }.quoted(),
        _ => String::new(), // our own names are names
    }
}

/// The statements that write a stamp.
#[must_use]
pub fn write(
    container: &Container,
    environment: &str,
    release: ReleaseId,
    attempt: u32,
    seal: Seal,
) -> Vec<String> {
    let mut statements = Vec::new();
    if let Container::Database(database) = container
        && let Some(schema) = own_schema(database)
    {
        statements.push(format!("CREATE SCHEMA IF NOT EXISTS {}", schema.quoted()));
    }
    statements.push(format!(
        "CREATE OR REPLACE TABLE {} AS SELECT {} AS ENVIRONMENT, '{release}' AS RELEASE, {attempt} AS \
         ATTEMPT, '{seal}' AS SEAL, '{IDENTITY}' AS IDENTITY",
        table(container),
        literal(environment),
    ));
    statements
}

/// Whether a statement only makes room for a stamp in a container that is there.
#[must_use]
pub fn makes_room(statement: &str) -> bool {
    statement.starts_with("CREATE SCHEMA IF NOT EXISTS ")
}

/// The query that reads a container's stamp; `at` comes back in the first column.
#[must_use]
pub fn read(container: &Container, at: usize) -> String {
    format!(
        "SELECT {at} AS AT, ENVIRONMENT, RELEASE, ATTEMPT, SEAL, IDENTITY FROM {}",
        table(container)
    )
}

/// The stamps of an environment in the rows of [`read`], with their place in the list.
#[must_use]
pub fn parse(rows: &Rows, environment: &str) -> Vec<(usize, Stamp)> {
    let stamp = |row: &Vec<Option<String>>| {
        let cell = |at: usize| row.get(at)?.as_deref();
        let ours = cell(1)? == environment;
        let seal = match cell(4)? {
            "sealed" => Seal::Sealed,
            _ => Seal::Building,
        };
        let stamp = Stamp {
            release: cell(2)?.parse().ok()?,
            attempt: cell(3)?.parse().ok()?,
            seal,
            identity: Identity(cell(5)?.to_owned()),
        };
        ours.then_some((cell(0)?.parse().ok()?, stamp))
    };
    rows.rows.iter().filter_map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::super::unit::container;
    use super::*;

    #[test]
    fn a_stamp_is_written_into_a_schema_of_our_own_or_beside_the_content() {
        let lines = |slot: &str| {
            write(&container(&slot.into()).unwrap(), "SHOP", ReleaseId(2), 1, Seal::Sealed)
        };
        insta::assert_snapshot!(lines("SHOP__BUILD_R2").join("\n"), @r#"
        CREATE SCHEMA IF NOT EXISTS "SHOP__BUILD_R2"."SWITCHBACK"
        CREATE OR REPLACE TABLE "SHOP__BUILD_R2"."SWITCHBACK"."STAMP" AS SELECT 'SHOP' AS ENVIRONMENT, 'r2' AS RELEASE, 1 AS ATTEMPT, 'sealed' AS SEAL, '$identity' AS IDENTITY
        "#);
        assert_eq!(lines("SHOP.MARTS").len(), 1);
        assert!(lines("SHOP.MARTS")[0].contains("\"SHOP\".\"MARTS\".\"SWITCHBACK_STAMP\""));
    }

    #[test]
    fn only_a_marker_of_the_same_environment_is_ours() {
        let comment = marker("SHOP.MARTS", ReleaseId(3));
        assert!(is_marked(&comment, "SHOP.MARTS"));
        assert!(!is_marked(&comment, "SHOP"));
        assert!(!is_marked("the shop's marts", "SHOP.MARTS"));
    }

    #[test]
    fn the_stamps_of_other_environments_do_not_count() {
        let row = |environment: &str, seal: &str| {
            [Some("0"), Some(environment), Some("r2"), Some("1"), Some(seal), Some("then")]
                .map(|cell| cell.map(str::to_owned))
                .to_vec()
        };
        let rows =
            Rows { columns: Vec::new(), rows: vec![row("A", "sealed"), row("B", "building")] };
        let found = parse(&rows, "B");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].1.release, found[0].1.seal), (ReleaseId(2), Seal::Building));
    }
}
