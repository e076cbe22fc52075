//! The cutover's block: the lease's token is tested and everything is swapped by one statement.
//!
//! The block begins with an UPDATE on the table of leases, as taking the lease is one, and UPDATEs
//! serialise per table (`/sql-reference/transactions`): so either the cutover has begun and nobody
//! takes the lease, or somebody has taken it and nothing is swapped. DDL commits by itself: what was
//! swapped before an error is swapped back by the block's handler
//! (`/developer-guide/snowflake-scripting/exceptions`); where even that fails, the stamps say so, and
//! `recover` goes on from there. The mark stays where the block dies half-way, until the lease
//! expires. Giving the lease back does not take it away: the block may be running still.
//!
//! May import `ports` and its siblings.

use std::fmt::{Display, Write as _};

use super::Home;
use super::sql::Statements;
use crate::adapter::snowflake::session::literal;
use crate::ports::PortError;

/// What stands for the token in a plan's SQL; the run puts its own there.
pub const TOKEN: &str = "$fence";

/// What the exception says; Snowflake puts it behind `Uncaught exception of type 'LEASE_LOST'`.
const LOST: &str = "switchback: this run no longer has the lease";

/// A statement of a cutover and its inverse.
pub type Swap = (String, String);

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

    /// The statement that swaps under `token`, or that does nothing.
    #[must_use]
    pub fn cutover(&self, token: impl Display + Copy, swaps: &[Swap]) -> String {
        let (begin, end) =
            (self.statements.begin_cutover(token), self.statements.end_cutover(token));
        // Read right behind the UPDATE: any other statement takes SQLROWCOUNT away.
        let mut body = format!(
            "\nDECLARE\n  lease_lost EXCEPTION (-20501, '{LOST}');\n  done NUMBER DEFAULT 0;\nBEGIN\n  \
             {begin};\n  IF (SQLROWCOUNT = 0) THEN\n    RAISE lease_lost;\n  END IF;\n"
        );
        for (at, (swap, _)) in swaps.iter().enumerate() {
            let _ = write!(body, "  {swap};\n  done := {};\n", at + 1); // a String takes everything
        }
        let _ = write!(
            body,
            "  {end};\nEXCEPTION\n  WHEN lease_lost THEN\n    RAISE;\n  WHEN OTHER THEN\n"
        );
        for (at, (_, back)) in swaps.iter().enumerate().rev() {
            let _ = write!(body, "    IF (done >= {}) THEN\n      {back};\n    END IF;\n", at + 1);
        }
        let _ = write!(body, "    {end};\n    RAISE;\nEND;\n");
        if body.contains("$$") {
            return format!("EXECUTE IMMEDIATE {}", literal(&body));
        }
        format!("EXECUTE IMMEDIATE $${body}$$")
    }
}

/// Whether an error is the `lease_lost` of a block, which did nothing then. (An error out of a
/// block is [`PortError::Unknown`] otherwise.)
#[must_use]
pub fn lost(error: &PortError) -> bool {
    error.to_string().contains(LOST)
}
