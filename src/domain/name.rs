//! Names: releases, slots, relations, commits, runs; and the one rule that names build and
//! archive slots after the live slot they belong to.
//!
//! Every kind of name is a type of its own, so that one cannot be passed for another. Names that
//! Switchback makes are never parsed back: what a slot holds is read from its stamp.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The number of a release in one environment, written `r7`. `r0` is what was live before the
/// first deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ReleaseId(pub u32);

impl ReleaseId {
    /// The release after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> Self {
        id.to_string()
    }
}

impl FromStr for ReleaseId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('r')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a release; releases are written r1, r2, …"))
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_newtype! {
    /// The name of a slot as the warehouse knows it: an absolute file path on DuckDB, a schema
    /// on PostgreSQL, a database or `DATABASE.SCHEMA` on Snowflake.
    SlotName
}
text_newtype! {
    /// A full commit hash of the project's checkout.
    CommitId
}
text_newtype! {
    /// One run of Switchback: unique per process that writes to the ledger.
    RunId
}
text_newtype! {
    /// What tells one container from another of the same name: an inode and its birth time on
    /// DuckDB, an OID on PostgreSQL, `created_on` on Snowflake. Compared, never interpreted.
    Identity
}
text_newtype! {
    /// A digest of what dbt would build: two deploys with the same fingerprint publish the same
    /// code.
    Fingerprint
}

impl SlotName {
    /// The slot as a file path (meaningful for file slots only).
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl CommitId {
    /// The first seven characters, as people quote commits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

impl Fingerprint {
    /// The first twelve characters, enough to tell fingerprints apart by eye.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// A relation's place: `database.schema.identifier`, exactly as dbt resolved it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationName {
    /// The database (on DuckDB the attached database's name); empty where there is none.
    pub database: String,
    /// The schema.
    pub schema: String,
    /// The table's, view's or function's own name.
    pub identifier: String,
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.database.is_empty() {
            write!(f, "{}.", self.database)?;
        }
        write!(f, "{}.{}", self.schema, self.identifier)
    }
}

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The slot consumers read.
    Live,
    /// The slot dbt works in while the release is made.
    Build(ReleaseId),
    /// The slot that keeps an earlier release.
    Archive(ReleaseId),
    /// The slot that is swapped in where the build's own name must go on answering meanwhile.
    Candidate(ReleaseId),
}

/// How a warehouse names the slots that belong to a live one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Files of the same name in directories of their own under `.switchback/` beside the live
    /// file: a DuckDB view names the file's stem, so the stem must stay.
    Files,
    /// `<live>__build_rN` and `<live>__rN`, shortened with a hash to this many bytes.
    Identifiers {
        /// The longest identifier the warehouse keeps whole (63 bytes on PostgreSQL).
        max_bytes: usize,
    },
    /// The same for names of several parts, each in double quotes where it needs them: the last part
    /// gets the suffix, in upper case so that plain names stay plain (Snowflake).
    Dotted {
        /// The longest last part.
        max_bytes: usize,
    },
}

impl Naming {
    /// The name of the slot of `role` that belongs to `live`.
    #[must_use]
    pub fn slot(self, live: &SlotName, role: Role) -> SlotName {
        match self {
            Self::Files => SlotName(file_slot(live.as_path(), role).display().to_string()),
            Self::Identifiers { max_bytes } => match suffix(role) {
                Some(suffix) => SlotName(shortened(live.as_str(), &suffix, max_bytes)),
                None => live.clone(),
            },
            Self::Dotted { max_bytes } => match suffix(role) {
                Some(suffix) => dotted_slot(live.as_str(), &suffix.to_uppercase(), max_bytes),
                None => live.clone(),
            },
        }
    }
}

fn suffix(role: Role) -> Option<String> {
    match role {
        Role::Live => None,
        Role::Build(release) => Some(format!("__build_{release}")),
        Role::Archive(release) => Some(format!("__{release}")),
        Role::Candidate(release) => Some(format!("__next_{release}")),
    }
}

fn dotted_slot(live: &str, suffix: &str, max_bytes: usize) -> SlotName {
    let mut quoted = false;
    let mut begin = 0;
    for (at, c) in live.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => begin = at + 1,
            _ => {}
        }
    }
    let (before, last) = live.split_at(begin);
    let inner = last.strip_prefix('"').and_then(|last| last.strip_suffix('"'));
    SlotName(match inner {
        Some(inner) => {
            let name = shortened(&inner.replace("\"\"", "\""), suffix, max_bytes);
            format!("{before}\"{}\"", name.replace('"', "\"\""))
        }
        None => format!("{before}{}", shortened(last, suffix, max_bytes)),
    })
}

