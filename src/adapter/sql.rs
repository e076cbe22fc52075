//! SQL text: identifiers and literals are quoted here and nowhere else.
//!
//! May import nothing of this crate.

/// An identifier in double quotes, as ANSI SQL, PostgreSQL, Snowflake and DuckDB read it.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal in single quotes. For warehouses that read backslashes literally (DuckDB,
/// PostgreSQL with `standard_conforming_strings`).
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_inside_names_and_texts_are_doubled() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
    }
}
