//! The copy of a project in which some files have another text: links, wherever dbt cannot tell.
//!
//! dbt follows a link to a folder where that folder is a path it was told (`models`), and not below
//! such a path. So a folder is real where it leads to a changed file or lies below a path that dbt
//! searches from a real folder; everything else is one link, whatever its size. A link that dbt
//! would not follow stays a link.
//!
//! May import the standard library only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What the copy is made of.
#[derive(Debug, Default)]
pub struct Copy {
    /// Files that get another text, and new ones, by the path they are reached at.
    pub changed: BTreeMap<PathBuf, String>,
    /// The paths that dbt searches.
    pub searched: BTreeSet<PathBuf>,
    /// What is left out.
    pub left_out: BTreeSet<PathBuf>,
}

impl Copy {
    /// Makes the copy of folder `from` as folder `to`, which is made.
    pub fn make(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::create_dir_all(to)?;
        if from.is_dir() {
            self.fill(from, to)?;
        }
        // New files; their folders are real, or new too.
        for (path, text) in &self.changed {
            let Ok(inner) = path.strip_prefix(from) else { continue };
            let new = to.join(inner);
            if !new.exists() {
                fs::create_dir_all(new.parent().unwrap_or(to))?;
                fs::write(new, text)?;
            }
        }
        Ok(())
    }

    fn fill(&self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (path, new) = (entry.path(), to.join(entry.file_name()));
            if self.left_out.contains(&path) {
                continue;
            }
            if let Some(text) = self.changed.get(&path) {
                fs::write(&new, text)?;
            } else if self.is_real(&path, entry.file_type()?) {
                fs::create_dir(&new)?;
                self.fill(&path, &new)?;
            } else {
                symlink(&path, &new)?;
            }
        }
        Ok(())
    }

    fn is_real(&self, path: &Path, kind: fs::FileType) -> bool {
        if kind.is_file() {
            return false;
        }
        // The first path at or after this one is below it, if any is.
        let leads = self.changed.range(path.to_path_buf()..).next();
        if leads.is_some_and(|(changed, _)| changed.starts_with(path)) {
            return path.is_dir();
        }
        kind.is_dir()
            && path.ancestors().skip(1).any(|above| self.searched.contains(above))
            // A Python environment in the middle of it is nothing of dbt's.
            && !path.join("pyvenv.cfg").exists()
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
