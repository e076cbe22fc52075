//! Guards: children that each hold one file open read-only, which keeps writers out while readers
//! go on. One is on live from the copy to the exchange, one on what comes in from before the
//! exchange to the end of the run.
//!
//! Invariants: each opens its one file once and nothing else (POSIX locks are lost when a process
//! closes the file a second time), and says which inode it really holds; it goes with the file
//! through renames and exchanges. May import `failure`, `ports` and this adapter's files.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::child::Pipe;
use super::files;
use super::warehouse::DuckDb;
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Answer, PortError};

/// A quick word with a child that has nothing else to do.
const PING: Duration = Duration::from_secs(5);

/// How long a writer of a moment is waited for.
const WRITER_PATIENCE: Duration = Duration::from_secs(3);
const WRITER_PAUSE: Duration = Duration::from_millis(250);

/// A running guard.
pub(super) struct Guard {
    pipe: Pipe,
    inode: u64,
}

impl Guard {
    /// Holds `path`. Refused as locked where another process writes to it.
    pub(super) async fn start(python: &Path, path: &Path) -> Outcome<Self> {
        let name = path.display().to_string();
        let (pipe, ready) = Pipe::start(python, &["guard", &name]).await?;
        Ok(Self { pipe, inode: ready.inode.unwrap_or(0) })
    }

    /// Whether it lives and holds this very file, under whatever name.
    pub(super) async fn holds(&mut self, inode: u64) -> bool {
        self.inode == inode
            && self.pipe.is_sound()
            && self.pipe.ask(&json!("ping"), PING).await.is_ok()
    }

    /// Ends it, and waits until its lock is given back.
    pub(super) async fn stop(self) {
        self.pipe.end().await;
    }
}

impl DuckDb {
    /// Keeps writers out of the file at `path` until it is let go or the run ends; does nothing
    /// if that is so already.
    pub(super) async fn hold(&self, path: &Path) -> Answer<u64> {
        let inode = inode_of(path)?;
        if self.is_held(inode).await {
            return Ok(inode);
        }
        self.let_go_of(inode).await;
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
        let inode = started.inode;
        self.guards.lock().await.push(started);
        Ok(inode)
    }

    /// Refuses unless a guard lives and holds what has the name `path` now; answers which file
    /// that is.
    pub(super) async fn require_guard(&self, path: &Path) -> Answer<u64> {
        let inode = inode_of(path)?;
        if self.is_held(inode).await {
            return Ok(inode);
        }
        Err(PortError::Refused(
            Failure::stopped(format!(
                "the connection that keeps writers out of {} is gone, or the file was replaced",
                path.display()
            ))
            .next("run the same command again"),
        ))
    }

    async fn is_held(&self, inode: u64) -> bool {
        for guard in self.guards.lock().await.iter_mut() {
            if guard.holds(inode).await {
                return true;
            }
        }
        false
    }

    /// Lets go of one file, because something of ours has to write to it or to remove it, and
    /// waits until the kernel has the lock back.
    pub(super) async fn let_go_of(&self, inode: u64) {
        let mut guards = self.guards.lock().await;
        while let Some(at) = guards.iter().position(|guard| guard.inode == inode) {
            guards.swap_remove(at).stop().await;
        }
    }

    /// Lets go of the file at `path`, if there is one.
    pub(super) async fn let_go(&self, path: &Path) {
        if let Ok(inode) = inode_of(path) {
            self.let_go_of(inode).await;
        }
    }
}

/// The inode that has the name `path` now.
pub(super) fn inode_of(path: &Path) -> Answer<u64> {
    files::stat(path)
        .and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map(|found| found.inode)
        .map_err(|error| files::refused("cannot look at", path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use super::super::testing::python;
    use super::*;
    use crate::failure::Kind;

    fn duckdb(python: &Path, code: &str) -> Result<String, String> {
        let code = format!("import duckdb\n{code}");
        let out = Command::new(python).args(["-c", &code]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    #[tokio::test]
    async fn a_guarded_file_refuses_writers_and_serves_readers_until_it_is_let_go() {
        let Some(python) = python("a_guarded_file_refuses_writers") else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("it's ünï.duckdb");
        let path = file.display().to_string();
        let write =
            format!("duckdb.connect({path:?}).execute('CREATE OR REPLACE TABLE t AS SELECT 1 x')");
        let read =
            format!("print(duckdb.connect({path:?}, read_only=True).execute('FROM t').fetchall())");
        duckdb(&python, &write).unwrap();
        let inode = std::fs::metadata(&file).unwrap().ino();
        let mut guard = Guard::start(&python, &file).await.unwrap();
        assert!(guard.holds(inode).await);
        assert!(!guard.holds(inode + 1).await);
        let error = duckdb(&python, &write).unwrap_err();
        assert!(error.contains("Could not set lock"), "{error}");
        assert_eq!(duckdb(&python, &read).unwrap().trim(), "[(1,)]");
        // It must still hold after a reader of the same file came and went.
        assert!(duckdb(&python, &write).is_err());
        drop(guard);
        tokio::time::sleep(Duration::from_millis(300)).await;
        duckdb(&python, &write).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_being_written_cannot_be_guarded_and_the_writer_is_named() {
        let Some(python) = python("a_file_that_is_being_written_cannot_be_guarded") else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shop.duckdb");
        let code = "import duckdb,sys; c=duckdb.connect(sys.argv[1]); print(1,flush=True); sys.stdin.read()";
        let mut writer = Command::new(&python)
            .args(["-c", code])
            .arg(&file)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let failure = Guard::start(&python, &file).await.err().unwrap();
        assert_eq!(failure.kind, Kind::Locked);
        assert!(failure.message.contains(&format!("PID {}", writer.id())), "{failure}");
        drop(writer.stdin.take());
        writer.wait().unwrap();
    }
}
