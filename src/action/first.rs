//! The first process of a container: it starts the action as a child, passes signals on to it, and
//! reaps whatever is left to it by processes whose parents are gone.
//!
//! It is a process of its own because reaping takes waiting for *any* child, which would take the
//! ends of the action's own children away from who waits for them there. And a first process gets
//! only the signals it asks for, so that without this SIGTERM would be lost.
//!
//! May import nothing of this crate.

use std::io;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// Whether this is the first process.
#[must_use]
pub fn is_first() -> bool {
    getpid().is_init()
}

/// Runs this program again as a child, and ends as it does.
pub async fn supervise() -> io::Result<ExitCode> {
    let mut ended = signal(SignalKind::child())?;
    let mut passed = [
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::hangup(), Signal::TERM),
        (SignalKind::quit(), Signal::TERM),
    ]
    .into_iter()
    .map(|(kind, which)| Ok((signal(kind)?, which)))
    .collect::<io::Result<Vec<(Signals, Signal)>>>()?;
    let child = Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).spawn()?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let child = child.ok_or_else(|| io::Error::other("the child has no process id"))?;
    loop {
        if let Some(code) = reap(child) {
            return Ok(ExitCode::from(code));
        }
        let [terminate, interrupt, hangup, quit] = passed.as_mut_slice() else {
            return Err(io::Error::other("a signal is not watched"));
        };
        let which = tokio::select! {
            _ = ended.recv() => None,
            _ = terminate.0.recv() => Some(terminate.1),
            _ = interrupt.0.recv() => Some(interrupt.1),
            _ = hangup.0.recv() => Some(hangup.1),
            _ = quit.0.recv() => Some(quit.1),
        };
        if let Some(which) = which {
            let _ = kill_process(child, which); // It may have ended just now.
        }
    }
}

/// Reaps all that has ended; the exit code, once the child is among them.
fn reap(child: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            let by_signal = status.terminating_signal().map(|signal| 128 + signal);
            let raw = status.exit_status().or(by_signal).unwrap_or(1);
            code = Some(u8::try_from(raw).unwrap_or(1));
        }
    }
    code
}
