//! Names inside the text of functions. PostgreSQL binds what it parsed by identity, but the body of
//! a function in a string is read when it runs: there a schema is known by its name. So a body that
//! names live is made to name the build while it is in the build, and live again when it is live.
//!
//! A mention is the schema's name, a dot, and the name of something that lies there, also inside
//! strings (a statement that is put together) and comments; or the schema in a `search_path`. Names
//! that are put together at run time are not seen; a string that is just the schema's name is named
//! as a doubt.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use super::super::definitions::rows;
use crate::adapter::sql::{identifier, literal};
use crate::ports::Answer;

/// Schema → names of what lies in it.
pub type Names = BTreeMap<String, BTreeSet<String>>;

/// The names of what lies in those schemas.
pub async fn names(client: &Client, schemas: &[String]) -> Answer<Names> {
    let sql = "SELECT n.nspname::text AS schema, o.name::text AS name FROM pg_namespace n JOIN ( \
               SELECT relnamespace AS of, relname AS name FROM pg_class UNION ALL \
               SELECT pronamespace, proname FROM pg_proc UNION ALL \
               SELECT typnamespace, typname FROM pg_type) o ON o.of = n.oid \
               WHERE n.nspname = ANY ($1::text[])";
    let mut names = Names::new();
    for row in rows(client, sql, &[&schemas]).await? {
        names.entry(row.get("schema")).or_default().insert(row.get("name"));
    }
    Ok(names)
}

/// The text with every mention of a pair's first schema turned into its second. `names` says what
/// lies in the first.
#[must_use]
pub fn repoint(text: &str, pairs: &[(String, String)], names: &Names) -> String {
    let mut out = String::with_capacity(text.len());
    scan(text, &mut |piece| match piece {
        Piece::Text(text) => out.push_str(text),
        Piece::Schema { schema, written, of } => {
            match pairs.iter().find(|(from, _)| from == schema) {
                Some((_, to)) if of.is_none_or(|name| lies_in(names, schema, name)) => {
                    out.push_str(&as_written(written, to));
                }
                _ => out.push_str(written),
            }
        }
    });
    out
}

/// Mentions of those schemas, as `schema.name` or `search_path … schema`.
#[must_use]
pub fn mentions(text: &str, schemas: &[String], names: &Names) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    scan(text, &mut |piece| {
        if let Piece::Schema { schema, of, .. } = piece
            && schemas.iter().any(|one| one == schema)
        {
            match of {
                Some(name) if lies_in(names, schema, name) => {
                    let name = name.split('$').next().unwrap_or_default();
                    found.insert(format!("{schema}.{name}"));
                }
                Some(_) => {}
                None => {
                    found.insert(format!("search_path {schema}"));
                }
            }
        }
    });
    found
}

/// Strings in a function that are nothing but the name of a schema.
#[must_use]
pub fn doubts(text: &str, schemas: &[String]) -> Vec<String> {
    let head = text.split('(').next().unwrap_or_default();
    let head = head.trim_start_matches("CREATE OR REPLACE ");
    schemas
        .iter()
        .filter(|schema| text.contains(&literal(schema)))
        .map(|schema| {
            format!(
                "the text of {head} has the string {}: where it puts a name together from it, it \
                 goes on naming production during the build",
                literal(schema)
            )
        })
        .collect()
}

fn lies_in(names: &Names, schema: &str, name: &str) -> bool {
    let Some(names) = names.get(schema) else { return false };
    names.contains(name) || name.split_once('$').is_some_and(|(short, _)| names.contains(short))
}

enum Piece<'a> {
    Text(&'a str),
    /// A word that may be a schema: before a dot and a name, or (`of` is none) in a search path.
    Schema {
        schema: &'a str,
        written: &'a str,
        of: Option<&'a str>,
    },
}

/// A word: what it says (folded), and how long it is as written.
fn word(text: &str) -> Option<(String, usize)> {
    let mut chars = text.char_indices();
    match chars.next()? {
        (_, quote @ ('"' | '\'')) => {
            let mut value = String::new();
            while let Some((at, c)) = chars.next() {
                if c == '\n' {
                    return None;
                }
                if c != quote {
                    value.push(c);
                } else if text[at + 1..].starts_with(quote) {
                    chars.next();
                    value.push(quote);
                } else {
                    return Some((value, at + 1));
                }
            }
            None
        }
        (_, c) if starts(c) => {
            let end = text.find(|c| !goes_on(c)).unwrap_or(text.len());
            Some((text[..end].to_ascii_lowercase(), end))
        }
        _ => None,
    }
}

fn starts(c: char) -> bool {
    c.is_alphabetic() || c == '_' || !c.is_ascii()
}

/// A dollar can be part of a name, but more often it ends the text that the name stands in: where it
/// follows, the name counts with and without it.
fn goes_on(c: char) -> bool {
    starts(c) || c.is_ascii_digit()
}

fn skip_blanks(text: &str, at: usize) -> usize {
    at + (text[at..].len() - text[at..].trim_start().len())
}

