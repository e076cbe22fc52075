//! The ledger's bytes: whole records, a torn end, damage.
//!
//! Invariants: a torn end is what a crash leaves, never whole JSON, and only ever the last line;
//! the tail answers what the whole would, or `None` where only the whole can tell.
//! May import `domain` and `failure`.

use std::io::{self, Read, Seek, SeekFrom};

use serde::Deserialize;

use crate::domain::journal::{Record, VERSION};
use crate::failure::{Failure, Kind};

/// How much of a ledger's end is read at first: more than a record usually takes.
pub(super) const PIECE: u64 = 64 << 10;

/// Where the next record goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The last whole record's number; 0 where there is none.
    pub(super) seq: u64,
    /// Bytes up to the end of the last whole record; what follows is torn.
    pub(super) whole: u64,
    /// Whether that record lacks its newline.
    pub(super) lacks_newline: bool,
}

/// What a ledger's bytes hold.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) records: Vec<Record>,
    pub(super) end: End,
}

/// Why a ledger cannot be read.
#[derive(Debug)]
pub(super) enum Damage {
    Line(usize, String),
    Newer(usize, u32),
}

impl Damage {
    pub(super) fn failure(self, place: &str) -> Failure {
        match self {
            Self::Line(line, what) => Failure::new(
                Kind::Unexpected,
                format!("the ledger {place} is damaged in line {line}: {what}"),
            )
            .production("Nothing was changed: Switchback does not act on a history it cannot read.")
            .next(format!(
                "look at that line (`sed -n {line}p '{place}'`) and restore the file from a backup"
            )),
            Self::Newer(line, version) => Failure::usage(format!(
                "line {line} of the ledger {place} was written by a newer Switchback (format \
                 {version}, this one knows up to {VERSION})"
            ))
            .next("run the newer version of Switchback"),
        }
    }
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// Reads all of it.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan, Damage> {
    let mut scan = Scan::default();
    let mut start = 0;
    while start < bytes.len() {
        let end = bytes[start..].iter().position(|byte| *byte == b'\n').map(|at| start + at);
        let line = &bytes[start..end.unwrap_or(bytes.len())];
        let next = end.map_or(bytes.len(), |end| end + 1);
        let number = scan.records.len() + 1;
        match parse(line, Some(number)) {
            Ok(record) => scan.records.push(record),
            // What a crash leaves of a line is never whole JSON, and nothing follows it.
            Err(None) if next == bytes.len() => return Ok(scan),
            Err(None) => {
                return Err(Damage::Line(number, "it is no JSON".to_owned()));
            }
            Err(Some(damage)) => return Err(damage),
        }
        scan.end = End { seq: number as u64, whole: next as u64, lacks_newline: end.is_none() };
        start = next;
    }
    Ok(scan)
}

/// Reads no more of the end than it takes to find the last whole record.
pub(super) fn tail(file: &mut (impl Read + Seek), mut piece: u64) -> io::Result<Option<End>> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(Some(End::default()));
    }
    loop {
        let from = length.saturating_sub(piece);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.by_ref().take(length - from).read_to_end(&mut bytes)?;
        match last_records(&bytes, from) {
            Tail::Found(end) => return Ok(Some(end)),
            Tail::Unclear => return Ok(None),
            Tail::Longer if from == 0 => return Ok(None),
            Tail::Longer => piece = piece.saturating_mul(4),
        }
    }
}

enum Tail {
    Found(End),
    /// The record begins before what was read.
    Longer,
    /// Damaged, or of a newer version: only the whole ledger can tell where.
    Unclear,
}

/// The last whole record in `bytes`, which begin at `from` in the ledger.
fn last_records(bytes: &[u8], from: u64) -> Tail {
    let mut until = bytes.len();
    for torn_may_be in [true, false] {
        let ended = bytes[..until].last() == Some(&b'\n');
        let line_end = if ended { until - 1 } else { until };
        let start = match bytes[..line_end].iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => newline + 1,
            None if from == 0 => 0,
            None => return Tail::Longer,
        };
        match parse(&bytes[start..line_end], None) {
            Ok(record) => {
                let whole = from + until as u64;
                return Tail::Found(End { seq: record.seq, whole, lacks_newline: !ended });
            }
            Err(None) if torn_may_be && from == 0 && start == 0 => {
                return Tail::Found(End::default());
            }
            Err(None) if torn_may_be => until = start,
            Err(_) => return Tail::Unclear,
        }
    }
    Tail::Unclear
}

/// A line's record, which has to be that number; `Err(None)` if it is not even JSON.
fn parse(line: &[u8], number: Option<usize>) -> Result<Record, Option<Damage>> {
    let at = number.unwrap_or_default();
    let record: Record = match serde_json::from_slice(line) {
        Ok(record) => record,
        Err(error) => return Err(misread(line, at, &error)),
    };
    if record.v > VERSION {
        return Err(Some(Damage::Newer(at, record.v)));
    }
    if number.is_some_and(|number| record.seq != number as u64) {
        let what = format!("it is number {}, lines are missing", record.seq);
        return Err(Some(Damage::Line(at, what)));
    }
    Ok(record)
}

/// Why a line is no record.
fn misread(line: &[u8], number: usize, error: &serde_json::Error) -> Option<Damage> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some(match Versioned::deserialize(&value) {
        Ok(Versioned { v }) if v > VERSION => Damage::Newer(number, v),
        _ => Damage::Line(number, error.to_string()),
    })
}
