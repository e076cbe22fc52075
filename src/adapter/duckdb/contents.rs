//! What is inside a file: relations, marks, drift.
//!
//! Invariant: a mark changes with every change that DuckDB has written into the file. It is read
//! from the file's headers, which name the checkpoint, so it costs nothing however large the file
//! is (seen on 1.1 and 2.0: every commit alters it, reading and `touch` do not).
//! May import `domain` and `files`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::files;
use crate::domain::inventory::{Column, Inventory, Local, Relation, RelationKind};
use crate::domain::name::hex;

/// DuckDB's main header and its two database headers.
const HEADERS: u64 = 3 * 4096;

/// The mark of a file that is not there.
pub(super) const ABSENT: &str = "absent";

/// The mark of a file's content.
pub(super) fn mark(path: &Path) -> io::Result<String> {
    let Some(found) = files::stat(path)? else {
        return Ok(ABSENT.to_owned());
    };
    let mut headers = Vec::new();
    File::open(path)?.take(HEADERS).read_to_end(&mut headers)?;
    Ok(format!("{}, headers {}", found.identity, hex(&Sha256::digest(&headers))))
}

/// An inventory as the child answers it.
#[derive(Deserialize)]
pub(super) struct Raw {
    tables: Vec<(String, String, u64, Option<String>)>,
    views: Vec<(String, String, Option<String>)>,
    columns: Vec<(String, String, String, String)>,
}

/// The inventory from the child's answer.
pub(super) fn inventory(raw: Raw) -> Inventory {
    let mut found = Inventory::new();
    let mut add = |schema, identifier, kind, rows, content, definition| {
        let relation = Relation { kind, columns: Vec::new(), rows, definition, content };
        found.insert(Local { schema, identifier }, relation);
    };
    for (schema, name, rows, content) in raw.tables {
        add(schema, name, RelationKind::Table, Some(rows), content, None);
    }
    for (schema, name, text) in raw.views {
        add(schema, name, RelationKind::View, None, None, text);
    }
    for (schema, identifier, name, data_type) in raw.columns {
        if let Some(relation) = found.get_mut(&Local { schema, identifier }) {
            relation.columns.push(Column { name, data_type });
        }
    }
    found
}

/// Rows per table.
pub(super) fn rows(inventory: &Inventory) -> BTreeMap<String, u64> {
    inventory
        .iter()
        .filter_map(|(name, relation)| relation.rows.map(|rows| (name.to_string(), rows)))
        .collect()
}

/// What differs between two counts, one sentence each.
pub(super) fn drift(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<String> {
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let sentences: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (before.get(name), after.get(name)) {
            (Some(old), Some(new)) if old != new => {
                Some(format!("{name} had {old} rows and has {new}"))
            }
            (None, Some(new)) => Some(format!("{name} is new, with {new} rows")),
            (Some(old), None) => Some(format!("{name} is gone; it had {old} rows")),
            _ => None,
        })
        .collect();
    if sentences.is_empty() {
        return vec!["production was written, with no change in the row counts".to_owned()];
    }
    sentences
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_table_that_differs_is_named_once(
            before in prop::collection::btree_map("[a-d]", 0u64..3, 0..4),
            after in prop::collection::btree_map("[a-d]", 0u64..3, 0..4),
        ) {
            let sentences = drift(&before, &after);
            if before == after {
                prop_assert_eq!(sentences.len(), 1);
            } else {
                for name in ["a", "b", "c", "d"] {
                    let named = sentences.iter().filter(|s| s.starts_with(&format!("{name} "))).count();
                    prop_assert_eq!(named == 1, before.get(name) != after.get(name));
                }
            }
        }
    }

    #[test]
    fn a_mark_follows_the_headers_and_not_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert_eq!(mark(&path).unwrap(), ABSENT);
        std::fs::write(&path, vec![0; 20_000]).unwrap();
        let before = mark(&path).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        assert_eq!(mark(&path).unwrap(), before);
        let mut bytes = vec![0; 20_000];
        bytes[8_000] = 1;
        std::fs::write(&path, bytes).unwrap();
        assert_ne!(mark(&path).unwrap(), before);
    }
}
