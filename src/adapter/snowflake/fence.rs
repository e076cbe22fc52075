//! The cutover's block: the lease's token is tested and everything is swapped by one statement.
//!
//! `UPDATE` serialises per table (`/sql-reference/transactions`), so the row that says CUTOVER is
//! either ours, and nobody takes the lease until it is over or has expired, or another's, and nothing
//! is swapped. DDL commits by itself: what was swapped before an error is swapped back by the block's
//! handler (`/developer-guide/snowflake-scripting/exceptions`); where even that fails, the stamps say
//! so, and `recover` goes on from there.
//!
//! May import its siblings.

use std::fmt::Write as _;

use super::ident::SchemaPath;
use super::session::literal;

/// What stands for the token in a plan's SQL; the run puts its own there.
pub const TOKEN: &str = "$fence";

/// What the block says when the lease is another's.
pub const LOST: &str = "switchback: the lease was lost";

/// The lease's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The ledger's schema.
    pub schema: SchemaPath,
    /// The environment.
    pub environment: String,
}

impl Place {
    fn set(&self, cutover: bool) -> String {
        let truth = if cutover { "TRUE" } else { "FALSE" };
        format!(
            "UPDATE {}.\"LEASES\" SET CUTOVER = {truth} WHERE ENVIRONMENT = {} AND TOKEN = {TOKEN}",
            self.schema.quoted(),
            literal(&self.environment)
        )
    }
}

/// The statement that swaps, each swap with its inverse.
#[must_use]
pub fn cutover(place: &Place, swaps: &[(String, String)]) -> String {
    let mut body = format!(
        "\nDECLARE\n  lease_lost EXCEPTION (-20001, '{LOST}');\n  done NUMBER DEFAULT 0;\nBEGIN\n  {};\n  \
         IF (SQLROWCOUNT <> 1) THEN\n    RAISE lease_lost;\n  END IF;\n",
        place.set(true)
    );
    for (at, (swap, _)) in swaps.iter().enumerate() {
        let _ = write!(body, "  {swap};\n  done := {};\n", at + 1); // writing to a String cannot fail
    }
    let _ = write!(
        body,
        "  {};\nEXCEPTION\n  WHEN lease_lost THEN\n    RAISE;\n  WHEN OTHER THEN\n",
        place.set(false)
    );
    for (at, (_, back)) in swaps.iter().enumerate().rev() {
        let _ = write!(body, "    IF (done >= {}) THEN\n      {back};\n    END IF;\n", at + 1);
    }
    let _ = write!(body, "    {};\n    RAISE;\nEND;\n", place.set(false));
    if body.contains("$$") {
        return format!("EXECUTE IMMEDIATE {}", literal(&body));
    }
    format!("EXECUTE IMMEDIATE $${body}$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        let schema = SchemaPath::from_sql("SWITCHBACK.LEDGER").unwrap();
        Place { schema, environment: "SHOP".to_owned() }
    }

    #[test]
    fn a_cutover_tests_the_token_swaps_and_undoes_what_it_swapped_before_an_error() {
        let swap = |name: &str| {
            let text = format!("ALTER SCHEMA S.{name} SWAP WITH S.{name}__NEXT_R2");
            (text.clone(), text)
        };
        insta::assert_snapshot!(cutover(&place(), &[swap("A"), swap("B")]));
    }

    #[test]
    fn a_name_with_two_dollars_does_not_end_the_block() {
        let text = "ALTER DATABASE \"a$$b\" SWAP WITH \"c\"".to_owned();
        let block = cutover(&place(), &[(text.clone(), text)]);
        assert!(block.starts_with("EXECUTE IMMEDIATE '"), "{block}");
    }
}
