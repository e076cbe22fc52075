//! The cutover: two files exchanged in one system call, or one placed where nothing is.
//!
//! Invariants: under the kernel lock, in this order: the fencing token is still ours, no
//! write-ahead log is beside either file, live is the very file that the guard holds and has not
//! been written since drift was judged, nobody writes to the other; then one system call. Until
//! it has returned well nothing has happened (`Refused`); what fails after it is `Unknown`.
//! May import `failure`, `ports` and this adapter's files.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::guard::Guard;
use super::warehouse::DuckDb;
use super::{contents, files, lease, slots};
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Token};

/// How long a writer of a moment is waited for.
const WRITER_PATIENCE: Duration = Duration::from_secs(3);
const WRITER_PAUSE: Duration = Duration::from_millis(250);

impl DuckDb {
    /// Keeps writers out of live until the exchange; does nothing if that is so already.
    pub(super) async fn hold(&self) -> Answer<()> {
        let mut guard = self.guard.lock().await;
        let path = &self.live.path;
        let inode = self.live_inode()?;
        if let Some(held) = guard.as_mut()
            && held.holds(path, inode).await
        {
            return Ok(());
        }
        if let Some(stale) = guard.take() {
            stale.stop().await;
        }
        let began = Instant::now();
        let started = loop {
            match Guard::start(self.sql.python(), path).await {
                Err(failure)
                    if failure.kind == Kind::Locked && began.elapsed() < WRITER_PATIENCE =>
                {
                    tokio::time::sleep(WRITER_PAUSE).await;
                }
                other => break other?,
            }
        };
        *guard = Some(started);
        Ok(())
    }

    /// Lets go of the guard, and waits until the kernel has its lock back.
    pub(super) async fn let_go(&self) {
        if let Some(guard) = self.guard.lock().await.take() {
            guard.stop().await;
        }
    }

    fn live_inode(&self) -> Answer<u64> {
        let path = &self.live.path;
        files::stat(path)
            .and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map(|found| found.inode)
            .map_err(|error| files::refused("cannot look at production", path, error))
    }

    /// Refuses unless the guard lives and holds what is live now.
    pub(super) async fn require_guard(&self) -> Answer<()> {
        let inode = self.live_inode()?;
        if let Some(guard) = self.guard.lock().await.as_mut()
            && guard.holds(&self.live.path, inode).await
        {
            return Ok(());
        }
        Err(PortError::Refused(
            Failure::stopped(format!(
                "the connection that keeps writers out of {} is gone, or the file was replaced",
                self.live.path.display()
            ))
            .next("run the same command again"),
        ))
    }

    /// Refuses where a write-ahead log lies beside `path`, under any name live has.
    pub(super) fn refuse_wals(&self, path: &Path) -> Answer<()> {
        if path == self.live.path {
            self.live.names().try_for_each(slots::refuse_wal)
        } else {
            slots::refuse_wal(path)
        }
    }

    /// Exchanges live with the file of a slot.
    pub(super) async fn exchange(&self, live: &Path, other: &Path, fence: Token) -> Answer<()> {
        self.cut_over(live, other, RenameFlags::EXCHANGE, fence).await
    }

    /// Moves a slot's file to where live is to be, or live back; one of the two does not exist.
    pub(super) async fn place_new(&self, from: &Path, to: &Path, fence: Token) -> Answer<()> {
        self.cut_over(from, to, RenameFlags::NOREPLACE, fence).await
    }

    async fn cut_over(&self, one: &Path, two: &Path, how: RenameFlags, fence: Token) -> Answer<()> {
        let other = if one == self.live.path { two } else { one };
        self.home.slot_directory(&slots::slot(other))?;
        if one != self.live.path && two != self.live.path {
            return Err(PortError::Refused(Failure::new(
                Kind::Unexpected,
                format!("neither {} nor {} is live", one.display(), two.display()),
            )));
        }
        if self.live.path.exists() && (how == RenameFlags::EXCHANGE || one == self.live.path) {
            self.require_guard().await?;
        }
        {
            let _lock = self.home.lock().await?;
            self.may_cut_over(one, two, fence)
                .map_err(|refused| not_swapped(refused, &self.live.path))?;
            renameat_with(CWD, one, CWD, two, how)
                .map_err(|errno| rename_error(errno, one, two))?;
            for path in [one, two] {
                let directory = path.parent().unwrap_or(Path::new("/"));
                files::sync_directory(directory)
                    .map_err(|error| PortError::Unknown(error.into()))?;
            }
        }
        self.drift_mark.replace(None);
        // The guard holds what was live; nobody needs to be kept out of that any more.
        self.let_go().await;
        Ok(())
    }

    fn may_cut_over(&self, one: &Path, two: &Path, fence: Token) -> Answer<()> {
        lease::fence(&self.home, fence)?;
        for path in [one, two] {
            self.refuse_wals(path)?;
            // A guard is a reader, so this sees only writers, live's included.
            if path.exists() {
                slots::refuse_writer(path)?;
            }
        }
        let Some(expected) = self.drift_mark.borrow().clone() else {
            return Ok(());
        };
        let path = &self.live.path;
        let now = contents::mark(path).map_err(|e| files::refused("cannot read", path, e))?;
        if now == expected {
            return Ok(());
        }
        Err(PortError::Refused(
            Failure::stopped("production was written after drift was judged")
                .next("run the same command again"),
        ))
    }
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
