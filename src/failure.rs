//! How a run fails: kinds, exit codes and what to type next. The exit code is decided here and
//! nowhere else.
//!
//! May import `domain`.

use std::fmt;

use serde::Serialize;

/// The kinds of failure; each has one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Something that should not happen.
    Unexpected,
    /// Bad usage or configuration, an unknown or ambiguous target; nothing was touched.
    Usage,
    /// Stopped before publishing; production is untouched.
    Stopped,
    /// Published, then swapped back by itself.
    SwappedBack,
    /// A hold refuses it.
    Held,
    /// Another run has the lease.
    Locked,
    /// An interrupted operation must be recovered first.
    Unfinished,
    /// Ended by SIGINT.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Kind {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::Stopped => 3,
            Self::SwappedBack => 4,
            Self::Held | Self::Locked => 5,
            Self::Unfinished => 6,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// A failure as the user meets it.
#[derive(Debug)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What happened.
    pub message: String,
    /// What state production is in, in one sentence.
    pub production: Option<String>,
    /// What to type next.
    pub next: Option<String>,
    /// The cause, for `anyhow`'s chain.
    pub source: Option<anyhow::Error>,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), production: None, next: None, source: None }
    }

    /// Bad usage or configuration; nothing was touched.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Stopped before publishing.
    pub fn stopped(message: impl Into<String>) -> Self {
        Self::new(Kind::Stopped, message)
    }

    /// Adds what to type next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds what state production is in, unless that was said closer to the cause.
    #[must_use]
    pub fn production(mut self, state: impl Into<String>) -> Self {
        self.production.get_or_insert_with(|| state.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: anyhow::Error) -> Self {
        self.source = Some(source);
        self
    }

    /// The message with the chain of its causes.
    #[must_use]
    pub fn explanation(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {source:#}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explanation())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::new(Kind::Unexpected, format!("{error:#}")),
        }
    }
}

impl std::error::Error for Failure {}

/// A result whose error has a kind.
pub type Outcome<T> = Result<T, Failure>;
