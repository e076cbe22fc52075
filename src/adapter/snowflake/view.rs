//! Takes a view's definition apart and writes the statement that re-creates the view in its place.
//!
//! The definition is what `GET_DDL('VIEW', …, TRUE)` prints (`/sql-reference/functions/get_ddl`):
//! the created name and the names of policies and tags stand in full, COPY GRANTS is left out,
//! and what the role may not see is `#UNKNOWN_POLICY` or `#UNKNOWN_TAG`. The grammar is that of
//! `/sql-reference/sql/create-view`. `CREATE OR REPLACE VIEW` is atomic, checks its query at once,
//! must restate policies and tags, and with COPY GRANTS keeps all grants but OWNERSHIP.
//!
//! Only the query is relinked. Names in the header are looked up in the session's database, so
//! they stay complete, and the created name is written anew: a cloned view's text still names the
//! view that it was cloned from.
//!
//! May import its siblings.

use std::ops::Range;

use super::doubt::{Doubt, Why};
use super::ident::ObjectPath;
use super::relink::{Rewrite, rewrite};
use super::tokens::{Kind, Token, tokens};

/// A view's definition in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Whether it is secure.
    pub secure: bool,
    /// Whether it is recursive.
    pub recursive: bool,
    /// The name it was created by, as written.
    pub name: Range<usize>,
    /// The column list with its parentheses, comments, policies and tags.
    pub columns: Option<Range<usize>>,
    /// Everything between the column list and AS; empty if nothing.
    pub properties: Range<usize>,
    /// Where COPY GRANTS belongs: behind policies and tags, before a comment; `None` if the
    /// properties say it themselves.
    pub copy_grants: Option<usize>,
    /// The query, comments around it included.
    pub query: Range<usize>,
}

/// A statement that re-creates a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recreated {
    /// The statement, without a semicolon.
    pub statement: String,
    /// How many references of its query were rewritten.
    pub changed: usize,
}

/// The statement that re-creates the view `place` from its definition, its query rewritten.
pub fn recreate(ddl: &str, place: &ObjectPath, how: &Rewrite) -> Result<Recreated, Vec<Doubt>> {
    let view = parse(ddl).map_err(|doubt| vec![doubt])?;
    let relinked = rewrite(&ddl[view.query.clone()], how);
    if !relinked.doubts.is_empty() {
        let doubts = relinked.doubts.into_iter();
        return Err(doubts.map(|doubt| doubt.within(ddl, view.query.start)).collect());
    }
    let secure = if view.secure { "SECURE " } else { "" };
    let recursive = if view.recursive { "RECURSIVE " } else { "" };
    let head = format!("CREATE OR REPLACE {secure}{recursive}VIEW {}", place.quoted());
    // A line each: a comment at the end of one must not swallow the next.
    let mut lines = vec![head.as_str()];
    lines.extend(view.columns.map(|columns| &ddl[columns]));
    match view.copy_grants {
        None => lines.push(&ddl[view.properties]),
        Some(at) => lines.extend([
            ddl[view.properties.start..at].trim_end(),
            "COPY GRANTS",
            &ddl[at..view.properties.end],
        ]),
    }
    lines.extend(["AS", &relinked.text]);
    lines.retain(|line| !line.is_empty());
    let statement = lines.join("\n");
    Ok(Recreated { statement, changed: relinked.changed })
}

/// Takes a definition apart.
pub fn parse(ddl: &str) -> Result<View, Doubt> {
    let all = tokens(ddl).map_err(|wrong| {
        let rest: String = ddl[wrong.at..].chars().take(40).collect();
        Doubt::at(ddl, wrong.at, &rest, Why::Unreadable(wrong.what))
    })?;
    let solid: Vec<&Token<'_>> = all.iter().filter(|token| !token.is_trivia()).collect();
    let mut reader = Reader { ddl, solid: &solid, at: 0 };
    reader.hidden()?;
    reader.view()
}

struct Reader<'a> {
    ddl: &'a str,
    solid: &'a [&'a Token<'a>],
    at: usize,
}

impl<'a> Reader<'a> {
    fn doubt(&self, at: usize, why: Why) -> Doubt {
        match self.solid.get(at).or(self.solid.last()) {
            Some(token) => Doubt::at(self.ddl, token.at, token.text, why),
            None => Doubt::at(self.ddl, 0, "", why),
        }
    }

    fn token(&self) -> Option<&'a Token<'a>> {
        self.solid.get(self.at).copied()
    }

