//! Why a view's text was not changed: where in it, and which words.
//!
//! May import its sibling `tokens`.

use std::fmt;

use super::tokens;

/// What cannot be told, or cannot be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The text cannot be cut into tokens.
    Unreadable(&'static str),
    /// A text literal names the container.
    InText,
    /// A name in an expression that could be an object or a path into a column.
    Ambiguous,
    /// A name in an expression that begins like an alias, a CTE or a column of the same name.
    Shadowed,
    /// More parts than a name can have.
    TooManyParts,
    /// `database..object`: PUBLIC by definition, which the rewritten name would not say.
    DoubleDot,
    /// A user-defined type.
    Type,
    /// Without its schema the name would mean a CTE of this query.
    HiddenByCte,
    /// Without its schema the name could mean a function of Snowflake's own.
    Function,
    /// `GET_DDL` hides a policy that this role may not see (`/sql-reference/functions/get_ddl`).
    UnknownPolicy,
    /// `GET_DDL` hides a tag that this role may not see.
    UnknownTag,
    /// The stored text is not one plain `CREATE VIEW … AS …`.
    NotAView(&'static str),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable(what) | Self::NotAView(what) => what,
            Self::InText => "a text names the container, and texts are never changed",
            Self::Ambiguous => "this may be an object's name or a path into a column",
            Self::Shadowed => "an alias, CTE or column has the container's name",
            Self::TooManyParts => "this has more parts than a name can have",
            Self::DoubleDot => "two dots stand for the schema PUBLIC; write it out",
            Self::Type => "this names a type of its own",
            Self::HiddenByCte => "without its schema this would mean the CTE of the same name",
            Self::Function => "without its schema this may mean a function of Snowflake's own",
            Self::UnknownPolicy => "a policy on this view is not visible to this role",
            Self::UnknownTag => "a tag on this view is not visible to this role",
        })
    }
}

/// One place in a view's text that cannot be changed faithfully.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// The words in question.
    pub text: String,
    /// What is the matter with them.
    pub why: Why,
}

impl Doubt {
    /// A doubt about `words` of `text`, which begin at byte `at`.
    #[must_use]
    pub fn at(text: &str, at: usize, words: &str, why: Why) -> Self {
        let (line, column) = tokens::place(text, at);
        let mut words: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.chars().count() > 80 {
            words = words.chars().take(79).chain(['…']).collect();
        }
        Self { line, column, text: words, why }
    }

    /// The same doubt where the text it is about begins at byte `from` of `whole`.
    #[must_use]
    pub fn within(mut self, whole: &str, from: usize) -> Self {
        let (line, column) = tokens::place(whole, from);
        if self.line == 1 {
            self.column += column - 1;
        }
        self.line += line - 1;
        self
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text, why } = self;
        write!(f, "line {line}, column {column}: `{text}`: {why}")
    }
}
