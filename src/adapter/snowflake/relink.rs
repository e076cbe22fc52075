//! Makes a view's query independent of the name of the container it lies in.
//!
//! A name that leaves its database (or its database and schema) out is looked up in the view's own
//! (`/sql-reference/sql/create-view`), so a query that names a build database means the right
//! thing under any name once that qualifier is dropped. Only identifier tokens are touched, and
//! only where they can be nothing but the name of an object; whatever may be a reference and may
//! not is a [`Doubt`], and a query with a doubt is not to be re-created.
//!
//! The header of a `CREATE VIEW` is no query: names there are looked up in the *session's*
//! database and must stay complete ([`super::view`] sees to that).
//!
//! May import its siblings.

use super::doubt::{Doubt, Why};
use super::edit::{Edit, apply};
use super::ident::{Database, Schema, SchemaPath, value};
use super::mention::Mentions;
use super::scan::{Name, Place, Scan, scan};
use super::tokens::{Token, tokens};

/// What becomes of a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// `database.schema.object` becomes `schema.object`.
    DropDatabase(Database),
    /// `database.schema.object` and `schema.object` become `object`.
    DropSchema(SchemaPath),
    /// `database.schema.object` and `schema.object` get another schema.
    ReplaceSchema(SchemaPath, Schema),
}

/// A query with its references rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relinked {
    /// The query; where there are doubts it is not to be used.
    pub text: String,
    /// How many references were rewritten.
    pub changed: usize,
    /// What could not be told, in order.
    pub doubts: Vec<Doubt>,
}

impl Relinked {
    /// The query, unless something in it could not be told.
    pub fn faithful(self) -> Result<String, Vec<Doubt>> {
        if self.doubts.is_empty() { Ok(self.text) } else { Err(self.doubts) }
    }
}

/// Drops the database from every reference to an object of that database.
#[must_use]
pub fn relink(query: &str, database: &Database) -> Relinked {
    rewrite(query, &Rewrite::DropDatabase(database.clone()))
}

/// Rewrites the references of a query.
#[must_use]
pub fn rewrite(query: &str, rewrite: &Rewrite) -> Relinked {
    let unchanged = |doubts| Relinked { text: query.to_owned(), changed: 0, doubts };
    let mentions = Mentions::of(rewrite);
    if !mentions.possible_in(query) {
        return unchanged(Vec::new());
    }
    let tokens = match tokens(query) {
        Ok(tokens) => tokens,
        Err(wrong) => {
            let rest: String = query[wrong.at..].chars().take(40).collect();
            let why = Why::Unreadable(wrong.what);
            return unchanged(vec![Doubt::at(query, wrong.at, &rest, why)]);
        }
    };
    let scan = scan(&tokens);
    let mut work = Work {
        query,
        tokens: &tokens,
        scan: &scan,
        rewrite,
        edits: Vec::new(),
        changed: 0,
        doubts: Vec::new(),
    };
    for name in &scan.names {
        work.name(name);
    }
    for stage in &scan.stages {
        work.stage(&tokens[*stage]);
    }
    for literal in &scan.literals {
        let token = &tokens[literal.token];
        if mentions.in_literal(token, literal.names, &scan) {
            work.doubt(token.at, token.text, Why::InText);
        }
    }
    work.doubts.sort_by_key(|doubt| (doubt.line, doubt.column));
    Relinked { text: apply(query, work.edits), changed: work.changed, doubts: work.doubts }
}

/// How a name begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    /// With the database; the object's name has three parts.
    Database,
    /// With the schema; it has two.
    Schema,
}

impl Head {
    fn parts(self) -> usize {
        match self {
            Self::Database => 3,
            Self::Schema => 2,
        }
    }
}

enum Verdict {
    Leave,
    Rewrite,
    Doubt(Why),
}

struct Work<'a> {
    query: &'a str,
    tokens: &'a [Token<'a>],
    scan: &'a Scan,
    rewrite: &'a Rewrite,
    edits: Vec<Edit>,
    changed: usize,
    doubts: Vec<Doubt>,
}

