//! Children of the dbt environment's own Python that speak JSON lines: the only ones that open
//! DuckDB files.
//!
//! Invariants: a child ends when its standard input does, so none outlives us; every request has
//! a time-out; a child whose answer was not waited for is ended, never asked again, since its
//! next answer would be to the wrong question. May import `failure` and `words`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use super::words::{explain, no_duckdb};
use crate::failure::{Failure, Outcome};

const SCRIPT: &str = include_str!("child.py");
const START: Duration = Duration::from_secs(30);

/// How much of a child's standard error is worth showing.
const STDERR_TAIL: i64 = 2000;

/// What went wrong with a request.
#[derive(Debug)]
pub(super) enum Trouble {
    /// DuckDB's answer.
    Sql {
        /// Python's name for it, such as `IOException`.
        kind: String,
        message: String,
        /// Whether a transaction had been committed before.
        committed: bool,
    },
    /// No answer: whether it was done is unknown.
    Lost(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Ready(Ready),
    Ok(Value),
    Error {
        #[serde(rename = "type")]
        kind: String,
        message: String,
        #[serde(default)]
        committed: bool,
    },
}

/// What a child says once it can work.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ready {
    /// The version of duckdb.
    pub(super) duckdb: String,
    /// The inode that a guard holds.
    pub(super) inode: Option<u64>,
}

/// One running child.
pub(super) struct Pipe {
    child: Child,
    stdin: ChildStdin,
    lines: BufReader<ChildStdout>,
    stderr: File,
    /// A question was asked and its answer not read.
    waiting: bool,
}

impl Pipe {
    /// Starts a child and waits until it can work.
    pub(super) async fn start(python: &Path, arguments: &[&str]) -> Outcome<(Self, Ready)> {
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::usage(format!(
                "the Python of the dbt environment, {}, cannot be run: {error}",
                python.display()
            ))
            .next("name a dbt whose own Python has duckdb with --dbt-executable")
        };
        let stderr = tempfile::tempfile().map_err(|error| cannot(&error))?;
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().map_err(|error| cannot(&error))?)
            .process_group(0) // Ctrl-C in a terminal is ours to act on
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot(&error))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(cannot(&"it has no pipes"));
        };
        let mut pipe = Self { child, stdin, lines: BufReader::new(stdout), stderr, waiting: true };
        let answer = pipe.read(START).await;
        pipe.waiting = false;
        match answer {
            Ok(Answer::Ready(ready)) => Ok((pipe, ready)),
            Ok(Answer::Error { kind, message, .. })
                if kind.ends_with("ImportError") || kind == "ModuleNotFoundError" =>
            {
                Err(no_duckdb(python, &message))
            }
            Ok(Answer::Error { kind, message, .. }) => {
                Err(explain(Path::new(arguments.get(1).unwrap_or(&"")), &kind, &message))
            }
            Ok(Answer::Ok(_)) => Err(cannot(&"it answered before it was asked")),
            Err(Trouble::Lost(what)) => Err(cannot(&what)),
            Err(Trouble::Sql { message, .. }) => Err(cannot(&message)),
        }
    }

    /// Asks one question and waits for its answer.
    pub(super) async fn ask(
        &mut self,
        request: &Value,
        patience: Duration,
    ) -> Result<Value, Trouble> {
        let lost = |error: &dyn std::fmt::Display| Trouble::Lost(error.to_string());
        let mut line = request.to_string();
        line.push('\n');
        self.waiting = true;
        self.stdin.write_all(line.as_bytes()).await.map_err(|error| lost(&error))?;
        self.stdin.flush().await.map_err(|error| lost(&error))?;
        let answer = self.read(patience).await?;
        self.waiting = false;
        match answer {
            Answer::Ok(value) => Ok(value),
            Answer::Error { kind, message, committed } => {
                Err(Trouble::Sql { kind, message, committed })
            }
            Answer::Ready(_) => Err(lost(&"it answered another question")),
        }
    }

    async fn read(&mut self, patience: Duration) -> Result<Answer, Trouble> {
        let mut line = String::new();
        match tokio::time::timeout(patience, self.lines.read_line(&mut line)).await {
            Err(_) => Err(Trouble::Lost(format!(
                "it did not answer within {} seconds",
                patience.as_secs()
            ))),
            Ok(Err(error)) => Err(Trouble::Lost(error.to_string())),
            Ok(Ok(0)) => Err(Trouble::Lost(self.last_words().await)),
            Ok(Ok(_)) => serde_json::from_str(&line)
                .map_err(|error| Trouble::Lost(format!("it answered `{}`: {error}", line.trim()))),
        }
    }

    /// Whether it can still be asked.
    pub(super) fn is_sound(&mut self) -> bool {
        !self.waiting && matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the child and waits until it is gone, and its locks with it.
    pub(super) async fn end(mut self) {
        // It may have ended by itself: then there is nothing to do.
        let _ = self.child.kill().await;
    }

    async fn last_words(&mut self) -> String {
        let ended = tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await;
        let how = match ended {
            Ok(Ok(status)) => format!("it ended with {status}"),
            _ => "it closed its output".to_owned(),
        };
        let mut said = String::new();
        let length = self.stderr.metadata().map_or(0, |found| found.len());
        let tail = STDERR_TAIL.min(i64::try_from(length).unwrap_or(STDERR_TAIL));
        if self.stderr.seek(SeekFrom::End(-tail)).is_ok() {
            let mut bytes = Vec::new();
            let _ = self.stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).trim().clone_into(&mut said);
        }
        if said.is_empty() { how } else { format!("{how}: {said}") }
    }
}

