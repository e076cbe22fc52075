//! `switchback.yml`: read strictly, every unknown key refused and named.
//!
//! May import `domain` and `failure`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::verify::Gates;
use crate::failure::{Failure, Outcome};

/// The file's keys. Those that are options too have the option's name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct File {
    /// As the option.
    pub project_dir: Option<String>,
    /// As the option.
    pub profiles_dir: Option<String>,
    /// As the option.
    pub profile: Option<String>,
    /// As the option.
    pub target: Option<String>,
    /// As the option.
    pub dbt_executable: Option<String>,
    /// As the option.
    pub dbt_requirements: Option<String>,
    /// As the option: one command or a list.
    pub dbt_command: OneOrMany,
    /// As the option: one command or a list.
    pub post_deploy_command: OneOrMany,
    /// As the option.
    pub dbt_timeout_minutes: Option<u64>,
    /// As the option.
    pub lease_seconds: Option<u64>,
    /// As the option.
    pub allow_drift: Option<bool>,
    /// As the option.
    pub allow_loss: Option<bool>,
    /// As the option.
    pub hold: Option<String>,
    /// What is swapped; on DuckDB always the file.
    pub isolation: Isolation,
    /// What moves dbt beside the profile's key.
    pub redirect: Redirect,
    /// What is kept.
    pub retention: Retention,
    /// What is allowed by name.
    pub allow: AllowKeys,
    /// The gates.
    pub gates: Gates,
}

/// What is swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Chosen by what dbt writes.
    #[default]
    Auto,
    /// The database.
    Database,
    /// The schemas.
    Schema,
}

/// `redirect`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Redirect {
    /// Environment variables for the build.
    pub env: BTreeMap<String, String>,
    /// dbt variables for the build.
    pub vars: BTreeMap<String, String>,
}

/// `retention`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Retention {
    /// How many earlier releases are kept, 1 or more.
    #[serde(deserialize_with = "one_or_more")]
    pub releases: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { releases: 3 }
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom(
            "`releases` is 0; it must be 1 or more, or there is nothing to go back to",
        )),
        number => Ok(number),
    }
}

/// `allow`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AllowKeys {
    /// Models that may write outside any slot.
    pub external: BTreeSet<String>,
    /// Relations (`schema.name`) whose loss the gates accept.
    pub relations: BTreeSet<String>,
    /// A left-over write-ahead log may be absorbed.
    pub wal: bool,
    /// Kinds of objects that a clone may lose or change (Snowflake).
    pub objects: BTreeSet<String>,
    /// Grants that the role cannot see may be lost (Snowflake).
    pub unseen_grants: bool,
}

/// A list that may be written as a single value.
#[derive(Debug, Default)]
pub struct OneOrMany(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a command or a list of commands")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMany(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Outcome<File> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("{} cannot be read", path.display())).because(error.into())
    })?;
    parse(&text, path)
}

/// Reads the text of the file at `path` (which is only named in messages).
pub fn parse(text: &str, path: &Path) -> Outcome<File> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(File::default());
    }
    serde_yaml::from_str(text).map_err(|error| {
        Failure::usage(format!("{} is not right: {error}", path.display()))
            .next("correct that line; the keys are described in README.md under Configuration")
    })
}
