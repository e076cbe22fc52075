//! dbt's artifacts, read in place: a memory map and JSON that borrows from it. A manifest may have
//! two hundred megabytes.
//!
//! May import `failure`.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use memmap2::Mmap;
use serde::{Deserialize, Deserializer};

use crate::failure::{Failure, Outcome};

/// A file of dbt's in our private target path.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    bytes: Mmap,
}

impl Mapped {
    /// Maps a file that dbt has finished writing.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> Outcome<Self> {
        let open = || -> anyhow::Result<Mmap> {
            let file = File::open(path)?;
            // SAFETY: a map is undefined behaviour only if someone changes the file under it. The
            // file lies in a temporary directory that only this process and the dbt runs it
            // started can reach, and the map is dropped before the next dbt run starts.
            Ok(unsafe { Mmap::map(&file) }?)
        };
        let bytes = open().with_context(|| format!("dbt left no {}", path.display()))?;
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    /// The content, borrowed from the map.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Outcome<T> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            Failure::from(
                anyhow::Error::from(error).context(format!(
                    "{} is not what dbt 1.8 or newer writes",
                    self.path.display()
                )),
            )
        })
    }
}

/// A text that borrows unless it holds escapes; also as a map's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub std::borrow::Cow<'a, str>);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// dbt writes `null` where other versions leave a key out.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
