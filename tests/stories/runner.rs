//! The runner that action stories play in: the workspace, the runner's files and variables, and a
//! GitHub that remembers what it was told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http::{Heard, Reply, Server};
use crate::world::{Run, World, finish};

/// A GitHub that remembers.
#[derive(Clone, Default)]
pub struct Remembered {
    /// Number and body.
    pub deployments: Vec<(u64, Value)>,
    /// By deployment, oldest first.
    pub statuses: BTreeMap<u64, Vec<Value>>,
    /// The bodies.
    pub comments: Vec<Value>,
}

/// Starts one.
pub fn github() -> (Server, Arc<Mutex<Remembered>>) {
    let memory = Arc::new(Mutex::new(Remembered::default()));
    let kept = memory.clone();
    let server = Server::start(move |heard, _| answer(heard, &mut kept.lock().unwrap()));
    (server, memory)
}

fn answer(heard: &Heard, memory: &mut Remembered) -> Reply {
    let path = heard.path.split('?').next().unwrap().strip_prefix("/repos/o/r").unwrap();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    match (heard.method.as_str(), parts.as_slice()) {
        ("GET", ["deployments"]) => {
            let mut known: Vec<Value> =
                memory.deployments.iter().map(|(id, _)| json!({ "id": id })).collect();
            known.reverse();
            Reply::json(200, &Value::from(known))
        }
        ("POST", ["deployments"]) => {
            let id = memory.deployments.len() as u64 + 1;
            memory.deployments.push((id, heard.body.clone()));
            Reply::json(201, &json!({ "id": id }))
        }
        ("GET", ["deployments", id, "statuses"]) => {
            let mut known = memory.statuses.get(&number(id)).cloned().unwrap_or_default();
            known.reverse();
            Reply::json(200, &Value::from(known))
        }
        ("POST", ["deployments", id, "statuses"]) => {
            memory.statuses.entry(number(id)).or_default().push(heard.body.clone());
            Reply::json(201, &json!({ "id": 1 }))
        }
        ("GET", ["commits", _, "pulls"]) => Reply::json(
            200,
            &json!([{ "number": 5, "state": "closed", "merged_at": "2026-01-01T00:00:00Z" }]),
        ),
        ("GET", ["issues", "5", "comments"]) => {
            let known: Vec<Value> = memory
                .comments
                .iter()
                .enumerate()
                .map(|(at, body)| json!({ "id": at, "body": body }))
                .collect();
            Reply::json(200, &Value::from(known))
        }
        ("POST", ["issues", "5", "comments"]) => {
            memory.comments.push(heard.body["body"].clone());
            Reply::json(201, &json!({ "id": 1 }))
        }
        ("PATCH", ["issues", "comments", id]) => {
            let at = usize::try_from(number(id)).unwrap();
            memory.comments[at] = heard.body["body"].clone();
            Reply::json(200, &json!({ "id": at }))
        }
        _ => Reply::json(404, &json!({ "message": "Not Found" })),
    }
}

/// A world whose project is the workspace, and the runner's files.
pub struct Runner {
    /// Its world.
    pub world: World,
    env: BTreeMap<String, String>,
}

impl Runner {
    /// A runner with a commit checked out. `None`: a tool is missing, said loudly.
    pub fn new() -> Option<Self> {
        let world = World::new()?;
        let git = |arguments: &[&str]| {
            let status = Command::new("git")
                .current_dir(world.project())
                .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
                .args(arguments)
                .status();
            assert!(status.unwrap().success());
        };
        git(&["init", "-q"]);
        git(&["add", "-A"]);
        git(&["commit", "-qm", "one"]);
        let mut runner = Self { world, env: BTreeMap::new() };
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "ada"),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_API_URL", "http://127.0.0.1:1"),
            ("INPUT_DRY-RUN", "false"),
        ] {
            runner.set(name, value);
        }
        let file = |name: &str| runner.world.root().join(name).display().to_string();
        let files = [
            ("GITHUB_OUTPUT", file("output")),
            ("GITHUB_STEP_SUMMARY", file("summary")),
            ("GITHUB_EVENT_PATH", file("event.json")),
            ("GITHUB_WORKSPACE", runner.world.project().display().to_string()),
            ("INPUT_DBT-EXECUTABLE", runner.world.dbt().display().to_string()),
        ];
        for (name, value) in files {
            runner.set(name, &value);
        }
        Some(runner)
    }

    /// Sets a variable of every run.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Has the action tell this server.
    pub fn talks_to(&mut self, server: &Server) {
        let address = server.address.clone();
        self.set("GITHUB_API_URL", &address);
        self.set("INPUT_GITHUB-TOKEN", "hush-hush");
    }

    /// The action, ready to start.
    pub fn command(&self, inputs: &[(&str, &str)]) -> Command {
        let _ = std::fs::remove_file(self.file("output"));
        let _ = std::fs::remove_file(self.file("summary"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
        command
            .arg("action")
            .current_dir(self.world.project())
            .env_remove("DBT_PROFILES_DIR")
            .envs(&self.env)
            .envs(
                inputs
                    .iter()
                    .map(|(name, value)| (format!("INPUT_{}", name.to_uppercase()), value)),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the action.
    pub fn run(&self, inputs: &[(&str, &str)]) -> Run {
        finish(self.command(inputs).spawn().unwrap())
    }

    /// A file of the world.
    pub fn file(&self, name: &str) -> PathBuf {
        self.world.root().join(name)
    }

    /// The job summary.
    pub fn summary(&self) -> String {
        std::fs::read_to_string(self.file("summary")).unwrap_or_default()
    }

    /// The outputs as the runner reads them.
    pub fn outputs(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.file("output")).unwrap();
        let mut outputs = BTreeMap::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let (name, delimiter) = line.split_once("<<").unwrap();
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            outputs.insert(name.to_owned(), value.join("\n"));
        }
        outputs
    }
}

/// The commands that the runner would obey.
pub fn obeyed(output: &str) -> Vec<String> {
    let mut stopped: Option<String> = None;
    let mut obeyed = Vec::new();
    for line in output.split(['\n', '\r']).map(str::trim_start) {
        match &stopped {
            Some(token) if line == format!("::{token}::") => stopped = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(token) => stopped = Some(token.to_owned()),
                None if line.starts_with("::") || line.contains("##[") => {
                    obeyed.push(line.to_owned());
                }
                None => {}
            },
        }
    }
    obeyed
}
