//! Can a deploy work here at all? Found out before dbt starts, without touching live.
//!
//! Invariant: whatever a probe creates it removes again. May import `failure` and this adapter's
//! files.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::NamedTempFile;

use super::files::{self, Stat};
use super::home::Home;
use super::path::LiveFile;
use super::{access, copy, slots};
use crate::failure::{Failure, Outcome};

const NOT_HERE: &str = "Production is unchanged.";

/// All checks of the file and its filesystem, the cheap ones first.
pub(super) fn check(live: &LiveFile, home: &Home, python: &Path, allow_wal: bool) -> Outcome<()> {
    check_all(live, home, python, allow_wal).map_err(|failure| failure.production(NOT_HERE))
}

fn check_all(live: &LiveFile, home: &Home, python: &Path, allow_wal: bool) -> Outcome<()> {
    let path = &live.path;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let cannot = |error| files::failure("cannot look at", path, error);
    let found = files::stat(path).map_err(cannot)?;
    let around = files::stat(directory).map_err(cannot)?;
    if let (Some(found), Some(around)) = (&found, &around) {
        refuse_mount_and_links(path, found, around)?;
    }
    if !allow_wal && let Some(wal) = live.names().flat_map(files::wals).next() {
        return Err(slots::wal_failure(&wal, python));
    }
    let place = nearest(&home.directory);
    let there = files::stat(&place).map_err(cannot)?;
    if let (Some(around), Some(there)) = (&around, &there)
        && around.device != there.device
    {
        return Err(Failure::stopped(format!(
            "{} is on another filesystem than {}, and files can be exchanged only within one",
            place.display(),
            path.display()
        ))
        .next(format!(
            "make {} a plain directory on the filesystem of the database",
            place.display()
        )));
    }
    probe(path, found.as_ref(), directory, &place)
}

fn refuse_mount_and_links(path: &Path, found: &Stat, around: &Stat) -> Outcome<()> {
    // Devices are the second choice: on overlayfs a file's may differ from its directory's.
    let is_mount = found.mount_root.unwrap_or(found.device != around.device);
    if is_mount {
        return Err(Failure::stopped(format!(
            "{} is itself a mount point (a file bound into a container?), and a mount point cannot \
             be exchanged",
            path.display()
        ))
        .next(format!(
            "mount its directory instead: `-v {0}:{0}`",
            path.parent().unwrap_or(path).display()
        )));
    }
    if found.links > 1 {
        return Err(Failure::stopped(format!(
            "{} has {} hard links; after an exchange the other names would still lead to the old \
             release",
            path.display(),
            found.links
        ))
        .next(format!(
            "find them with `find / -xdev -inum {}` and remove them, or make them symbolic links",
            found.inode
        )));
    }
    Ok(())
}

/// The directory itself, or the nearest above it that exists: where it would be made.
fn nearest(directory: &Path) -> PathBuf {
    directory.ancestors().find(|place| place.is_dir()).unwrap_or(directory).to_path_buf()
}

/// Exchanges two files of no meaning where the real ones will be exchanged.
fn probe(live: &Path, found: Option<&Stat>, beside: &Path, place: &Path) -> Outcome<()> {
    let create = |directory: &Path| -> Outcome<NamedTempFile> {
        tempfile::Builder::new()
            .prefix(".switchback-probe-")
            .tempfile_in(directory)
            .map_err(|error| files::failure("cannot write to", &directory.join("."), error))
    };
    let (mut one, two) = (create(beside)?, create(place)?);
    renameat_with(CWD, one.path(), CWD, two.path(), RenameFlags::EXCHANGE).map_err(|errno| {
        Failure::stopped(format!(
            "the filesystem of {} cannot exchange two files in one step (a network filesystem?): \
             {}",
            live.display(),
            io::Error::from(errno)
        ))
        .next("keep the database on a local filesystem such as ext4, xfs or btrfs")
    })?;
    let Some(found) = found else { return Ok(()) };
    access::copy(live, two.path())?;
    one.write_all(&[0; 4096])
        .map_err(|error| files::failure("cannot write to", one.path(), error))?;
    let target = File::options().write(true).open(two.path());
    let shares = target.is_ok_and(|target| copy::can_reflink(one.as_file(), &target));
    if shares {
        return Ok(());
    }
    match files::free_space(place) {
        Some(free) if free < found.size => Err(Failure::stopped(format!(
            "a copy of {} needs {}, and {} are free",
            live.display(),
            files::human(found.size),
            files::human(free)
        ))
        .next(
            "free some space (`switchback prune` drops archives beyond retention), then run the \
               same command again",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::failure::Kind;

    fn live(dir: &tempfile::TempDir) -> LiveFile {
        super::super::path::resolve("shop.duckdb", dir.path(), None).unwrap()
    }

    fn checked(live: &LiveFile, allow_wal: bool) -> Outcome<()> {
        check(live, &Home::of(&live.path), Path::new("/venv/bin/python"), allow_wal)
    }

    #[test]
    fn a_plain_file_passes_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        checked(&live(&dir), false).unwrap(); // a first deploy
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(dir.path().join("shop.duckdb"), "x").unwrap();
        checked(&live(&dir), false).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(dir.path().join("shop.duckdb")).unwrap(), b"x");
    }

    #[test]
    fn hard_links_and_leftover_logs_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop.duckdb");
        fs::write(&path, "x").unwrap();
        fs::hard_link(&path, dir.path().join("other")).unwrap();
        let failure = checked(&live(&dir), false).unwrap_err();
        assert_eq!(failure.kind, Kind::Stopped);
        assert!(failure.message.contains("2 hard links"), "{failure}");
        fs::remove_file(dir.path().join("other")).unwrap();
        for suffix in files::WAL_SUFFIXES {
            let wal = files::with_suffix(&path, suffix);
            fs::write(&wal, "").unwrap();
            let failure = checked(&live(&dir), false).unwrap_err();
            assert_eq!(failure.kind, Kind::Stopped);
            assert!(failure.message.contains(suffix), "{failure}");
            checked(&live(&dir), true).unwrap();
            fs::remove_file(wal).unwrap();
        }
    }

    #[test]
    fn a_log_beside_the_link_counts_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/shop.duckdb"), "x").unwrap();
        std::os::unix::fs::symlink("real/shop.duckdb", dir.path().join("shop.duckdb")).unwrap();
        checked(&live(&dir), false).unwrap();
        fs::write(dir.path().join("shop.duckdb.wal"), "").unwrap();
        assert!(checked(&live(&dir), false).is_err());
    }

    #[test]
    fn a_mount_point_is_told_by_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "x").unwrap();
        let around = files::stat(dir.path()).unwrap().unwrap();
        let mut found = files::stat(&dir.path().join("f")).unwrap().unwrap();
        assert!(refuse_mount_and_links(&dir.path().join("f"), &found, &around).is_ok());
        found.mount_root = Some(true);
        let failure = refuse_mount_and_links(&dir.path().join("f"), &found, &around).unwrap_err();
        assert!(failure.message.contains("mount point"), "{failure}");
        found.mount_root = None; // an older kernel
        found.device.1 += 1;
        assert!(refuse_mount_and_links(&dir.path().join("f"), &found, &around).is_err());
    }
}
