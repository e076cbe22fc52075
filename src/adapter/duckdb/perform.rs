//! Effects carried out, one at a time.
//!
//! Invariants: nothing is done under a token that is no longer the lease's; live is never written
//! except to take in a leftover log; no cutover is tried twice. May import `domain`, `failure`,
//! `ports` and this adapter's files.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::child::Trouble;
use super::warehouse::DuckDb;
use super::{access, copy, files, home, lease, slots, stamp, words};
use crate::domain::name::SlotName;
use crate::domain::plan::Effect;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Token};

/// How long a file that others have open is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(250);

impl DuckDb {
    pub(super) async fn perform_one(&self, effect: &Effect, fence: Token) -> Answer<()> {
        match effect {
            Effect::CreateFile { path } => self.create_file(Path::new(path), fence).await,
            Effect::CopyFile { from, to } => {
                self.copy_file(Path::new(from), Path::new(to), fence).await
            }
            Effect::CopyAccess { from, to } => {
                self.home.slot_directory(&slots::slot(Path::new(to)))?;
                Ok(access::copy(Path::new(from), Path::new(to))?)
            }
            Effect::Sql { slot, text } if slot.as_path() == self.live.path => {
                self.absorb(text).await
            }
            Effect::Sql { slot, text } => self.stamp_slot(slot, text, fence).await,
            Effect::Guard { slot } => {
                if slot.as_path() != self.live.path {
                    self.home.slot_directory(slot)?;
                }
                self.hold(slot.as_path()).await.map(|_| ())
            }
            Effect::RefuseWal { slots } => {
                slots.iter().try_for_each(|slot| self.refuse_wals(slot.as_path()))
            }
            Effect::Exchange { left, right, guarded } => {
                self.exchange(Path::new(left), Path::new(right), *guarded, fence).await
            }
            Effect::PlaceNew { from, to } => {
                self.place_new(Path::new(from), Path::new(to), fence).await
            }
            Effect::MoveSlot { from, to } => self.move_slot(from, to, fence).await,
            Effect::RemoveSlot { slot, release } => self.remove_slot(slot, *release, fence).await,
            Effect::Inspect { .. } => Ok(()),
            Effect::Dbt { .. }
            | Effect::Require { .. }
            | Effect::Relink { .. }
            | Effect::Carry { .. } => Err(PortError::Refused(Failure::new(
                Kind::Unexpected,
                format!("this is not the warehouse's to do: {effect}"),
            ))),
        }
    }

    /// Refuses unless `fence` is still the lease's.
    pub(super) async fn fenced(&self, fence: Token) -> Answer<()> {
        let _lock = self.home.lock().await?;
        lease::fence(&self.home, fence)
    }

    /// Takes a leftover log of live into the file, by whatever name it was opened.
    async fn absorb(&self, text: &str) -> Answer<()> {
        if text != stamp::ABSORB {
            return Err(PortError::Refused(Failure::new(
                Kind::Unexpected,
                format!("production is never written by Switchback, so this is not run: {text}"),
            )));
        }
        for name in self.live.names() {
            if !files::wals(name).is_empty() {
                self.let_go(&self.live.path).await; // our own guard would refuse us
                self.execute(name, text, "", false).await?;
            }
        }
        Ok(())
    }

    /// Runs a stamp's SQL in a slot's file.
    async fn stamp_slot(&self, slot: &SlotName, text: &str, fence: Token) -> Answer<()> {
        self.home.slot_directory(slot)?;
        let path = slot.as_path();
        let cannot = |error| files::refused("cannot stamp", path, error);
        let missing = || cannot(std::io::ErrorKind::NotFound.into());
        let stat = files::stat(path).map_err(cannot)?.ok_or_else(missing)?;
        self.let_go_of(stat.inode).await;
        let began = Instant::now();
        loop {
            let found = slots::is_marked(path, &stat);
            match self.execute(path, text, stat.identity.as_str(), found).await {
                Err(PortError::Refused(failure)) if failure.kind == Kind::Locked => {
                    if began.elapsed() < PATIENCE {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    // A writer is waited for by people; readers may stay for days.
                    slots::refuse_writer(path)?;
                    return self.stamp_a_copy(path, text, fence).await;
                }
                other => return other,
            }
        }
    }

    /// Readers keep a file open that was live until now, so DuckDB will not write to it. They keep
    /// it for as long as they like; its name gets a copy, which is stamped.
    async fn stamp_a_copy(&self, path: &Path, text: &str, fence: Token) -> Answer<()> {
        let directory = self.home.slot_directory(&slots::slot(path))?;
        let cannot = |error| files::refused("cannot copy", path, error);
        let before = files::stat(path).map_err(cannot)?.map(|found| found.identity);
        self.refuse_wal(path)?;
        let new =
            tempfile::Builder::new().prefix(".new-").tempfile_in(&directory).map_err(cannot)?;
        let source = std::fs::File::open(path).map_err(cannot)?;
        let target = new.reopen().map_err(cannot)?;
        let cancel = copy::Cancel::default();
        let _stops = cancel.on_drop();
        tokio::task::spawn_blocking(move || copy::copy(&source, &target, &cancel))
            .await
            .map_err(|error| PortError::Refused(anyhow::Error::new(error).into()))?
            .map_err(cannot)?;
        access::copy(path, new.path())?;
        let stat = files::stat(new.path()).map_err(cannot)?;
        let identity = stat.ok_or_else(|| cannot(std::io::ErrorKind::NotFound.into()))?.identity;
        self.execute(new.path(), text, identity.as_str(), false).await?;
        let _lock = self.home.lock().await?;
        lease::fence(&self.home, fence)?;
        self.refuse_wal(path)?;
        slots::refuse_writer(path)?;
        let now = files::stat(path).map_err(cannot)?.map(|found| found.identity);
        if now != before {
            return Err(cannot(std::io::Error::other("it was replaced meanwhile")));
        }
        home::write_marker(&directory, &identity).map_err(cannot)?;
        renameat_with(CWD, new.path(), CWD, path, RenameFlags::empty())
            .map_err(|error| cannot(error.into()))?;
        files::sync_directory(&directory).map_err(|error| PortError::Unknown(error.into()))
    }

    /// Runs SQL that writes. `found`: an empty file is made an empty database first.
    async fn execute(&self, path: &Path, text: &str, identity: &str, found: bool) -> Answer<()> {
        let request = json!({
            "op": "execute", "file": path, "sql": text, "identity": identity, "found": found,
        });
        match self.sql.ask(&request, self.query_timeout).await? {
            Ok(_) => Ok(()),
            Err(Trouble::Sql { kind, message, committed: false }) => {
                Err(words::explain(path, &kind, &message).into())
            }
            Err(Trouble::Sql { message, .. } | Trouble::Lost(message)) => {
                Err(PortError::Unknown(anyhow::anyhow!("writing to {}: {message}", path.display())))
            }
        }
    }
}