impl Work<'_> {
    fn doubt(&mut self, at: usize, words: &str, why: Why) {
        self.doubts.push(Doubt::at(self.query, at, words, why));
    }

    fn head(&self, values: &[String]) -> Option<Head> {
        let first = values.first()?;
        match self.rewrite {
            Rewrite::DropDatabase(database) => {
                (first == database.as_str()).then_some(Head::Database)
            }
            Rewrite::DropSchema(path) | Rewrite::ReplaceSchema(path, _) => {
                if first == path.database.as_str()
                    && values.get(1).is_some_and(|second| second == path.schema.as_str())
                    && values.len() > 2
                {
                    return Some(Head::Database);
                }
                (first == path.schema.as_str()).then_some(Head::Schema)
            }
        }
    }

    fn name(&mut self, name: &Name) {
        if self.is_double_dot(name) {
            let first = &self.tokens[name.parts[0]];
            self.doubt(first.at, &self.words(name), Why::DoubleDot);
            return;
        }
        let Some(head) = self.head(&name.values) else {
            return;
        };
        let at = self.tokens[name.parts[0]].at;
        match self.verdict(name, head) {
            Verdict::Leave => {}
            Verdict::Doubt(why) => self.doubt(at, &self.words(name), why),
            Verdict::Rewrite => {
                self.changed += 1;
                let span = |index: usize| {
                    let token = &self.tokens[index];
                    token.at..token.at + token.text.len()
                };
                let (first, second) = (span(name.parts[0]), span(name.parts[1]));
                let mut drop = vec![first.clone(), span(name.dots[0])];
                match (self.rewrite, head) {
                    (Rewrite::DropDatabase(_), _) | (Rewrite::DropSchema(_), Head::Schema) => {}
                    (Rewrite::DropSchema(_), Head::Database) => {
                        drop.extend([second, span(name.dots[1])]);
                    }
                    (Rewrite::ReplaceSchema(_, to), head) => {
                        let schema = if head == Head::Database { second } else { first };
                        drop.clear();
                        self.edits.push((schema, to.quoted()));
                    }
                }
                self.edits.extend(drop.into_iter().map(|span| (span, String::new())));
            }
        }
    }

    /// Whether a name of ours has dots that belong to no part. A name that begins with a schema
    /// of ours and two dots begins with a *database* of that name.
    fn is_double_dot(&self, name: &Name) -> bool {
        let database = match self.rewrite {
            Rewrite::DropDatabase(database) => database,
            Rewrite::DropSchema(path) | Rewrite::ReplaceSchema(path, _) => &path.database,
        };
        name.dots.len() >= name.parts.len()
            && name.values[0] == database.as_str()
            && name.place != Place::Inside
    }

    /// The name as it is written.
    fn words(&self, name: &Name) -> String {
        let last = name.parts.iter().chain(&name.dots).max().copied();
        let last = last.unwrap_or(name.parts[0]);
        self.tokens[name.parts[0]..=last].iter().map(|token| token.text).collect()
    }

    fn verdict(&self, name: &Name, head: Head) -> Verdict {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let (parts, object) = (name.parts.len(), head.parts());
        match (name.place, parts.cmp(&object)) {
            (Place::Inside, _) | (Place::Table | Place::Call | Place::Type, Less) => Verdict::Leave,
            (Place::Type, _) => Verdict::Doubt(Why::Type),
            (Place::Table, Equal) => self.table(name, head),
            (Place::Call, Equal) => match self.rewrite {
                Rewrite::DropSchema(_) => Verdict::Doubt(Why::Function),
                _ => Verdict::Rewrite,
            },
            // One part more than `schema.object`: what looks like our schema is a database.
            (Place::Table | Place::Call, Greater) if head == Head::Schema => Verdict::Leave,
            (Place::Table | Place::Call, Greater) => Verdict::Doubt(Why::TooManyParts),
            (Place::Expression, _) => self.expression(name, head),
        }
    }

    fn table(&self, name: &Name, head: Head) -> Verdict {
        let object = &name.values[head.parts() - 1];
        let drops = matches!(self.rewrite, Rewrite::DropSchema(_));
        if drops && self.scan.names.iter().any(|cte| cte.is_cte && cte.values[0] == *object) {
            return Verdict::Doubt(Why::HiddenByCte);
        }
        Verdict::Rewrite
    }

    /// A name in an expression is an object's only as the qualifier of a column of a table that
    /// the query names in full, or of a sequence (`/user-guide/querying-sequences`).
    fn expression(&self, name: &Name, head: Head) -> Verdict {
        let (parts, object) = (name.parts.len(), head.parts());
        let shadowed = self.is_shadowed(&name.values[0]);
        if parts < object || (parts == object && head == Head::Schema) {
            return Verdict::Leave;
        }
        if parts == object {
            let is_column = self.is_table(&name.values[..2]);
            return if shadowed || is_column {
                Verdict::Leave
            } else {
                Verdict::Doubt(Why::Ambiguous)
            };
        }
        if parts > object + 1 {
            return match head {
                Head::Database => Verdict::Doubt(Why::TooManyParts),
                Head::Schema => Verdict::Leave,
            };
        }
        let is_sequence = name.values[object] == "NEXTVAL";
        let known = self.is_table(&name.values[..object]);
        match (known || is_sequence, shadowed || self.would_be_shadowed(name, head)) {
            (true, false) => Verdict::Rewrite,
            (_, true) => Verdict::Doubt(Why::Shadowed),
            (false, false) => Verdict::Doubt(Why::Ambiguous),
        }
    }

    /// Whether what is left of a column's or sequence's qualifier begins like something else of
    /// this query: then `s.t.a` would be a path into the column `t` of an alias `s`.
    fn would_be_shadowed(&self, name: &Name, head: Head) -> bool {
        let object = &name.values[..head.parts()];
        let first = match self.rewrite {
            Rewrite::DropDatabase(_) => &object[1],
            Rewrite::DropSchema(_) => &object[object.len() - 1],
            Rewrite::ReplaceSchema(..) => return false,
        };
        // With its schema dropped, the table itself is called so.
        let is_itself = |values: &[String]| {
            matches!(self.rewrite, Rewrite::DropSchema(_))
                && (values.ends_with(object) || object.ends_with(values))
                && values.len() > 1
        };
        self.scan.names.iter().any(|other| match other.values.as_slice() {
            [only] => only == first,
            [.., last] => other.place == Place::Table && last == first && !is_itself(&other.values),
            [] => false,
        })
    }

    /// Whether the query names this table, its database perhaps left out here and not there.
    fn is_table(&self, values: &[String]) -> bool {
        let database = match self.rewrite {
            Rewrite::DropDatabase(_) => None,
            Rewrite::DropSchema(path) | Rewrite::ReplaceSchema(path, _) => Some(&path.database),
        };
        self.scan.names.iter().any(|table| {
            let full = || match table.values.split_first() {
                Some((first, rest)) => {
                    rest == values && database.is_some_and(|name| name.as_str() == first)
                }
                None => false,
            };
            table.place == Place::Table && (table.values == values || full())
        })
    }

    /// Whether an alias, CTE, column or unaliased table of this query has this name.
    fn is_shadowed(&self, word: &str) -> bool {
        self.scan.names.iter().any(|name| match name.values.as_slice() {
            [only] => only == word,
            [.., last] => name.place == Place::Table && last == word,
            [] => false,
        })
    }

    /// A stage's name stands inside one token.
    fn stage(&mut self, token: &Token<'_>) {
        let inner = &token.text[1..];
        let Ok(parts) = tokens(inner.split('/').next().unwrap_or(inner)) else {
            let why = Why::Unreadable("the stage's name contains a slash");
            return self.doubt(token.at, token.text, why);
        };
        let names: Vec<&Token<'_>> = parts.iter().filter(|part| part.is_name()).collect();
        let values: Vec<String> = names.iter().map(|part| value(part.text)).collect();
        let Some(head) = self.head(&values) else {
            return;
        };
        if values.len() != head.parts() {
            if head == Head::Database {
                self.doubt(token.at, token.text, Why::TooManyParts);
            }
            return;
        }
        let begin = token.at + 1;
        let span = |from: usize, to: usize| begin + names[from].at..begin + names[to].at;
        let edit = match (self.rewrite, head) {
            (Rewrite::DropSchema(_), Head::Database) => (span(0, 2), String::new()),
            (Rewrite::DropDatabase(_) | Rewrite::DropSchema(_), _) => (span(0, 1), String::new()),
            (Rewrite::ReplaceSchema(_, to), head) => {
                let schema = names[head.parts() - 2];
                let from = begin + schema.at;
                (from..from + schema.text.len(), to.quoted())
            }
        };
        self.changed += 1;
        self.edits.push(edit);
    }
}

#[cfg(test)]
#[path = "relink_tests.rs"]
mod tests;
