//! The cutover: two files exchanged in one system call, or one placed where nothing is.
//!
//! Invariants: under the kernel lock, in this order: the fencing token is still ours, no
//! write-ahead log is beside either file, nobody writes to either, both are the very files that
//! their guards hold, live has not been written since drift was judged; then one system call. A
//! live that is damaged has no guard, and its log goes where it goes. Until the call has returned
//! well nothing has happened (`Refused`); what fails after it is `Unknown`.
//! May import `domain`, `failure`, `ports` and this adapter's files.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::files::WAL_SUFFIXES;
use super::guard::inode_of;
use super::warehouse::DuckDb;
use super::{contents, files, home, lease, slots};
use crate::domain::name::Identity;
use crate::domain::slot::Content;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Token};

impl DuckDb {
    /// Refuses where a write-ahead log lies beside `path`, under any name live has.
    pub(super) fn refuse_wals(&self, path: &Path) -> Answer<()> {
        if path == self.live.path {
            self.live.names().try_for_each(|name| self.refuse_wal(name))
        } else {
            self.refuse_wal(path)
        }
    }

    /// Exchanges live with the file of a slot. Where live is damaged (`guarded` is false) nobody
    /// can be kept out of it, and it must still be unreadable.
    pub(super) async fn exchange(
        &self,
        live: &Path,
        other: &Path,
        guarded: bool,
        fence: Token,
    ) -> Answer<()> {
        let mut cutover = Cutover::new(self, live, other, RenameFlags::EXCHANGE)?;
        if guarded {
            cutover.expected.push((live.into(), self.require_guard(live).await?));
        } else {
            cutover.damaged = Some(self.damaged_live().await?);
        }
        self.cut_over(cutover, Some(other), fence).await
    }

    /// Moves a slot's file to where live is to be, or live back; one of the two does not exist.
    pub(super) async fn place_new(&self, from: &Path, to: &Path, fence: Token) -> Answer<()> {
        let mut cutover = Cutover::new(self, from, to, RenameFlags::NOREPLACE)?;
        if from == self.live.path {
            cutover.expected.push((from.into(), self.require_guard(from).await?));
            return self.cut_over(cutover, None, fence).await;
        }
        self.cut_over(cutover, Some(from), fence).await
    }

    /// The guard on what comes in goes with it through the exchange and keeps writers out of the
    /// new live until the run ends; the one on what goes out stays until that has to be written.
    async fn cut_over(
        &self,
        mut cutover: Cutover<'_>,
        incoming: Option<&Path>,
        fence: Token,
    ) -> Answer<()> {
        let not_swapped = |refused| not_swapped(refused, &self.live.path);
        if let Some(incoming) = incoming {
            self.refuse_wals(incoming).map_err(not_swapped)?;
            let inode = self.hold(incoming).await.map_err(not_swapped)?;
            cutover.expected.push((incoming.into(), inode));
        }
        {
            let _lock = self.home.lock().await?;
            self.may_cut_over(&cutover, fence).map_err(not_swapped)?;
            cutover.act(self)?;
        }
        self.drift_mark.replace(None);
        Ok(())
    }

    fn may_cut_over(&self, cutover: &Cutover<'_>, fence: Token) -> Answer<()> {
        lease::fence(&self.home, fence)?;
        for path in [cutover.one, cutover.two] {
            if cutover.damaged.is_none() || path != self.live.path {
                self.refuse_wals(path)?;
            }
            // A guard is a reader, so this sees only writers, live's included.
            if path.exists() {
                slots::refuse_writer(path)?;
            }
        }
        for (path, inode) in &cutover.expected {
            if inode_of(path)? != *inode {
                return Err(replaced(path));
            }
        }
        let path = &self.live.path;
        if let Some(damaged) = &cutover.damaged {
            let now = files::stat(path).map_err(|e| files::refused("cannot look at", path, e))?;
            return match now {
                Some(now) if now.identity == *damaged => Ok(()),
                _ => Err(replaced(path)),
            };
        }
        let Some(expected) = self.drift_mark.borrow().clone() else {
            return Ok(());
        };
        let now = contents::mark(path).map_err(|e| files::refused("cannot read", path, e))?;
        if now == expected {
            return Ok(());
        }
        Err(PortError::Refused(
            Failure::stopped("production was written after drift was judged")
                .next("run the same command again"),
        ))
    }

    /// The live file, provided that it is unreadable now.
    async fn damaged_live(&self) -> Answer<Identity> {
        match self.observe_one(&slots::slot(&self.live.path)).await? {
            Content::Unreadable { identity, .. } => Ok(identity),
            _ => Err(not_swapped(replaced(&self.live.path), &self.live.path)),
        }
    }
}

/// One cutover, ready to be done.
struct Cutover<'a> {
    one: &'a Path,
    two: &'a Path,
    how: RenameFlags,
    /// The guarded files, which must still have their names.
    expected: Vec<(PathBuf, u64)>,
    /// The damaged file that has live's name, where it is one.
    damaged: Option<Identity>,
}

