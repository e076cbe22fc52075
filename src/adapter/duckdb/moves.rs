//! Slots that get another name: the directory is renamed as a whole.
//!
//! Invariants: nothing is overwritten, nothing is done twice; a marker never speaks for a file that
//! it was not written for. May import `domain`, `failure`, `ports` and this adapter's files.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::slots::{clear, is_marked, remove_if_there};
use super::warehouse::DuckDb;
use super::{files, home, lease};
use crate::domain::name::SlotName;
use crate::domain::plan::Effect;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, PortError, Token};

impl DuckDb {
    /// Whether one of `effects` moves `slot` and has been done already. Refuses where it cannot be
    /// done, so that nothing is written to a slot that cannot get its new name.
    pub(super) fn is_moved(slot: &SlotName, effects: &[Effect]) -> Answer<bool> {
        let to = effects.iter().find_map(|effect| match effect {
            Effect::MoveSlot { from, to } if from == slot && to != slot => Some(to),
            _ => None,
        });
        to.map_or(Ok(false), |to| was_moved(slot, to))
    }

    /// Renames the directory of a slot; nothing is overwritten, and nothing done twice.
    pub(super) async fn move_slot(
        &self,
        from: &SlotName,
        to: &SlotName,
        fence: Token,
    ) -> Answer<()> {
        let (old, new) = (self.home.slot_directory(from)?, self.home.slot_directory(to)?);
        let _lock = self.home.lock().await?;
        lease::fence(&self.home, fence)?;
        if from == to || was_moved(from, to)? {
            return Ok(());
        }
        let cannot = |error| files::refused("cannot rename", &old, error);
        let stat = files::stat(from.as_path()).map_err(cannot)?;
        // What an exchange left here is not what the directory was made for: the marker must not
        // speak for it under its new name.
        if !stat.is_some_and(|stat| is_marked(from.as_path(), &stat)) {
            remove_if_there(&home::marker_path(&old)).map_err(cannot)?;
        }
        clear(&new, to.as_path()).map_err(cannot)?;
        if new.exists() {
            return Err(in_the_way(from, &new)); // something of others is in it
        }
        renameat_with(CWD, &old, CWD, &new, RenameFlags::NOREPLACE)
            .map_err(|error| cannot(error.into()))?;
        files::sync_directory(&self.home.directory)
            .map_err(|error| PortError::Unknown(error.into()))
    }
}

/// Whether `from` has its new name already. Refuses where it cannot get it.
fn was_moved(from: &SlotName, to: &SlotName) -> Answer<bool> {
    let path = to.as_path();
    let there = |slot: &SlotName| {
        files::stat(slot.as_path())
            .map(|found| found.is_some())
            .map_err(|error| files::refused("cannot look at", slot.as_path(), error))
    };
    match (there(from)?, there(to)?) {
        (false, true) => Ok(true),
        (true, true) => Err(in_the_way(from, path)),
        (false, false) => {
            Err(files::refused("cannot rename", from.as_path(), io::ErrorKind::NotFound.into()))
        }
        (true, false) => match files::wals(path).first() {
            Some(wal) => Err(in_the_way(from, wal)),
            None => Ok(false),
        },
    }
}

fn in_the_way(from: &SlotName, what: &Path) -> PortError {
    PortError::Refused(
        Failure::new(
            Kind::Unexpected,
            format!(
                "{from} does not get its archive's name, because {} is there already and nothing \
                 is overwritten",
                what.display()
            ),
        )
        .next("look at it, and move it away by hand if nobody needs it there"),
    )
}
