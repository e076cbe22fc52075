//! Temporary directories that go when their process goes: at its end, or, if it was killed, when
//! the next of ours starts. They hold copies of profiles, and those may hold secrets.
//!
//! Each carries a file that its process keeps locked for as long as it lives; a free lock means a
//! dead process. The file appears locked and goes last, so that there is no moment in which a
//! directory in use looks abandoned, or one half removed looks like somebody else's.
//!
//! May import nothing of this crate.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open, openat};
use rustix::process::geteuid;

const PREFIX: &str = "switchback-";
/// The file whose lock tells that the directory is in use.
const LOCK: &str = ".switchback-lock";
/// How many entries of the temporary folder are looked at.
const SCANNED: usize = 20_000;
/// How long directories are removed before the rest is left to the next run.
const PATIENCE: Duration = Duration::from_secs(5);

/// A directory that only this user can read.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Without a lock nobody else removes it: then the file system cannot lock.
    lock: Option<File>,
}

impl Scratch {
    /// A fresh one in `root`.
    pub fn new(root: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700));
        let path = builder.tempdir_in(root)?.keep();
        let lock = locked(&path).ok();
        Ok(Self { path, lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run.
        let _ = empty(&self.path).and_then(|()| fs::remove_dir(&self.path));
        drop(self.lock.take());
    }
}

fn locked(dir: &Path) -> io::Result<File> {
    let new = dir.join(format!("{LOCK}.new"));
    let file = File::create_new(&new)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    fs::rename(new, dir.join(LOCK))?;
    Ok(file)
}

/// Removes what dead processes left in `root`, beside whatever else we do: nobody waits for it, and
/// what does not get done is left to the next run.
pub fn sweep_aside(root: PathBuf) {
    let _ = std::thread::Builder::new().name("sweep".to_owned()).spawn(move || sweep(&root));
}

fn sweep(root: &Path) {
    let began = Instant::now();
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.take(SCANNED).filter_map(Result::ok) {
        if began.elapsed() > PATIENCE {
            return;
        }
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            // Not ours, in use, or gone already.
            let _ = remove_abandoned(&entry.path());
        }
    }
}

fn remove_abandoned(path: &Path) -> io::Result<()> {
    let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let dir = File::from(open(path, flags | OFlags::DIRECTORY, Mode::empty())?);
    let lock = openat(&dir, LOCK, flags | OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())?;
    let lock = File::from(lock);
    let (about_dir, about_lock) = (dir.metadata()?, lock.metadata()?);
    let us = geteuid().as_raw();
    if about_dir.uid() != us || about_lock.uid() != us || !about_lock.is_file() {
        return Ok(());
    }
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    if lock.metadata()?.nlink() == 0 {
        return Ok(()); // Another run has just removed it.
    }
    // By the descriptor: whatever gets the path meanwhile, this is the directory that was judged.
    empty(Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())))?;
    fs::remove_dir(path)
}

/// Removes what is in a directory, the lock file last. Links are removed, not followed.
fn empty(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    match fs::remove_file(dir.join(LOCK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "secret").unwrap();
    }

    /// What a process that was killed leaves: everything but the lock on the file.
    fn abandoned(root: &Path) -> PathBuf {
        let scratch = Scratch::new(root).unwrap();
        write(&scratch.path().join("build/profiles/profiles.yml"));
        let mut scratch = std::mem::ManuallyDrop::new(scratch);
        drop(scratch.lock.take());
        scratch.path.clone()
    }

    #[test]
    fn a_directory_is_private_and_goes_with_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(root.path()).unwrap();
        let path = scratch.path().to_path_buf();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        write(&path.join("production/target/manifest.json"));
        sweep(root.path());
        assert!(path.join("production/target/manifest.json").exists(), "it is in use");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let kept = elsewhere.path().join("kept/file");
        write(&kept);
        let left = abandoned(root.path());
        symlink(elsewhere.path().join("kept"), left.join("link")).unwrap();
        sweep(root.path());
        assert!(!left.exists());
        assert!(kept.exists());
    }

    #[test]
    fn only_directories_that_carry_our_lock_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let (without, other) = (root.path().join("switchback-x"), root.path().join("other"));
        write(&without.join("file"));
        write(&other.join(LOCK));
        let elsewhere = tempfile::tempdir().unwrap();
        let target = abandoned(elsewhere.path());
        symlink(&target, root.path().join("switchback-link")).unwrap();
        let linked = root.path().join("switchback-linked");
        write(&linked.join("file"));
        symlink(target.join(LOCK), linked.join(LOCK)).unwrap();
        fs::write(root.path().join("switchback-file"), "").unwrap();
        sweep(root.path());
        assert!(without.join("file").exists() && other.join(LOCK).exists());
        assert!(target.join("build/profiles/profiles.yml").exists());
        assert!(linked.join("file").exists());
        assert!(root.path().join("switchback-file").exists());
    }

    #[test]
    fn a_removal_that_was_cut_short_is_taken_up_again() {
        let root = tempfile::tempdir().unwrap();
        let left = abandoned(root.path());
        fs::remove_dir_all(left.join("build")).unwrap();
        assert!(left.join(LOCK).exists());
        sweep(root.path());
        assert!(!left.exists());
    }
}
