//! `doctor --probe` with the real driver, over HTTP, against the emulator: as it is, with each of
//! its switches turned, without privileges, with lost connections, interrupted.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchback::adapter::snowflake::ident::{Database, Ident};
use switchback::adapter::snowflake::probe::{
    FACTS, Finding, Level, ProbeNames, Report, Verdict, run_until,
};
use switchback::adapter::snowflake::profile::{Credential, Settings};
use switchback::adapter::snowflake::session::{Limits, Sessions};
use switchback::config::secret::Secret;

/// An emulator of this test's own; it ends with its standard input.
struct Emulator {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Emulator {
    /// `None`, loudly, without the environment that it runs in.
    fn start(arguments: &[&str]) -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var("SWITCHBACK_TEST_SNOWFLAKE_PYTHON").map(PathBuf::from);
        let python = python.unwrap_or_else(|_| root.join(".venv-snowflake/bin/python"));
        if !python.exists() {
            let what =
                format!("{} does not exist: `make test-emulator` makes it", python.display());
            let required = std::env::var("SWITCHBACK_TEST_REQUIRE_ALL").is_ok_and(|v| v == "1");
            assert!(!required, "{what}");
            eprintln!("SKIPPED, nothing was tested: {what}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("port");
        let mut child = Command::new(python)
            .args(["-m", "emulator", "--database", "HOME", "--ready-file"])
            .arg(&ready)
            .args(arguments)
            .current_dir(root.join("tests"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        let port = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break text.trim().parse().unwrap();
            }
            assert!(child.try_wait().unwrap().is_none(), "the emulator ended");
            assert!(Instant::now() < until, "the emulator does not start");
            std::thread::sleep(Duration::from_millis(50));
        };
        Some(Self { child, port, _dir: dir })
    }

    fn control(&self, request: &Value) -> Value {
        let body = request.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = "POST /emulator/control HTTP/1.1\r\nhost: emulator\r\nconnection: close";
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// The first column called `name` of a SHOW.
    fn names(&self, show: &str) -> Vec<String> {
        let answer = self.control(&json!({ "op": "sql", "text": show }));
        let columns = answer["columns"].as_array().unwrap_or_else(|| panic!("{show}: {answer}"));
        let at = columns.iter().position(|column| column == "name").unwrap();
        let rows = answer["rows"].as_array().unwrap().iter();
        rows.map(|row| row[at].as_str().unwrap().to_owned()).collect()
    }

    /// Whatever a probe left behind.
    fn left(&self) -> Vec<String> {
        let mut names = self.names("SHOW DATABASES");
        names.extend(self.names("SHOW ROLES"));
        names.extend(self.names("SHOW SCHEMAS IN DATABASE HOME"));
        names.retain(|name| name.contains("SWITCHBACK_PROBE"));
        names
    }

    fn sessions(&self) -> Sessions {
        self.sessions_as("ACCOUNTADMIN")
    }

    fn sessions_as(&self, role: &str) -> Sessions {
        let settings = Settings {
            account: "acct".to_owned(),
            user: "prober".to_owned(),
            credential: Credential::Password { password: Secret::new("hunter2"), passcode: None },
            role: Some(role.to_owned()),
            warehouse: Some("COMPUTE_WH".to_owned()),
            database: "home".to_owned(),
            schema: "public".to_owned(),
            address: Some(format!("http://127.0.0.1:{}", self.port)),
            proxy: None,
            query_tag: None,
            retries: 0,
            connect_timeout: None,
            keep_alive: false,
        };
        let limits = Limits { sessions: 3, pause: Duration::from_millis(10), ..Limits::default() };
        Sessions::new(settings, limits).unwrap()
    }

    async fn probe(&self) -> Report {
        run_until(&self.sessions(), names(), &|_| {}, std::future::pending()).await
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let until = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn names() -> ProbeNames {
    let home = Database(Ident::verbatim("HOME").unwrap());
    ProbeNames::random(Some(home)).unwrap().pausing(Duration::from_millis(15))
}

fn key(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Database => "database/",
        Level::Schema => "schema/",
        Level::Anywhere => "",
    };
    format!("{level}{}", finding.fact.id)
}

/// `level/id` of the findings with a verdict.
fn with(report: &Report, verdict: Verdict) -> BTreeSet<String> {
    let findings = report.findings.iter().filter(|finding| finding.verdict == verdict);
    findings.map(key).collect()
}

/// What was seen, fact by fact.
fn seen(report: &Report) -> BTreeSet<(String, Option<String>)> {
    report.findings.iter().map(|finding| (key(finding), finding.observed.clone())).collect()
}

fn note<'a>(report: &'a Report, wanted: &str) -> &'a str {
    let finding = report.findings.iter().find(|finding| key(finding) == wanted).unwrap();
    finding.note.as_deref().unwrap_or_default()
}

fn all() -> usize {
    FACTS.iter().map(|fact| fact.levels.len()).sum()
}

fn both(id: &str) -> Vec<String> {
    vec![format!("database/{id}"), format!("schema/{id}")]
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn the_emulator_as_it_is_settles_every_fact_as_the_adapter_has_it() {
    let Some(emulator) = Emulator::start(&[]) else { return };
    let report = emulator.probe().await;
    println!("{}", report.text());
    assert_eq!(report.findings.len(), all());
    assert_eq!(with(&report, Verdict::Differs), set(&[]));
    assert_eq!(with(&report, Verdict::NotSettled), set(&[]));
    assert_eq!((report.left.as_slice(), emulator.left()), (&[][..], vec![]));
    // What `docs/snowflake-probe.md` says about the cost.
    let statements: Vec<&str> =
        report.statements.values().flatten().map(|ran| ran.sql.as_str()).collect();
    let count = |what: &dyn Fn(&str) -> bool| statements.iter().filter(|sql| what(sql)).count();
    let databases = count(&|sql| sql.starts_with("CREATE ") && sql.contains(" DATABASE \""));
    let schemas = count(&|sql| {
        sql.starts_with("CREATE ") && sql.contains("_HOME\".\"S") && sql.contains(" SCHEMA ")
    });
    println!("{} statements, {databases} databases, {schemas} schemas", statements.len());
    assert!((400..600).contains(&statements.len()), "{}", statements.len());
    assert!((35..45).contains(&databases) && (45..65).contains(&schemas), "{databases}, {schemas}");
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    let groups = json["statements"].as_object().unwrap();
    for fact in json["facts"].as_array().unwrap() {
        let group = fact["statements"].as_str().unwrap();
        assert!(!groups[group].as_array().unwrap().is_empty(), "{fact}");
    }
    for name in ["hunter2", "prober", "PROBER", "COMPUTE_WH", "EMULATOR", "\"HOME\""] {
        assert!(!report.json().contains(name), "{name}");
    }
}

/// Which facts each switch of the emulator stands for.
fn stands_for(switch: &str) -> Vec<String> {
    let one = |id: &str| vec![id.to_owned()];
    match switch {
        "managed-access-kept" => one("schema/clone-managed-access"),
        "swap-transient-with-permanent" => both("swap-transient-permanent"),
        "swap-schemas-across-databases" => one("database/swap-schemas-across"),
        "at-clone-view" => both("past-view"),
        "hybrid-in-schema-clone" => one("schema/clone-hybrid"),
        "transient-clone" => both("clone-transient-plainly"),
        "inherited-grants-cloned" => both("clone-inherited-grants"),
        "show-grants-lists-inherited" => both("list-inherited-grants"),
        "container-metadata" => {
            let ids =
                ["swap-comment", "swap-retention", "swap-parameters", "swap-owner", "swap-tags"];
            let mut names: Vec<String> = ids.iter().flat_map(|id| both(id)).collect();
            names.push("schema/swap-managed-access".to_owned());
            names
        }
        "container-grants" => both("swap-container-grants"),
        "future-grants" => both("swap-future-grants"),
        "time-travel-follows" => both("past-after-swap"),
        "clone-comment" => both("clone-comment"),
        "clone-retention" => both("clone-retention"),
        "clone-owner" => both("clone-owner"),
        "relative-names" => {
            let ids = ["view-bare-name", "clone-view-relative", "swap-view-relative"];
            let mut names: Vec<String> = ids.iter().flat_map(|id| both(id)).collect();
            names.push("database/view-schema-name".to_owned());
            names
        }
        "scripting-exception" => one("schema/block-compensation"),
        "object-privileges" => {
            vec!["database/view-other-roles".to_owned(), "database/view-database-roles".to_owned()]
        }
        "object-privileges-database-roles" => one("database/view-database-roles"),
        other => panic!("no fact of the probe stands for the emulator's switch {other}"),
    }
}

/// The switches with their values, as the emulator lists them.
fn switches(emulator: &Emulator) -> Vec<(String, String, String)> {
    let listing = emulator.control(&json!({ "op": "switches" }));
    let all = listing["switches"].as_array().unwrap().iter();
    all.map(|switch| {
        let values = switch["values"].as_array().unwrap();
        assert_eq!(values.len(), 2, "{switch}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&switch["name"]), text(&values[0]), text(&values[1]))
    })
    .collect()
}

/// The switches one by one, in two halves that run side by side.
async fn turned(half: usize) {
    let Some(emulator) = Emulator::start(&[]) else { return };
    let usual = seen(&emulator.probe().await);
    let all = switches(&emulator);
    assert!(all.len() > 10);
    for (name, first, other) in all.into_iter().skip(half).step_by(2) {
        emulator.control(&json!({ "op": "switch", "name": name, "value": other }));
        let report = emulator.probe().await;
        emulator.control(&json!({ "op": "switch", "name": name, "value": first }));
        let turned = seen(&report);
        let changed: BTreeSet<String> =
            turned.difference(&usual).map(|(fact, _)| fact.clone()).collect();
        let wanted: BTreeSet<String> = stands_for(&name).into_iter().collect();
        assert_eq!(changed, wanted, "{name}={other}\n{}", report.text());
        // Whatever the adapter leans on is reported, and nothing else.
        let leans = |fact: &&String| {
            let id = fact.rsplit('/').next().unwrap();
            let mut facts = FACTS.iter();
            let fact = facts.find(|known| known.id == id).unwrap();
            let now = turned.iter().find(|(key, _)| key.rsplit('/').next() == Some(id)).unwrap();
            !fact.expected.covers(now.1.as_deref().unwrap_or_default())
        };
        let differs: BTreeSet<String> = wanted.iter().filter(leans).cloned().collect();
        assert_eq!(with(&report, Verdict::Differs), differs, "{name}={other}");
        assert_eq!((report.left.as_slice(), emulator.left()), (&[][..], vec![]), "{name}");
    }
}

#[tokio::test]
async fn a_turned_switch_changes_exactly_the_facts_that_it_stands_for() {
    turned(0).await;
}

#[tokio::test]
async fn so_does_every_other_switch() {
    turned(1).await;
}

#[tokio::test]
async fn what_a_role_may_not_do_is_not_settled_and_the_rest_is() {
    let Some(emulator) = Emulator::start(&[]) else { return };
    for (privilege, example, mut hidden) in [
        ("CREATE DATABASE", "database/swap-comment", vec![]),
        ("CREATE ROLE", "schema/swap-object-grants", vec![]),
        ("MANAGE GRANTS", "schema/swap-future-grants", vec![]),
        ("CREATE TAG", "schema/swap-tags", vec![]),
        ("CREATE SCHEMA", "schema/swap-comment", vec![]),
        ("CREATE VIEW", "ddl-name", vec![]),
    ] {
        emulator.control(&json!({ "op": "deny", "privilege": privilege }));
        let report = emulator.probe().await;
        emulator.control(&json!({ "op": "clear" }));
        assert_eq!(with(&report, Verdict::Differs), set(&[]), "{privilege}: {}", report.text());
        hidden.extend(with(&report, Verdict::NotSettled));
        assert!(hidden.contains(&example.to_owned()), "{privilege}: {}", report.text());
        let why = note(&report, example);
        assert!(
            why.contains("lacks a privilege") && why.contains("; at: CREATE")
                || privilege == "MANAGE GRANTS",
            "{why}"
        );
        if privilege != "CREATE SCHEMA" {
            let some = with(&report, Verdict::AsAssumed);
            assert!(some.contains("schema/swap-tables"), "{privilege}: {}", report.text());
        }
        if privilege == "CREATE DATABASE" {
            assert!(hidden.iter().all(|fact| fact.starts_with("database/")), "{hidden:?}");
        }
        assert_eq!((report.left.as_slice(), emulator.left()), (&[][..], vec![]), "{privilege}");
    }
}

#[tokio::test]
async fn a_role_that_is_no_administrator_settles_all_but_what_needs_manage_grants() {
    let Some(emulator) = Emulator::start(&["--enforce-grants", "--role", "PROBER"]) else { return };
    for privilege in ["CREATE DATABASE", "CREATE ROLE"] {
        let text = format!("GRANT {privilege} ON ACCOUNT TO ROLE PROBER");
        emulator.control(&json!({ "op": "sql", "text": text }));
    }
    let sessions = emulator.sessions_as("PROBER");
    let report = run_until(&sessions, names(), &|_| {}, std::future::pending()).await;
    let table = report.text();
    assert_eq!(with(&report, Verdict::Differs), set(&[]), "{table}");
    let open = with(&report, Verdict::NotSettled);
    let grants =
        |fact: &String| fact.contains("future-grants") || fact.contains("inherited-grants");
    assert!(!open.is_empty() && open.iter().all(grants), "{table}");
    assert!(table.contains("clone-unseen               left out"), "{table}");
    assert!(!report.json().contains("PROBER\""), "{}", report.json());
    assert_eq!((report.left.as_slice(), emulator.left()), (&[][..], vec![]));
}

#[tokio::test]
async fn without_any_container_nothing_is_settled_and_nothing_is_left() {
    let Some(emulator) = Emulator::start(&[]) else { return };
    for privilege in ["CREATE DATABASE", "CREATE SCHEMA", "CREATE ROLE"] {
        emulator.control(&json!({ "op": "deny", "privilege": privilege }));
    }
    let report = emulator.probe().await;
    assert_eq!(report.count(Verdict::NotSettled), all(), "{}", report.text());
    assert_eq!((report.left.as_slice(), emulator.left()), (&[][..], vec![]));
}

#[tokio::test]
async fn whoever_cannot_sign_in_gets_a_report_that_says_so() {
    let Some(emulator) = Emulator::start(&["--user", "prober:another"]) else { return };
    let names = names().withholding("prober", "user").withholding("acct", "account");
    let report = run_until(&emulator.sessions(), names, &|_| {}, std::future::pending()).await;
    assert_eq!(report.count(Verdict::NotSettled), all());
    assert!(note(&report, "race").contains("user prober cannot sign in"), "{}", report.text());
    assert!(!report.json().contains("prober") && !report.json().contains("acct"));
    assert_eq!(report.left, Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_probe_leaves_nothing_behind() {
    let Some(emulator) = Emulator::start(&[]) else { return };
    for at in [1, 4, 9] {
        let begun = Cell::new(0);
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = Cell::new(Some(tell));
        let progress = |text: &str| {
            begun.set(begun.get() + u32::from(text.contains(" of ")));
            if begun.get() == at
                && let Some(tell) = tell.take()
            {
                tell.send(()).unwrap();
            }
        };
        // In the middle of an experiment, a statement of it still on its way.
        emulator.control(&json!({ "op": "latency", "ms": 40 }));
        let stop = async {
            told.await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let report = run_until(&emulator.sessions(), names(), &progress, stop).await;
        emulator.control(&json!({ "op": "clear" }));
        assert!(report.interrupted && begun.get() < 12, "{}", begun.get());
        assert_eq!(report.findings.len(), all());
        assert!(note(&report, "hash-agg").contains("interrupted"));
        assert_eq!((report.left.as_slice(), emulator.left()), (&[][..], vec![]), "{at}");
    }
}

#[tokio::test]
async fn what_was_created_by_a_statement_whose_answer_was_lost_is_dropped_too() {
    let Some(emulator) = Emulator::start(&[]) else { return };
    for create in ["^CREATE DATABASE .*_HOME", "^CREATE ROLE", "^CREATE SCHEMA .* CLONE"] {
        let fault = json!({ "op": "fault", "action": "drop_after", "match": create });
        emulator.control(&fault);
        let report = emulator.probe().await;
        emulator.control(&json!({ "op": "clear" }));
        assert!(report.count(Verdict::NotSettled) > 0, "{create}: {}", report.text());
        assert_eq!(with(&report, Verdict::Differs), set(&[]), "{create}: {}", report.text());
        assert_eq!((report.left.as_slice(), emulator.left()), (&[][..], vec![]), "{create}");
    }
}

#[tokio::test]
async fn what_cannot_be_dropped_is_named_with_the_statement_that_drops_it() {
    let Some(emulator) = Emulator::start(&[]) else { return };
    let fault =
        json!({ "op": "fault", "action": "error", "match": "^DROP .*_READER", "times": 99 });
    emulator.control(&fault);
    let report = emulator.probe().await;
    emulator.control(&json!({ "op": "clear" }));
    let [sql] = report.left.as_slice() else { panic!("{:?}", report.left) };
    assert!(sql.starts_with("DROP ROLE IF EXISTS \"SWITCHBACK_PROBE_"), "{sql}");
    assert!(report.text().contains(&format!("Not dropped; please run:\n  {sql};")));
    assert_eq!(emulator.left().len(), 1);
    emulator.control(&json!({ "op": "sql", "text": sql }));
    assert_eq!(emulator.left(), Vec::<String>::new());
}
