//! Files that we made in the workspace get the workspace's owner: in a container we run as root,
//! and later steps, which do not, must be able to read and remove them.
//!
//! May import nothing of this crate.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};

/// How long this may take; a workspace can hold a million files.
const PATIENCE: Duration = Duration::from_secs(3);

/// Gives away what root came to own in `workspace` since `since`. Returns how many files were.
pub fn give_away(workspace: &Path, since: SystemTime) -> u64 {
    let Ok(top) = fs::symlink_metadata(workspace) else {
        return 0;
    };
    if !rustix::process::geteuid().is_root() || top.uid() == 0 {
        return 0;
    }
    let owner = (Uid::from_raw(top.uid()), Gid::from_raw(top.gid()));
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    // A file's time comes from the kernel's coarse clock, which may be a tick behind.
    let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX) - 1;
    let until = Instant::now() + PATIENCE;
    let mut count = 0;
    let mut folders: Vec<PathBuf> = vec![workspace.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            if Instant::now() > until {
                return count;
            }
            // Never through a link: it may lead anywhere.
            let Ok(found) = entry.metadata() else {
                continue;
            };
            let path = entry.path();
            if found.uid() == 0 && found.ctime() >= since {
                let (uid, gid) = owner;
                let given = chownat(CWD, &path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
                count += u64::from(given.is_ok());
            }
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_made_since_then_belongs_to_the_workspaces_owner_and_links_lead_nowhere() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can give files away.
        }
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let kept = outside.path().join("kept");
        fs::write(&kept, "").unwrap();
        let workspace = folder.path().join("workspace");
        fs::create_dir_all(workspace.join("a/b")).unwrap();
        fs::write(workspace.join("a/b/file"), "").unwrap();
        std::os::unix::fs::symlink(&kept, workspace.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), workspace.join("folder")).unwrap();
        let user = (Some(1234), Some(1235));
        std::os::unix::fs::chown(&workspace, user.0, user.1).unwrap();
        let later = SystemTime::now() + Duration::from_secs(3600);
        assert_eq!(give_away(&workspace, later), 0);
        assert_eq!(give_away(&workspace, UNIX_EPOCH), 5);
        let owner = |path: &Path| {
            let found = fs::symlink_metadata(path).unwrap();
            (found.uid(), found.gid())
        };
        assert_eq!(owner(&workspace.join("a/b/file")), (1234, 1235));
        assert_eq!(owner(&workspace.join("link")), (1234, 1235));
        assert_eq!(owner(&kept).0, 0);
    }
}
