//! What the tests of this adapter share: a clock that is set by hand, the Python to try, and a
//! production file that others read and write.

use std::cell::Cell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::warehouse::{DuckDb, Settings};
use super::{FileLedger, files};
use crate::domain::journal::Actor;
use crate::domain::name::{Naming, ReleaseId, Role, SlotName};
use crate::domain::plan::{Adoption, Kept, Pair, Step, Verb};
use crate::domain::slot::Observation;
use crate::failure::Failure;
use crate::ports::{Answer, Claim, Clock, Ledger, PortError, Token, Under, Warehouse};

/// A clock that stands still until it is moved.
pub(super) struct HandClock(Cell<DateTime<Utc>>);

impl HandClock {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(Cell::new(DateTime::from_timestamp(1_790_000_000, 0).unwrap())))
    }

    pub(super) fn forward(&self, seconds: i64) {
        self.0.set(self.0.get() + TimeDelta::seconds(seconds));
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.get()
    }
}

pub(super) fn actor(name: &str, host: &str) -> Actor {
    Actor { name: name.into(), run_url: None, host: host.into() }
}

/// The Python with duckdb to test with; `None`, said loudly, where none is named.
pub(super) fn python(test: &str) -> Option<PathBuf> {
    match std::env::var_os("SWITCHBACK_TEST_PYTHON") {
        Some(path) => Some(path.into()),
        None if std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_some() => {
            panic!("{test} needs SWITCHBACK_TEST_PYTHON, a Python that has duckdb")
        }
        None => {
            eprintln!("SKIPPED: {test}: SWITCHBACK_TEST_PYTHON names no Python that has duckdb");
            None
        }
    }
}

/// A production file with a ledger, and a run that holds the lease.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) live: PathBuf,
    pub(super) duck: DuckDb,
    pub(super) ledger: FileLedger,
    pub(super) fence: Token,
    pub(super) clock: Rc<HandClock>,
    pub(super) python: PathBuf,
}

impl World {
    /// An environment without content; `None` where there is no Python to test with.
    pub(super) async fn new(test: &str) -> Option<Self> {
        Self::with(test, false).await
    }

    pub(super) async fn with(test: &str, allow_wal: bool) -> Option<Self> {
        let python = python(test)?;
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().canonicalize().unwrap().join("it's shop.duckdb");
        let clock = HandClock::new();
        let ledger = FileLedger::open(&live, "here", clock.clone());
        let lease = ledger.acquire(claim("deploy")).await.unwrap();
        let duck = open(&live, &python, allow_wal);
        Some(Self { dir, live, duck, ledger, fence: lease.token, clock, python })
    }

    /// A production that dbt alone built: a table of three rows and a view on it.
    pub(super) async fn with_production(test: &str) -> Option<Self> {
        let world = Self::new(test).await?;
        world.sql(
            &world.live,
            "CREATE TABLE t AS SELECT range AS x FROM range(3); CREATE VIEW v AS SELECT sum(x) AS s FROM t",
        );
        Some(world)
    }

    /// Runs SQL as somebody else: another process of the same Python.
    pub(super) fn sql(&self, file: &Path, sql: &str) -> String {
        self.try_sql(file, sql).unwrap()
    }

    pub(super) fn try_sql(&self, file: &Path, sql: &str) -> Result<String, String> {
        self.run(file, sql, false)
    }

