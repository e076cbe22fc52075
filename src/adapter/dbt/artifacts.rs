//! dbt's artifacts: telling this command's results from the last one's, and copying them to where
//! dbt would have written them, for whatever reads them there.
//!
//! May import the standard library only.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What is copied. Not the partial parse: it would carry the build's names into other runs.
const COPIED: [&str; 8] = [
    "manifest.json",
    "run_results.json",
    "sources.json",
    "catalog.json",
    "graph.gpickle",
    "semantic_manifest.json",
    "compiled",
    "run",
];

/// A time no command can have written at.
fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1)
}

/// Marks a result file as seen, so that it is not read again if the next command writes none. It
/// stays in place: `dbt retry` reads it.
pub fn mark_seen(file: &Path) -> io::Result<()> {
    match File::options().write(true).open(file) {
        Ok(file) => file.set_modified(long_ago()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a result file was written since it was marked.
#[must_use]
pub fn is_fresh(file: &Path) -> bool {
    let modified = file.metadata().and_then(|meta| meta.modified());
    modified.is_ok_and(|at| at != long_ago())
}

/// Copies the artifacts from one target path to another.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for name in COPIED {
        let source = from.join(name);
        if source.exists() {
            copy_tree(&source, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_file_is_read_once_per_writing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run_results.json");
        mark_seen(&file).unwrap();
        assert!(!is_fresh(&file));
        fs::write(&file, "{}").unwrap();
        assert!(is_fresh(&file));
        mark_seen(&file).unwrap();
        assert!(!is_fresh(&file) && file.exists());
        fs::write(&file, "{}").unwrap();
        assert!(is_fresh(&file));
    }

    #[test]
    fn artifacts_are_copied_but_not_the_partial_parse() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(from.join("run/shop/models")).unwrap();
        fs::write(from.join("run/shop/models/x.sql"), "1").unwrap();
        fs::write(from.join("manifest.json"), "{}").unwrap();
        fs::write(from.join("partial_parse.msgpack"), "x").unwrap();
        copy(&from, &to).unwrap();
        assert!(to.join("run/shop/models/x.sql").exists());
        assert!(to.join("manifest.json").exists());
        assert!(!to.join("partial_parse.msgpack").exists());
    }
}
