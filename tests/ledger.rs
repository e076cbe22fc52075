//! Ledgers written by older versions still fold. `tests/ledgers/` keeps one real ledger per version
//! of the format; none is ever changed, new ones are added.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use switchback::domain::history::{History, ReleaseState};
use switchback::domain::journal::Record;
use switchback::domain::name::ReleaseId;

fn records(version: u32) -> Vec<Record> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/ledgers/v{version}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn version_1_folds_to_what_its_world_was() {
    let history = History::fold(&records(1));
    assert_eq!(history.claimed_live(), Some(ReleaseId(4)));
    assert!(history.open.is_none());
    assert!(history.hold().is_none());
    let state = |n| history.release(ReleaseId(n)).unwrap().state;
    assert_eq!(state(0), ReleaseState::Adopted);
    assert_eq!(state(3), ReleaseState::Waiting);
    assert_eq!(state(4), ReleaseState::Published);
    assert!(history.displaced.contains(&ReleaseId(2)));
    assert_eq!(history.previous(ReleaseId(4)), Some(ReleaseId(1)));
}

#[test]
fn every_beginning_of_a_ledger_folds_and_knows_what_is_unfinished() {
    let records = records(1);
    let mut unfinished = 0;
    for end in 0..=records.len() {
        unfinished += usize::from(History::fold(&records[..end]).open.is_some());
    }
    assert!(unfinished > records.len() / 2, "{unfinished} of {}", records.len());
}
