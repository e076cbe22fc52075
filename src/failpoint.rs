//! Crash points for the crash matrix. Without the `failpoints` feature this is empty code.
//!
//! With it, `SWITCHBACK_FAILPOINT=<step>:<point>=<action>` makes the engine die (`kill`: SIGKILL to
//! itself, as an out-of-memory kill would), pause once (`stop`: SIGSTOP) or meet an error whose outcome
//! is unknown (`unknown`) at that point. `<point>` is `intended`, `performed` or `recorded`.
//! `SWITCHBACK_FAILPOINT_HASTE` makes waits for others' locks a fiftieth of what they are.

#[cfg(feature = "failpoints")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a failpoint makes the engine do, beside dying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on.
    None,
    /// Behave as if the port had answered with an error of unknown outcome.
    Unknown,
}

/// Consults the failpoint of that name.
#[cfg(feature = "failpoints")]
#[must_use]
pub fn hit(step: &str, point: &str) -> Action {
    let Ok(wanted) = std::env::var("SWITCHBACK_FAILPOINT") else {
        return Action::None;
    };
    let Some((name, action)) = wanted.split_once('=') else {
        return Action::None;
    };
    if name != format!("{step}:{point}") {
        return Action::None;
    }
    match action {
        "kill" => {
            let me = rustix::process::getpid();
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
            Action::None
        }
        "stop" => {
            static STOPPED: AtomicBool = AtomicBool::new(false);
            if !STOPPED.swap(true, Ordering::Relaxed) {
                let me = rustix::process::getpid();
                let _ = rustix::process::kill_process(me, rustix::process::Signal::STOP);
            }
            Action::None
        }
        "unknown" => Action::Unknown,
        other => unreachable!("SWITCHBACK_FAILPOINT action `{other}`"),
    }
}

/// How long a lock is waited for that others keep.
#[cfg(feature = "failpoints")]
#[must_use]
pub fn wait(length: Duration) -> Duration {
    if std::env::var_os("SWITCHBACK_FAILPOINT_HASTE").is_some() { length / 50 } else { length }
}

/// How long a lock is waited for that others keep.
#[cfg(not(feature = "failpoints"))]
#[must_use]
pub fn wait(length: Duration) -> Duration {
    length
}

/// Consults nothing: the feature is off.
#[cfg(not(feature = "failpoints"))]
#[must_use]
pub fn hit(_step: &str, _point: &str) -> Action {
    Action::None
}
