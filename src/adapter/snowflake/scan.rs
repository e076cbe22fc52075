//! Finds every dotted name in a query and says where it stands: where a table is named, before the
//! parenthesis of a call, in an expression, or in a path into a value.
//!
//! The grammar followed is that of `/sql-reference/constructs/from`, `/join` and `/with`: within
//! one pair of parentheses `FROM` opens a list of tables only after `SELECT` (so not in
//! `EXTRACT(day FROM x)`) and not after `IS [NOT] DISTINCT`. Wherever the state is lost it falls
//! back to *expression*, where a three-part name is a doubt and not an object.
//!
//! May import its siblings `ident` and `tokens`.

use super::ident;
use super::tokens::{Kind, Token};

/// Where a dotted name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where only a table, view or table function can be named.
    Table,
    /// Before the parenthesis of a call.
    Call,
    /// Anywhere a column can be named.
    Expression,
    /// Behind a colon, a bracket or a parenthesis: a path into a value.
    Inside,
    /// Behind `::`: a type.
    Type,
}

/// A dotted name.
#[derive(Clone, Debug)]
pub struct Name {
    /// The tokens that are its parts; a `*` or `$1` at its end is one.
    pub parts: Vec<usize>,
    /// The tokens that are its dots.
    pub dots: Vec<usize>,
    /// The parts' values as Snowflake compares them.
    pub values: Vec<String>,
    /// Where it stands.
    pub place: Place,
    /// Whether it is the name that a `WITH` clause gives.
    pub is_cte: bool,
}

/// A text literal.
#[derive(Clone, Copy, Debug)]
pub struct Literal {
    /// Its token.
    pub token: usize,
    /// Whether a function that takes names as texts surrounds it.
    pub names: bool,
}

/// Everything in a query that could mean an object.
#[derive(Debug, Default)]
pub struct Scan {
    /// Dotted and single names, in order. Keywords that stand alone are among them.
    pub names: Vec<Name>,
    /// Text literals, in order.
    pub literals: Vec<Literal>,
    /// Stages: their tokens.
    pub stages: Vec<usize>,
}

/// What is expected in a FROM clause.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Out,
    Expect,
    After,
}

struct Frame {
    select: bool,
    from: From,
    /// A comma in it brings no other table: `TABLE(…)`, `VALUES …`.
    single: bool,
    /// Texts in it are names.
    names: bool,
}

struct Scanner<'a> {
    tokens: &'a [Token<'a>],
    /// The tokens that mean something.
    solid: Vec<usize>,
    frames: Vec<Frame>,
    scan: Scan,
}

/// Words that end a FROM clause.
const ENDS_FROM: [&str; 16] = [
    "WHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "MINUS",
    "CONNECT",
    "START",
    "WINDOW",
    "SET",
];

/// Functions whose texts are names of objects, besides every `SYSTEM$…`
/// (`/sql-reference/identifier-literal`, `/sql-reference/literals-table`, `/sql-reference/functions/get_ddl`).
const TAKE_NAMES: [&str; 6] =
    ["IDENTIFIER", "TABLE", "GET_DDL", "TO_QUERY", "GET_OBJECT_REFERENCES", "GET_LINEAGE"];