    fn run(&self, file: &Path, sql: &str, read_only: bool) -> Result<String, String> {
        let code = "import duckdb,sys\nc=duckdb.connect(sys.argv[1], read_only=sys.argv[3]=='1')\n\
                    print(c.execute(sys.argv[2]).fetchall())\nc.close()";
        let out = std::process::Command::new(&self.python)
            .args(["-c", code])
            .arg(file)
            .arg(sql)
            .arg(if read_only { "1" } else { "0" })
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    /// The same for a reader, whom nothing keeps out.
    pub(super) fn look(&self, file: &Path, sql: &str) -> String {
        self.run(file, sql, true).unwrap()
    }

    /// Another process that keeps a file open until it is dropped.
    pub(super) fn open_elsewhere(&self, file: &Path, read_only: bool) -> Elsewhere {
        let code = "import duckdb,sys\nc=duckdb.connect(sys.argv[1], read_only=sys.argv[2]=='1')\n\
                    print('ready', flush=True)\nsys.stdin.read()";
        let mut child = std::process::Command::new(&self.python)
            .args(["-c", code])
            .arg(file)
            .arg(if read_only { "1" } else { "0" })
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        Elsewhere(child)
    }

    /// Leaves a write-ahead log, as a crashed writer does.
    pub(super) fn crash_writing(&self, file: &Path) {
        let code = "import duckdb,sys,os\nc=duckdb.connect(sys.argv[1])\n\
                    c.execute('INSERT INTO t VALUES (1000)')\nos._exit(9)";
        std::process::Command::new(&self.python).args(["-c", code]).arg(file).status().unwrap();
        assert!(!files::wals(file).is_empty());
    }

    pub(super) fn live_slot(&self) -> SlotName {
        self.duck.live()[0].clone()
    }

    pub(super) fn slot(&self, role: Role) -> SlotName {
        Naming::Files.slot(&self.live_slot(), role)
    }

    pub(super) fn build(&self, release: u32) -> SlotName {
        self.slot(Role::Build(ReleaseId(release)))
    }

    pub(super) fn archive(&self, release: u32) -> SlotName {
        self.slot(Role::Archive(ReleaseId(release)))
    }

    pub(super) fn pairs(&self, other: SlotName) -> Vec<Pair> {
        vec![Pair { live: self.live_slot(), other }]
    }

    pub(super) async fn perform(&self, step: &Step) -> Answer<()> {
        let effects = self.duck.render(step);
        self.duck.perform(&effects, &under(self.fence)).await.map(drop)
    }

    pub(super) fn clone_step(&self, release: u32, from_nothing: bool) -> Step {
        Step::Clone {
            pairs: self.pairs(self.build(release)),
            release: ReleaseId(release),
            attempt: 1,
            from_nothing,
        }
    }

    pub(super) fn swap_step(
        &self,
        other: SlotName,
        publishes: u32,
        displaces: Option<u32>,
    ) -> Step {
        Step::Swap {
            pairs: self.pairs(other),
            publishes: ReleaseId(publishes),
            displaces: displaces.map(ReleaseId),
            damaged: false,
        }
    }

    pub(super) fn keep_step(&self, from: SlotName, release: u32, adopt: Adoption) -> Step {
        Step::Keep {
            kept: vec![Kept { live: self.live_slot(), from, to: self.archive(release) }],
            release: ReleaseId(release),
            adopt,
        }
    }

    /// Clone, a "dbt" that runs `sql`, seal.
    pub(super) async fn make(&self, release: u32, from_nothing: bool, sql: &str) {
        self.perform(&self.clone_step(release, from_nothing)).await.unwrap();
        let build = self.build(release);
        self.sql(build.as_path(), sql);
        let seal = Step::Seal { pairs: self.pairs(build), release: ReleaseId(release), attempt: 1 };
        self.perform(&seal).await.unwrap();
    }

    pub(super) async fn observe(&self) -> Observation {
        self.duck.observe().await.unwrap()
    }

    pub(super) async fn released(&self, slot: &SlotName) -> Option<u32> {
        self.observe().await.content(slot).release().map(|release| release.0)
    }
}

/// A process that has a file open.
pub(super) struct Elsewhere(pub(super) std::process::Child);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

pub(super) fn open(live: &Path, python: &Path, allow_wal: bool) -> DuckDb {
    DuckDb::open(Settings {
        path: live.display().to_string(),
        cwd: "/".into(),
        home: None,
        python: python.to_path_buf(),
        allow_wal,
        query_timeout: Duration::from_secs(60),
    })
    .unwrap()
}

pub(super) fn claim(verb: &str) -> Claim {
    Claim {
        verb: verb.into(),
        by: actor("ada", "here"),
        run: "run-1".into(),
        reason: None,
        ttl: Duration::from_secs(600),
        outranks: verb == "rollback",
    }
}

/// The failure of a refusal.
pub(super) fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> Failure {
    match answer {
        Err(PortError::Refused(failure)) => failure,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// What effects are performed under; DuckDB looks at the fence alone.
pub(super) fn under(fence: Token) -> Under {
    Under { fence, release: ReleaseId(1), step: "test".to_owned(), verb: Verb::Deploy }
}
