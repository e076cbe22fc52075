//! Where the ledger is, and making it: from the inside outward, so that nobody needs a privilege
//! for what is there already.
//!
//! Invariants: nothing is made but by whoever writes; what is there is never replaced; a privilege
//! that is missing is named by the statement that an administrator runs. A role that may not see
//! the ledger cannot tell it from one that is not there (Snowflake answers the same): reading
//! finds it empty then, and the first write refuses.
//!
//! May import `failure`, `ports` and its siblings.

use super::SnowflakeLedger;
use crate::adapter::snowflake::ident::{Ident, SchemaPath};
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError};

/// Where the ledger is: `SWITCHBACK.LEDGER` where databases are swapped, a schema `SWITCHBACK` of
/// the same database where schemas are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The schema of its tables.
    pub schema: SchemaPath,
}

/// What is being made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Made {
    Database,
    Schema,
    Tables,
}

/// Snowflake's code, as [`crate::adapter::snowflake::session`] puts it into the message.
fn code(failure: &Failure) -> &str {
    let after = failure.message.rsplit_once("(Snowflake ").map_or("", |(_, after)| after);
    after.get(..6).unwrap_or_default()
}

/// Whether a statement was refused because something is not there, or may not be seen.
pub(super) fn is_absent(failure: &Failure) -> bool {
    matches!(code(failure), "002003" | "002043")
}

fn lacks_a_privilege(failure: &Failure) -> bool {
    matches!(code(failure), "003001" | "003011" | "003540")
}

/// Two that make the same at once: one of them is told that it is there.
fn is_there_already(failure: &Failure) -> bool {
    code(failure) == "002002"
}

impl SnowflakeLedger {
    /// Makes what is missing of the ledger.
    pub(super) async fn make(&self) -> Answer<()> {
        let sql = &self.statements;
        match self.create(&sql.create_journal()).await {
            Err(PortError::Refused(failure)) if is_absent(&failure) => {
                self.make_schema().await?;
                let made = self.create(&sql.create_journal()).await;
                self.or_told(made, Made::Tables).await?;
            }
            made => self.or_told(made, Made::Tables).await?,
        }
        let made = self.create(&sql.create_leases()).await;
        self.or_told(made, Made::Tables).await
    }

    async fn make_schema(&self) -> Answer<()> {
        let sql = &self.statements;
        match self.create(&sql.create_schema()).await {
            Err(PortError::Refused(failure)) if is_absent(&failure) => {
                let made = self.create(&sql.create_database()).await;
                self.or_told(made, Made::Database).await?;
                let made = self.create(&sql.create_schema()).await;
                self.or_told(made, Made::Schema).await
            }
            made => self.or_told(made, Made::Schema).await,
        }
    }

    async fn create(&self, statement: &str) -> Answer<()> {
        match self.repeat(statement).await {
            Err(PortError::Refused(failure)) if is_there_already(&failure) => Ok(()),
            made => made.map(drop),
        }
    }

    async fn or_told(&self, made: Answer<()>, what: Made) -> Answer<()> {
        match made {
            Err(PortError::Refused(failure))
                if is_absent(&failure) || lacks_a_privilege(&failure) =>
            {
                let role = self.role().await;
                Err(PortError::Refused(self.cannot_make(&failure, what, &role)))
            }
            made => made,
        }
    }

    fn cannot_make(&self, failure: &Failure, what: Made, role: &str) -> Failure {
        let schema = &self.home.schema;
        let database = &schema.database;
        let mut statements = Vec::new();
        if what <= Made::Database {
            statements.push(format!("CREATE DATABASE IF NOT EXISTS {database};"));
        }
        if what <= Made::Schema {
            statements.push(format!("CREATE SCHEMA IF NOT EXISTS {schema};"));
        }
        statements.push(format!("GRANT USAGE ON DATABASE {database} TO ROLE {role};"));
        statements.push(format!("GRANT USAGE, CREATE TABLE ON SCHEMA {schema} TO ROLE {role};"));
        if what == Made::Tables {
            statements.push(use_of_tables(schema, role)); // somebody else's may be there
        }
        let message = format!("the ledger {schema} cannot be made: {}", failure.message);
        Failure::new(Kind::Usage, message)
            .production("Nothing was touched: there is nowhere to write down what is done.")
            .next(to_run(&statements))
    }

    /// A refusal to read or write what is there, with the statement that helps.
    pub(super) async fn told(&self, error: PortError) -> PortError {
        match error {
            PortError::Refused(failure) if lacks_a_privilege(&failure) || is_absent(&failure) => {
                let (schema, role) = (&self.home.schema, self.role().await);
                let message = format!("the ledger {schema} cannot be used: {}", failure.message);
                PortError::Refused(Failure::new(Kind::Usage, message).next(to_run(&[
                    format!("GRANT USAGE ON DATABASE {} TO ROLE {role};", schema.database),
                    format!("GRANT USAGE ON SCHEMA {schema} TO ROLE {role};"),
                    use_of_tables(schema, &role),
                ])))
            }
            error => error,
        }
    }

    /// The role that lacks something, for a sentence.
    async fn role(&self) -> String {
        let rows = self.sessions.read(&self.tag, "SELECT CURRENT_ROLE()").await;
        let name = rows.ok().and_then(|rows| rows.rows.first()?.first()?.clone());
        let name = name.and_then(|name| Ident::verbatim(name).ok());
        name.map_or_else(|| "<role>".to_owned(), |name| name.to_string())
    }
}

fn use_of_tables(schema: &SchemaPath, role: &str) -> String {
    format!("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO ROLE {role};")
}

fn to_run(statements: &[String]) -> String {
    format!("have an administrator run:\n  {}", statements.join("\n  "))
}