/// Scans the tokens of a query.
#[must_use]
pub fn scan(tokens: &[Token<'_>]) -> Scan {
    let solid = (0..tokens.len()).filter(|at| !tokens[*at].is_trivia()).collect();
    let top = Frame { select: false, from: From::Out, single: false, names: false };
    let mut scanner = Scanner { tokens, solid, frames: vec![top], scan: Scan::default() };
    let mut at = 0;
    while at < scanner.solid.len() {
        at += scanner.step(at);
    }
    scanner.scan
}

impl<'a> Scanner<'a> {
    fn token(&self, at: usize) -> Option<&'a Token<'a>> {
        self.solid.get(at).map(|index| &self.tokens[*index])
    }

    fn before(&self, at: usize, back: usize) -> Option<&'a Token<'a>> {
        self.token(at.checked_sub(back)?)
    }

    fn frame(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1; // the bottom frame is never taken away
        &mut self.frames[last]
    }

    /// Reads what begins at the solid token `at`; how many solid tokens it took.
    fn step(&mut self, at: usize) -> usize {
        let Some(token) = self.token(at) else {
            return 1;
        };
        let index = self.solid[at];
        match token.kind {
            Kind::Text | Kind::Dollar => {
                let names = self.frame().names;
                self.scan.literals.push(Literal { token: index, names });
                self.used();
            }
            Kind::Stage => {
                self.scan.stages.push(index);
                self.used();
            }
            Kind::Variable | Kind::Number => self.used(),
            Kind::Word | Kind::Quoted => return self.name(at),
            Kind::Mark => self.mark(at, token.text),
            Kind::Space | Kind::Comment => {}
        }
        1
    }

    /// Whatever stood where a table was expected, it has been seen.
    fn used(&mut self) {
        let frame = self.frame();
        if frame.from == From::Expect {
            frame.from = From::After;
        }
    }

    fn mark(&mut self, at: usize, mark: &str) {
        match mark {
            "(" => self.open(at),
            ")" if self.frames.len() > 1 => {
                self.frames.pop();
            }
            "," => {
                let frame = self.frame();
                frame.from = if frame.from == From::After && !frame.single {
                    From::Expect
                } else {
                    From::Out
                };
            }
            _ => {}
        }
    }

    fn open(&mut self, at: usize) {
        let before = self.before(at, 1);
        let callee = before.filter(|token| token.is_name());
        let takes_names = callee.is_some_and(|token| {
            let name = ident::value(token.text);
            TAKE_NAMES.contains(&name.as_str()) || name.starts_with("SYSTEM$")
        });
        let is_table = before.is_some_and(|token| token.is("TABLE"));
        let outer = self.frame();
        // A text given to a function inside TABLE(…) is that function's business.
        let names = takes_names || (outer.names && !outer.single);
        let from = if is_table || outer.from == From::Expect { From::Expect } else { From::Out };
        if outer.from == From::Expect {
            outer.from = From::After;
        }
        self.frames.push(Frame { select: false, from, single: is_table, names });
    }

    /// A keyword, or a name with its dots.
    fn name(&mut self, at: usize) -> usize {
        let mut name = Name {
            parts: vec![self.solid[at]],
            dots: Vec::new(),
            values: vec![ident::value(self.tokens[self.solid[at]].text)],
            place: Place::Expression,
            is_cte: false,
        };
        let mut taken = 1;
        while self.token(at + taken).is_some_and(|token| token.is_mark(".")) {
            name.dots.push(self.solid[at + taken]);
            taken += 1;
            match self.token(at + taken) {
                Some(part) if part.is_name() => name.values.push(ident::value(part.text)),
                Some(part) if part.is_mark("*") || part.kind == Kind::Variable => {
                    name.values.push(part.text.to_owned());
                }
                Some(part) if part.is_mark(".") => continue,
                _ => break,
            }
            name.parts.push(self.solid[at + taken]);
            taken += 1;
        }
        if name.dots.is_empty() && self.keyword(at) {
            return taken;
        }
        name.place = self.place(at, taken);
        name.is_cte = name.dots.is_empty() && self.is_cte(at + taken);
        if !matches!(name.place, Place::Inside | Place::Type) {
            self.used();
        }
        self.scan.names.push(name);
        taken
    }

    /// Whether `[(columns)] AS (` follows.
    fn is_cte(&self, mut at: usize) -> bool {
        if self.token(at).is_some_and(|token| token.is_mark("(")) {
            while self.token(at).is_some_and(|token| !token.is_mark(")")) {
                at += 1;
            }
            at += 1;
        }
        self.token(at).is_some_and(|token| token.is("AS"))
            && self.token(at + 1).is_some_and(|token| token.is_mark("("))
    }

    fn place(&mut self, at: usize, taken: usize) -> Place {
        if let Some(before) = self.before(at, 1) {
            // In an object constant, `{'key': value}`, the colon leads into no value.
            let key = self.before(at, 2);
            let is_key = key.is_some_and(|key| matches!(key.kind, Kind::Text | Kind::Dollar));
            if before.is_mark(".") || (before.is_mark(":") && !is_key) {
                return Place::Inside;
            }
            if before.is_mark("::") {
                return Place::Type;
            }
        }
        let is_call = self.token(at + taken).is_some_and(|token| token.is_mark("("));
        if self.frame().from == From::Expect && !is_call {
            Place::Table
        } else if is_call {
            Place::Call
        } else {
            Place::Expression
        }
    }

    /// Follows a keyword; whether it was one that is no name.
    fn keyword(&mut self, at: usize) -> bool {
        let Some(token) = self.token(at).filter(|token| token.kind == Kind::Word) else {
            return false;
        };
        let word = token.text.to_ascii_uppercase();
        let distinct = self.before(at, 1).is_some_and(|token| token.is("DISTINCT"))
            && self.before(at, 2).is_some_and(|token| token.is("IS") || token.is("NOT"));
        let behind_value = self
            .before(at, 1)
            .is_some_and(|token| token.is_mark(".") || token.is_mark(":") || token.is_mark("::"));
        if behind_value {
            return false;
        }
        let frame = self.frame();
        match word.as_str() {
            "SELECT" => {
                frame.select = true;
                frame.from = From::Out;
                frame.single = false;
            }
            "FROM" if frame.select && !distinct => {
                frame.from = From::Expect;
                frame.single = false;
            }
            "JOIN" if frame.from == From::After => frame.from = From::Expect,
            "VALUES" if frame.from == From::Expect => {
                frame.from = From::Out;
                frame.single = true;
            }
            "LATERAL" | "TABLE" if frame.from == From::Expect => {}
            "FROM" | "JOIN" => frame.from = From::Out,
            other if ENDS_FROM.contains(&other) => frame.from = From::Out,
            _ => return false,
        }
        true
    }
}
