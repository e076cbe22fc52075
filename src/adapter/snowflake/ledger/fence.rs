//! The fencing token where a swap happens: the pieces of a scripting block around the statements
//! that cut over.
//!
//! The block begins with an UPDATE on the table of leases, as taking the lease is one, and UPDATEs
//! serialise per table (`/sql-reference/transactions`): so either the cutover has begun and nobody
//! takes the lease, or somebody has taken it and the cutover does not begin. The mark stays where
//! the block dies half-way, until the lease expires; then stamps say what happened. Giving the lease
//! back does not take the mark away: the block may be running still.
//!
//! May import `ports` and its siblings.

use super::Home;
use super::sql::Statements;
use crate::ports::{PortError, Token};

/// What the exception says; Snowflake puts it behind `Uncaught exception of type 'LEASE_LOST'`.
const LOST: &str = "switchback: this run no longer has the lease";

/// The fence of one environment, for SQL.
#[derive(Clone, Debug)]
pub struct Fence {
    statements: Statements,
}

impl Fence {
    /// The fence of an environment whose ledger is in `home`.
    #[must_use]
    pub fn new(home: &Home, environment: &str) -> Self {
        Self { statements: Statements::new(home, environment) }
    }

    pub(super) fn of(statements: Statements) -> Self {
        Self { statements }
    }

    /// For the block's DECLARE: the exception that [`Fence::begin_cutover`] raises.
    #[must_use]
    pub fn declaration() -> String {
        format!("lease_lost EXCEPTION (-20501, '{LOST}');")
    }

    /// Marks the lease of `token` as cutting over, or raises `lease_lost`, before which nothing
    /// happened.
    #[must_use]
    pub fn begin_cutover(&self, token: Token) -> String {
        format!(
            "{};\nIF (SQLROWCOUNT = 0) THEN\n  RAISE lease_lost;\nEND IF;",
            self.statements.begin_cutover(token)
        )
    }

    /// Takes the mark away.
    #[must_use]
    pub fn end_cutover(&self, token: Token) -> String {
        format!("{};", self.statements.end_cutover(token))
    }

    /// The whole block around `body`, a list of statements each with its semicolon. Where one of
    /// them fails the mark is taken away as well, and the error goes on: what the statements
    /// before it did stays, unless `body` brings an exception handler of its own.
    ///
    /// To be sent as `EXECUTE IMMEDIATE` with a text literal: a name may contain `$$`.
    #[must_use]
    pub fn block(&self, token: Token, body: &str) -> String {
        let end = self.end_cutover(token);
        format!(
            "DECLARE\n  {}\nBEGIN\n{}\n{body}\n{end}\nEXCEPTION\n  WHEN OTHER THEN\n    {end}\n    \
             RAISE;\nEND;",
            Self::declaration(),
            self.begin_cutover(token)
        )
    }

    /// A query that gives one row while the lease is held under the token, and none otherwise: a
    /// test for effects other than the cutover.
    #[must_use]
    pub fn check(&self, token: Token) -> String {
        self.statements.check(token)
    }
}

/// Whether an error is the `lease_lost` of a block, which did nothing then. (An error out of a
/// block is [`PortError::Unknown`] otherwise.)
#[must_use]
pub fn lost(error: &PortError) -> bool {
    let said = error.to_string();
    said.contains("LEASE_LOST") && said.contains(LOST)
}
