//! Every statement of the ledger, as pure functions of where it is and which environment it is for.
//!
//! Invariants: every name is complete and quoted, every text a literal; time is the server's
//! (`CURRENT_TIMESTAMP`), never this machine's; each change is one statement, so it is done or not
//! done; each may be sent again without being done twice (a part of a record is not written where
//! it stands already, a claim is not granted twice).
//!
//! UPDATE and MERGE serialise per table, INSERT does not (`/sql-reference/transactions`): what
//! decides who holds the lease is an UPDATE, and a cutover begins with one.
//!
//! May import `failure`, `ports` and its siblings.

use std::fmt::Display;
use std::time::Duration;

use super::Home;
use crate::adapter::snowflake::ident::{Ident, Object};
use crate::adapter::snowflake::session::literal;
use crate::ports::Token;

/// How long a lease lasts at least once a cutover has begun under it: nobody may take it while the
/// statements in between are running.
const CUTOVER: Duration = Duration::from_secs(300);

/// The statements of one environment's ledger.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    database: String,
    schema: String,
    leases: String,
    journal: String,
    /// The environment, as a literal.
    environment: String,
}

/// What a claim writes into the lease's row.
pub(super) struct Claimed<'a> {
    /// Chosen for this claim alone.
    pub(super) nonce: &'a str,
    /// The holder, as JSON.
    pub(super) holder: &'a str,
    pub(super) verb: &'a str,
    pub(super) run: &'a str,
    pub(super) ttl: Duration,
    /// The verbs from which the lease may be taken.
    pub(super) outranked: &'a [&'a str],
}

/// A piece of a record: a statement may not be longer than a megabyte
/// (`/user-guide/query-size-limits`). The record counts once its piece 0 is there, which is
/// written last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Chosen for this record alone.
    pub(super) id: String,
    /// Counted from 0.
    pub(super) index: usize,
    /// How many parts the record has.
    pub(super) of: usize,
    pub(super) text: String,
}

fn table(home: &Home, name: &str) -> String {
    // The two names are ours: neither empty nor too long.
    let object = Ident::verbatim(name).map(Object).map(|object| home.schema.object(object));
    object.map(|path| path.quoted()).unwrap_or_default()
}

impl Statements {
    pub(super) fn new(home: &Home, environment: &str) -> Self {
        Self {
            database: home.schema.database.quoted(),
            schema: home.schema.quoted(),
            leases: table(home, "LEASES"),
            journal: table(home, "JOURNAL"),
            environment: literal(environment),
        }
    }

    pub(super) fn create_database(&self) -> String {
        let Self { database, .. } = self;
        format!("CREATE DATABASE IF NOT EXISTS {database} COMMENT = 'The ledger of Switchback'")
    }

    pub(super) fn create_schema(&self) -> String {
        let Self { schema, .. } = self;
        format!("CREATE SCHEMA IF NOT EXISTS {schema} COMMENT = 'The ledger of Switchback'")
    }

