//! Copying a file's content: by reflink where the filesystem can, else inside the kernel, else by
//! reading and writing.
//!
//! Invariants: the first block is written last, so that a copy that was cut short is never a
//! valid DuckDB file; nothing counts before it is synced; a copy that nobody waits for any more
//! stops. Blocking: to be called off the runtime's thread. Imports nothing of this crate.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, copy_file_range, fallocate, ioctl_ficlone};
use rustix::io::Errno;

/// DuckDB's main header.
const FIRST_BLOCK: u64 = 4096;

/// The largest piece copied between two looks at whether somebody still waits.
const PIECE: u64 = 64 << 20;

/// A fallback buffer.
const BUFFER: usize = 1 << 20;

/// Tells a running copy to stop when it is dropped.
#[derive(Clone, Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops the copy once the answer goes out of scope.
    pub(super) fn on_drop(&self) -> impl Drop + use<> {
        struct OnDrop(Arc<AtomicBool>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        OnDrop(Arc::clone(&self.0))
    }
}

/// Copies all of `from` into the empty file `to` and syncs it.
pub(super) fn copy(from: &File, to: &File, cancel: &Cancel) -> io::Result<()> {
    if ioctl_ficlone(to, from).is_ok() {
        return to.sync_all();
    }
    let size = from.metadata()?.len();
    // A full disk is found out now, not after minutes; filesystems that cannot reserve go on.
    if size > 0
        && let Err(error @ (Errno::NOSPC | Errno::DQUOT)) =
            fallocate(to, FallocateFlags::empty(), 0, size)
    {
        return Err(error.into());
    }
    let mut at = FIRST_BLOCK.min(size);
    let mut in_kernel = true;
    while at < size {
        if cancel.0.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the copy was given up"));
        }
        at += piece(from, to, at, PIECE.min(size - at), &mut in_kernel)?;
    }
    to.sync_all()?;
    let mut at = 0;
    while at < FIRST_BLOCK.min(size) {
        at += piece(from, to, at, FIRST_BLOCK.min(size) - at, &mut in_kernel)?;
    }
    to.sync_all()
}

/// Copies at most `length` bytes at `at`; answers how many.
fn piece(from: &File, to: &File, at: u64, length: u64, in_kernel: &mut bool) -> io::Result<u64> {
    let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "the source became shorter");
    if *in_kernel {
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        match copy_file_range(from, Some(&mut at.clone()), to, Some(&mut at.clone()), wanted) {
            Ok(0) => return Err(ended()),
            Ok(copied) => return Ok(copied as u64),
            Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) => {
                *in_kernel = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut buffer = vec![0; usize::try_from(length).map_or(BUFFER, |length| length.min(BUFFER))];
    let read = from.read_at(&mut buffer, at)?;
    if read == 0 {
        return Err(ended());
    }
    to.write_all_at(&buffer[..read], at)?;
    Ok(read as u64)
}

/// Whether the filesystem can share blocks between `from` and `to`.
pub(super) fn can_reflink(from: &File, to: &File) -> bool {
    ioctl_ficlone(to, from).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(content: &[u8]) -> (tempfile::TempDir, File, File) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("from");
        std::fs::write(&path, content).unwrap();
        let from = File::open(path).unwrap();
        let to = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(dir.path().join("to"))
            .unwrap();
        (dir, from, to)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_copy_equals_its_source(size in 0usize..20_000, seed: u8, in_kernel: bool) {
            let content: Vec<u8> = (0..size).map(|n| n.to_le_bytes()[0] ^ seed).collect();
            let (dir, from, to) = files(&content);
            if in_kernel {
                copy(&from, &to, &Cancel::default()).unwrap();
            } else {
                let (mut at, size) = (0, size as u64);
                while at < size {
                    at += piece(&from, &to, at, size - at, &mut false).unwrap();
                }
            }
            prop_assert_eq!(std::fs::read(dir.path().join("to")).unwrap(), content);
        }
    }

    #[test]
    fn a_copy_that_is_given_up_never_looks_like_a_database() {
        let content: Vec<u8> = vec![7; 20_000];
        let (dir, from, to) = files(&content);
        let cancel = Cancel::default();
        drop(cancel.on_drop());
        if copy(&from, &to, &cancel).is_err() {
            let torn = std::fs::read(dir.path().join("to")).unwrap();
            assert!(torn.iter().take(4096).all(|byte| *byte == 0));
        } // else it was a reflink, which is done before it can be given up
    }
}
