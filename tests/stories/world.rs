//! The small world that stories play in: a folder with a dbt project, a DuckDB file, the real
//! `switchback` binary, and either a stand-in for dbt or a real one.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// How long anything in a story may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a story's tools are missing, said loudly; a failure where everything is required.
pub fn missing(what: &str) {
    let message = format!("SKIPPED, NOTHING WAS TESTED: {what}");
    assert!(std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_none(), "{message}");
    eprintln!("{message}");
}

fn tool(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        missing(&format!("{variable} is not set; run `make test`"));
    }
    found
}

/// A folder, a project and a production.
pub struct World {
    folder: TempDir,
    python: PathBuf,
    dbt: PathBuf,
    /// The live file.
    pub live: PathBuf,
    /// Environment variables for every run.
    pub env: BTreeMap<String, String>,
}

/// How a run of the binary ended.
pub struct Run {
    /// The exit code; 128 + the signal for death by signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s));
        Self {
            code: code.unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code and shows everything if it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Standard output as JSON: with `--format json` there is nothing else on it.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}\nstdout:\n{}\nstderr:\n{}", self.out, self.err))
    }
}

impl World {
    /// A world with the stand-in dbt and no production yet. `None`: a tool is missing, said loudly.
    pub fn new() -> Option<Self> {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    /// The same in a given folder.
    pub fn in_folder(folder: TempDir) -> Option<Self> {
        let python = tool("SWITCHBACK_TEST_PYTHON")?;
        let dbt = folder.path().join("bin/dbt");
        let source = include_str!("../support/standin_dbt.py");
        let body = source.strip_prefix("#!/usr/bin/env python3\n").unwrap_or(source);
        write(&dbt, &format!("#!{}\n{body}", python.display()));
        std::fs::set_permissions(&dbt, std::fs::Permissions::from_mode(0o755)).unwrap();
        let live = folder.path().join("data/shop.duckdb");
        let world = Self { python, dbt, live, env: BTreeMap::new(), folder };
        std::fs::create_dir_all(world.live.parent().unwrap()).unwrap();
        world.profile(&world.live.display().to_string());
        write(
            &world.project().join("dbt_project.yml"),
            "name: shop\nversion: '1.0'\nprofile: shop\nconfig-version: 2\n",
        );
        world.release("1");
        Some(world)
    }

    /// A world with the real dbt that an environment variable names, the Python beside it, and an
    /// empty project. `None`: it is missing, said loudly.
    pub fn with_real_dbt(variable: &str) -> Option<Self> {
        let dbt = tool(variable)?;
        let folder = tempfile::tempdir().unwrap();
        let world = Self {
            python: dbt.with_file_name("python"),
            dbt,
            live: folder.path().join("data/shop.duckdb"),
            env: BTreeMap::new(),
            folder,
        };
        std::fs::create_dir_all(world.live.parent().unwrap()).unwrap();
        Some(world)
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// The dbt.
    pub fn dbt(&self) -> &Path {
        &self.dbt
    }

    /// The world's folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Where Switchback keeps what belongs to live.
    pub fn home(&self) -> PathBuf {
        self.live.parent().unwrap().join(".switchback").join(self.live.file_name().unwrap())
    }

    /// Points the profile at `path`.
    pub fn profile(&self, path: &str) {
        let quoted = path.replace('\'', "''");
        write(
            &self.project().join("profiles.yml"),
            &format!(
                "shop:\n  target: prod\n  outputs:\n    prod:\n      type: duckdb\n      \
                 path: '{quoted}'\n      schema: main\n      threads: 1\n"
            ),
        );
    }

    /// Makes the project the code of a release: every relation carries `version`.
    pub fn release(&self, version: &str) {
        self.nodes(&shop(version), &json!({}));
    }

    /// Makes the project that of a release whose build behaves in a special way.
    pub fn release_that(&self, version: &str, build: &Value) {
        self.nodes(&shop(version), build);
    }

    /// Writes the stand-in's project.
    pub fn nodes(&self, nodes: &Value, build: &Value) {
        let text = json!({ "nodes": nodes, "build": build }).to_string();
        write(&self.project().join("standin.json"), &text);
    }

    /// Writes `switchback.yml`.
    pub fn configure(&self, text: &str) {
        write(&self.project().join("switchback.yml"), text);
    }

    /// A command of the binary, ready to run in the project's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
        command
            .args(arguments)
            .arg("--dbt-executable")
            .arg(&self.dbt)
            .current_dir(self.project())
            .env_remove("DBT_PROFILES_DIR")
            .env_remove("GITHUB_ACTIONS")
            .env("GITHUB_ACTOR", "ada")
            .env("NO_COLOR", "1")
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &[&str]) -> Run {
        finish(self.start(arguments))
    }

    /// Runs the binary with a failpoint.
    pub fn run_at(&self, failpoint: &str, arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        finish(command.env("SWITCHBACK_FAILPOINT", failpoint).spawn().unwrap())
    }

    /// Starts the binary.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs the binary with `--format json` and expects an exit code.
    #[track_caller]
    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--format", "json"]);
        self.run(&arguments).expect(code).json()
    }