    fn take(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(offset, word)| {
            let token = self.solid.get(self.at + offset);
            token.is_some_and(|token| token.is(word))
        });
        if found {
            self.at += words.len();
        }
        found
    }

    /// Refuses what the role may not see.
    fn hidden(&self) -> Result<(), Doubt> {
        for (at, pair) in self.solid.windows(2).enumerate() {
            if pair[0].is_mark("#") {
                let word = pair[1].text.to_ascii_uppercase();
                if word.starts_with("UNKNOWN_POLICY") {
                    return Err(self.doubt(at + 1, Why::UnknownPolicy));
                }
                if word.starts_with("UNKNOWN_TAG") {
                    return Err(self.doubt(at + 1, Why::UnknownTag));
                }
            }
        }
        Ok(())
    }

    fn view(&mut self) -> Result<View, Doubt> {
        let not = |what| Why::NotAView(what);
        if !self.take(&["CREATE"]) {
            return Err(self.doubt(0, not("this is not a CREATE VIEW")));
        }
        self.take(&["OR", "REPLACE"]);
        let (mut secure, mut recursive) = (false, false);
        while !self.take(&["VIEW"]) {
            if self.take(&["SECURE"]) {
                secure = true;
            } else if self.take(&["RECURSIVE"]) {
                recursive = true;
            } else if self.take(&["MATERIALIZED"]) {
                return Err(self.doubt(self.at - 1, not("a materialized view is not re-created")));
            } else {
                return Err(self.doubt(self.at, not("this is not a plain view")));
            }
        }
        self.take(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let columns = match self.token() {
            Some(token) if token.is_mark("(") => Some(self.parentheses()?),
            _ => None,
        };
        let properties = self.properties()?;
        let query = self.query()?;
        Ok(View {
            secure,
            recursive,
            name,
            columns,
            copy_grants: properties.1,
            properties: properties.0,
            query,
        })
    }

    /// A dotted name.
    fn name(&mut self) -> Result<Range<usize>, Doubt> {
        let wrong = Why::NotAView("the created name cannot be read");
        let begin = self.at;
        loop {
            let Some(part) = self.token().filter(|token| token.is_name()) else {
                return Err(self.doubt(self.at, wrong));
            };
            self.at += 1;
            if !self.token().is_some_and(|token| token.is_mark(".")) {
                return Ok(self.solid[begin].at..part.at + part.text.len());
            }
            self.at += 1;
        }
    }

    /// From an opening parenthesis to the one that closes it.
    fn parentheses(&mut self) -> Result<Range<usize>, Doubt> {
        let begin = self.at;
        let mut depth = 0;
        while let Some(token) = self.token() {
            self.complete()?;
            self.at += 1;
            if token.is_mark("(") {
                depth += 1;
            } else if token.is_mark(")") {
                depth -= 1;
                if depth == 0 {
                    return Ok(self.solid[begin].at..token.at + 1);
                }
            }
        }
        Err(self.doubt(begin, Why::NotAView("a parenthesis is never closed")))
    }

    /// Everything up to AS, and where in it COPY GRANTS belongs.
    fn properties(&mut self) -> Result<(Range<usize>, Option<usize>), Doubt> {
        let begin = self.token().map_or(0, |token| token.at);
        let (mut end, mut copy_grants, mut comment) = (begin, false, None);
        while let Some(token) = self.token() {
            if token.is("AS") {
                self.at += 1;
                let at = (!copy_grants).then_some(comment.unwrap_or(end));
                return Ok((begin..end, at));
            }
            self.complete()?;
            if token.is_mark("(") {
                end = self.parentheses()?.end;
                continue;
            }
            let next = self.solid.get(self.at + 1);
            copy_grants |= token.is("COPY") && next.is_some_and(|next| next.is("GRANTS"));
            if token.is("COMMENT") && next.is_some_and(|next| next.is_mark("=")) {
                comment.get_or_insert(token.at);
            }
            end = token.at + token.text.len();
            self.at += 1;
        }
        Err(self.doubt(self.at, Why::NotAView("there is no AS before the query")))
    }

    /// A policy or tag named here must be named in full: a session resolves it.
    fn complete(&self) -> Result<(), Doubt> {
        let Some(token) = self.token() else {
            return Ok(());
        };
        let before = |back: usize| self.at.checked_sub(back).and_then(|at| self.solid.get(at));
        let is_policy = before(1).is_some_and(|token| token.is("POLICY"));
        let opens_tags = before(1).is_some_and(|token| token.is_mark("("))
            && before(2).is_some_and(|token| token.is("TAG"));
        let next_tag = before(1).is_some_and(|token| token.is_mark(","))
            && before(2).is_some_and(|token| matches!(token.kind, Kind::Text | Kind::Dollar))
            && before(3).is_some_and(|token| token.is_mark("="));
        if !token.is_name() || !(is_policy || opens_tags || next_tag) {
            return Ok(());
        }
        let dot = |offset: usize| {
            let token = self.solid.get(self.at + offset);
            token.is_some_and(|token| token.is_mark("."))
        };
        if dot(1) && dot(3) && !dot(5) {
            return Ok(());
        }
        let why = "a policy or tag is not named as database.schema.name";
        Err(self.doubt(self.at, Why::NotAView(why)))
    }

    /// The rest, up to a semicolon that nothing may follow.
    fn query(&mut self) -> Result<Range<usize>, Doubt> {
        let Some(first) = self.token() else {
            return Err(self.doubt(self.at, Why::NotAView("there is no query behind AS")));
        };
        let begin = self.solid[self.at - 1].at + self.solid[self.at - 1].text.len();
        let semicolon = (self.at..self.solid.len()).find(|at| self.solid[*at].is_mark(";"));
        if let Some(at) = semicolon.filter(|at| at + 1 < self.solid.len()) {
            return Err(self.doubt(at + 1, Why::NotAView("there is more than one statement")));
        }
        let end = semicolon.map_or(self.ddl.len(), |at| self.solid[at].at);
        debug_assert!(begin <= first.at);
        let lead = self.ddl[begin..end].len() - self.ddl[begin..end].trim_start().len();
        let text = self.ddl[begin..end].trim();
        if self.solid[self.at].is_mark(";") {
            return Err(self.doubt(self.at, Why::NotAView("there is no query behind AS")));
        }
        Ok(begin + lead..begin + lead + text.len())
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
