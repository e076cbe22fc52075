//! What the tests of this adapter share: the emulator (`tests/emulator`) as a process of its own,
//! spoken to by the real driver.
//!
//! It ends when it is dropped, and by itself when the test process goes away: it reads its standard
//! input to the end. May import its siblings.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::profile::{Credential, Settings};
use super::session::{Limits, Sessions, Tag};
use crate::config::secret::Secret;

/// A role that may do everything.
pub(super) const ADMIN: &str = "ACCOUNTADMIN";

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
pub(super) struct Emulator {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Emulator {
    /// Starts one; `None` where there is no Python to run it with.
    pub(super) fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[])
    }

    /// Starts one with arguments, such as `--u` (`python -m emulator --help`).
    pub(super) fn start_with(test: &str, arguments: &[&str]) -> Option<Self> {
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

    /// Sessions of a user who may do everything.
    pub(super) fn sessions(&self) -> Sessions {
        self.sessions_as(ADMIN)
    }

    /// Sessions in a role; it has to exist.
    pub(super) fn sessions_as(&self, role: &str) -> Sessions {
        let limits = Limits {
            sessions: 4,
            statement: Duration::from_secs(60),
            lock: Duration::from_secs(20),
            attempts: 3,
            pause: Duration::from_millis(1),
        };
        Sessions::new(self.settings(role), limits).unwrap()
    }

    /// How to sign in, in a role.
    pub(super) fn settings(&self, role: &str) -> Settings {
        Settings {
            account: "emulator".to_owned(),
            user: "tester".to_owned(),
            credential: Credential::Password { password: Secret::new("secret"), passcode: None },
            role: Some(role.to_owned()),
            warehouse: Some("COMPUTE_WH".to_owned()),
            database: "SHOP".to_owned(),
            schema: "PUBLIC".to_owned(),
            address: Some(format!("http://127.0.0.1:{}", self.port)),
            proxy: None,
            query_tag: None,
            retries: 0,
            connect_timeout: Some(Duration::from_secs(20)),
            keep_alive: false,
        }
    }

    /// Asks the emulator for a fault, another time, a missing privilege … (`control.py`).
    pub(super) fn control(&self, request: &Value) -> Value {
        self.http("POST", "/emulator/control", &request.to_string())
    }

    /// The `nth` statement from now on that matches `pattern` loses its connection: `drop_before`
    /// it is done, or `drop_after`.
    pub(super) fn lose(&self, action: &str, pattern: &str, nth: usize) {
        self.control(
            &json!({"op": "fault", "action": action, "match": pattern, "nth": nth, "times": 1}),
        );
    }

    /// Moves the server's clock.
    pub(super) fn forward(&self, seconds: u64) {
        self.control(&json!({"op": "clock", "advance": seconds}));
    }

    /// Runs a statement as somebody who may do everything, outside the log and all faults.
    pub(super) fn sql(&self, text: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.control(&json!({"op": "sql", "text": text, "role": ADMIN}));
        assert!(answer["error"].is_null(), "{text}: {answer}");
        serde_json::from_value(answer["rows"].clone()).unwrap()
    }

    /// The texts of the statements that arrived, in order.
    pub(super) fn log(&self) -> Vec<String> {
        let entries = self.http("GET", "/emulator/statements", "");
        let texts = entries.as_array().unwrap().iter().map(|entry| &entry["text"]);
        texts.map(|text| text.as_str().unwrap().to_owned()).collect()
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

/// What the statements of a test are sent for.
pub(super) fn tag() -> Tag {
    Tag::new("run-1", "r2", "test")
}

#[tokio::test]
async fn the_emulator_starts_answers_the_driver_and_ends() {
    let Some(emulator) = Emulator::start("the emulator") else {
        return;
    };
    emulator.sql("CREATE ROLE READER");
    emulator.sql("CREATE DATABASE SHOP");
    let found = emulator.sessions().read(&tag(), "SHOW DATABASES").await.unwrap();
    assert_eq!(found.rows.len(), 1);
    emulator.lose("drop_after", "CREATE DATABASE", 1);
    let lost = emulator.sessions_as("READER").write(&tag(), "CREATE DATABASE OTHER").await;
    assert!(matches!(lost, Err(crate::ports::PortError::Unknown(_))));
    assert_eq!(emulator.sql("SHOW DATABASES").len(), 2);
    let now = "SELECT DATE_PART(EPOCH_SECOND, CURRENT_TIMESTAMP())";
    let before: u64 = emulator.sql(now)[0][0].as_ref().unwrap().parse().unwrap();
    emulator.forward(3600);
    assert!(emulator.sql(now)[0][0].as_ref().unwrap().parse::<u64>().unwrap() >= before + 3600);
    assert_eq!(emulator.log(), ["SHOW DATABASES", "CREATE DATABASE OTHER"]);
    let port = emulator.port;
    drop(emulator);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
