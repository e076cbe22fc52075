//! Builds and archives as files in directories of their own: seen, created, moved, removed.
//!
//! Invariants: a slot is made for one file, whose identity its marker holds before the file has
//! its name; nothing is emptied unless the marker proves it ours at that moment, and nothing removed
//! unless its own stamp names the release that is to go, or it has none and the marker proves it;
//! nothing is overwritten; every change is fenced under the kernel lock.
//! May import `domain`, `failure`, `ports` and this adapter's files.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::files::{self, Stat};
use super::home::{self, Home};
use super::warehouse::DuckDb;
use super::{copy, lease};
use crate::domain::name::{ReleaseId, SlotName};
use crate::domain::slot::Content;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Token};

/// A file on its way to its name.
const CREATING: &str = ".creating";

/// A slot's file that exists.
pub(super) struct Found {
    pub(super) slot: SlotName,
    pub(super) stat: Stat,
    pub(super) created_by_us: bool,
}

/// Every slot file in the home, in name order. Names are not interpreted.
pub(super) fn list(home: &Home, file_name: &str) -> io::Result<Vec<Found>> {
    let entries = match fs::read_dir(&home.directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path().join(file_name);
        let (Some(stat), Some(name)) = (files::stat(&path)?, path.to_str()) else {
            continue;
        };
        found.push(Found {
            slot: SlotName::from(name),
            created_by_us: is_marked(&path, &stat),
            stat,
        });
    }
    found.sort_by(|a, b| a.slot.cmp(&b.slot));
    Ok(found)
}

/// Whether the marker beside `path` says that we created this very file.
pub(super) fn is_marked(path: &Path, stat: &Stat) -> bool {
    path.parent().and_then(home::read_marker).as_ref() == Some(&stat.identity)
}

/// Refuses where another process has `path` open for writing.
pub(super) fn refuse_writer(path: &Path) -> Answer<()> {
    let held = files::writer(path).map_err(|e| files::refused("cannot look at", path, e))?;
    let Some(writer) = held else { return Ok(()) };
    let (who, look) = writer.pid.map_or_else(
        || (String::new(), format!("see who has it open with `fuser -v '{}'`", path.display())),
        |pid| (format!(" (PID {pid})"), format!("see what it is with `ps -fp {pid}`")),
    );
    Err(PortError::Refused(
        Failure::new(
            Kind::Locked,
            format!("{} is being written by another process{who}", path.display()),
        )
        .next(format!("{look}; when it has ended, run the same command again")),
    ))
}

/// Why a leftover write-ahead log stops everything, and what to do: with the duckdb that runs
/// here, so that nobody needs another.
pub(super) fn wal_failure(wal: &Path, python: &Path) -> Failure {
    let name = wal.display().to_string();
    let file = files::WAL_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    Failure::stopped(format!(
        "{name} is there: a process that wrote to the database has crashed or is still at work, \
         and what it wrote last is in that log and not in the file"
    ))
    .next(format!(
        "wait for the writer to end; if it has crashed, take the log in by hand: `{} -c \
         'import duckdb, sys; duckdb.connect(sys.argv[1]).execute(\"CHECKPOINT\")' {}`; a deploy \
         does that itself with `allow: {{wal: true}}` in switchback.yml",
        quoted(&python.display().to_string()),
        quoted(file.unwrap_or(&name)),
    ))
}

