//! The client against GitHub's own description of its API, served by Prism: no request violates it,
//! and the answers it gives as examples are understood.
//!
//! `make .tools/prism/ready` installs both.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use switchback::ports::forge::{DeploymentId, Forge, Progress, Task, Wish};

use crate::{github, wish};

/// How long Prism may take to read the description.
const START: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(60);

struct Prism {
    child: Child,
    address: SocketAddr,
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tools() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/prism");
    if folder.join("ready").is_file() {
        return Some(folder.join("node_modules"));
    }
    let message = "SKIPPED, NOTHING WAS TESTED: Prism is missing; run `make .tools/prism/ready`";
    assert!(std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_none(), "{message}");
    eprintln!("{message}");
    None
}

impl Prism {
    fn start() -> Option<Self> {
        let tools = tools()?;
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("node")
            .arg(tools.join("@stoplight/prism-cli/dist/index.js"))
            .args(["mock", "-h", "127.0.0.1", "-p", &address.port().to_string()])
            .arg(tools.join("@octokit/openapi/generated/api.github.com.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut prism = Self { child, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(prism.child.try_wait().unwrap().is_none(), "Prism ended by itself");
            assert!(began.elapsed() < START, "Prism did not start within {START:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(prism)
    }
}

/// A relay to Prism that keeps what Prism found wrong.
struct Relay {
    address: String,
    violations: Arc<Mutex<Vec<String>>>,
    passed: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    fn to(prism: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            violations: Arc::default(),
            passed: Arc::default(),
        };
        let (violations, passed) = (relay.violations.clone(), relay.passed.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (violations, passed) = (violations.clone(), passed.clone());
                std::thread::spawn(move || pass(client, prism, &violations, &passed));
            }
        });
        relay
    }
}

fn pass(
    mut client: TcpStream,
    prism: SocketAddr,
    violations: &Mutex<Vec<String>>,
    passed: &Mutex<Vec<String>>,
) {
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let request = whole(&mut client);
    let text = String::from_utf8_lossy(&request);
    let line = text.lines().next().unwrap_or_default().to_owned();
    let mut server = TcpStream::connect(prism).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    // One exchange a connection, so that its end is the answer's.
    let closing = text.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(closing.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = server.read_to_end(&mut answer);
    let head = String::from_utf8_lossy(&answer);
    let head = head.split("\r\n\r\n").next().unwrap_or_default();
    let status = head.lines().next().unwrap_or_default();
    passed.lock().unwrap().push(format!("{line} → {status}"));
    for header in head.lines() {
        let Some((name, value)) = header.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("sl-violations") {
            let found: Value = serde_json::from_str(value.trim()).unwrap_or_default();
            let of_request = |one: &&Value| one["location"][0] == "request";
            for one in found.as_array().into_iter().flatten().filter(of_request) {
                violations.lock().unwrap().push(format!("{line}: {one}"));
            }
        }
    }
    let _ = client.write_all(&answer);
}

/// A request with its body.
fn whole(client: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = client.read(&mut buffer).unwrap_or(0);
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return request;
            }
        }
        if read == 0 {
            return request;
        }
    }
}

#[test]
fn no_request_violates_githubs_description_and_its_examples_are_understood() {
    let Some(prism) = Prism::start() else { return };
    let relay = Relay::to(prism.address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let github = github(&relay.address, PATIENCE);
        // Prism's examples know no run of ours, so that a deployment is created.
        github.deployment(&wish()).await.unwrap();
        let rollback = Wish { task: Task::Rollback, description: "ä".repeat(500), ..wish() };
        github.deployment(&rollback).await.unwrap();
        for state in
            [Progress::InProgress, Progress::Success, Progress::Failure, Progress::Inactive]
        {
            github.progress(DeploymentId(1), state, &"x".repeat(300)).await.unwrap();
        }
        github.supersede("production eu/west", DeploymentId(1)).await.unwrap();
        github.pull_request(&wish().commit).await.unwrap();
        // Its example comment is not ours: this creates one. And the example's own is updated.
        github.comment(1347, "<!-- m -->", "<!-- m -->\nhello").await.unwrap();
        github.comment(1347, "Me too", "Me too\nhello").await.unwrap();
    });
    {
        let violations = relay.violations.lock().unwrap();
        assert!(violations.is_empty(), "{violations:#?}");
    }
    // The relay would have seen one.
    let mut bad = TcpStream::connect(relay.address.strip_prefix("http://").unwrap()).unwrap();
    let body = r#"{"state": "live"}"#;
    write!(
        bad,
        "POST /repos/o/r/deployments/1/statuses HTTP/1.1\r\nhost: x\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    bad.read_to_end(&mut Vec::new()).unwrap();
    assert!(!relay.violations.lock().unwrap().is_empty(), "a violation goes unseen");
    let passed = relay.passed.lock().unwrap();
    eprintln!("{passed:#?}");
    for wanted in [
        "POST /repos/octo/shop/deployments ",
        "POST /repos/octo/shop/deployments/1/statuses ",
        "GET /repos/octo/shop/commits/",
        "POST /repos/octo/shop/issues/1347/comments ",
        "PATCH /repos/octo/shop/issues/comments/",
    ] {
        assert!(passed.iter().any(|line| line.starts_with(wanted)), "{wanted}: {passed:#?}");
    }
}
