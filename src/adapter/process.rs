//! Child processes: started in a process group of their own, ended as a whole tree, and never
//! outliving us.
//!
//! Three things end a tree: [`Tree::end`], dropping the [`Tree`] (a future that is cancelled), and
//! our own death (the kernel kills the direct child when the thread that started it ends; the
//! runtime has one thread, which starts them all and ends with the process).
//!
//! Our own death by SIGKILL reaches only the direct child: what that had started goes on until it
//! writes into a pipe that nobody reads. To kill the group too, something would have to outlive us
//! (a watchdog) or own the tree (a PID namespace or a cgroup, both of which need rights; a terminal
//! of its own, which dbt could then ask for a password). dbt itself works in threads, so that
//! matters only where `dbt` is a wrapper that starts dbt instead of becoming it.
//!
//! May import nothing of this crate.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal,
};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a tree may take to react to SIGTERM, after it ignored SIGINT.
const AFTER_TERM: Duration = Duration::from_secs(2);

/// A child process and everything it started.
#[derive(Debug)]
pub struct Tree {
    child: Child,
    group: Option<Pid>,
}

/// Starts a command as the leader of its own process group, so that a Ctrl-C at the terminal
/// reaches only us and we decide how the tree ends.
pub fn spawn(command: &mut Command) -> io::Result<Tree> {
    command.process_group(0).kill_on_drop(true);
    die_with_us(command);
    let child = command.spawn()?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    Ok(Tree { child, group })
}

/// Has the kernel kill the child when we die, however that happens.
#[allow(unsafe_code)]
fn die_with_us(command: &mut Command) {
    let us = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // We may have died before the call: then there is nobody left to wait for.
        if getppid() == Some(us) { Ok(()) } else { Err(io::Error::from(rustix::io::Errno::SRCH)) }
    };
    // SAFETY: the closure runs in the forked child before `exec`, where only async-signal-safe
    // work is allowed: it makes two plain system calls (`prctl`, `getppid`) and neither allocates
    // nor takes a lock; errors are raw errno values.
    unsafe {
        command.pre_exec(prepare);
    }
}

impl Tree {
    /// The direct child, to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The direct child's process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the direct child. Whatever it left running is killed.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.signal(Signal::KILL);
        self.group = None;
        Ok(status)
    }

    /// Ends the tree: SIGINT, up to `gentle` to clean up, then SIGTERM, then SIGKILL. Whoever
    /// reads the child's pipes must go on reading meanwhile, or a full pipe keeps it from ending.
    pub async fn end(&mut self, gentle: Duration) -> io::Result<ExitStatus> {
        for (signal, patience) in [(Signal::INT, gentle), (Signal::TERM, AFTER_TERM)] {
            self.signal(signal);
            if let Ok(status) = timeout(patience, self.wait()).await {
                return status;
            }
        }
        self.signal(Signal::KILL);
        self.wait().await
    }

    /// A group that is gone is what we wanted; no other error can occur for our own children.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Instant;

    use rustix::process::test_kill_process;
    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    /// A shell that starts a grandchild, prints its id and waits; it leaves signals to `trap`.
    async fn family(trap: &str) -> (Tree, Pid) {
        let script = format!("{trap} sleep 60 & echo $!; wait; wait");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdout(Stdio::piped());
        let mut tree = spawn(&mut command).unwrap();
        let stdout = tree.child().stdout.take().unwrap();
        let line = BufReader::new(stdout).lines().next_line().await;
        let id = line.unwrap().unwrap().parse().unwrap();
        (tree, Pid::from_raw(id).unwrap())
    }

    async fn is_gone(pid: Pid) -> bool {
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        for _ in 0..100 {
            // A container without an init never reaps it; a zombie is gone too.
            let zombie = std::fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z"));
            if zombie || test_kill_process(pid).is_err() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    #[tokio::test]
    async fn ending_a_tree_ends_what_the_child_started() {
        let (mut tree, grandchild) = family("").await;
        tree.end(Duration::from_secs(5)).await.unwrap();
        assert!(is_gone(grandchild).await);
    }

    #[tokio::test]
    async fn a_child_that_ignores_interrupts_is_ended_all_the_same() {
        let (mut tree, grandchild) = family("trap '' INT TERM;").await;
        let began = Instant::now();
        tree.end(Duration::from_millis(50)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(20));
        assert!(is_gone(grandchild).await);
    }

    #[tokio::test]
    async fn dropping_a_tree_kills_it() {
        let (tree, grandchild) = family("").await;
        drop(tree);
        assert!(is_gone(grandchild).await);
    }

    #[tokio::test]
    async fn what_a_child_leaves_behind_does_not_survive_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 >/dev/null & echo $!"]).stdout(Stdio::piped());
        let mut tree = spawn(&mut command).unwrap();
        let stdout = tree.child().stdout.take().unwrap();
        let line = BufReader::new(stdout).lines().next_line().await;
        let id = line.unwrap().unwrap().parse().unwrap();
        assert!(tree.wait().await.unwrap().success());
        assert!(is_gone(Pid::from_raw(id).unwrap()).await);
    }
}