/// As a shell reads it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl DuckDb {
    /// Refuses where a write-ahead log lies beside `path`.
    pub(super) fn refuse_wal(&self, path: &Path) -> Answer<()> {
        match files::wals(path).first() {
            Some(wal) => Err(PortError::Refused(wal_failure(wal, self.sql.python()))),
            None => Ok(()),
        }
    }

    /// Creates the empty file of a slot with its marker, or empties the one we created before.
    pub(super) async fn create_file(&self, path: &Path, fence: Token) -> Answer<()> {
        let directory = self.home.slot_directory(&slot(path))?;
        let _lock = self.home.lock().await?;
        lease::fence(&self.home, fence)?;
        let cannot = |error| files::refused("cannot create", path, error);
        self.refuse_wal(path)?;
        match files::stat(path).map_err(cannot)? {
            Some(found) if is_marked(path, &found) => {
                refuse_writer(path)?;
                self.let_go_of(found.inode).await;
                let file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
                file.set_len(0).and_then(|()| file.sync_all()).map_err(cannot)
            }
            Some(_) => Err(not_ours(path, "emptied")),
            None => self.create_new(&directory, path).map_err(cannot),
        }
    }

    /// The marker is written before the file gets its name, so that there is no moment at which
    /// the file is there and cannot be told to be ours.
    fn create_new(&self, directory: &Path, path: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let creating = directory.join(CREATING);
        match fs::remove_file(&creating) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Nobody may read a copy of production before it has production's access rules; a first
        // release has none to wait for.
        let mode = if self.live.path.exists() { 0o600 } else { 0o666 };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&creating)?;
        file.sync_all()?;
        let stat = files::stat(&creating)?.ok_or(io::ErrorKind::NotFound)?;
        home::write_marker(directory, &stat.identity)?;
        renameat_with(CWD, &creating, CWD, path, RenameFlags::NOREPLACE)?;
        files::sync_directory(directory)?;
        files::sync_directory(&self.home.directory)
    }

    /// Copies live's content into the file we created; on a full disk what was copied is removed
    /// again.
    pub(super) async fn copy_file(&self, from: &Path, to: &Path, fence: Token) -> Answer<()> {
        if from == self.live.path {
            self.require_guard(from).await?;
        }
        let cannot = |error| files::refused("cannot copy production to", to, error);
        let (source, target) = {
            let _lock = self.home.lock().await?;
            lease::fence(&self.home, fence)?;
            self.own_file(to)?;
            let source = fs::File::open(from).map_err(cannot)?;
            let target = OpenOptions::new().write(true).open(to).map_err(cannot)?;
            target.set_len(0).map_err(cannot)?;
            (source, target)
        };
        let needed = source.metadata().map_or(0, |found| found.len());
        let cancel = copy::Cancel::default();
        let _stops = cancel.on_drop();
        let copied = tokio::task::spawn_blocking(move || copy::copy(&source, &target, &cancel));
        match copied.await {
            // Somebody may have ended it meanwhile, and another have written.
            Ok(Ok(())) if from == self.live.path && self.require_guard(from).await.is_err() => {
                Err(unguarded(from))
            }
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if files::is_full(&error) => {
                let free = files::free_sentence(to);
                let torn = self.own_file(to)?;
                self.discard(to, Some(torn), fence).await?;
                Err(PortError::Refused(full(needed, &free)))
            }
            Ok(Err(error)) => Err(cannot(error)),
            Err(error) => Err(PortError::Refused(anyhow::Error::new(error).into())),
        }
    }

    /// The slot's file, proved to be the one we created.
    pub(super) fn own_file(&self, path: &Path) -> Answer<Stat> {
        self.home.slot_directory(&slot(path))?;
        let found = files::stat(path).map_err(|e| files::refused("cannot look at", path, e))?;
        match found {
            Some(found) if is_marked(path, &found) => Ok(found),
            _ => Err(not_ours(path, "written")),
        }
    }

    /// Removes a slot and its directory, if its own stamp names `release`, or it has none and the
    /// marker proves that we created this very file.
    pub(super) async fn remove_slot(
        &self,
        slot: &SlotName,
        release: ReleaseId,
        fence: Token,
    ) -> Answer<()> {
        let path = slot.as_path();
        self.home.slot_directory(slot)?;
        let found = files::stat(path).map_err(|e| files::refused("cannot look at", path, e))?;
        if let Some(found) = &found {
            self.may_remove(slot, found, release).await?;
        }
        self.discard(path, found, fence).await
    }

    async fn may_remove(&self, slot: &SlotName, found: &Stat, release: ReleaseId) -> Answer<()> {
        let path = slot.as_path();
        let content = self.observe_one(slot).await?;
        if let Content::Busy { reason } = content {
            return Err(PortError::Refused(Failure::new(
                Kind::Locked,
                format!("{slot} cannot be removed now: {reason}"),
            )));
        }
        if content.identity() != Some(&found.identity) {
            return Err(not_ours(path, "removed"));
        }
        match content.own_stamp() {
            Some(stamp) if stamp.release == release => Ok(()),
            Some(stamp) => Err(PortError::Refused(
                Failure::new(
                    Kind::Unexpected,
                    format!(
                        "{slot} holds {} and not {release}, so it is not removed",
                        stamp.release
                    ),
                )
                .next("see what is kept where with `switchback status`"),
            )),
            None if is_marked(path, found) => Ok(()),
            None => Err(not_ours(path, "removed")),
        }
    }

    /// Removes the very file that was proved to be ours, and its directory.
    async fn discard(&self, path: &Path, proved: Option<Stat>, fence: Token) -> Answer<()> {
        let directory = self.home.slot_directory(&slot(path))?;
        let _lock = self.home.lock().await?;
        lease::fence(&self.home, fence)?;
        let cannot = |error| files::refused("cannot remove", path, error);
        let now = files::stat(path).map_err(cannot)?;
        let identity = |stat: &Option<Stat>| stat.as_ref().map(|stat| stat.identity.clone());
        if identity(&now) != identity(&proved) {
            return Err(not_ours(path, "removed"));
        }
        if let Some(now) = now {
            refuse_writer(path)?;
            self.let_go_of(now.inode).await; // else its space stays taken
        }
        clear(&directory, path).map_err(cannot)?;
        files::sync_directory(&self.home.directory).map_err(cannot)
    }
}

fn unguarded(live: &Path) -> PortError {
    PortError::Refused(
        Failure::stopped(format!(
            "the connection that keeps writers out of {} ended while it was being copied, so the \
             copy may be a mixture and is not used",
            live.display()
        ))
        .next("run the same command again"),
    )
}

/// The slot that a path names.
pub(super) fn slot(path: &Path) -> SlotName {
    SlotName(path.display().to_string())
}

fn not_ours(path: &Path, what: &str) -> PortError {
    PortError::Refused(
        Failure::new(
            Kind::Unexpected,
            format!(
                "{} carries no stamp of ours and was not created by Switchback, so it is not {what}",
                path.display()
            ),
        )
        .next("look at it, and move it away by hand if nobody needs it there"),
    )
}

fn full(needed: u64, free: &str) -> Failure {
    Failure::stopped(format!(
        "the disk is full: a copy of production needs {} and {free}; what was copied is removed \
         again",
        files::human(needed)
    ))
    .next(
        "free some space (`switchback prune` drops archives beyond retention), then run the same \
         command again",
    )
}

/// Removes what belongs to a slot's file, then the directory if nothing foreign is left in it.
pub(super) fn clear(directory: &Path, file: &Path) -> io::Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    let mut ours: Vec<PathBuf> = files::wals(file);
    ours.extend([files::with_suffix(file, ".fresh"), directory.join(CREATING)]);
    ours.extend([file.to_path_buf(), home::marker_path(directory)]);
    for path in ours {
        remove_if_there(&path)?;
    }
    let spilled = files::with_suffix(file, ".tmp");
    if spilled.is_dir() {
        fs::remove_dir_all(spilled)?;
    }
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".new-") {
            remove_if_there(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
