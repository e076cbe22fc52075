//! Changes spans of a text so that the tokens around them stay what they are.
//!
//! May import its sibling `ident`.

use std::ops::Range;

use super::ident::goes_on;

/// A span of bytes and what takes its place.
pub type Edit = (Range<usize>, String);

/// Applies edits that do not overlap. Where two tokens would grow together (`FROM"DB".S` without
/// its database) a space keeps them apart.
#[must_use]
pub fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, new) in edits {
        push(&mut out, &text[at..span.start]);
        push(&mut out, &new);
        at = span.end;
    }
    push(&mut out, &text[at..]);
    out
}

fn push(out: &mut String, piece: &str) {
    let (Some(before), Some(after)) = (out.chars().next_back(), piece.chars().next()) else {
        out.push_str(piece);
        return;
    };
    let grows = goes_on(before) && goes_on(after);
    // `-` before a comment, left over from `-"DB"-- …`, would begin that comment itself.
    if grows || matches!((before, after), ('"', '"') | ('-', '-') | ('/', '/' | '*')) {
        out.push(' ');
    }
    out.push_str(piece);
}
