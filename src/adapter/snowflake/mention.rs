//! Whether a text literal names a container.
//!
//! A text is never changed, so one that is a name makes the view depend on that name. Which texts
//! are names: those given to functions that take names as texts (`IDENTIFIER('…')`, `TABLE('…')`,
//! `GET_DDL(…, '…')`, `SYSTEM$…('…')`), where any mention counts; those that are a dotted name of
//! the container as a whole; the bare name where the query also asks which database or schema it
//! is in; and any mention of a name that only Switchback gives.
//!
//! May import its siblings.

use super::ident::{Ident, dotted, goes_on};
use super::relink::Rewrite;
use super::scan::Scan;
use super::tokens::{Kind, Token};

/// The names that matter.
pub struct Mentions {
    /// What a dotted name of ours begins with, one list each.
    heads: Vec<Vec<String>>,
    /// The word that must occur if anything does.
    needle: String,
    /// Words in a query that ask for names of this kind.
    asks: &'static str,
}

impl Mentions {
    /// What matters for a rewrite.
    #[must_use]
    pub fn of(rewrite: &Rewrite) -> Self {
        match rewrite {
            Rewrite::DropDatabase(database) => Self {
                heads: vec![vec![database.as_str().to_owned()]],
                needle: database.as_str().to_owned(),
                asks: "DATABASE",
            },
            Rewrite::DropSchema(path) | Rewrite::ReplaceSchema(path, _) => {
                let database = path.database.as_str().to_owned();
                let schema = path.schema.as_str().to_owned();
                Self {
                    needle: schema.clone(),
                    heads: vec![vec![database, schema.clone()], vec![schema]],
                    asks: "SCHEMA",
                }
            }
        }
    }

    /// Whether a query can mention the container at all.
    #[must_use]
    pub fn possible_in(&self, query: &str) -> bool {
        let written = self.needle.replace('"', "\"\"");
        query.to_uppercase().contains(&written.to_uppercase())
            || query.contains(&written)
            // `database..object` is in PUBLIC without saying so.
            || (self.needle == "PUBLIC" && query.contains(".."))
            // A text can be written with escapes.
            || query.contains('\\')
    }

    /// Whether a text literal names the container.
    #[must_use]
    pub fn in_literal(&self, token: &Token<'_>, names: bool, scan: &Scan) -> bool {
        let content = content(token);
        if (names || is_ours(&self.needle)) && mentions(&content, &self.needle) {
            return true;
        }
        let name = content.trim().trim_start_matches('@');
        let name = name.split('/').next().unwrap_or(name);
        let Ok(parts) = dotted(name) else {
            return false;
        };
        if parts.len() > 1 {
            return self.heads.iter().any(|head| begins_with(&parts, head));
        }
        let catalog = |word: &String| word.contains(self.asks) || word.contains("CATALOG");
        let asks = || scan.names.iter().flat_map(|name| &name.values).any(catalog);
        same(&parts[0], &self.needle) && asks()
    }
}

/// The names of build slots; nobody writes one by accident.
fn is_ours(name: &str) -> bool {
    name.to_uppercase().contains("__BUILD_R")
}

/// Functions differ in how they fold a text, so both readings count.
fn same(part: &Ident, name: &str) -> bool {
    part.as_str().to_uppercase() == name.to_uppercase()
}

fn begins_with(parts: &[Ident], head: &[String]) -> bool {
    parts.len() > head.len() && parts.iter().zip(head).all(|(part, name)| same(part, name))
}

/// Whether a word occurs in a text, not as a part of a longer one.
fn mentions(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_uppercase(), word.to_uppercase());
    text.match_indices(&word).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
    })
}

/// What a literal says (`/sql-reference/data-types-text`). Escapes by number are read too.
fn content(token: &Token<'_>) -> String {
    if token.kind == Kind::Dollar {
        return token.text[2..token.text.len() - 2].to_owned();
    }
    let inner = &token.text[1..token.text.len() - 1];
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                chars.next();
                out.push('\'');
            }
            '\\' => out.extend(escape(&mut chars)),
            other => out.push(other),
        }
    }
    out
}

fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let (digits, radix) = match chars.next()? {
        'x' => (2, 16),
        'u' => (4, 16),
        c @ '0'..='7' => {
            let rest: String = chars.as_str().chars().take(2).collect();
            if rest.len() == 2 && rest.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
                chars.nth(1);
                let code = u32::from_str_radix(&format!("{c}{rest}"), 8).ok()?;
                return char::from_u32(code);
            }
            return Some(if c == '0' { '\0' } else { c });
        }
        'n' => return Some('\n'),
        't' => return Some('\t'),
        other => return Some(other),
    };
    let code: String = chars.as_str().chars().take(digits).collect();
    let code = u32::from_str_radix(&code, radix).ok()?;
    chars.nth(digits - 1);
    char::from_u32(code)
}