impl<'a> Cutover<'a> {
    fn new(duck: &DuckDb, one: &'a Path, two: &'a Path, how: RenameFlags) -> Answer<Self> {
        let live = &duck.live.path;
        let other = if one == live { two } else { one };
        duck.home.slot_directory(&slots::slot(other))?;
        if one != live && two != live {
            return Err(PortError::Refused(Failure::new(
                Kind::Unexpected,
                format!("neither {} nor {} is live", one.display(), two.display()),
            )));
        }
        Ok(Self { one, two, how, expected: Vec::new(), damaged: None })
    }

    /// To be called under the kernel lock, once it may.
    fn act(&self, duck: &DuckDb) -> Answer<()> {
        let logs = match &self.damaged {
            Some(damaged) => Logs::set_aside(duck, self.two, damaged)?,
            None => Logs::default(),
        };
        if let Err(errno) = renameat_with(CWD, self.one, CWD, self.two, self.how) {
            let error = rename_error(errno, self.one, self.two);
            if matches!(error, PortError::Refused(_)) {
                logs.put_back();
            }
            return Err(error);
        }
        logs.settle();
        for path in [self.one, self.two] {
            let directory = path.parent().unwrap_or(Path::new("/"));
            files::sync_directory(directory).map_err(|error| PortError::Unknown(error.into()))?;
        }
        Ok(())
    }
}

/// The logs beside a damaged live. They belong to that file and go with it: neither may one lie
/// beside what comes in at any moment, nor is what they hold thrown away. So each first gets a
/// name in the other's directory that DuckDB does not read, and after the exchange its own.
#[derive(Default)]
struct Logs {
    moved: Vec<Log>,
}

struct Log {
    was: PathBuf,
    aside: PathBuf,
    becomes: PathBuf,
}

impl Logs {
    fn set_aside(duck: &DuckDb, other: &Path, damaged: &Identity) -> Answer<Self> {
        let cannot = |path: &Path, error| files::refused("cannot set aside", path, error);
        // The marker must not call ours what comes out of live unread.
        if let Some(directory) = other.parent()
            && home::read_marker(directory).as_ref() == Some(damaged)
        {
            let marker = home::marker_path(directory);
            fs::remove_file(&marker).map_err(|error| cannot(&marker, error))?;
        }
        let mut logs = Self::default();
        for (number, name) in duck.live.names().enumerate() {
            for suffix in WAL_SUFFIXES {
                let was = files::with_suffix(name, suffix);
                if fs::symlink_metadata(&was).is_err() {
                    continue;
                }
                // Beside a link it may be of another file's time: it is kept, but not put to use.
                let kept = if number == 0 { String::new() } else { format!(".link{number}") };
                let becomes = files::with_suffix(other, &format!("{kept}{suffix}"));
                let aside = files::with_suffix(&becomes, ".damaged");
                let moved = renameat_with(CWD, &was, CWD, &aside, RenameFlags::NOREPLACE);
                if let Err(errno) = moved {
                    logs.put_back();
                    return Err(cannot(&was, errno.into()));
                }
                logs.moved.push(Log { was, aside, becomes });
            }
        }
        Ok(logs)
    }

    /// Where the exchange did not happen.
    fn put_back(&self) {
        for Log { was, aside, .. } in &self.moved {
            let _ = renameat_with(CWD, aside, CWD, was, RenameFlags::NOREPLACE);
        }
    }

    /// Should this fail, they stay there under the other name.
    fn settle(&self) {
        for Log { aside, becomes, .. } in &self.moved {
            let _ = renameat_with(CWD, aside, CWD, becomes, RenameFlags::NOREPLACE);
        }
    }
}

fn replaced(path: &Path) -> PortError {
    PortError::Refused(
        Failure::stopped(format!("{} was replaced or repaired by somebody else", path.display()))
            .next("see what is live with `switchback status`, then run the same command again"),
    )
}

fn not_swapped(error: PortError, live: &Path) -> PortError {
    match error {
        PortError::Refused(failure) => {
            PortError::Refused(failure.production(format!("{} was not swapped.", live.display())))
        }
        unknown @ PortError::Unknown(_) => unknown,
    }
}

/// A rename is one system call that either happens or fails; only an error of the medium leaves
/// open which.
fn rename_error(errno: Errno, one: &Path, two: &Path) -> PortError {
    let what = format!("exchanging {} with {}", one.display(), two.display());
    let error = anyhow::Error::new(io::Error::from(errno)).context(what.clone());
    if matches!(errno, Errno::IO | Errno::STALE | Errno::TIMEDOUT) {
        return PortError::Unknown(error);
    }
    PortError::Refused(
        Failure::new(Kind::Unexpected, what)
            .because(anyhow::Error::new(io::Error::from(errno)))
            .production("Nothing was swapped."),
    )
}
