//! The emulator (`tests/emulator`) as a process of its own: what stands for a Snowflake account.
//!
//! It ends when it is dropped, and by itself when the test process goes away: it reads its standard
//! input to the end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A role that may do everything.
pub const ADMIN: &str = "ACCOUNTADMIN";

/// How long the emulator may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Python to run the emulator with; `None`, said loudly, where none is named.
fn python(test: &str) -> Option<PathBuf> {
    const NAME: &str = "SWITCHBACK_TEST_SNOWFLAKE_PYTHON";
    match std::env::var_os(NAME) {
        // The emulator runs in another directory.
        Some(path) => Some(std::path::absolute(path).unwrap()),
        None if std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_some() => {
            panic!("{test} needs {NAME}, the Python of requirements/snowflake.txt")
        }
        None => {
            eprintln!("SKIPPED: {test}: {NAME} names no Python that can run the emulator");
            None
        }
    }
}

/// An emulated account of one's own.
pub struct Emulator {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Emulator {
    /// Starts one; `None` where there is no Python to run it with.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[])
    }

    /// Starts one with arguments, such as `--u` (`python -m emulator --help`).
    pub fn start_with(test: &str, arguments: &[&str]) -> Option<Self> {
        let python = python(test)?;
        let dir = tempfile::tempdir().unwrap();
        let (ready, said) = (dir.path().join("port"), dir.path().join("stderr"));
        let mut child = Command::new(python)
            .args(["-B", "-m", "emulator", "--ready-file"])
            .arg(&ready)
            .args(arguments)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        let end = Instant::now() + PATIENCE;
        let port = loop {
            if let Ok(port) = fs::read_to_string(&ready) {
                break port.trim().parse().unwrap();
            }
            if child.try_wait().unwrap().is_some() || Instant::now() > end {
                let _ = child.kill();
                panic!("the emulator does not start: {}", fs::read_to_string(&said).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Some(Self { child, port, _dir: dir })
    }

    /// Asks the emulator for a fault, another time, a missing privilege … (`control.py`).
    pub fn control(&self, request: &Value) -> Value {
        self.http("POST", "/emulator/control", &request.to_string())
    }

    /// The `nth` statement from now on that matches `pattern` loses its connection: `drop_before`
    /// it is done, or `drop_after`.
    pub fn lose(&self, action: &str, pattern: &str, nth: usize) {
        self.control(
            &json!({"op": "fault", "action": action, "match": pattern, "nth": nth, "times": 1}),
        );
    }

    /// Remembers the whole account as it is, for [`Self::restore`].
    pub fn save(&self) {
        self.control(&json!({"op": "save"}));
    }

    /// Makes the account what it was, its clock included, without faults and with an empty log.
    pub fn restore(&self) {
        self.control(&json!([{"op": "restore"}, {"op": "log", "clear": true}]));
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        self.control(&json!({"op": "clear"}));
    }

    /// Moves the server's clock.
    pub fn forward(&self, seconds: u64) {
        self.control(&json!({"op": "clock", "advance": seconds}));
    }

    /// Runs a statement as somebody who may do everything, outside the log and all faults.
    pub fn sql(&self, text: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.control(&json!({"op": "sql", "text": text, "role": ADMIN}));
        assert!(answer["error"].is_null(), "{text}: {answer}");
        serde_json::from_value(answer["rows"].clone()).unwrap()
    }

    /// The texts of the statements that arrived, in order.
    pub fn log(&self) -> Vec<String> {
        let entries = self.http("GET", "/emulator/statements", "");
        let texts = entries.as_array().unwrap().iter().map(|entry| &entry["text"]);
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on, after every statement, every table and view of `database` is asked, and this
    /// question.
    pub fn watch(&self, database: &str, question: &str) {
        self.control(&json!({"op": "watch", "databases": [database], "sql": [question]}));
    }

    /// What was answered meanwhile: the number of the statement, the question, and the answer or
    /// the error.
    pub fn watched(&self) -> Vec<(u64, String, Result<Value, String>)> {
        let all = self.http("GET", "/emulator/watch", "");
        let one = |entry: &Value| {
            let answer = match entry["error"].as_str() {
                Some(error) => Err(error.to_owned()),
                None => Ok(entry["rows"].clone()),
            };
            (entry["after"].as_u64().unwrap(), entry["sql"].as_str().unwrap().to_owned(), answer)
        };
        all.as_array().unwrap().iter().map(one).collect()
    }

    /// The whole log, with outcomes and query tags.
    pub fn entries(&self) -> Vec<Value> {
        self.http("GET", "/emulator/statements", "").as_array().unwrap().clone()
    }

    fn http(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close");
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let end = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > end {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
