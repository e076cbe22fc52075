//! Why something could not be looked at.
//!
//! May import `failure` and `ports`.

use std::fmt;

use crate::failure::Kind;
use crate::ports::PortError;

/// What a step of an experiment comes to.
pub(super) type Step<T> = Result<T, Obstacle>;

/// Why something could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    message: String,
    /// Snowflake's number of the error, if it answered one.
    code: Option<String>,
    statement: Option<String>,
    /// Whether the account refused the statement for what it is.
    verdict: bool,
    /// Whether it is certain that nothing happened.
    refused: bool,
}

/// Errors that speak of a missing privilege or object, not of the statement
/// (`/developer-guide/sql-api/handling-errors`): 003001 insufficient privileges, 002003 and 002043
/// does not exist or not authorized.
const LACKING: [&str; 5] = ["003001", "003011", "003540", "002003", "002043"];

impl Obstacle {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None, statement: None, verdict: false, refused: true }
    }

    pub(super) fn interrupted() -> Self {
        Self::new("the probe was interrupted")
    }

    pub(super) fn of(error: PortError) -> Self {
        match error {
            PortError::Refused(failure) => {
                let code = code(&failure.message);
                let lacking = code.as_deref().is_none_or(|code| LACKING.contains(&code));
                let verdict = failure.kind != Kind::Usage && !lacking;
                Self { message: failure.message, code, statement: None, verdict, refused: true }
            }
            PortError::Unknown(error) => {
                // A block that failed was answered; a lost connection has no number.
                let message = format!("{error:#}");
                let code = code(&message);
                let verdict = code.is_some();
                Self { message, code, statement: None, verdict, refused: false }
            }
        }
    }

    /// The statement it was met at.
    pub(super) fn at(mut self, sql: &str) -> Self {
        self.statement.get_or_insert_with(|| sql.split_whitespace().collect::<Vec<_>>().join(" "));
        self
    }

    /// Whether the account refused the statement for what it is.
    pub(super) fn is_verdict(&self) -> bool {
        self.verdict
    }

    /// Whether Snowflake looked at the statement and refused it, privileges aside: something that
    /// is not there counts, where everything is ours.
    pub(super) fn is_answer(&self) -> bool {
        self.verdict || matches!(self.code(), Some("002003" | "002043"))
    }

    /// Whether it is certain that the statement did nothing.
    pub(super) fn is_refusal(&self) -> bool {
        self.refused
    }

    /// Snowflake's number of the error.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What was said, without the statement.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

/// `(Snowflake 003001, query …)`, as `words` writes it.
fn code(message: &str) -> Option<String> {
    let (_, rest) = message.rsplit_once("(Snowflake ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(statement) = &self.statement {
            let short: String = statement.chars().take(100).collect();
            let more = if short.len() < statement.len() { "…" } else { "" };
            write!(f, "; at: {short}{more}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_missing_privilege_is_no_verdict_on_the_statement() {
        let refused = |text: &str| Obstacle::of(PortError::Refused(Failure::stopped(text)));
        assert!(!refused("role R lacks a privilege: no (Snowflake 003001, query q)").is_verdict());
        assert!(!refused("it does not exist (Snowflake 002003)").is_verdict());
        assert!(!refused("Snowflake did not answer 5 times").is_verdict());
        let swap = refused("Snowflake refused a statement: Cannot swap (Snowflake 002118)");
        assert!(swap.is_verdict());
        assert_eq!(swap.code(), Some("002118"));
    }
}
