//! A Jinja text as tokens, by the rules of Jinja's own lexer as dbt configures it: what is text, what
//! is a comment or raw, and which words inside tags are names, strings or symbols.
//!
//! Lossless: the tokens laid end to end are the text. Nothing is unescaped or interpreted.
//!
//! May import nothing of this crate.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text outside tags, a comment, or what stands in a raw block.
    Data,
    /// `{%`, with its sign.
    BlockBegin,
    /// `%}`, with its sign.
    BlockEnd,
    /// `{{`, with its sign.
    ExprBegin,
    /// `}}`, with its sign.
    ExprEnd,
    /// A name or a keyword.
    Name,
    /// A quoted string, quotes included.
    Text,
    /// Digits.
    Number,
    /// An operator or a bracket.
    Symbol,
    /// White space inside a tag.
    Blank,
}

/// A piece of the text, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub at: Range<usize>,
}

/// The tokens of a text; `None` if a tag, a string or a comment is not closed.
#[must_use]
pub fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    while lexer.at < text.len() {
        lexer.outside()?;
    }
    Some(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Takes this many bytes.
    fn take(&mut self, kind: Kind, bytes: usize) {
        if bytes > 0 {
            self.tokens.push(Token { kind, at: self.at..self.at + bytes });
            self.at += bytes;
        }
    }

    /// Text up to the next tag, and the tag.
    fn outside(&mut self) -> Option<()> {
        let opening = self
            .rest()
            .match_indices('{')
            .map(|(at, _)| at)
            .find(|at| matches!(self.rest().as_bytes().get(at + 1), Some(b'%' | b'{' | b'#')));
        let Some(opening) = opening else {
            self.take(Kind::Data, self.rest().len());
            return Some(());
        };
        self.take(Kind::Data, opening);
        match self.rest().as_bytes()[1] {
            b'#' => {
                let end = self.rest()[2..].find("#}")? + 4;
                self.take(Kind::Data, end);
                Some(())
            }
            b'{' => self.tag(Kind::ExprBegin, Kind::ExprEnd, "}}"),
            _ => match raw(self.rest())? {
                0 => self.tag(Kind::BlockBegin, Kind::BlockEnd, "%}"),
                end => {
                    self.take(Kind::Data, end);
                    Some(())
                }
            },
        }
    }

    fn tag(&mut self, begin: Kind, end: Kind, closing: &str) -> Option<()> {
        let signed = matches!(self.rest().as_bytes().get(2), Some(b'-' | b'+'));
        self.take(begin, 2 + usize::from(signed));
        let mut depth = 0usize;
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            let unsigned = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            // Inside brackets Jinja takes what looks like the end for two brackets.
            if depth == 0 && unsigned.starts_with(closing) {
                let length = rest.len() - unsigned.len() + 2;
                self.take(end, length);
                return Some(());
            }
            if first.is_whitespace() {
                self.take_while(Kind::Blank, char::is_whitespace);
            } else if first == '"' || first == '\'' {
                let length = quoted(rest, first)?;
                self.take(Kind::Text, length);
            } else if first.is_ascii_digit() {
                self.take_while(Kind::Number, |c| c.is_ascii_digit() || c == '_');
            } else if is_word(first) {
                self.take_while(Kind::Name, is_word);
            } else {
                match first {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                let two = ["==", "!=", "<=", ">=", "//", "**"];
                let length =
                    if two.iter().any(|two| rest.starts_with(two)) { 2 } else { first.len_utf8() };
                self.take(Kind::Symbol, length);
            }
        }
    }

    fn take_while(&mut self, kind: Kind, belongs: fn(char) -> bool) {
        let rest = self.rest();
        let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.take(kind, length);
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a quoted string at the beginning of a text.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next()?;
        } else if c == quote {
            return Some(at + 1);
        }
    }
    None
}

/// The length of a raw block at the beginning of a text that begins with `{%`: 0 if it is none.
fn raw(text: &str) -> Option<usize> {
    let Some(mut end) = keyword(text, "raw") else { return Some(0) };
    loop {
        end += text[end..].find("{%")?;
        if let Some(length) = keyword(&text[end..], "endraw") {
            return Some(end + length);
        }
        end += 2;
    }
}

/// The length of a block tag that holds nothing but a word.
fn keyword(text: &str, word: &str) -> Option<usize> {
    let rest = text.strip_prefix("{%")?;
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix(word)?.trim_start();
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(text: &str) -> Vec<(Kind, &str)> {
        let tokens = tokens(text).unwrap();
        tokens
            .into_iter()
            .filter(|token| token.kind != Kind::Blank)
            .map(|token| (token.kind, &text[token.at]))
            .collect()
    }

    #[test]
    fn tags_hold_names_strings_and_symbols() {
        assert_eq!(
            seen("a {%- if x.y == 'it''s' -%} b {{ {'k': {}} }} c"),
            [
                (Kind::Data, "a "),
                (Kind::BlockBegin, "{%-"),
                (Kind::Name, "if"),
                (Kind::Name, "x"),
                (Kind::Symbol, "."),
                (Kind::Name, "y"),
                (Kind::Symbol, "=="),
                (Kind::Text, "'it'"),
                (Kind::Text, "'s'"),
                (Kind::BlockEnd, "-%}"),
                (Kind::Data, " b "),
                (Kind::ExprBegin, "{{"),
                (Kind::Symbol, "{"),
                (Kind::Text, "'k'"),
                (Kind::Symbol, ":"),
                (Kind::Symbol, "{"),
                (Kind::Symbol, "}"),
                (Kind::Symbol, "}"),
                (Kind::ExprEnd, "}}"),
                (Kind::Data, " c"),
            ]
        );
    }

    #[test]
    fn comments_raw_blocks_and_strings_hide_tags() {
        for hidden in [
            "{# {% macro x() %} #}",
            "{% raw %}{% macro x() %}{{ {% endraw %}",
            "{%- raw -%}{% endmacro %}{%- endraw -%}",
        ] {
            assert_eq!(seen(hidden)[0], (Kind::Data, hidden));
        }
        assert_eq!(seen("{{ '}} {% macro x() %}' }}").len(), 3);
        assert_eq!(seen(r"{{ 'it\'s }}' }}")[1], (Kind::Text, r"'it\'s }}'"));
        assert_eq!(seen("{ % a { } #}"), [(Kind::Data, "{ % a { } #}")]);
    }

    #[test]
    fn what_is_not_closed_is_no_template() {
        for open in ["{{ x", "{% if", "{# x", "{{ 'x }}", "{% raw %}{% endra %}", "{{ '\\"] {
            assert_eq!(tokens(open), None, "{open}");
        }
    }

    proptest! {
        #[test]
        fn tokens_are_the_whole_text_whatever_it_holds(
            text in "(\\{%|%\\}|\\{\\{|\\}\\}|\\{#|#\\}|-|raw|endraw|'|\"|\\\\|[a-z_é{}().= \n])*",
        ) {
            if let Some(tokens) = tokens(&text) {
                let whole: String = tokens.iter().map(|token| &text[token.at.clone()]).collect();
                prop_assert_eq!(whole, text);
            }
        }
    }
}