/// Cuts a text into words that may be schemas and the rest.
fn scan(text: &str, tell: &mut dyn FnMut(Piece<'_>)) {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let found = if rest.starts_with('\'') { None } else { word(rest) };
        let Some((value, length)) = found else {
            tell(Piece::Text(&rest[..first]));
            at += first;
            continue;
        };
        if value == "search_path" {
            at += search_path(rest, length, tell);
            continue;
        }
        let dot = skip_blanks(rest, length);
        if rest[dot..].starts_with('.') {
            let next = skip_blanks(rest, dot + 1);
            if !rest[next..].starts_with('\'')
                && let Some((mut name, end)) = word(&rest[next..])
            {
                let after = &rest[next + end..];
                if after.starts_with('$') {
                    let end = after.find(|c| c != '$' && !goes_on(c)).unwrap_or(after.len());
                    name.push_str(&after[..end].to_ascii_lowercase());
                }
                tell(Piece::Schema { schema: &value, written: &rest[..length], of: Some(&name) });
                at += length;
                continue;
            }
        }
        // Inside a string a quote may open nothing: go on right after it.
        let step = if rest.starts_with('"') { first } else { length };
        tell(Piece::Text(&rest[..step]));
        at += step;
    }
}

/// The words of a search path, to the end of its statement or line; answers how far it went.
fn search_path(rest: &str, length: usize, tell: &mut dyn FnMut(Piece<'_>)) -> usize {
    tell(Piece::Text(&rest[..length]));
    let mut at = length;
    let blanks = skip_blanks(rest, at);
    let sets = rest[blanks..].starts_with(['=', ','])
        || rest[blanks..].starts_with("',")
        || word(&rest[blanks..]).is_some_and(|(value, _)| value == "to");
    if !sets {
        return length;
    }
    let end = rest[at..].find([';', '\n', ')']).map_or(rest.len(), |found| at + found);
    while at < end {
        let here = &rest[at..end];
        match word(here) {
            // A list in one string is read from within.
            Some((value, length)) if !(here.starts_with('\'') && value.contains(',')) => {
                tell(Piece::Schema { schema: &value, written: &here[..length], of: None });
                at += length;
            }
            _ => {
                let first = here.chars().next().map_or(1, char::len_utf8);
                tell(Piece::Text(&here[..first]));
                at += first;
            }
        }
    }
    at
}

/// A name in the manner of another.
fn as_written(written: &str, name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match written.chars().next() {
        Some('\'') => literal(name),
        Some('"') => identifier(name),
        _ if plain => name.to_owned(),
        _ => identifier(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn world() -> (Vec<(String, String)>, Names) {
        let pairs = vec![("shop".to_owned(), "shop__build_r2".to_owned())];
        let names = ["orders", "Odd Name", "total"].map(str::to_owned).into();
        (pairs, Names::from([("shop".to_owned(), names)]))
    }

    fn there(text: &str) -> String {
        let (pairs, names) = world();
        repoint(text, &pairs, &names)
    }

    #[test]
    fn mentions_move_whatever_they_stand_in() {
        for (before, after) in [
            ("select * from shop.orders o", "select * from shop__build_r2.orders o"),
            ("$f$select 1 from shop.orders$f$", "$f$select 1 from shop__build_r2.orders$f$"),
            ("$f$shop.or$ders$f$", "$f$shop.or$ders$f$"),
            ("select SHOP . Orders", "select shop__build_r2 . Orders"),
            (r#""shop"."Odd Name""#, r#""shop__build_r2"."Odd Name""#),
            ("execute 'table shop.orders'", "execute 'table shop__build_r2.orders'"),
            ("'5\" x shop.orders \"'", "'5\" x shop__build_r2.orders \"'"),
            (
                " SET search_path TO 'shop', 'public'\n",
                " SET search_path TO 'shop__build_r2', 'public'\n",
            ),
            ("set search_path = shop, public; x", "set search_path = shop__build_r2, public; x"),
            (
                "set_config('search_path', 'shop', true)",
                "set_config('search_path', 'shop__build_r2', true)",
            ),
            (
                "set_config('search_path', 'shop, public', true)",
                "set_config('search_path', 'shop__build_r2, public', true)",
            ),
            ("db.shop.orders", "db.shop__build_r2.orders"),
        ] {
            assert_eq!(there(before), after);
        }
    }

    #[test]
    fn what_only_looks_like_a_mention_stays() {
        for text in [
            "shop.unknown",
            "myshop.orders",
            "shop_orders",
            "'shop'",
            "bob@shop.com",
            "shop := 1; orders",
            "show search_path; shop",
        ] {
            assert_eq!(there(text), text);
        }
    }

    #[test]
    fn a_string_that_is_the_schema_is_a_doubt() {
        let (pairs, _) = world();
        let lives = [pairs[0].0.clone()];
        let text = "CREATE OR REPLACE FUNCTION shop__build_r2.f() AS 'format(''%I'', ''shop'')'";
        let found = doubts(&format!("{text} 'shop'"), &lives);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("FUNCTION shop__build_r2.f"), "{found:?}");
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(text in r#"([a-z"'.;=, \n()$]|shop|orders|search_path|to| )*"#) {
            let (pairs, names) = world();
            let back = vec![(pairs[0].1.clone(), pairs[0].0.clone())];
            let other = Names::from([(pairs[0].1.clone(), names["shop"].clone())]);
            prop_assert_eq!(repoint(&there(&text), &back, &other), text);
        }
    }
}
