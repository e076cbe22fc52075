//! Owner, mode and ACL of a file, copied to another.
//!
//! Invariant: either the other file ends with exactly the access of the first, or this fails; a
//! release that its readers cannot open, or that others can, is never let through.
//! May import `failure` and `files`.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid, XattrFlags, fchmod, fchown, fgetxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use super::files;
use crate::failure::{Failure, Outcome};

const ACL: &str = "system.posix_acl_access";

/// More than any ACL takes (an xattr's limit).
const ACL_LIMIT: usize = 65_536;

/// Gives `to` the owner, mode and ACL of `from`.
pub(super) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    let cannot = |error: io::Error| files::failure("cannot copy owner, mode and ACL to", to, error);
    let missing = || cannot(io::ErrorKind::NotFound.into());
    let wanted = files::stat(from).map_err(cannot)?.ok_or_else(missing)?;
    let present = files::stat(to).map_err(cannot)?.ok_or_else(missing)?;
    let acl = read_acl(&File::open(from).map_err(cannot)?).map_err(cannot)?;
    let file = File::open(to).map_err(cannot)?;
    if (wanted.uid, wanted.gid) != (present.uid, present.gid) {
        let (uid, gid) = (Uid::from_raw(wanted.uid), Gid::from_raw(wanted.gid));
        fchown(&file, Some(uid), Some(gid)).map_err(|error| {
            Failure::stopped(format!(
                "production {} belongs to user {} and group {}, and this user may not give a file \
                 to them: {}",
                from.display(),
                wanted.uid,
                wanted.gid,
                io::Error::from(error)
            ))
            .next(format!(
                "run Switchback as the user that owns {} (uid {}, gid {}) or as root",
                from.display(),
                wanted.uid,
                wanted.gid
            ))
        })?;
    }
    if acl.is_none() {
        match fremovexattr(&file, ACL) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(cannot(error.into())),
        }
    }
    fchmod(&file, Mode::from_raw_mode(wanted.mode)).map_err(|error| cannot(error.into()))?;
    if let Some(acl) = acl {
        fsetxattr(&file, ACL, &acl, XattrFlags::empty()).map_err(|error| cannot(error.into()))?;
    }
    file.sync_all().map_err(cannot)
}

/// A file's ACL as the kernel keeps it; `None` where it has only a mode.
fn read_acl(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut acl = vec![0; ACL_LIMIT];
    match fgetxattr(file, ACL, &mut acl[..]) {
        Ok(length) => {
            acl.truncate(length);
            Ok(Some(acl))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// `u::rw-, u:1234:r--, g::r--, m::r--, o::---` in the kernel's layout.
    fn acl() -> Vec<u8> {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, perm, id) in [
            (0x01u16, 6u16, u32::MAX),
            (0x02, 4, 1234),
            (0x04, 4, u32::MAX),
            (0x10, 4, u32::MAX),
            (0x20, 0, u32::MAX),
        ] {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(perm.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn owner_mode_and_acl_are_copied_and_an_acl_too_many_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for path in [&a, &b] {
            fs::write(path, "").unwrap();
        }
        let open = |path: &Path| File::open(path).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            let (uid, gid) = (Uid::from_raw(4321), Gid::from_raw(4322));
            fchown(open(&a), Some(uid), Some(gid)).unwrap();
        }
        fchmod(open(&a), Mode::from_raw_mode(0o640)).unwrap();
        copy(&a, &b).unwrap();
        let (of_a, of_b) = (files::stat(&a).unwrap().unwrap(), files::stat(&b).unwrap().unwrap());
        assert_eq!((of_a.uid, of_a.gid, of_a.mode), (of_b.uid, of_b.gid, of_b.mode));
        if fsetxattr(open(&a), ACL, &acl(), XattrFlags::empty()).is_err() {
            return; // this filesystem has no ACLs
        }
        copy(&a, &b).unwrap();
        assert_eq!(read_acl(&open(&b)).unwrap(), Some(acl()));
        fremovexattr(open(&a), ACL).unwrap();
        copy(&a, &b).unwrap();
        assert_eq!(read_acl(&open(&b)).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_gone_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let failure = copy(&dir.path().join("a"), &dir.path().join("b")).unwrap_err();
        assert!(failure.to_string().contains("owner, mode and ACL"), "{failure}");
    }
}
