//! What SHOW printed, by column name, and lists that are longer than one SHOW may print.
//!
//! SHOW without LIMIT over 10,000 rows is an error, and SHOW OBJECTS drops the rest without a word;
//! `LIMIT 10000 FROM 'name'` goes on after a name (`/sql-reference/sql/show`), which only works
//! where names are unique: schema by schema.
//!
//! May import `ports` and its siblings.

use crate::adapter::snowflake::grants::Container;
use crate::adapter::snowflake::ident::{Database, Ident, Schema, SchemaPath};
use crate::adapter::snowflake::session::{Sessions, Tag, literal};
use crate::failure::Failure;
use crate::ports::{Answer, PortError, Rows};

/// How many rows SHOW prints.
pub(super) const PAGE: usize = 10_000;

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

/// The rows of an answer.
pub(super) fn lines(rows: &Rows) -> impl Iterator<Item = Line<'_>> {
    rows.rows.iter().map(|cells| Line { columns: &rows.columns, cells })
}

impl<'a> Line<'a> {
    /// A cell; `None` if there is no such column, or it is NULL.
    pub(super) fn cell(self, column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        self.cells.get(at)?.as_deref()
    }

    /// A cell, empty if it is absent.
    pub(super) fn text(self, column: &str) -> &'a str {
        self.cell(column).unwrap_or_default()
    }

    /// A cell that says yes, in any of Snowflake's ways.
    pub(super) fn says(self, column: &str) -> bool {
        matches!(self.text(column).to_ascii_lowercase().as_str(), "y" | "yes" | "true")
    }

    /// A name.
    pub(super) fn ident(self, column: &str) -> Answer<Ident> {
        Ident::verbatim(self.text(column)).map_err(|_| {
            let row: Vec<&str> = self.cells.iter().flatten().map(String::as_str).collect();
            let row = row.join(", ");
            Failure::stopped(format!("Snowflake printed a row without {column}: {row}")).into()
        })
    }
}

/// Whether a schema is Snowflake's own.
pub(super) fn is_system(schema: &Ident) -> bool {
    schema.as_str() == "INFORMATION_SCHEMA"
}

/// The schemas that a container is or has, Snowflake's own left out.
pub(super) fn paths<'a>(
    container: &Container,
    schemas: impl Iterator<Item = &'a Ident>,
) -> Vec<SchemaPath> {
    match container {
        Container::Schema(path) => vec![path.clone()],
        Container::Database(database) => {
            let path = |schema: &Ident| SchemaPath {
                database: database.clone(),
                schema: Schema(schema.clone()),
            };
            schemas.map(path).collect()
        }
    }
}

/// A path's schema as a container.
pub(super) fn schema(path: &SchemaPath) -> Container {
    Container::Schema(path.clone())
}

/// The SHOW that prints a container's own row.
pub(super) fn own_row(container: &Container) -> String {
    match container {
        Container::Database(Database(name)) => {
            format!("SHOW DATABASES LIKE {}", literal(&pattern(name.as_str())))
        }
        Container::Schema(path) => format!(
            "SHOW SCHEMAS LIKE {} IN DATABASE {}",
            literal(&pattern(path.schema.as_str())),
            path.database.quoted()
        ),
    }
}

/// A LIKE pattern that fits a name, and perhaps others: LIKE ignores case, and how it escapes is
/// not said for SHOW. Whoever asks looks for the very name in the answer.
fn pattern(text: &str) -> String {
    text.replace('\\', "_")
}

/// What a container is called in its own row.
pub(super) fn own_name(container: &Container) -> &Ident {
    match container {
        Container::Database(database) => &database.0,
        Container::Schema(path) => &path.schema.0,
    }
}

/// Everything that `SHOW <what> IN <container>` would print, were it not cut off.
pub(super) async fn list(
    sessions: &Sessions,
    tag: &Tag,
    what: &str,
    container: &Container,
    schemas: &[SchemaPath],
    page: usize,
) -> Answer<Rows> {
    let whole = sessions.read(tag, &format!("SHOW {what} IN {}", container.sql())).await;
    match whole {
        Ok(rows) if rows.rows.len() < page => return Ok(rows),
        Ok(_) => {}
        Err(PortError::Refused(failure)) if is_too_long(&failure) => {}
        Err(error) => return Err(error),
    }
    let mut all = Rows::default();
    for path in schemas {
        let mut last: Option<String> = None;
        loop {
            let from = last.map(|name| format!(" FROM {}", literal(&name))).unwrap_or_default();
            let sql = format!("SHOW {what} IN SCHEMA {} LIMIT {page}{from}", path.quoted());
            let rows = sessions.read(tag, &sql).await?;
            let count = rows.rows.len();
            last = lines(&rows).last().map(|line| line.text("name").to_owned());
            all.columns = rows.columns;
            all.rows.extend(rows.rows);
            if count < page || last.is_none() {
                break;
            }
        }
    }
    Ok(all)
}

pub(super) fn is_too_long(failure: &Failure) -> bool {
    failure.message.contains("exceeded the max number of rows")
}

/// Whether a statement was refused because Snowflake does not know it: a feature that is not there
/// in this account.
pub(super) fn is_unknown_here(failure: &Failure) -> bool {
    ["(Snowflake 001003", "(Snowflake 000002"].iter().any(|code| failure.message.contains(code))
}

/// A few of many, for a sentence.
pub(super) fn few<T: std::fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    match all.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", all[..SHOWN].join(", ")),
        _ => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_the_name() {
        let database = Container::Database(Database(Ident::verbatim("it's\\").unwrap()));
        assert_eq!(own_row(&database), "SHOW DATABASES LIKE 'it''s_'");
    }

    #[test]
    fn a_few_of_many_say_how_many_more() {
        assert_eq!(few([1, 2]), "1, 2");
        assert_eq!(few(1..=10), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
    }
}
