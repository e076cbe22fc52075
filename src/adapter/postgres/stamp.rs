//! The stamp's SQL: a table `switchback_stamp` of one row inside the schema.
//!
//! Pure text. The identity is the schema's OID, which a rename keeps and a copy does not get.
//! May import `domain` and `adapter::sql`.

use super::sql::name;
use crate::adapter::sql::{identifier, literal};
use crate::domain::name::{Identity, ReleaseId, SlotName};
use crate::domain::slot::{Seal, Stamp};

/// The table's name in every schema of ours.
pub(super) const TABLE: &str = "switchback_stamp";

/// The comment on a schema that we created and did not stamp yet.
pub(super) const MARKER: &str = "Being made by Switchback.";

/// What a stamp says.
pub(super) struct Writing<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The release.
    pub release: ReleaseId,
    /// The attempt.
    pub attempt: u32,
    /// Whether it is finished.
    pub seal: Seal,
    /// The relations whose access dbt decides (`grants:`) when this becomes live.
    pub granted: Vec<&'a str>,
}

/// Writes a stamp, in the place of the one that a copy brought along.
pub(super) fn write(slot: &SlotName, writing: &Writing<'_>) -> String {
    let table = name(slot.as_str(), TABLE);
    let granted: Vec<String> = writing.granted.iter().map(|one| literal(one)).collect();
    format!(
        "DROP TABLE IF EXISTS {table};\n\
         CREATE TABLE {table} AS SELECT {} AS release, {} AS attempt, {} AS seal, \
         n.oid::text AS identity, {} AS environment, ARRAY[{}]::text[] AS granted, now() AS at \
         FROM pg_namespace n WHERE n.nspname = {}",
        text(&writing.release.to_string()),
        writing.attempt,
        text(&writing.seal.to_string()),
        text(writing.environment),
        granted.join(", "),
        literal(slot.as_str()),
    )
}

fn text(value: &str) -> String {
    format!("{}::text", literal(value))
}

/// Takes the marker off a schema and gives it live's comment, if there is one.
pub(super) fn unmark(slot: &SlotName, live: &SlotName) -> String {
    let live = literal(&identifier(live.as_str()));
    format!(
        "DO $$ BEGIN EXECUTE format('COMMENT ON SCHEMA %I IS %L', {}, \
         obj_description(to_regnamespace({live}), 'pg_namespace')); END $$",
        literal(slot.as_str())
    )
}

/// What has become live has dbt's word on access no more: from now on live's is kept.
pub(super) fn published(slot: &SlotName) -> String {
    format!("UPDATE {} SET granted = '{{}}'", name(slot.as_str(), TABLE))
}

/// Reads the stamps of schemas, one row each.
pub(super) fn read(slots: &[&str]) -> String {
    let one = |slot: &&str| {
        format!(
            "(SELECT {}, release, attempt::text, seal, identity, environment FROM {} LIMIT 1)",
            text(slot),
            name(slot, TABLE)
        )
    };
    slots.iter().map(one).collect::<Vec<_>>().join("\nUNION ALL ")
}

/// A stamp from the texts of its row (without the schema's name); `None` if it is not one of ours.
pub(super) fn parse(row: [Option<&str>; 4]) -> Option<Stamp> {
    let [Some(release), Some(attempt), Some(seal), Some(identity)] = row else {
        return None;
    };
    Some(Stamp {
        release: release.parse().ok()?,
        attempt: attempt.parse().ok()?,
        seal: match seal {
            "building" => Seal::Building,
            "sealed" => Seal::Sealed,
            _ => return None,
        },
        identity: Identity(identity.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        let writing = Writing {
            environment: "it's",
            release: ReleaseId(2),
            attempt: 1,
            seal: Seal::Building,
            granted: vec!["o'r"],
        };
        let text = write(&SlotName::from("my \"marts\""), &writing);
        assert!(
            text.starts_with("DROP TABLE IF EXISTS \"my \"\"marts\"\"\".\"switchback_stamp\";")
        );
        assert!(text.contains("'it''s'::text AS environment, ARRAY['o''r']::text[] AS granted"));
    }

    #[test]
    fn a_row_reads_back_and_a_foreign_one_is_no_stamp() {
        let read = parse([Some("r2"), Some("1"), Some("sealed"), Some("16385")]).unwrap();
        assert_eq!((read.release, read.attempt, read.seal), (ReleaseId(2), 1, Seal::Sealed));
        assert!(parse([Some("2"), Some("1"), Some("sealed"), Some("1")]).is_none());
        assert!(parse([None, None, None, None]).is_none());
    }
}
