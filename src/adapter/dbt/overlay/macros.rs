//! The macros that a Jinja text defines: their names, signatures and bodies, by token.
//!
//! May import its sibling `lex`.

use std::ops::Range;

use super::lex::{Kind, Token};

/// A macro's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Where the name stands, in bytes.
    pub name_at: Range<usize>,
    /// What stands between the brackets, in bytes.
    pub signature: Range<usize>,
    /// The parameters' names, in order.
    pub params: Vec<String>,
    /// The tokens of its body, by index.
    pub body: Range<usize>,
}

/// The definitions in a text, as dbt finds them: `{% macro` or `{%- macro` outside other macros.
#[must_use]
pub fn definitions(text: &str, tokens: &[Token]) -> Vec<Definition> {
    let mut found: Vec<Definition> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match definition(text, tokens, at) {
            Some(definition) => {
                at = definition.body.end;
                found.push(definition);
            }
            None => at += 1,
        }
    }
    found
}

fn definition(text: &str, tokens: &[Token], at: usize) -> Option<Definition> {
    let begin = &tokens[at];
    // dbt does not see a tag that begins with `{%+`.
    if begin.kind != Kind::BlockBegin || text[begin.at.clone()].ends_with('+') {
        return None;
    }
    let keyword = next(tokens, at)?;
    if !is_word(text, &tokens[keyword], "macro") {
        return None;
    }
    let name = next(tokens, keyword)?;
    let open = next(tokens, name)?;
    if tokens[name].kind != Kind::Name || !is_symbol(text, &tokens[open], "(") {
        return None;
    }
    let close = closing(text, tokens, open)?;
    let end = next(tokens, close)?;
    if tokens[end].kind != Kind::BlockEnd {
        return None;
    }
    let body_end = (end..tokens.len()).find(|at| {
        let keyword = next(tokens, *at);
        tokens[*at].kind == Kind::BlockBegin
            && keyword.is_some_and(|keyword| is_word(text, &tokens[keyword], "endmacro"))
    })?;
    Some(Definition {
        name: text[tokens[name].at.clone()].to_owned(),
        name_at: tokens[name].at.clone(),
        signature: tokens[open].at.end..tokens[close].at.start,
        params: params(text, tokens, open..close),
        body: end + 1..body_end,
    })
}

/// The first name after the opening bracket and after every comma that stands in no inner bracket.
fn params(text: &str, tokens: &[Token], between: Range<usize>) -> Vec<String> {
    let mut params = Vec::new();
    let mut depth = 0;
    for at in between {
        match &text[tokens[at].at.clone()] {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        let begins = is_symbol(text, &tokens[at], ",") || is_symbol(text, &tokens[at], "(");
        if depth == 1
            && begins
            && let Some(name) = next(tokens, at)
            && tokens[name].kind == Kind::Name
        {
            params.push(text[tokens[name].at.clone()].to_owned());
        }
    }
    params
}

/// The bracket that closes the one at this token.
#[must_use]
pub fn closing(text: &str, tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Symbol => match &text[token.at.clone()] {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            },
            Kind::BlockEnd | Kind::ExprEnd => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The next token that is no blank.
#[must_use]
pub fn next(tokens: &[Token], at: usize) -> Option<usize> {
    (at + 1..tokens.len()).find(|at| tokens[*at].kind != Kind::Blank)
}

/// The token before that is no blank.
#[must_use]
pub fn before(tokens: &[Token], at: usize) -> Option<usize> {
    (0..at).rev().find(|at| tokens[*at].kind != Kind::Blank)
}

/// Whether a token is this name.
#[must_use]
pub fn is_word(text: &str, token: &Token, word: &str) -> bool {
    token.kind == Kind::Name && &text[token.at.clone()] == word
}

/// Whether a token is this symbol.
#[must_use]
pub fn is_symbol(text: &str, token: &Token, symbol: &str) -> bool {
    token.kind == Kind::Symbol && &text[token.at.clone()] == symbol
}

#[cfg(test)]
mod tests {
    use super::super::lex::tokens;
    use super::*;

    fn found(text: &str) -> Vec<(String, String, Vec<String>)> {
        let tokens = tokens(text).unwrap();
        definitions(text, &tokens)
            .into_iter()
            .map(|one| (one.name, text[one.signature].to_owned(), one.params))
            .collect()
    }

    #[test]
    fn definitions_are_found_with_their_parameters() {
        let text = "{#- {% macro no() %} -#}\n{%-macro a ( x , y=none)-%}{{ y }}{%- endmacro -%}\n\
            -- {% macro b(c: list[string] = [1, 2], d=f(g, h)) %}{% endmacro %}\n\
            {% raw %}{% macro no() %}{% endmacro %}{% endraw %}{% macro e() %}{% endmacro %}";
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(
            found(text),
            [
                ("a".into(), " x , y=none".into(), words(&["x", "y"])),
                ("b".into(), "c: list[string] = [1, 2], d=f(g, h)".into(), words(&["c", "d"])),
                ("e".into(), String::new(), Vec::new()),
            ]
        );
    }

    #[test]
    fn what_is_no_definition_is_passed_over() {
        for text in [
            "{%+ macro x() %}{% endmacro %}",
            "{% macro x %}{% endmacro %}",
            "{% macro x() %}",
            "{% call macro() %}{% endcall %}",
            "{{ macro }}",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
