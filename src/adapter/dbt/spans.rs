//! Where the nodes of a YAML text stand, in bytes, as a person would mark them with a pointer.
//!
//! The event parser's own spans count characters, run over the comment behind a quoted scalar and
//! leave out the header of a block scalar; this file makes up for that. Tested through `splice`.
//!
//! May import nothing of this crate.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// A YAML node with its place in the text, in bytes.
pub struct Tree {
    /// Its bytes.
    pub at: Range<usize>,
    /// What it is.
    pub shape: Shape,
}

/// What a node is.
pub enum Shape {
    /// A scalar of any style, properties included.
    Scalar,
    /// An alias.
    Alias,
    /// A list.
    Sequence(Vec<Tree>),
    /// A mapping.
    Mapping(Vec<Entry>),
}

/// An entry of a mapping.
pub struct Entry {
    /// The key's text; empty if it is no scalar.
    pub key: String,
    /// Where the key begins.
    pub at: usize,
    /// Its value.
    pub value: Tree,
}

impl Tree {
    /// The first document of a text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut builder = Builder {
            text,
            // The parser counts characters; a file in ASCII would not show the difference.
            bytes: text.char_indices().map(|(at, _)| at).collect(),
            parser: Parser::new_from_str(text),
        };
        loop {
            match builder.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (event, span) => return Ok(builder.node(&event, span, 0)?.1),
            }
        }
    }
}

struct Builder<'a> {
    text: &'a str,
    bytes: Vec<usize>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it ends in the middle".to_owned()),
        }
    }

    fn byte(&self, index: usize) -> usize {
        self.bytes.get(index).copied().unwrap_or(self.text.len())
    }

    /// The node an event begins, and its text if it is a scalar. `after` is where the text before
    /// it ends.
    fn node(
        &mut self,
        event: &Event<'a>,
        span: Span,
        after: usize,
    ) -> Result<(Option<String>, Tree), String> {
        let at = self.byte(span.start.index())..self.byte(span.end.index());
        match event {
            Event::Scalar(text, style, ..) => {
                let tree = Tree { at: self.scalar(at, *style, after), shape: Shape::Scalar };
                Ok((Some(text.clone().into_owned()), tree))
            }
            Event::Alias(_) => Ok((None, Tree { at, shape: Shape::Alias })),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(&event, span, at.start)?.1),
                    }
                }
                Ok((None, Tree { at, shape: Shape::Sequence(items) }))
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        break;
                    }
                    let (key, tree) = self.node(&event, span, at.start)?;
                    let (event, span) = self.next()?;
                    let (_, value) = self.node(&event, span, tree.at.end)?;
                    entries.push(Entry { key: key.unwrap_or_default(), at: tree.at.start, value });
                }
                Ok((None, Tree { at, shape: Shape::Mapping(entries) }))
            }
            other => Err(format!("unexpected {other:?}")),
        }
    }

    /// The bytes of a scalar as a person would mark them: the parser's span ends behind the blanks
    /// and the comment that follow, begins behind a block scalar's header, and stands before the colon when there
    /// is nothing after it.
    fn scalar(&self, at: Range<usize>, style: ScalarStyle, after: usize) -> Range<usize> {
        let end = at.start + self.text[at.clone()].trim_end().len();
        let between = self.text.get(after..at.start).unwrap_or_default();
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let header = between.find(['|', '>']).unwrap_or(between.len());
                let end = if end == at.start { after + between.trim_end().len() } else { end };
                after + header..end
            }
            _ if at.is_empty() => {
                let rest = &self.text[at.start..];
                let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
                let colon = usize::from(rest[blank..].starts_with(':'));
                let place = at.start + colon * (blank + 1);
                place..place
            }
            ScalarStyle::SingleQuoted => at.start..at.start + quoted(&self.text[at], '\''),
            ScalarStyle::DoubleQuoted => at.start..at.start + quoted(&self.text[at], '"'),
            ScalarStyle::Plain => at.start..end,
        }
    }
}

/// Where a quoted scalar ends, tags and anchors before it included.
fn quoted(text: &str, quote: char) -> usize {
    let Some(open) = text.find(quote) else {
        return text.len();
    };
    let mut rest = text[open + 1..].char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if c == '\\' && quote == '"' {
            rest.next();
        } else if c == quote {
            if quote == '\'' && rest.peek().is_some_and(|(_, next)| *next == quote) {
                rest.next();
            } else {
                return open + 1 + at + 1;
            }
        }
    }
    text.len()
}
