//! A PostgreSQL server that the tests start themselves, unprivileged, and the small world on it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Run, finish, missing, until, write};

#[path = "../../src/adapter/postgres/testing/programs.rs"]
mod programs;

use programs::{programs, unprivileged};

/// A server with a data directory of its own.
pub struct Server {
    bin: PathBuf,
    folder: TempDir,
    /// On 127.0.0.1, and the name of its socket.
    pub port: u16,
    /// What stops it when this process ends, however it ends.
    keeper: Option<Child>,
}

fn quietly(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    /// Starts a server. `None`: it is not installed, said loudly.
    pub fn start() -> Option<Self> {
        let Some(bin) = programs() else {
            missing("there is no PostgreSQL server; run tests/support/install_postgres.sh");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            let ids = std::fs::read_to_string("/etc/passwd").unwrap();
            let line = ids.lines().find(|line| line.starts_with("postgres:")).unwrap();
            let id = |at: usize| line.split(':').nth(at).unwrap().parse().ok();
            chown(folder.path(), id(2), id(3)).unwrap();
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { bin, folder, port, keeper: None };
        quietly(
            unprivileged(&server.bin.join("initdb"))
                .arg("-D")
                .arg(server.data())
                .args(["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"])
                .arg("--locale=C.UTF-8"),
        );
        server.up();
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it, also again after [`Self::kill`].
    pub fn up(&mut self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off \
             -c max_connections=200 -c log_min_messages=fatal -c log_statement=none",
            self.port,
            self.folder.path().display()
        );
        quietly(
            unprivileged(&self.bin.join("pg_ctl"))
                .arg("-D")
                .arg(self.data())
                .args(["-w", "-l"])
                .arg(self.folder.path().join("log"))
                .args(["-o", &options, "start"])
                .stdout(Stdio::null()),
        );
        if self.keeper.is_none() {
            // Reads until this process is gone, then stops the server and removes its files. What
            // ends this process (Ctrl-C, a time-out) is often sent to all of its group.
            let script = format!(
                "trap '' HUP INT TERM; cat >/dev/null; {0}/pg_ctl -D {1}/data -m immediate stop; rm -rf {1}",
                self.bin.display(),
                self.folder.path().display()
            );
            let mut command = unprivileged(Path::new("/bin/sh"));
            command.args(["-c", &script]).stdin(Stdio::piped());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            self.keeper = Some(command.spawn().unwrap());
        }
    }

    /// Ends the server as a power cut would.
    pub fn kill(&self) {
        let mut command = unprivileged(&self.bin.join("pg_ctl"));
        let command = command.arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// A `psql` on a database, ready to run.
    pub fn psql(&self, database: &str, user: &str) -> Command {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h"]).arg(self.folder.path()).args([
            "-p",
            &self.port.to_string(),
            "-U",
            user,
            "-d",
            database,
        ]);
        command
    }

    /// A normalised dump of schemas, or of the whole database.
    pub fn dump(&self, database: &str, arguments: &[&str]) -> String {
        let output = Command::new(self.bin.join("pg_dump"))
            .arg("-h")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-U", "postgres", "-d", database])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// The server that stories share; it ends with the process.
pub fn shared() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

/// A folder with a project, and a database.
pub struct PgWorld<'a> {
    /// Where the database is.
    pub server: &'a Server,
    /// Its name.
    pub database: String,
    folder: TempDir,
    dbt: PathBuf,
    /// Environment variables for every run.
    pub env: BTreeMap<String, String>,
}

/// The base schema of every world.
pub const LIVE: &str = "shop";

fn python() -> Option<PathBuf> {
    let found = std::env::var_os("SWITCHBACK_TEST_POSTGRES_DBT").map(PathBuf::from);
    if found.is_none() {
        missing("SWITCHBACK_TEST_POSTGRES_DBT is not set; run `make test`");
    }
    found
}

impl<'a> PgWorld<'a> {
    /// A world with the stand-in dbt, on the shared server.
    pub fn new() -> Option<PgWorld<'static>> {
        PgWorld::on(shared()?)
    }

    /// A world with the stand-in dbt, on a server.
    pub fn on(server: &'a Server) -> Option<Self> {
        let real = python()?;
        let mut world = Self::bare(server, real.clone());
        let bin = world.folder.path().join("bin");
        write(&bin.join("standin_dbt.py"), include_str!("../support/standin_dbt.py"));
        let source = include_str!("../support/standin_postgres.py");
        let body = source.strip_prefix("#!/usr/bin/env python3\n").unwrap_or(source);
        world.dbt = bin.join("dbt");
        let interpreter = real.with_file_name("python");
        write(&world.dbt, &format!("#!{}\n{body}", interpreter.display()));
        std::fs::set_permissions(&world.dbt, std::fs::Permissions::from_mode(0o755)).unwrap();
        write(
            &world.project().join("dbt_project.yml"),
            "name: shop\nversion: '1.0'\nprofile: shop\nconfig-version: 2\n",
        );
        world.release("1");
        Some(world)
    }

    /// A world with real dbt and an empty project.
    pub fn with_real_dbt() -> Option<PgWorld<'static>> {
        Some(PgWorld::bare(shared()?, python()?))
    }

    /// Puts a shell script in front of dbt; `$DBT` is dbt.
    pub fn wrap_dbt(&mut self, script: &str) {
        let wrapper = self.folder.path().join("wrapped/dbt");
        write(&wrapper, &format!("#!/bin/sh\nDBT='{}'\n{script}\n", self.dbt.display()));
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        self.dbt = wrapper;
    }

    fn bare(server: &'a Server, dbt: PathBuf) -> Self {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let database = format!("w{}", WORLDS.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let world = Self { server, database, folder, dbt, env: BTreeMap::new() };
        let roles = "DO $$ BEGIN CREATE ROLE dbt LOGIN; CREATE ROLE bi LOGIN; CREATE ROLE eve; \
                     EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$";
        let admin = |sql: &str| quietly(server.psql("postgres", "postgres").args(["-c", sql]));
        admin(roles);
        admin(&format!("CREATE DATABASE {} OWNER dbt", world.database));
        world.profile("");
        world
    }

    /// The world without its server, to be put together with it again.
    pub fn into_parts(self) -> (String, TempDir, PathBuf) {
        (self.database, self.folder, self.dbt)
    }

    /// A world put together again.
    pub fn from_parts(server: &'a Server, parts: (String, TempDir, PathBuf)) -> Self {
        let (database, folder, dbt) = parts;
        Self { server, database, folder, dbt, env: BTreeMap::new() }
    }

    /// SQL for this world's server.
    pub fn spell(&self, sql: &str) -> String {
        programs::spell(sql, self.major())
    }

    /// The major version of this world's server.
    pub fn major(&self) -> u32 {
        programs::major(&self.server.bin)
    }

    /// Writes the profile, with more lines in its output.
    pub fn profile(&self, more: &str) {
        write(
            &self.project().join("profiles.yml"),
            &format!(
                "shop:\n  target: prod\n  outputs:\n    prod:\n      type: postgres\n      host: \
                 127.0.0.1\n      port: {}\n      user: dbt\n      password: none\n      dbname: \
                 {}\n      schema: {LIVE}\n      threads: 4\n{more}",
                self.server.port, self.database
            ),
        );
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Makes the project the code of a release: every relation carries `version`.
    pub fn release(&self, version: &str) {
        self.nodes(&shop(version));
    }

    /// Writes the stand-in's project.
    pub fn nodes(&self, nodes: &Value) {
        write(&self.project().join("standin.json"), &json!({ "nodes": nodes }).to_string());
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
        finish(self.command(arguments).spawn().unwrap())
    }

    /// Runs the binary with a failpoint.
    pub fn run_at(&self, failpoint: &str, arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        finish(command.env("SWITCHBACK_FAILPOINT", failpoint).spawn().unwrap())
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

    /// Runs dbt without Switchback.
    #[track_caller]
    pub fn dbt_alone(&self, arguments: &[&str]) {
        let mut command = Command::new(&self.dbt);
        command
            .args(arguments)
            .args(["--profiles-dir", ".", "--target-path"])
            .arg(self.folder.path().join("alone"))
            .current_dir(self.project())
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// Runs SQL as somebody and returns what it printed.
    #[track_caller]
    pub fn sql_as(&self, user: &str, sql: &str) -> String {
        let output = self.server.psql(&self.database, user).args(["-c", sql]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs SQL as dbt's own user.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.sql_as("dbt", sql)
    }

    /// Which version of the code live's relations carry; all must carry the same.
    #[track_caller]
    pub fn version(&self) -> String {
        let row = self.sql("select distinct av, bv from shop.ab");
        let (a, b) = row.split_once('|').unwrap();
        assert_eq!(a, b, "a mixture");
        a.to_owned()
    }

    /// Live's definitions and rows, as PostgreSQL dumps them, our own stamp left out.
    pub fn content(&self) -> String {
        let dump = self.server.dump(
            &self.database,
            &["-n", "shop", "-n", "shop_marts", "-T", "*.switchback_stamp", "--inserts"],
        );
        // Each dump has a key of its own since a minor version of 2025.
        let lines = dump.lines().filter(|line| !line.starts_with('\\') && !line.starts_with("--"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The live release by `status`.
    #[track_caller]
    pub fn live_release(&self) -> Value {
        self.json(&["status"], 0)["live"]["release"].clone()
    }

    /// The number of records in the journal.
    pub fn records(&self) -> String {
        self.sql("select count(*) from switchback.journal")
    }

    /// The schemas there are.
    pub fn schemas(&self) -> Vec<String> {
        let names = self.sql(
            "select nspname from pg_namespace where nspname !~ '^(pg_|information|public)' order by 1",
        );
        names.lines().map(str::to_owned).collect()
    }

    /// Waits until nobody of ours is connected any more.
    pub fn settle(&self) {
        until("the end of our sessions", || {
            let sql = "select count(*) from pg_stat_activity where application_name like \
                       'switchback%' and datname = current_database()";
            self.sql_as("postgres", sql) == "0"
        });
    }
}

/// The nodes of a release: two tables and a view over both, all carrying `version`.
pub fn shop(version: &str) -> Value {
    json!([
        {"unique_id": "seed.shop.raw", "resource_type": "seed", "name": "raw",
         "materialized": "seed", "sql": "select id from generate_series(1, 100) as id"},
        {"unique_id": "model.shop.a", "resource_type": "model", "name": "a",
         "materialized": "table",
         "sql": format!("select id, {version} as v from {{{{ target.schema }}}}.raw")},
        {"unique_id": "model.shop.b", "resource_type": "model", "name": "b",
         "materialized": "table",
         "sql": format!("select id, {version} as v from {{{{ target.schema }}}}.raw")},
        {"unique_id": "model.shop.ab", "resource_type": "model", "name": "ab",
         "materialized": "view",
         "sql": "select a.v as av, b.v as bv from {{ target.schema }}.a join \
                 {{ target.schema }}.b using (id)"},
    ])
}
