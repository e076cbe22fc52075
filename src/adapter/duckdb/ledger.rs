//! The journal and the lease of one file, as [`Ledger`].
//!
//! Invariants: one JSON object a line, `seq` from 1 without gaps, written under the kernel lock
//! and synced before it counts; a torn last line is left out by every reader and cut off before
//! the next append; damage anywhere else is an error and is never skipped.
//! May import `domain`, `failure`, `ports`, `files`, `home`, `journal` and `lease`.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::home::Home;
use super::journal::{self, Damage, End, Scan};
use super::{files, lease};
use crate::domain::journal::{Record, VERSION};
use crate::ports::{Answer, Claim, Clock, Draft, Lease, Ledger, PortError, Token};
use async_trait::async_trait;

/// The ledger beside a live file.
pub struct FileLedger {
    home: Home,
    host: String,
    clock: Rc<dyn Clock>,
    /// Held for as long as this process lives, so that the kernel can say that it does.
    alive: RefCell<Option<(Token, File)>>,
}

impl FileLedger {
    /// The ledger of the live file `live`. `host` is this machine's name as this run's
    /// [`crate::domain::journal::Actor`] has it. Creates nothing.
    #[must_use]
    pub fn open(live: &Path, host: impl Into<String>, clock: Rc<dyn Clock>) -> Self {
        Self { home: Home::of(live), host: host.into(), clock, alive: RefCell::new(None) }
    }

    fn scan(&self) -> Answer<Scan> {
        let path = self.home.ledger();
        match fs::read(&path) {
            Ok(bytes) => journal::scan(&bytes).map_err(|damage: Damage| {
                PortError::Refused(damage.failure(&path.display().to_string()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Scan::default()),
            Err(error) => Err(files::refused("cannot read the ledger", &path, error)),
        }
    }

    /// Where the next record goes. Damage that the last lines do not show is met by whoever takes
    /// the lease, and by every reader.
    fn end(&self) -> Answer<End> {
        let path = self.home.ledger();
        let cannot = |error| files::refused("cannot read the ledger", &path, error);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(End::default()),
            Err(error) => return Err(cannot(error)),
        };
        match journal::tail(&mut file, journal::PIECE).map_err(cannot)? {
            Some(end) => Ok(end),
            None => Ok(self.scan()?.end),
        }
    }

    fn write_line(&self, whole: u64, line: &[u8]) -> Answer<()> {
        let path = self.home.ledger();
        let refused = |error| files::refused("cannot write the ledger", &path, error);
        let new = !path.exists();
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(refused)?;
        let write = |file: &mut File| -> io::Result<()> {
            file.set_len(whole)?;
            file.seek(SeekFrom::Start(whole))?;
            file.write_all(line)?;
            file.sync_all()
        };
        if let Err(error) = write(&mut file) {
            // Taken back if that can be done, else it may be there or not.
            let undone = file.set_len(whole).and_then(|()| file.sync_all());
            return Err(match undone {
                Ok(()) => refused(error),
                Err(_) => PortError::Unknown(error.into()),
            });
        }
        if new {
            files::sync_directory(&self.home.directory)
                .map_err(|error| PortError::Unknown(error.into()))?;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Ledger for FileLedger {
    async fn load(&self) -> Answer<Vec<Record>> {
        Ok(self.scan()?.records)
    }

    async fn append(&self, draft: Draft) -> Answer<()> {
        let _lock = self.home.lock().await?;
        if let Some(token) = draft.token {
            lease::fence(&self.home, token)?;
        }
        let found = self.end()?;
        let record = Record {
            v: VERSION,
            seq: found.seq + 1,
            at: self.clock.now(),
            operation: draft.operation,
            token: draft.token.map(|token| token.0),
            by: draft.by,
            entry: draft.entry,
        };
        let mut line = serde_json::to_vec(&record)
            .map_err(|error| PortError::Refused(anyhow::Error::new(error).into()))?;
        line.push(b'\n');
        if found.lacks_newline {
            line.insert(0, b'\n');
        }
        self.write_line(found.whole, &line)
    }

    async fn lease(&self) -> Answer<Option<Lease>> {
        let state = lease::read(&self.home)?;
        Ok(lease::holder(&self.home, &state, &self.host, self.clock.now()).cloned())
    }

    async fn acquire(&self, claim: Claim) -> Answer<Lease> {
        let _lock = self.home.lock().await?;
        let now = self.clock.now();
        let mut state = lease::read(&self.home)?;
        if let Some(holder) = lease::holder(&self.home, &state, &self.host, now)
            && !(claim.outranks && lease::is_outranked(holder))
        {
            return Err(PortError::Refused(lease::taken(holder)));
        }
        let journalled = self.scan()?.records.iter().filter_map(|r| r.token).max();
        let token = Token(state.token.max(journalled.unwrap_or(0)) + 1);
        let alive = lease::come_alive(&self.home, token)?;
        let granted = Lease {
            token,
            verb: claim.verb,
            by: claim.by,
            run: claim.run,
            reason: claim.reason,
            taken_at: now,
            expires_at: now + claim.ttl,
        };
        state.token = token.0;
        state.holder = Some(granted.clone());
        lease::write(&self.home, &state)?;
        self.alive.replace(Some((token, alive)));
        lease::remove_stale(&self.home, token);
        Ok(granted)
    }

    async fn renew(&self, token: Token, ttl: Duration) -> Answer<()> {
        let _lock = self.home.lock().await?;
        lease::fence(&self.home, token)?;
        let mut state = lease::read(&self.home)?;
        if let Some(holder) = &mut state.holder {
            holder.expires_at = self.clock.now() + ttl;
        }
        lease::write(&self.home, &state)
    }

    async fn release(&self, token: Token) -> Answer<()> {
        let _lock = self.home.lock().await?;
        let mut state = lease::read(&self.home)?;
        let ours = state.holder.as_ref().map(|holder| holder.token) == Some(token);
        if ours {
            state.holder = None;
            lease::write(&self.home, &state)?;
        }
        if self.alive.borrow().as_ref().map(|(held, _)| *held) == Some(token) {
            self.alive.replace(None);
            // Only tidying: the next holder removes it otherwise.
            let _ = fs::remove_file(self.home.alive(token.0));
        }
        Ok(())
    }

    fn place(&self) -> String {
        self.home.ledger().display().to_string()
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
