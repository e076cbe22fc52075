//! The directory that holds everything Switchback keeps for one live file: its paths, the kernel
//! lock, and the markers that say which file of ours a slot directory was made for.
//!
//! Invariants: every cutover and every change of the ledger or the lease happens while the kernel
//! lock is held; the lock is never waited for without a bound; a path outside this directory is
//! never a slot that may be removed. May import `domain`, `failure`, `ports` and `files`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::files;
use crate::domain::name::{Identity, SlotName, home_of_file};
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError};

/// How long the kernel lock is waited for: it is held for milliseconds only.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The name of the marker in a slot directory.
const MARKER: &str = "slot.json";

/// The home of one live file.
#[derive(Clone, Debug)]
pub(super) struct Home {
    pub(super) directory: PathBuf,
}

/// The kernel lock; given back when dropped.
#[derive(Debug)]
pub(super) struct HomeLock {
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Marker {
    v: u32,
    identity: Identity,
}

impl Home {
    /// The home of `live`, which need not exist yet.
    pub(super) fn of(live: &Path) -> Self {
        Self { directory: home_of_file(live) }
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.directory.join("ledger.jsonl")
    }

    pub(super) fn lease(&self) -> PathBuf {
        self.directory.join("lease.json")
    }

    pub(super) fn alive(&self, token: u64) -> PathBuf {
        self.directory.join(format!("alive.{token}"))
    }

    /// Makes the directory. Everything under `.switchback/` is kept out of git: production and
    /// its archives are no part of a checkout, and must not make it look changed.
    pub(super) fn create(&self) -> io::Result<()> {
        if self.directory.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.directory)?;
        let Some(shared) = self.directory.parent() else {
            return Ok(());
        };
        let ignore = shared.join(".gitignore");
        if !ignore.exists() {
            files::write_durably(&ignore, b"*\n")?;
        }
        files::sync_directory(shared)?;
        shared.parent().map_or(Ok(()), files::sync_directory)
    }

    /// Takes the kernel lock, which every process that changes this environment takes for a
    /// moment.
    pub(super) async fn lock(&self) -> Answer<HomeLock> {
        let path = self.directory.join("lock");
        let open = || {
            self.create()?;
            OpenOptions::new().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(|error| files::refused("cannot open", &path, error))?;
        let began = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(HomeLock { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(files::refused("cannot lock", &path, error.into())),
            }
            if began.elapsed() > LOCK_PATIENCE {
                return Err(PortError::Refused(
                    Failure::new(
                        Kind::Locked,
                        format!(
                            "another Switchback process has held {} for {} seconds",
                            path.display(),
                            LOCK_PATIENCE.as_secs()
                        ),
                    )
                    .next(format!(
                        "see which process it is with `fuser -v '{}'`; it may be stopped",
                        path.display()
                    )),
                ));
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
    }

    /// The slot directory of `slot`, provided it is one of this home's: only those may ever be
    /// moved or removed.
    pub(super) fn slot_directory(&self, slot: &SlotName) -> Answer<PathBuf> {
        slot.as_path()
            .parent()
            .filter(|directory| directory.parent() == Some(self.directory.as_path()))
            .map(Path::to_path_buf)
            .ok_or_else(|| {
                PortError::Refused(Failure::new(
                    Kind::Unexpected,
                    format!("{slot} is not a slot inside {}", self.directory.display()),
                ))
            })
    }
}

/// The marker's place in a slot directory.
pub(super) fn marker_path(directory: &Path) -> PathBuf {
    directory.join(MARKER)
}

/// Records that the slot directory was made for this very file.
pub(super) fn write_marker(directory: &Path, identity: &Identity) -> io::Result<()> {
    let marker = Marker { v: 1, identity: identity.clone() };
    let mut text = serde_json::to_vec(&marker)?;
    text.push(b'\n');
    files::write_durably(&marker_path(directory), &text)
}

/// The file the slot directory was made for. A marker that is missing or damaged proves nothing.
pub(super) fn read_marker(directory: &Path) -> Option<Identity> {
    let text = fs::read(marker_path(directory)).ok()?;
    serde_json::from_slice::<Marker>(&text).ok().map(|marker| marker.identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::of(&dir.path().join("shop.duckdb"));
        (dir, home)
    }

    #[tokio::test]
    async fn the_lock_excludes_others_and_is_given_back_when_dropped() {
        let (_dir, home) = home();
        let held = home.lock().await.unwrap();
        let other = tokio::time::timeout(Duration::from_millis(50), home.lock()).await;
        assert!(other.is_err(), "a second process got the lock");
        drop(held);
        home.lock().await.unwrap();
    }

    #[test]
    fn a_marker_reads_back_and_damage_proves_nothing() {
        let (_dir, home) = home();
        home.create().unwrap();
        let identity = Identity::from("inode 1 born now");
        assert_eq!(read_marker(&home.directory), None);
        write_marker(&home.directory, &identity).unwrap();
        assert_eq!(read_marker(&home.directory), Some(identity));
        fs::write(marker_path(&home.directory), "{").unwrap();
        assert_eq!(read_marker(&home.directory), None);
    }

    #[test]
    fn only_directories_inside_the_home_are_slots() {
        let (_dir, home) = home();
        let inside = home.directory.join("r1/shop.duckdb");
        assert!(home.slot_directory(&SlotName(inside.display().to_string())).is_ok());
        for outside in ["/data/shop.duckdb", "shop.duckdb", "/"] {
            assert!(home.slot_directory(&outside.into()).is_err());
        }
    }

    #[test]
    fn the_home_is_kept_out_of_git() {
        let (dir, home) = home();
        home.create().unwrap();
        let ignored = fs::read_to_string(dir.path().join(".switchback/.gitignore")).unwrap();
        assert_eq!(ignored, "*\n");
    }
}
