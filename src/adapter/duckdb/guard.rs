//! The guard: a child that holds live open read-only, which keeps writers out from copy to
//! exchange while readers go on.
//!
//! Invariants: it opens that one file once and nothing else (POSIX locks are lost when a process
//! closes the file a second time), and says which inode it really holds. May import `failure`,
//! `ports` and `child`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::child::Pipe;
use crate::failure::Outcome;

/// A quick word with a child that has nothing else to do.
const PING: Duration = Duration::from_secs(5);

/// A running guard.
pub(super) struct Guard {
    pipe: Pipe,
    path: PathBuf,
    inode: u64,
}

impl Guard {
    /// Holds `path`. Refused as locked where another process writes to it.
    pub(super) async fn start(python: &Path, path: &Path) -> Outcome<Self> {
        let name = path.display().to_string();
        let (pipe, ready) = Pipe::start(python, &["guard", &name]).await?;
        Ok(Self { pipe, path: path.to_path_buf(), inode: ready.inode.unwrap_or(0) })
    }

    /// Whether it lives and holds this very file.
    pub(super) async fn holds(&mut self, path: &Path, inode: u64) -> bool {
        self.path == path
            && self.inode == inode
            && self.pipe.is_sound()
            && self.pipe.ask(&json!("ping"), PING).await.is_ok()
    }

    /// Whether this inode is the one it holds.
    pub(super) fn is_on(&self, inode: u64) -> bool {
        self.inode == inode
    }

    /// Ends it, and waits until its lock is given back.
    pub(super) async fn stop(self) {
        self.pipe.end().await;
    }
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
        assert!(guard.holds(&file, inode).await);
        assert!(!guard.holds(&file, inode + 1).await);
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
