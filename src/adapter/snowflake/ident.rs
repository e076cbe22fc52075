//! Snowflake's names: databases, schemas and what lies in them, each a type of its own.
//!
//! Rules (`/sql-reference/identifiers-syntax`): an unquoted identifier begins with a letter or an
//! underscore, goes on with letters, digits, underscores and dollar signs, and is *stored and
//! compared in upper case*; a quoted one is stored and compared exactly as it stands, a quote in
//! it doubled; neither is longer than 255 characters. So a name has one verbatim form, equality is
//! equality of that form, and SQL is always written with the quoted form, which means the same
//! whatever the name looks like. (`QUOTED_IDENTIFIERS_IGNORE_CASE` would fold quoted names too:
//! our sessions set it to false.)
//!
//! May import `adapter::sql`.

use std::fmt;

use crate::adapter::sql;

/// The longest identifier, in characters (`/sql-reference/identifiers-syntax`).
pub const LONGEST: usize = 255;

/// A text that is no identifier, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName(pub String);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadName {}

/// One identifier, as Snowflake stores it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(String);

impl Ident {
    /// A name that is already as Snowflake stores it: a cell of SHOW or of the Information Schema.
    pub fn verbatim(name: impl Into<String>) -> Result<Self, BadName> {
        let name = name.into();
        if name.is_empty() {
            return Err(BadName("an identifier cannot be empty".to_owned()));
        }
        if name.chars().count() > LONGEST {
            return Err(BadName(format!(
                "`{name}` is longer than the {LONGEST} characters Snowflake allows"
            )));
        }
        if name.contains('\0') {
            return Err(BadName(format!("`{name}` contains a NUL character")));
        }
        Ok(Self(name))
    }

    /// A name as it is written in SQL: in double quotes, or not and then folded to upper case.
    pub fn from_sql(text: &str) -> Result<Self, BadName> {
        match dotted(text)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(BadName(format!("`{text}` is not one identifier"))),
        }
    }

    /// A name as dbt's manifest has it: bare, with dbt's `quoting` saying whether dbt quotes it.
    /// dbt-snowflake quotes nothing unless told to, and Snowflake then folds what dbt wrote.
    pub fn from_dbt(name: &str, quoted: bool) -> Result<Self, BadName> {
        if quoted {
            return Self::verbatim(name);
        }
        if !is_plain(name) {
            return Err(BadName(format!(
                "`{name}` needs quotes, and dbt's `quoting` has them off"
            )));
        }
        Self::verbatim(fold(name))
    }

    /// The name as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in double quotes, as it is always written into SQL.
    #[must_use]
    pub fn quoted(&self) -> String {
        sql::identifier(&self.0)
    }
}

/// As a person would write it: without quotes where it means the same.
impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(&self.0) && fold(&self.0) == self.0 {
            f.write_str(&self.0)
        } else {
            f.write_str(&self.quoted())
        }
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a character may begin an unquoted identifier.
#[must_use]
pub fn begins(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Whether a character may go on in an unquoted identifier.
#[must_use]
pub fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(begins) && chars.all(goes_on)
}

/// An unquoted identifier as Snowflake stores it. Letters whose upper case is more than one
/// character stay: folding must not change what a name is made of.
fn fold(text: &str) -> String {
    text.chars()
        .map(|c| {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        })
        .collect()
}

/// The value of a word as the tokenizer cut it out: quoted or not.
#[must_use]
pub(super) fn value(word: &str) -> String {
    match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => fold(word),
    }
}

/// The parts of a dotted name as it is written in SQL, spaces around the dots allowed.
pub fn dotted(text: &str) -> Result<Vec<Ident>, BadName> {
    split(text, fold)
}

/// The parts of a dotted name as SHOW prints it: quotes where they are needed, and what is not
/// quoted is verbatim already.
pub fn dotted_shown(text: &str) -> Result<Vec<Ident>, BadName> {
    split(text, str::to_owned)
}

fn split(text: &str, unquoted: fn(&str) -> String) -> Result<Vec<Ident>, BadName> {
    let wrong = || BadName(format!("`{text}` is not a name"));
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(inner) = rest.strip_prefix('"') {
            let (name, after) = quoted_part(inner).ok_or_else(wrong)?;
            (Ident::verbatim(name)?, after)
        } else {
            let end = rest.find(|c: char| c == '.' || c.is_whitespace()).unwrap_or(rest.len());
            if !is_plain(&rest[..end]) {
                return Err(wrong());
            }
            (Ident::verbatim(unquoted(&rest[..end]))?, &rest[end..])
        };
        parts.push(part);
        rest = after.trim_start();
        match rest.strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => return Ok(parts),
            None => return Err(wrong()),
        }
    }
}

/// The name up to the closing quote, and what follows it.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                name.push('"');
                rest = next;
            }
            None => return Some((name, rest)),
        }
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Ident);

        impl $name {
            /// The name as it is stored.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The name in double quotes, for SQL.
            #[must_use]
            pub fn quoted(&self) -> String {
                self.0.quoted()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The name of a database.
    Database
}
name! {
    /// The name of a schema, without its database.
    Schema
}
name! {
    /// The name of a table, view or other object, without its schema.
    Object
}

/// A schema and the database it lies in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaPath {
    /// The database.
    pub database: Database,
    /// The schema.
    pub schema: Schema,
}

impl SchemaPath {
    /// Reads `database.schema` as it is written in SQL.
    pub fn from_sql(text: &str) -> Result<Self, BadName> {
        match <[Ident; 2]>::try_from(dotted(text)?) {
            Ok([database, schema]) => {
                Ok(Self { database: Database(database), schema: Schema(schema) })
            }
            Err(_) => Err(BadName(format!("`{text}` is not database.schema"))),
        }
    }

    /// For SQL.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", self.database.quoted(), self.schema.quoted())
    }

    /// An object in this schema.
    #[must_use]
    pub fn object(&self, object: Object) -> ObjectPath {
        ObjectPath { schema: self.clone(), object }
    }
}

impl fmt::Display for SchemaPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.schema)
    }
}

/// An object, the schema and the database it lies in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectPath {
    /// Where it lies.
    pub schema: SchemaPath,
    /// Its own name.
    pub object: Object,
}

impl ObjectPath {
    /// Reads `database.schema.object` as it is written in SQL, such as a manifest's
    /// `relation_name`.
    pub fn from_sql(text: &str) -> Result<Self, BadName> {
        Self::of(dotted(text)?, text)
    }

    /// Reads `database.schema.object` as SHOW prints it.
    pub fn from_shown(text: &str) -> Result<Self, BadName> {
        Self::of(dotted_shown(text)?, text)
    }

    fn of(parts: Vec<Ident>, text: &str) -> Result<Self, BadName> {
        match <[Ident; 3]>::try_from(parts) {
            Ok([database, schema, object]) => Ok(Self {
                schema: SchemaPath { database: Database(database), schema: Schema(schema) },
                object: Object(object),
            }),
            Err(_) => Err(BadName(format!("`{text}` is not database.schema.object"))),
        }
    }

    /// For SQL.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", self.schema.quoted(), self.object.quoted())
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.object)
    }
}

#[cfg(test)]
#[path = "ident_tests.rs"]
mod tests;
