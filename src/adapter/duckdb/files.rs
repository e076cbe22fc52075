//! Files as the kernel sees them: identity, durable writes, and what an I/O error means.
//!
//! Invariants: an identity stays with a file through renames and exchanges and is never given
//! out twice (the inode's number and the moment it was born); a small file is replaced as a whole
//! or not at all. May import `domain`, `failure` and `ports`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

use crate::domain::name::Identity;
use crate::failure::Failure;
use crate::ports::PortError;

/// What DuckDB may leave beside a file that was not closed well, by suffix (the latter two from
/// 1.5 on).
pub(super) const WAL_SUFFIXES: [&str; 3] = [".wal", ".wal.checkpoint", ".wal.recovery"];

/// What the kernel says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) inode: u64,
    pub(super) device: (u32, u32),
    pub(super) size: u64,
    pub(super) links: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether something is mounted on it; older kernels do not say.
    pub(super) mount_root: Option<bool>,
    pub(super) identity: Identity,
}

/// Looks at `path`, not following a link in its last part; `None` where nothing is.
pub(super) fn stat(path: &Path) -> io::Result<Option<Stat>> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let found = match rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted) {
        Ok(found) => found,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let born = StatxFlags::from_bits_retain(found.stx_mask)
        .contains(StatxFlags::BTIME)
        .then(|| DateTime::from_timestamp(found.stx_btime.tv_sec, found.stx_btime.tv_nsec))
        .flatten();
    let identity = match born {
        Some(born) => format!(
            "inode {} born {}",
            found.stx_ino,
            born.to_rfc3339_opts(SecondsFormat::Nanos, true)
        ),
        // Filesystems without birth times are rare; an inode number alone may be given out again,
        // but only once nothing has it, and stamps are checked beside it.
        None => format!("inode {}", found.stx_ino),
    };
    Ok(Some(Stat {
        inode: found.stx_ino,
        device: (found.stx_dev_major, found.stx_dev_minor),
        size: found.stx_size,
        links: found.stx_nlink,
        mode: u32::from(found.stx_mode) & 0o7777,
        uid: found.stx_uid,
        gid: found.stx_gid,
        mount_root: found
            .stx_attributes_mask
            .contains(StatxAttributes::MOUNT_ROOT)
            .then(|| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        identity: Identity(identity),
    }))
}

/// The leftover write-ahead logs beside `path`.
pub(super) fn wals(path: &Path) -> Vec<PathBuf> {
    WAL_SUFFIXES
        .iter()
        .map(|suffix| with_suffix(path, suffix))
        .filter(|wal| fs::symlink_metadata(wal).is_ok())
        .collect()
}

/// `path` with `suffix` added to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    DuckDb,
    Encrypted,
    Other,
}

/// Reads a file's main header: eight bytes of checksum, `DUCK`, version, flags. Anything else is
/// not handed to DuckDB, which would try to download an extension for some of it.
pub(super) fn format(path: &Path) -> io::Result<Format> {
    let mut header = Vec::new();
    File::open(path)?.take(28).read_to_end(&mut header)?;
    Ok(match (header.get(8..12), header.get(20)) {
        (Some(b"DUCK"), Some(flags)) if flags & 1 == 1 => Format::Encrypted,
        (Some(b"DUCK"), Some(_)) => Format::DuckDb,
        _ => Format::Other,
    })
}

/// The process that holds a write lock on `path`, as DuckDB takes it.
pub(super) struct Writer {
    /// Its number; none if it is in another container.
    pub(super) pid: Option<i32>,
}

/// Who holds a write lock on `path`, if anybody does.
pub(super) fn writer(path: &Path) -> io::Result<Option<Writer>> {
    let file = File::open(path)?;
    let wish = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::ReadLock,
        offset_type: FlockOffsetType::Set,
    };
    let held = fcntl_getlk(&file, &wish)?;
    Ok(held.map(|lock| Writer { pid: lock.pid.map(rustix::process::Pid::as_raw_pid) }))
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces a small file as a whole, durably.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(directory)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    sync_directory(directory)
}

/// Whether the disk, or the quota, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An I/O error before anything happened.
pub(super) fn refused(what: &str, path: &Path, error: io::Error) -> PortError {
    PortError::Refused(failure(what, path, error))
}

/// An I/O error as a failure that names the file and what to do where that is known.
pub(super) fn failure(what: &str, path: &Path, error: io::Error) -> Failure {
    let message = format!("{what} {}: {error}", path.display());
    if is_full(&error) {
        return Failure::stopped(format!("{message}; {}", free_sentence(path))).next(
            "free some space (`switchback prune` drops archives beyond retention), then run \
                   the same command again",
        );
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Failure::stopped(message).next(format!(
                "run Switchback as a user that may write to {}",
                path.parent().unwrap_or(path).display()
            ))
        }
        _ => Failure::from(anyhow::Error::new(error).context(format!("{what} {}", path.display()))),
    }
}

/// Bytes free for us on the filesystem of `path`, or of the nearest directory above it.
pub(super) fn free_space(path: &Path) -> Option<u64> {
    path.ancestors()
        .find_map(|place| rustix::fs::statvfs(place).ok())
        .map(|found| found.f_bavail.saturating_mul(found.f_frsize))
}

/// `4.2 GB are free`.
pub(super) fn free_sentence(path: &Path) -> String {
    free_space(path).map_or_else(
        || "how much is free is not known".to_owned(),
        |free| format!("{} are free", human(free)),
    )
}

/// A size as people read it.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut unit = 0;
    let mut scale: u64 = 1000;
    while unit + 1 < UNITS.len() && bytes >= scale.saturating_mul(1000) {
        scale *= 1000;
        unit += 1;
    }
    let tenths = bytes / (scale / 10);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_identity_survives_rename_and_touch_and_is_not_shared() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "1").unwrap();
        let before = stat(&a).unwrap().unwrap().identity;
        fs::rename(&a, &b).unwrap();
        fs::write(&b, "22").unwrap();
        assert_eq!(stat(&b).unwrap().unwrap().identity, before);
        fs::write(&a, "1").unwrap();
        assert_ne!(stat(&a).unwrap().unwrap().identity, before);
        assert!(stat(&dir.path().join("c")).unwrap().is_none());
        assert!(stat(&a.join("c")).unwrap().is_none());
    }

    #[test]
    fn every_kind_of_leftover_log_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shop.duckdb");
        assert!(wals(&file).is_empty());
        for suffix in WAL_SUFFIXES {
            fs::write(with_suffix(&file, suffix), "").unwrap();
        }
        assert_eq!(wals(&file).len(), 3);
    }

    #[test]
    fn other_files_are_told_from_duckdb_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        for (bytes, expected) in [
            (&b""[..], Format::Other),
            (b"SQLite format 3\0 and so on and on", Format::Other),
            (b"12345678DUCK\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Format::DuckDb),
            (b"12345678DUCK\x64\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0", Format::Encrypted),
        ] {
            fs::write(&file, bytes).unwrap();
            assert_eq!(format(&file).unwrap(), expected);
        }
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(human(999), "999 bytes");
        assert_eq!(human(1_250_000), "1.2 MB");
        assert_eq!(human(2_000_000_000), "2.0 GB");
    }

    proptest! {
        #[test]
        fn any_size_is_written_without_overflow(bytes: u64) {
            prop_assert!(!human(bytes).is_empty());
        }
    }
}
