//! The lease on disk: who may change the environment, and under which fencing token.
//!
//! Invariants: the token only grows, also across releases (it survives in `lease.json`, and in the
//! ledger should that file be lost); it is read and written under the kernel lock only; a holder
//! counts as dead only where the kernel of this very host says that nobody holds its alive file.
//! May import `domain`, `failure`, `ports`, `files` and `home`.

use std::fs::{self, File, OpenOptions};
use std::io;

use chrono::{DateTime, SecondsFormat, Utc};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::files;
use super::home::Home;
use crate::failure::{Failure, Kind};
use crate::ports::{Answer, Lease, PortError, Token};

const VERSION: u32 = 1;

/// The verbs from which a run that outranks them may take the lease.
const OUTRANKED: [&str; 3] = ["deploy", "build", "promote"];

/// What `lease.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    v: u32,
    /// The last token given out.
    pub(super) token: u64,
    /// Who has it now.
    pub(super) holder: Option<Lease>,
}

impl Default for State {
    fn default() -> Self {
        Self { v: VERSION, token: 0, holder: None }
    }
}

/// Reads the state; nothing there is the state before the first lease.
pub(super) fn read(home: &Home) -> Answer<State> {
    let path = home.lease();
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(files::refused("cannot read", &path, error)),
    };
    let damaged = |what: String| {
        PortError::Refused(
            Failure::new(
                Kind::Unexpected,
                format!("the lease {} cannot be read: {what}", path.display()),
            )
            .next(format!(
                "make sure that no other Switchback runs, then remove it (`rm '{}'`); the ledger \
                 knows the last token",
                path.display()
            )),
        )
    };
    let state: State = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if state.v > VERSION {
        return Err(PortError::Refused(
            Failure::usage(format!(
                "the lease {} was written by a newer Switchback (format {}, this one knows {VERSION})",
                path.display(),
                state.v
            ))
            .next("run the newer version of Switchback"),
        ));
    }
    Ok(state)
}

/// Writes the state durably. Whether it was written is unknown when that fails half-way.
pub(super) fn write(home: &Home, state: &State) -> Answer<()> {
    let path = home.lease();
    let text = serde_json::to_vec(state).map_err(|error| PortError::Unknown(error.into()))?;
    files::write_durably(&path, &text)
        .map_err(|error| files::refused("cannot write the lease", &path, error))
}

/// Refuses unless `token` is still the lease's. To be called under the kernel lock.
pub(super) fn fence(home: &Home, token: Token) -> Answer<()> {
    let state = read(home)?;
    match state.holder {
        Some(holder) if holder.token == token => Ok(()),
        holder => Err(PortError::Refused(lost(token, holder.as_ref(), state.token))),
    }
}

fn lost(token: Token, holder: Option<&Lease>, last: u64) -> Failure {
    let message = match holder {
        Some(holder) => {
            format!("this run no longer has the lease: {} has taken it", describe(holder))
        }
        None => format!(
            "this run no longer has the lease: it was given back (token {}, the last one given \
             out is {last})",
            token.0
        ),
    };
    Failure::new(Kind::Locked, message).next(
        "see what is live with `switchback status`; once the other run has ended, run the same \
         command again",
    )
}

/// `deploy by ada on laptop, run 4f2a, since … until … unless renewed, because: …`.
pub(super) fn describe(lease: &Lease) -> String {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let why =
        lease.reason.as_ref().map_or_else(String::new, |reason| format!(", because: {reason}"));
    format!(
        "{} by {}, run {}, since {} until {} unless renewed{why}",
        lease.verb,
        lease.by,
        lease.run,
        time(lease.taken_at),
        time(lease.expires_at),
    )
}

/// The refusal of a run that finds the lease taken.
pub(super) fn taken(holder: &Lease) -> Failure {
    let next = if OUTRANKED.contains(&holder.verb.as_str()) {
        "wait for it to end and run the same command again; if production is wrong now, \
         `switchback rollback --reason …` takes over from it"
    } else {
        "wait for it to end (`switchback status` shows it), then run the same command again"
    };
    Failure::new(Kind::Locked, format!("another run has the lease: {}", describe(holder)))
        .next(next)
}

/// Whether a rollback may take the lease from this holder.
pub(super) fn is_outranked(holder: &Lease) -> bool {
    OUTRANKED.contains(&holder.verb.as_str())
}

/// The holder, unless there is none, its time is over, or it is known to be dead.
pub(super) fn holder<'a>(
    home: &Home,
    state: &'a State,
    host: &str,
    now: DateTime<Utc>,
) -> Option<&'a Lease> {
    state
        .holder
        .as_ref()
        .filter(|lease| lease.expires_at > now)
        .filter(|lease| lease.by.host != host || !is_dead(home, lease.token))
}

/// Whether the alive file is there and no process holds it. A file that is missing proves
/// nothing: somebody may have tidied up. Probed shared: two probes at once do not see each other.
fn is_dead(home: &Home, token: Token) -> bool {
    File::open(home.alive(token.0))
        .is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}

/// Creates and holds the alive file of a new lease.
pub(super) fn come_alive(home: &Home, token: Token) -> Answer<File> {
    let path = home.alive(token.0);
    let hold = || -> io::Result<File> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    };
    hold().map_err(|error| files::refused("cannot hold", &path, error))
}

/// Removes the alive files of processes that are gone, `except` that of the newest lease.
pub(super) fn remove_stale(home: &Home, except: Token) {
    let Ok(entries) = fs::read_dir(&home.directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let token = name
            .to_str()
            .and_then(|name| name.strip_prefix("alive."))
            .and_then(|token| token.parse().ok());
        if let Some(token) = token
            && token != except.0
            && is_dead(home, Token(token))
        {
            // Only tidying: whoever comes next tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}
