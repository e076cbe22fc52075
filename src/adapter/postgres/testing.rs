//! A PostgreSQL server of the tests' own: started unprivileged on a free port, in a folder that is
//! removed with it. It ends when its [`Server`] is dropped or when the test process ends, however it
//! ends: a shell waits for the pipe that only this process holds open.
//!
//! Tests share one server and make a database each ([`database`]); a test that kills or configures
//! the server starts its own ([`Server::start`]).
//!
//! Servers are looked for in `SWITCHBACK_TEST_POSTGRES` (a folder with `initdb` and `postgres`), then
//! in Debian's folders. Where there is none, tests are skipped with a loud word, unless the variable
//! is set.
#![allow(clippy::missing_panics_doc, clippy::must_use_candidate)] // for tests, which panic

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

mod programs;

use programs::{major, programs, spell, unprivileged};

/// A running server; stopped and removed when dropped.
pub struct Server {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The process id of the server itself, for tests that kill it.
    pub pid: u32,
    /// Where its socket is.
    pub folder: PathBuf,
    /// The folder of `initdb`, `pg_dump`, `psql`.
    pub bin: PathBuf,
    shell: Child,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

impl Server {
    /// Starts a server with further settings (`name=value`); `None` where none is installed.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(bin) = programs() else {
            let why = "no PostgreSQL server is installed; set SWITCHBACK_TEST_POSTGRES";
            let required = std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_some();
            assert!(!required, "{why}");
            eprintln!("SKIPPED: {why}");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("switchback-pg").tempdir().expect("a folder");
        let folder = folder.keep();
        if rustix::process::geteuid().is_root() {
            let done = Command::new("chown").arg("postgres").arg(&folder).status().expect("chown");
            assert!(done.success(), "the folder is not postgres's: is there such a user?");
        }
        let data = folder.join("data");
        let made = unprivileged(&bin.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"])
            .arg("--locale=C.UTF-8")
            .current_dir("/")
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let mut shell = unprivileged(Path::new("/bin/sh"));
        shell
            .arg("-c")
            .arg(
                "folder=$1; shift; \"$@\" >\"$folder/log\" 2>&1 & pid=$!; echo $pid; exec >&-; \
                 read -r _; kill -QUIT $pid 2>/dev/null; wait $pid; rm -rf \"$folder\"",
            )
            .arg("sh")
            .arg(&folder)
            .arg(bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-k"])
            .arg(&folder)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "max_connections=60", "-c", "shared_buffers=64MB"]);
        for setting in settings {
            shell.args(["-c", setting]);
        }
        let mut shell = shell
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server");
        let mut said = String::new();
        shell.stdout.take().expect("a pipe").read_to_string(&mut said).expect("the server's id");
        let pid = said.trim().parse().expect("a process id");
        let server = Self { folder: folder.clone(), port, pid, bin, shell };
        server.wait(&folder.join("log"));
        Some(server)
    }

    fn wait(&self, log: &Path) {
        let until = Instant::now() + Duration::from_secs(60);
        while Instant::now() < until {
            let ready = Command::new(self.bin.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .expect("pg_isready");
            if ready.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server did not start: {}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// The server that tests share; `None` where none is installed.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Server>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[])).as_ref()
    }

    /// A connection as the superuser `postgres`.
    pub async fn connect(&self, database: &str) -> Client {
        self.connect_as(database, "postgres").await
    }

    /// A connection as that role.
    pub async fn connect_as(&self, database: &str, user: &str) -> Client {
        let parameters = format!("host=127.0.0.1 port={} user={user} dbname={database}", self.port);
        let (client, connection) =
            tokio_postgres::connect(&parameters, NoTls).await.expect("a connection");
        tokio::spawn(async move {
            // A cut connection shows in what the client answers.
            let _ = connection.await;
        });
        client
    }

    /// Makes an empty database with a name of its own.
    pub async fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let client = self.connect("postgres").await;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
        name
    }

    /// SQL for this server: before 14, functions have no bodies of their own kind, only texts.
    pub fn spell(&self, sql: &str) -> String {
        spell(sql, major(&self.bin))
    }

    /// What `pg_dump` prints with those arguments.
    pub fn dump(&self, database: &str, arguments: &[&str]) -> String {
        let output = Command::new(self.bin.join("pg_dump"))
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()])
            .args(arguments)
            .arg(database)
            .output()
            .expect("pg_dump");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_of_our_own_answers_and_is_gone_when_dropped() {
        let Some(server) = Server::start(&["max_locks_per_transaction=100"]) else { return };
        let database = server.database().await;
        let client = server.connect(&database).await;
        let row = client.query_one("SHOW max_locks_per_transaction", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "100");
        let pid = server.pid;
        drop(client);
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
