//! The private temporary directory of a run: per side (production, build) a profile, a target path
//! and a place for logs. It goes when the run goes.
//!
//! May import `failure`, `ports` and its siblings `locate`, `scratch` and `splice`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::locate::Located;
use super::scratch::Scratch;
use super::splice::{Place, splice};
use crate::failure::Outcome;
use crate::ports::Redirect;

/// Which of the two parses, profiles and target paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As production.
    Production,
    /// As the build.
    Build,
}

/// The directory, readable by us alone.
#[derive(Debug)]
pub struct Workspace {
    dir: Scratch,
}

impl Workspace {
    /// A fresh one in the folder for temporary files.
    pub fn new(root: &Path) -> Outcome<Self> {
        let dir = Scratch::new(root).with_context(|| {
            format!("a temporary directory cannot be made in {}", root.display())
        })?;
        Ok(Self { dir })
    }

    fn side(&self, side: Side) -> PathBuf {
        self.dir.path().join(match side {
            Side::Production => "production",
            Side::Build => "build",
        })
    }

    /// The side's target path.
    pub fn target(&self, side: Side) -> PathBuf {
        self.side(side).join("target")
    }

    /// The side's profiles directory.
    pub fn profiles(&self, side: Side) -> PathBuf {
        self.side(side).join("profiles")
    }

    /// Where the side's parse logs.
    pub fn logs(&self, side: Side) -> PathBuf {
        self.side(side).join("logs")
    }

    /// Empties a side's target path: a parse must begin from nothing.
    pub fn clear(&self, side: Side) -> Outcome<()> {
        removed(&self.target(side)).context("an old parse cannot be removed")?;
        Ok(())
    }

    /// Makes dbt parse a side from nothing; its artifacts stay.
    pub fn forget_parse(&self, side: Side) -> Outcome<()> {
        match fs::remove_file(self.target(side).join("partial_parse.msgpack")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(anyhow::Error::from(error).context("an old parse cannot be removed").into())
            }
            _ => Ok(()),
        }
    }

    /// A folder, not made yet, for an overlay of the project.
    pub fn overlay(&self) -> Outcome<PathBuf> {
        let dir = self.side(Side::Build).join("project");
        removed(&dir).context("an old overlay cannot be removed")?;
        Ok(dir)
    }

    /// Writes a side's profile.
    pub fn write_profile(&self, side: Side, text: &str, located: &Located) -> Outcome<()> {
        let dir = self.profiles(side);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&dir)?;
            fs::create_dir_all(self.target(side))?;
            fs::write(dir.join("profiles.yml"), text)
        };
        write().context("the generated profile cannot be written")?;
        // dbt's usage statistics count users by this file; without it every run is a new one.
        let user = located.profiles_file.parent().unwrap_or(Path::new("."));
        let _ = fs::copy(user.join(".user.yml"), dir.join(".user.yml"));
        Ok(())
    }
}

/// Removes a folder, links in it unfollowed, if it is there.
fn removed(dir: &Path) -> std::io::Result<()> {
    if dir.exists() { fs::remove_dir_all(dir) } else { Ok(()) }
}

/// The profile under which dbt writes to the build.
pub fn redirected(located: &Located, redirect: &Redirect) -> Outcome<String> {
    splice(
        &located.profiles_text,
        &Place { profile: &located.profile, target: &located.target, keys: &[redirect.key] },
        &redirect.value,
    )
}

/// The profile under which dbt can only read production, where the warehouse has one.
pub fn read_only(located: &Located) -> Outcome<String> {
    if located.adapter != "duckdb" {
        return Ok(located.profiles_text.clone());
    }
    splice(
        &located.profiles_text,
        &Place {
            profile: &located.profile,
            target: &located.target,
            keys: &["config_options", "access_mode"],
        },
        "READ_ONLY",
    )
}