    /// Deploys and expects success.
    #[track_caller]
    pub fn deploy(&self, version: &str) {
        self.release(version);
        self.run(&["deploy"]).expect(0);
    }

    /// Builds production in place, as dbt does without Switchback.
    pub fn dbt_alone(&self, version: &str) {
        self.release(version);
        let status = Command::new(&self.dbt)
            .args(["build", "--profiles-dir", ".", "--target-path"])
            .arg(self.root().join("alone"))
            .current_dir(self.project())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Looks into a DuckDB file.
    #[track_caller]
    pub fn look(&self, what: &str, file: &Path, rest: &[&str]) -> String {
        let output = self.look_command(what, file, rest).output().unwrap();
        assert!(
            output.status.success() || what == "write-crash",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The command behind [`Self::look`].
    pub fn look_command(&self, what: &str, file: &Path, rest: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/look.py"))
            .arg(what)
            .arg(file)
            .args(rest)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Every relation of live with its rows' digest.
    pub fn content(&self) -> String {
        self.look("content", &self.live, &[])
    }

    /// Which version of the code live's relations carry; all must carry the same.
    #[track_caller]
    pub fn version(&self) -> String {
        let rows = self.look("query", &self.live, &["select distinct av, bv from main.ab"]);
        let row: Vec<i64> = serde_json::from_str(rows.trim()).unwrap();
        assert_eq!(row[0], row[1], "a mixture");
        row[0].to_string()
    }

    /// A digest of live's very bytes.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = std::fs::read(&self.live).ok()?;
        Some(Sha256::digest(bytes).to_vec())
    }

    /// The live release by `status`.
    #[track_caller]
    pub fn live_release(&self) -> Value {
        self.json(&["status"], 0)["live"]["release"].clone()
    }

    /// The journal's records.
    pub fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.home().join("ledger.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// The nodes of a release: two tables and a view over both, all carrying `version`.
pub fn shop(version: &str) -> Value {
    json!([
        {"unique_id": "seed.shop.raw", "resource_type": "seed", "name": "raw",
         "materialized": "seed", "sql": "select range as id from range(100)"},
        {"unique_id": "model.shop.a", "resource_type": "model", "name": "a",
         "materialized": "table", "sql": format!("select id, {version} as v from main.raw")},
        {"unique_id": "model.shop.b", "resource_type": "model", "name": "b",
         "materialized": "table", "sql": format!("select id, {version} as v from main.raw")},
        {"unique_id": "model.shop.ab", "resource_type": "model", "name": "ab",
         "materialized": "view",
         "sql": "select a.v as av, b.v as bv from main.a join main.b using (id)"},
    ])
}

/// Writes a file and its folders.
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Waits for a child, bounded.
pub fn finish(child: Child) -> Run {
    let id = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = sender.send(child.wait_with_output());
    });
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        signal(id, "KILL");
        panic!("process {id} did not end within {PATIENCE:?}");
    };
    Run::of(&output.unwrap())
}

/// Waits until something holds, bounded.
#[track_caller]
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to a process.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
    assert!(status.unwrap().success());
}