/// The one child that runs SQL, started when it is first needed and anew should it die.
pub(super) struct SqlChild {
    python: PathBuf,
    pipe: Mutex<Option<(Pipe, Ready)>>,
}

impl SqlChild {
    pub(super) fn new(python: PathBuf) -> Self {
        Self { python, pipe: Mutex::new(None) }
    }

    pub(super) fn python(&self) -> &Path {
        &self.python
    }

    /// Asks; the outer error means that nothing was asked.
    pub(super) async fn ask(
        &self,
        request: &Value,
        patience: Duration,
    ) -> Outcome<Result<Value, Trouble>> {
        let mut slot = self.pipe.lock().await;
        let (pipe, _) = self.sound(&mut slot).await?;
        let answer = pipe.ask(request, patience).await;
        if matches!(answer, Err(Trouble::Lost(_))) {
            *slot = None; // dropping it ends it
        }
        Ok(answer)
    }

    /// The version of duckdb, which shows that there is one.
    pub(super) async fn version(&self) -> Outcome<String> {
        let mut slot = self.pipe.lock().await;
        Ok(self.sound(&mut slot).await?.1.duckdb.clone())
    }

    async fn sound<'a>(
        &self,
        slot: &'a mut Option<(Pipe, Ready)>,
    ) -> Outcome<&'a mut (Pipe, Ready)> {
        if !slot.as_mut().is_some_and(|(pipe, _)| pipe.is_sound()) {
            *slot = None; // dropping it ends it
        }
        match slot {
            Some(sound) => Ok(sound),
            None => Ok(slot.insert(Pipe::start(&self.python, &["sql"]).await?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::python;
    use super::*;
    use crate::failure::Kind;

    #[tokio::test]
    async fn a_python_without_duckdb_or_none_at_all_is_named() {
        let failure = Pipe::start(Path::new("/nowhere/python"), &["sql"]).await;
        let failure = failure.err().unwrap();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains("/nowhere/python"), "{failure}");
        let failure = Pipe::start(Path::new("/bin/false"), &["sql"]).await.err().unwrap();
        assert!(failure.message.contains("ended with"), "{failure}");
    }

    #[tokio::test]
    async fn a_child_that_does_not_answer_in_time_is_ended_and_replaced() {
        let Some(python) = python("a_child_that_does_not_answer_in_time") else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shop.duckdb");
        let child = SqlChild::new(python);
        let make = json!({"op": "execute", "file": file, "sql": "CREATE TABLE t AS SELECT 1 AS x",
                          "identity": "", "found": false});
        child.ask(&make, START).await.unwrap().unwrap();
        let slow = json!({"op": "query", "file": file, "limit": 1,
                          "sql": "SELECT count(*) FROM range(1000000000000) a(x) WHERE x % 7 = 3"});
        let answer = child.ask(&slow, Duration::from_millis(300)).await.unwrap();
        assert!(matches!(answer, Err(Trouble::Lost(_))), "{answer:?}");
        let quick =
            json!({"op": "query", "file": file, "sql": "SELECT x, NULL FROM t", "limit": 9});
        let answer = child.ask(&quick, START).await.unwrap().unwrap();
        assert_eq!(answer["rows"], json!([["1", null]]));
        // Given up by its asker: the next one must not read the old answer.
        let _ = tokio::time::timeout(Duration::from_millis(50), child.ask(&slow, START)).await;
        let answer = child.ask(&quick, START).await.unwrap().unwrap();
        assert_eq!(answer["rows"], json!([["1", null]]));
        for wrong in ["COPY t TO '/tmp/x'", "SELECT 1; SELECT 2", ""] {
            let wrong = json!({"op": "query", "file": file, "sql": wrong, "limit": 9});
            assert!(child.ask(&wrong, START).await.unwrap().is_err());
        }
    }
}
