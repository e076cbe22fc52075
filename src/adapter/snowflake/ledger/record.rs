//! Records as rows: cut into parts where they are long, put together and numbered when read.
//!
//! Invariants: a record counts once its part 0 is there, whatever else is; a part that stands there
//! twice (a statement that was taken for lost and sent again) counts once; records are ordered by
//! the number they were written under, then by time (two that nobody fenced may have the same
//! number), and numbered from 1 without gaps; what cannot be read is an error and never skipped.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sql::Part;
use crate::domain::journal::{Actor, Entry, Record, VERSION};
use crate::domain::name::RunId;
use crate::failure::{Failure, Kind};
use crate::ports::Draft;

/// The most bytes of a part. As a literal it is at most twice as long.
const LONGEST: usize = 200_000;

/// A [`Record`] without what the server says of it: its number and its time.
#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    operation: &'a RunId,
    token: Option<u64>,
    by: &'a Actor,
    entry: &'a Entry,
}

/// The parts of a draft, the one that makes it count last.
pub(super) fn parts(draft: &Draft, id: &str) -> serde_json::Result<Vec<Part>> {
    let text = serde_json::to_string(&Written {
        v: VERSION,
        operation: &draft.operation,
        token: draft.token.map(|token| token.0),
        by: &draft.by,
        entry: &draft.entry,
    })?;
    let texts = cut(&text, LONGEST);
    let whole = texts.len();
    let part = |(index, text): (usize, &str)| Part {
        id: id.to_owned(),
        index,
        of: whole,
        text: text.to_owned(),
    };
    Ok(texts.into_iter().enumerate().map(part).rev().collect())
}

/// Pieces of at most `most` bytes that end between characters; one where there is nothing.
fn cut(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > most {
        let end = (1..=most).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// A row of the journal.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) seq: Option<u64>,
    pub(super) at: DateTime<Utc>,
    pub(super) id: String,
    /// Of which part.
    pub(super) index: usize,
    /// How many parts there are.
    pub(super) of: usize,
    pub(super) text: String,
}

/// The records of a journal. `place` names it where it cannot be read.
pub(super) fn assemble(mut rows: Vec<Row>, place: &str) -> Result<Vec<Record>, Failure> {
    rows.sort_by(|a, b| (a.seq, a.at, &a.id, a.index).cmp(&(b.seq, b.at, &b.id, b.index)));
    let mut heads = Vec::new();
    let mut texts: BTreeMap<String, BTreeMap<usize, String>> = BTreeMap::new();
    for row in rows {
        let parts = texts.entry(row.id.clone()).or_default();
        if parts.contains_key(&row.index) {
            continue;
        }
        parts.insert(row.index, row.text);
        if row.index == 0 {
            heads.push((row.id, row.at, row.of));
        }
    }
    let mut records = Vec::with_capacity(heads.len());
    for (id, at, of) in heads {
        let seq = records.len() as u64 + 1;
        let texts = texts.remove(&id).unwrap_or_default();
        let text: String = match (0..of).find(|index| !texts.contains_key(index)) {
            None => texts.into_iter().take(of).map(|(_, text)| text).collect(),
            Some(index) => {
                let what = format!("part {} of {of} is missing", index + 1);
                return Err(damaged(place, seq, &id, &what));
            }
        };
        records.push(read(&text, seq, at).map_err(|unread| unread.failure(place, seq, &id))?);
    }
    Ok(records)
}

/// Why a record cannot be read.
enum Unread {
    Newer(u32),
    Damaged(String),
}

impl Unread {
    fn failure(self, place: &str, seq: u64, id: &str) -> Failure {
        match self {
            Self::Damaged(what) => damaged(place, seq, id, &what),
            Self::Newer(version) => Failure::usage(format!(
                "record {seq} of the ledger {place} was written by a newer Switchback (format \
                 {version}, this one knows up to {VERSION})"
            ))
            .next("run the newer version of Switchback"),
        }
    }
}

fn damaged(place: &str, seq: u64, id: &str, what: &str) -> Failure {
    Failure::new(
        Kind::Unexpected,
        format!("the ledger {place} is damaged in record {seq} (ID {id}): {what}"),
    )
    .production("Nothing was changed: Switchback does not act on a history it cannot read.")
    .next("look at the rows with that ID, and bring the table JOURNAL back with Time Travel")
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

fn read(text: &str, seq: u64, at: DateTime<Utc>) -> Result<Record, Unread> {
    let wrong = |error: serde_json::Error| Unread::Damaged(error.to_string());
    let mut value: Value = serde_json::from_str(text).map_err(wrong)?;
    if let Ok(Versioned { v }) = Versioned::deserialize(&value)
        && v > VERSION
    {
        return Err(Unread::Newer(v));
    }
    if let Value::Object(fields) = &mut value {
        fields.insert("seq".to_owned(), seq.into());
        fields.insert("at".to_owned(), serde_json::to_value(at).map_err(wrong)?);
    }
    serde_json::from_value(value).map_err(wrong)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