    pub(super) fn create_journal(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\n  ENVIRONMENT VARCHAR NOT NULL,\n  SEQ NUMBER(38,0),\
             \n  WRITTEN_AT TIMESTAMP_LTZ NOT NULL,\n  TOKEN NUMBER(38,0),\n  ID VARCHAR NOT NULL,\
             \n  PART NUMBER(38,0) NOT NULL,\n  PARTS NUMBER(38,0) NOT NULL,\
             \n  RECORD VARCHAR NOT NULL\n) COMMENT = 'What Switchback intended and did'",
            self.journal
        )
    }

    pub(super) fn create_leases(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\n  ENVIRONMENT VARCHAR NOT NULL,\
             \n  TOKEN NUMBER(38,0) NOT NULL,\n  HOLDER VARCHAR,\n  VERB VARCHAR,\n  RUN VARCHAR,\
             \n  TAKEN_AT TIMESTAMP_LTZ,\n  EXPIRES_AT TIMESTAMP_LTZ,\n  CUTOVER BOOLEAN NOT NULL,\
             \n  CLAIM VARCHAR\n) COMMENT = 'Who may change an environment'",
            self.leases
        )
    }

    /// The environment's row, unless it is there; its token is the highest that was ever used.
    pub(super) fn add_environment(&self) -> String {
        let Self { leases, journal, environment, .. } = self;
        format!(
            "MERGE INTO {leases} l\nUSING (SELECT {environment} AS ENVIRONMENT, \
             COALESCE(MAX(j.TOKEN), 0) AS TOKEN FROM {journal} j WHERE j.ENVIRONMENT = \
             {environment}) n\nON l.ENVIRONMENT = n.ENVIRONMENT\nWHEN NOT MATCHED THEN INSERT \
             (ENVIRONMENT, TOKEN, CUTOVER) VALUES (n.ENVIRONMENT, n.TOKEN, FALSE)"
        )
    }

    /// Takes the lease if it is free, has expired, or is held by whoever is outranked and not
    /// cutting over.
    pub(super) fn claim(&self, claimed: &Claimed<'_>) -> String {
        let Self { leases, environment, .. } = self;
        let Claimed { nonce, holder, verb, run, ttl, outranked } = claimed;
        let outranked: Vec<String> = outranked.iter().map(|verb| literal(verb)).collect();
        let outranked = match &outranked[..] {
            [] => String::new(),
            verbs => format!(" OR (NOT CUTOVER AND VERB IN ({}))", verbs.join(", ")),
        };
        format!(
            "UPDATE {leases} SET TOKEN = TOKEN + 1, HOLDER = {}, VERB = {}, RUN = {}, \
             TAKEN_AT = CURRENT_TIMESTAMP(), EXPIRES_AT = {}, CUTOVER = FALSE, CLAIM = {nonce}\
             \nWHERE ENVIRONMENT = {environment} AND (CLAIM IS NULL OR CLAIM <> {nonce}) \
             AND (HOLDER IS NULL OR EXPIRES_AT <= CURRENT_TIMESTAMP(){outranked})",
            literal(holder),
            literal(verb),
            literal(run),
            from_now(*ttl),
            nonce = literal(nonce),
        )
    }

    pub(super) fn renew(&self, token: Token, ttl: Duration) -> String {
        let Self { leases, .. } = self;
        format!(
            "UPDATE {leases} SET EXPIRES_AT = {}\nWHERE {}",
            from_now(ttl),
            self.is_held_under(token.0)
        )
    }

    /// Gives the lease back, unless a cutover was begun under it and not ended: the statements in
    /// between may be running still.
    pub(super) fn release(&self, token: Token) -> String {
        let Self { leases, .. } = self;
        format!(
            "UPDATE {leases} SET HOLDER = NULL, VERB = NULL, EXPIRES_AT = NULL\nWHERE {} AND NOT \
             CUTOVER",
            self.is_held_under(token.0)
        )
    }

    /// The environment's row.
    pub(super) fn lease(&self) -> String {
        let Self { leases, environment, .. } = self;
        format!(
            "SELECT TOKEN, HOLDER, TAKEN_AT, EXPIRES_AT, CUTOVER, CLAIM, COALESCE(HOLDER IS NOT \
             NULL AND EXPIRES_AT > CURRENT_TIMESTAMP(), FALSE) AS ALIVE\nFROM {leases}\nWHERE \
             ENVIRONMENT = {environment} ORDER BY TOKEN DESC LIMIT 1"
        )
    }

    /// Writes a part of a record where the token is the lease's, or where none is asked for.
    pub(super) fn append(&self, part: &Part, token: Option<Token>) -> String {
        let Self { leases, journal, environment, .. } = self;
        let Part { id, index, of, text } = part;
        let seq = if *index == 0 { "j.HIGHEST + 1" } else { "NULL" };
        let (value, held, holds) = match token {
            None => ("NULL".to_owned(), String::new(), ""),
            Some(token) => (
                token.0.to_string(),
                format!(
                    "\nCROSS JOIN (SELECT COUNT(*) AS HELD FROM {leases} WHERE {}) l",
                    self.is_held_under(token.0)
                ),
                " AND l.HELD > 0",
            ),
        };
        format!(
            "INSERT INTO {journal} (ENVIRONMENT, SEQ, WRITTEN_AT, TOKEN, ID, PART, PARTS, RECORD)\
             \nSELECT {environment}, {seq}, CURRENT_TIMESTAMP(), {value}, {id}, {index}, {of}, \
             {}\nFROM (SELECT COALESCE(MAX(SEQ), 0) AS HIGHEST, COUNT(CASE WHEN ID = {id} AND PART = \
             {index} THEN 1 END) AS THERE FROM {journal} WHERE ENVIRONMENT = {environment}) \
             j{held}\
             \nWHERE j.THERE = 0{holds}",
            literal(text),
            id = literal(id),
        )
    }

    /// When a part was written, and its record's number; no row where it was not.
    pub(super) fn written(&self, part: &Part) -> String {
        let Self { journal, environment, .. } = self;
        let Part { id, index, .. } = part;
        format!(
            "SELECT SEQ, WRITTEN_AT FROM {journal} WHERE ENVIRONMENT = {environment} AND ID = {} \
             AND PART = {index} ORDER BY SEQ, WRITTEN_AT LIMIT 1",
            literal(id)
        )
    }

    /// All of the journal, in no order.
    pub(super) fn journal(&self) -> String {
        let Self { journal, environment, .. } = self;
        format!(
            "SELECT SEQ, WRITTEN_AT, ID, PART, PARTS, RECORD FROM {journal} WHERE ENVIRONMENT = \
             {environment}"
        )
    }

    /// Which environments there are.
    pub(super) fn environments(&self) -> String {
        let Self { leases, journal, .. } = self;
        format!(
            "SELECT ENVIRONMENT FROM {leases} UNION SELECT ENVIRONMENT FROM {journal} ORDER BY 1"
        )
    }

    /// From now on nobody takes the lease that `token` has, for [`CUTOVER`] at least.
    pub(super) fn begin_cutover(&self, token: impl Display) -> String {
        let Self { leases, .. } = self;
        format!(
            "UPDATE {leases} SET CUTOVER = TRUE, EXPIRES_AT = GREATEST(EXPIRES_AT, {}) WHERE {}",
            from_now(CUTOVER),
            self.is_held_under(token)
        )
    }

    pub(super) fn end_cutover(&self, token: impl Display) -> String {
        let Self { leases, .. } = self;
        format!("UPDATE {leases} SET CUTOVER = FALSE WHERE {}", self.is_held_under(token))
    }

    fn is_held_under(&self, token: impl Display) -> String {
        let Self { environment, .. } = self;
        format!("ENVIRONMENT = {environment} AND TOKEN = {token} AND HOLDER IS NOT NULL")
    }
}

fn from_now(after: Duration) -> String {
    format!("DATEADD(millisecond, {}, CURRENT_TIMESTAMP())", after.as_millis())
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
