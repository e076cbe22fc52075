//! The stamp's SQL: a table `switchback.stamp` of one row inside the content.
//!
//! Pure text. `$identity` is the only placeholder; it is bound when the text is run, so that what
//! a dry run prints is what a run executes. May import `domain` and `adapter::sql`.

use crate::adapter::sql::literal;
use crate::domain::name::{Identity, ReleaseId};
use crate::domain::slot::{Seal, Stamp};

/// Takes what a leftover write-ahead log holds into the file.
pub(super) const ABSORB: &str = "CHECKPOINT";

/// Writes the stamp in one transaction, and leaves no write-ahead log behind.
pub(super) fn write(release: ReleaseId, attempt: u32, seal: Seal) -> String {
    let release = literal(&release.to_string());
    let seal = literal(&seal.to_string());
    format!(
        "BEGIN; \
         CREATE SCHEMA IF NOT EXISTS switchback; \
         CREATE TABLE IF NOT EXISTS switchback.stamp (\"release\" VARCHAR, \"attempt\" INTEGER, \
         \"seal\" VARCHAR, \"identity\" VARCHAR, \"at\" TIMESTAMP); \
         DELETE FROM switchback.stamp; \
         INSERT INTO switchback.stamp VALUES ({release}, {attempt}, {seal}, $identity, \
         make_timestamp(epoch_us(now()))); \
         COMMIT; \
         CHECKPOINT;"
    )
}

/// A stamp from the texts of its row; `None` if they are not one of ours.
pub(super) fn parse(row: &[Option<String>]) -> Option<Stamp> {
    let [Some(release), Some(attempt), Some(seal), Some(identity)] = row else {
        return None;
    };
    Some(Stamp {
        release: release.parse().ok()?,
        attempt: attempt.parse().ok()?,
        seal: match seal.as_str() {
            "building" => Seal::Building,
            "sealed" => Seal::Sealed,
            _ => return None,
        },
        identity: Identity(identity.clone()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_text_binds_the_identity_and_nothing_else() {
        let text = write(ReleaseId(2), 1, Seal::Building);
        assert_eq!(text.matches('$').count(), 1);
        assert!(text.contains("VALUES ('r2', 1, 'building', $identity,"));
        assert!(text.ends_with("COMMIT; CHECKPOINT;"));
    }

    proptest! {
        #[test]
        fn a_row_reads_back_and_a_foreign_one_is_no_stamp(release: u32, attempt: u32, other in "[a-q0-9]{0,6}") {
            let row = |release: String, seal: &str| [
                Some(release), Some(attempt.to_string()), Some(seal.to_owned()), Some("i".to_owned()),
            ];
            let read = parse(&row(format!("r{release}"), "sealed")).unwrap();
            prop_assert_eq!(read.release, ReleaseId(release));
            prop_assert_eq!(read.attempt, attempt);
            prop_assert!(parse(&row(other, "sealed")).is_none());
            prop_assert!(parse(&[None, None, None, None]).is_none());
        }
    }
}
