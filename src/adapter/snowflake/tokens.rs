//! Cuts Snowflake SQL into tokens, and nothing is lost: their texts put together are the input.
//!
//! The lexical rules are those of `/sql-reference/identifiers-syntax`,
//! `/sql-reference/data-types-text` (strings with doubled quotes and backslash escapes, and
//! `$$ … $$` without either) and `/sql-reference/sql-all` (comments from `--` or `//` to the end
//! of the line, and `/* … */`). What they leave open is unreadable, not guessed.
//!
//! May import its sibling `ident`.

use std::fmt;

use super::ident::{begins, goes_on};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An unquoted identifier or a keyword.
    Word,
    /// An identifier in double quotes.
    Quoted,
    /// A text in single quotes.
    Text,
    /// A text between `$$` and `$$`.
    Dollar,
    /// A comment of any style.
    Comment,
    /// White space.
    Space,
    /// A number.
    Number,
    /// A stage with its path, such as `@db.schema.stage/folder`.
    Stage,
    /// `$1` or `$name`.
    Variable,
    /// An operator or punctuation mark.
    Mark,
}

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
    /// The byte it begins at.
    pub at: usize,
}

impl Token<'_> {
    /// Whether it means nothing: white space or a comment.
    #[must_use]
    pub fn is_trivia(&self) -> bool {
        matches!(self.kind, Kind::Space | Kind::Comment)
    }

    /// Whether it is this keyword.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Whether it is this mark.
    #[must_use]
    pub fn is_mark(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }

    /// Whether it is an identifier, quoted or not.
    #[must_use]
    pub fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }
}

/// A text whose tokens cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The byte at which it begins.
    pub at: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

const MARKS: [&str; 10] = ["->>", "::", "=>", "->", "||", "<=", ">=", "<>", "!=", ":="];

/// Cuts a text into tokens.
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, Unreadable> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (kind, length) = next(rest).map_err(|what| Unreadable { at, what })?;
        found.push(Token { kind, text: &rest[..length], at });
        at += length;
    }
    Ok(found)
}

/// The kind and length of the first token of a text that is not empty.
fn next(rest: &str) -> Result<(Kind, usize), &'static str> {
    let mut chars = rest.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else {
        return Err("nothing is left to read");
    };
    Ok(match (first, second) {
        (c, _) if c.is_whitespace() => (Kind::Space, run(rest, char::is_whitespace)),
        ('-', Some('-')) | ('/', Some('/')) => (Kind::Comment, line_comment(rest)?),
        ('/', Some('*')) => (Kind::Comment, block_comment(rest)?),
        ('\'', _) => (Kind::Text, single_quoted(rest)?),
        ('"', _) => (Kind::Quoted, double_quoted(rest)?),
        ('$', Some('$')) => {
            let end = rest[2..].find("$$");
            let end = end.ok_or("a text in dollar quotes is never closed")?;
            (Kind::Dollar, end + 4)
        }
        ('$', Some(c)) if c.is_alphanumeric() || c == '_' => {
            (Kind::Variable, 1 + run(&rest[1..], |c| goes_on(c) && c != '$'))
        }
        ('@', Some(c)) if begins(c) || matches!(c, '"' | '~' | '%') => (Kind::Stage, stage(rest)?),
        (c, _) if begins(c) => {
            let length = run(rest, goes_on);
            if rest[..length].contains("$$") {
                return Err("`$$` inside a word may belong to it or begin a text");
            }
            (Kind::Word, length)
        }
        (c, _) if c.is_ascii_digit() => (Kind::Number, number(rest)),
        (c, _) => {
            let mark = MARKS.iter().find(|mark| rest.starts_with(**mark));
            (Kind::Mark, mark.map_or(c.len_utf8(), |mark| mark.len()))
        }
    })
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn line_comment(rest: &str) -> Result<usize, &'static str> {
    let end = rest.find('\n').unwrap_or(rest.len());
    let inside = rest[..end].strip_suffix('\r').unwrap_or(&rest[..end]);
    if inside.contains(['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
        return Err("a comment contains a character that may end its line or not");
    }
    Ok(end)
}

/// Whether comments nest is not documented, so one that looks nested is unreadable.
fn block_comment(rest: &str) -> Result<usize, &'static str> {
    let end = rest[2..].find("*/");
    let end = end.ok_or("a comment is never closed")?;
    if rest[2..2 + end].contains("/*") {
        return Err("a comment inside a comment may end it or not");
    }
    Ok(end + 4)
}

fn single_quoted(rest: &str) -> Result<usize, &'static str> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\\', _) | (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err("a text in quotes is never closed")
}

fn double_quoted(rest: &str) -> Result<usize, &'static str> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err("a quoted identifier is never closed")
}