/// The directory beside a live file in which Switchback keeps everything that belongs to it.
#[must_use]
pub fn home_of_file(live: &Path) -> PathBuf {
    let directory = live.parent().unwrap_or_else(|| Path::new("/"));
    directory.join(".switchback").join(live.file_name().unwrap_or_default())
}

fn file_slot(live: &Path, role: Role) -> PathBuf {
    let directory = match role {
        Role::Live => return live.to_path_buf(),
        Role::Build(release) => format!("build_{release}"),
        Role::Archive(release) => release.to_string(),
        Role::Candidate(release) => format!("next_{release}"),
    };
    home_of_file(live).join(directory).join(live.file_name().unwrap_or_default())
}

/// `base` + `suffix`, where necessary with the middle of `base` replaced by a digest of the whole
/// base, so that two long names that share a beginning do not collide once cut.
fn shortened(base: &str, suffix: &str, max_bytes: usize) -> String {
    let whole = format!("{base}{suffix}");
    if whole.len() <= max_bytes {
        return whole;
    }
    let digest = hex(&Sha256::digest(base.as_bytes())[..5]);
    let room = max_bytes.saturating_sub(suffix.len() + digest.len() + 1);
    let mut end = room.min(base.len());
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{digest}{suffix}", &base[..end])
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn build_and_archive_of_a_file_keep_its_name_in_a_directory_of_their_own() {
        let live = SlotName::from("/data/my shop/shop.duckdb");
        let build = Naming::Files.slot(&live, Role::Build(ReleaseId(2)));
        let archive = Naming::Files.slot(&live, Role::Archive(ReleaseId(1)));
        assert_eq!(build.as_str(), "/data/my shop/.switchback/shop.duckdb/build_r2/shop.duckdb");
        assert_eq!(archive.as_str(), "/data/my shop/.switchback/shop.duckdb/r1/shop.duckdb");
    }

    #[test]
    fn build_and_archive_of_an_identifier_carry_the_release_as_a_suffix() {
        let naming = Naming::Identifiers { max_bytes: 63 };
        let live = SlotName::from("analytics");
        assert_eq!(naming.slot(&live, Role::Build(ReleaseId(43))).as_str(), "analytics__build_r43");
        assert_eq!(naming.slot(&live, Role::Archive(ReleaseId(42))).as_str(), "analytics__r42");
    }

    #[test]
    fn the_last_part_of_a_dotted_name_carries_the_suffix_inside_its_quotes() {
        let naming = Naming::Dotted { max_bytes: 255 };
        let build = |live: &str| naming.slot(&SlotName::from(live), Role::Build(ReleaseId(2))).0;
        assert_eq!(build("SHOP"), "SHOP__BUILD_R2");
        assert_eq!(build("SHOP.MARTS"), "SHOP.MARTS__BUILD_R2");
        assert_eq!(build("\"my.shop\".\"odd \"\"x\""), "\"my.shop\".\"odd \"\"x__BUILD_R2\"");
        let long = format!("SHOP.{}", "A".repeat(255));
        let short = build(&long);
        assert_eq!(short.len(), "SHOP.".len() + 255);
        assert!(short.ends_with("__BUILD_R2"));
    }

    #[test]
    fn a_release_is_written_r_and_a_number_and_nothing_else_is_one() {
        assert_eq!("r12".parse::<ReleaseId>(), Ok(ReleaseId(12)));
        for wrong in ["12", "r", "r-1", "R1", "r1x", "r99999999999", "r+1"] {
            assert!(wrong.parse::<ReleaseId>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn two_different_live_names_never_share_a_build_name(
            a in "[a-z_é]{1,80}", b in "[a-z_é]{1,80}", release in 1u32..9999,
        ) {
            let naming = Naming::Identifiers { max_bytes: 63 };
            let name = |live: &str| naming.slot(&SlotName::from(live), Role::Build(ReleaseId(release)));
            prop_assert!(name(&a).as_str().len() <= 63);
            prop_assert_eq!(a == b, name(&a) == name(&b));
        }
    }
}