/// Digits, a fraction and an exponent; a dot belongs to the number only before a digit.
fn number(rest: &str) -> usize {
    let digits = |at: usize| run(&rest[at..], |c| c.is_ascii_digit());
    let mut end = digits(0);
    if rest[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        if digits(end + 1 + sign) > 0 {
            end += 1 + sign + digits(end + 1 + sign);
        }
    }
    end
}

/// `@`, the stage's dotted name (`~` and `%table` included), and a path behind a slash
/// (`/user-guide/querying-stage`).
fn stage(rest: &str) -> Result<usize, &'static str> {
    let mut end = 1;
    while let Some(c) = rest[end..].chars().next() {
        if c == '"' {
            end += double_quoted(&rest[end..])?;
        } else if goes_on(c) || matches!(c, '.' | '~' | '%') {
            end += c.len_utf8();
        } else if c == '/' {
            let ends =
                |c: char| c.is_whitespace() || matches!(c, ')' | '(' | ',' | ';' | '\'' | '"');
            return Ok(end + run(&rest[end..], |c| !ends(c)));
        } else {
            break;
        }
    }
    Ok(end)
}

/// The line and column, both counted from one, of a byte of a text.
#[must_use]
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[begin..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<(Kind, &str)> {
        let all = tokens(text).unwrap();
        all.into_iter()
            .filter(|token| !token.is_trivia())
            .map(|token| (token.kind, token.text))
            .collect()
    }

    #[test]
    fn texts_end_where_snowflake_ends_them() {
        assert_eq!(cut(r"'a''b\'c' x"), [(Kind::Text, r"'a''b\'c'"), (Kind::Word, "x")]);
        assert_eq!(cut(r"'\\' x"), [(Kind::Text, r"'\\'"), (Kind::Word, "x")]);
        assert_eq!(
            cut("$$it's $ -- \"$$x"),
            [(Kind::Dollar, "$$it's $ -- \"$$"), (Kind::Word, "x")]
        );
        assert_eq!(
            cut("\"a\"\"b\".c"),
            [(Kind::Quoted, "\"a\"\"b\""), (Kind::Mark, "."), (Kind::Word, "c")]
        );
    }

    #[test]
    fn comments_are_trivia_and_division_is_not() {
        assert_eq!(
            cut("a--b'\nc//d\n/* e ' */f/g"),
            [
                (Kind::Word, "a"),
                (Kind::Word, "c"),
                (Kind::Word, "f"),
                (Kind::Mark, "/"),
                (Kind::Word, "g"),
            ]
        );
    }

    #[test]
    fn numbers_variables_and_operators_stand_alone() {
        assert_eq!(
            cut("1.5e-3 .5 $1 $x_y a::b v:c=>d"),
            [
                (Kind::Number, "1.5e-3"),
                (Kind::Mark, "."),
                (Kind::Number, "5"),
                (Kind::Variable, "$1"),
                (Kind::Variable, "$x_y"),
                (Kind::Word, "a"),
                (Kind::Mark, "::"),
                (Kind::Word, "b"),
                (Kind::Word, "v"),
                (Kind::Mark, ":"),
                (Kind::Word, "c"),
                (Kind::Mark, "=>"),
                (Kind::Word, "d"),
            ]
        );
    }

    #[test]
    fn a_stage_keeps_its_path_even_where_it_looks_like_a_comment() {
        assert_eq!(
            cut("from @db.\"s x\".st/a--b//c.csv) x"),
            [
                (Kind::Word, "from"),
                (Kind::Stage, "@db.\"s x\".st/a--b//c.csv"),
                (Kind::Mark, ")"),
                (Kind::Word, "x"),
            ]
        );
        assert_eq!(cut("@~/x @%t"), [(Kind::Stage, "@~/x"), (Kind::Stage, "@%t")]);
    }

    #[test]
    fn what_is_not_closed_or_has_two_readings_is_unreadable() {
        for wrong in ["'a", "\"a", "$$a", "/* a", "/* /* */", r"'a\'", "as$$x$$", "-- a\rb\n"] {
            assert!(tokens(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        assert_eq!(place("é\nüx", 5), (2, 2));
        assert_eq!(place("", 0), (1, 1));
    }

    proptest! {
        #[test]
        fn tokens_put_together_are_the_input(text in "([a-c_.\"'$@/*:\\\\\n -]|\\$\\$|--|1e5|é){0,40}") {
            if let Ok(tokens) = tokens(&text) {
                prop_assert!(tokens.iter().all(|token| !token.text.is_empty()));
                let whole: String = tokens.iter().map(|token| token.text).collect();
                prop_assert_eq!(whole, text);
            }
        }

        #[test]
        fn no_text_at_all_makes_it_panic(text in any::<String>()) {
            if let Ok(tokens) = tokens(&text) {
                let whole: String = tokens.iter().map(|token| token.text).collect();
                prop_assert_eq!(whole, text);
            }
        }
    }
}
