//! The fast world: the real binary, the real driver and the emulator, with a stand-in for dbt that
//! does the same SQL in milliseconds (`tests/support/standin_snowflake_dbt.py`).
//!
//! A shop's project writes four schemas that reference each other. Every relation carries the
//! version of the code that made it, and CORE.EVERYTHING reads them all.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::account::Emulator;
use super::world::Run;

/// Longer than any lease lasts.
pub const A_LEASE: u64 = 2 * 3600;

/// A project and an account.
pub struct Shop {
    folder: TempDir,
    dbt: PathBuf,
    /// What the profile's target says beside what every one says.
    target: RefCell<BTreeMap<String, String>>,
    /// The account.
    pub account: Emulator,
}

/// One node of the stand-in's project.
pub fn node(kind: &str, name: &str, schema: &str, materialized: &str, sql: &str) -> Value {
    let schema = match schema {
        "" => "{{ target.schema }}".to_owned(),
        custom => format!("{{{{ target.schema }}}}_{custom}"),
    };
    json!({
        "unique_id": format!("{kind}.shop.{name}"), "resource_type": kind, "name": name,
        "schema": schema, "materialized": materialized, "sql": sql, "config": {}
    })
}

/// The shop's nodes at a version.
pub fn nodes(version: u32) -> Vec<Value> {
    let seed = format!(
        "select 1 as id, 'ada' as customer, {version} as version union all select 2, 'bob', {version}"
    );
    let orders = format!(
        "select id, customer, version as seeded, {version} as version from {{{{ ref('stg') }}}}"
    );
    let customers = format!(
        "select o.customer, o.version, o.seeded, {version} as code from {{{{ ref('orders') }}}} o"
    );
    let everything = format!(
        "select {version} as here, max(c.code) as customers, max(o.version) as orders, \
         max(s.version) as stg, max(r.version) as seeds, min(r.version) as first_seeds \
         from {{{{ ref('customers') }}}} c cross join {{{{ ref('orders') }}}} o cross join \
         {{{{ ref('stg') }}}} s cross join {{{{ ref('raw_orders') }}}} r"
    );
    vec![
        node("seed", "raw_orders", "raw", "seed", &seed),
        node("model", "stg", "staging", "view", "select * from {{ ref('raw_orders') }}"),
        node("model", "orders", "marts", "table", &orders),
        node("model", "customers", "marts", "view", &customers),
        node("model", "everything", "", "view", &everything),
        node("test", "few", "", "test", "select * from {{ ref('orders') }} where id > 99"),
    ]
}

impl Shop {
    /// A shop whose account has an empty database SHOP. `None`: a tool is missing, said loudly.
    pub fn new(test: &str, switchback: &str) -> Option<Self> {
        Self::with(test, switchback, &[])
    }

    /// The same with arguments for the emulator.
    pub fn with(test: &str, switchback: &str, arguments: &[&str]) -> Option<Self> {
        let mut all = vec!["--database", "SHOP"];
        for role in ["DEPLOY", "READER", "ANALYST", "OTHER"] {
            all.extend(["--role", role]);
        }
        all.extend(arguments);
        let account = Emulator::start_with(test, &all)?;
        let python = PathBuf::from(std::env::var_os("SWITCHBACK_TEST_SNOWFLAKE_PYTHON")?);
        let folder = tempfile::tempdir().unwrap();
        let dbt = folder.path().join("dbt");
        let shop = Self { folder, dbt, target: RefCell::default(), account };
        shop.install_dbt(&std::path::absolute(python).unwrap());
        shop.write("dbt_project.yml", "name: shop\nversion: '1.0'\nprofile: shop\n");
        shop.configure(switchback);
        let port = shop.account.port().to_string();
        for (key, value) in [
            ("type", "snowflake"),
            ("account", "emulator"),
            ("host", "127.0.0.1"),
            ("port", &port),
            ("protocol", "http"),
            ("user", "deployer"),
            ("password", "secret"),
            ("role", "ACCOUNTADMIN"),
            ("warehouse", "COMPUTE_WH"),
            ("database", "SHOP"),
            ("schema", "CORE"),
            ("connect_retries", "0"),
        ] {
            shop.target.borrow_mut().insert(key.to_owned(), value.to_owned());
        }
        shop.target("threads", Some("1"));
        shop.version(1);
        Some(shop)
    }

    fn install_dbt(&self, python: &Path) {
        let support = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support");
        let text = format!(
            "#!{}\nimport sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, {support:?})\nimport \
             standin_snowflake_dbt\nsys.exit(standin_snowflake_dbt.main(sys.argv[1:]))\n",
            python.display()
        );
        fs::write(&self.dbt, text).unwrap();
        fs::set_permissions(&self.dbt, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Writes `switchback.yml`.
    pub fn configure(&self, text: &str) {
        let dbt = self.dbt.display();
        self.write("switchback.yml", &format!("dbt-executable: '{dbt}'\n{text}"));
    }

    /// Sets a key of the profile's target, or takes it away.
    pub fn target(&self, key: &str, value: Option<&str>) {
        match value {
            Some(value) => self.target.borrow_mut().insert(key.to_owned(), value.to_owned()),
            None => self.target.borrow_mut().remove(key),
        };
        let lines: String =
            self.target.borrow().iter().fold(String::new(), |text, (key, value)| {
                let plain = value.bytes().all(|byte| byte.is_ascii_digit());
                let value = if plain { value.clone() } else { format!("{value:?}") };
                format!("{text}      {key}: {value}\n")
            });
        self.write(
            "profiles.yml",
            &format!("shop:\n  target: prod\n  outputs:\n    prod:\n{lines}"),
        );
    }

    /// Makes the project's code a version.
    pub fn version(&self, version: u32) {
        self.project(&nodes(version), &json!({}));
    }

    /// Writes the stand-in's project.
    pub fn project(&self, nodes: &[Value], build: &Value) {
        self.standin(&json!({ "nodes": nodes, "build": build }));
    }

    /// Writes all of what the stand-in reads.
    pub fn standin(&self, text: &Value) {
        self.write("standin.json", &text.to_string());
    }

    /// Runs dbt itself on production, as a team did before.
    #[track_caller]
    pub fn dbt_alone(&self) {
        let done = Command::new(&self.dbt)
            .args(["build", "--target-path"])
            .arg(self.path().join("alone"))
            .current_dir(self.path())
            .env("DBT_PROFILES_DIR", self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    }

    /// A command of the binary.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchback"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("GITHUB_ACTIONS")
            .env("DBT_PROFILES_DIR", self.path())
            .env("GITHUB_ACTOR", "ada")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().unwrap())
    }

    /// Runs the binary with a failpoint.
    pub fn run_at(&self, failpoint: &str, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).env("SWITCHBACK_FAILPOINT", failpoint).output().unwrap())
    }

    /// Runs the binary with `--format json` and expects an exit code.
    #[track_caller]
    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--format", "json"]);
        self.run(&arguments).expect(code).json()
    }

    /// Makes the code a version and deploys it.
    #[track_caller]
    pub fn deploy(&self, version: u32) {
        self.version(version);
        self.run(&["deploy"]).expect(0);
        assert_eq!(self.seen(), version);
    }

    /// What `status` calls live.
    #[track_caller]
    pub fn live(&self) -> Value {
        self.json(&["status"], 0)["live"]["release"].clone()
    }

    /// The version that every relation of production answers from: they all must agree.
    #[track_caller]
    pub fn seen(&self) -> u32 {
        self.seen_in("SHOP")
    }

    /// The same for another database.
    #[track_caller]
    pub fn seen_in(&self, database: &str) -> u32 {
        let rows = self.account.sql(&format!("SELECT * FROM {database}.CORE.EVERYTHING"));
        let numbers: Vec<&str> = rows[0].iter().map(|cell| cell.as_deref().unwrap()).collect();
        assert!(numbers.iter().all(|one| *one == numbers[0]), "a mixture: {numbers:?}");
        numbers[0].parse().unwrap()
    }

    /// A digest of the rows of every relation of a database that is not ours, archives aside.
    pub fn content(&self, database: &str) -> BTreeMap<String, String> {
        let found = self.account.sql(&format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM {database}.INFORMATION_SCHEMA.TABLES WHERE \
             TABLE_SCHEMA NOT IN ('INFORMATION_SCHEMA', 'SWITCHBACK') AND TABLE_NAME <> \
             'SWITCHBACK_STAMP'"
        ));
        let digest = |row: &Vec<Option<String>>| {
            let name = format!("{}.{}", row[0].as_ref().unwrap(), row[1].as_ref().unwrap());
            let rows = self.account.sql(&format!("SELECT HASH_AGG(*) FROM {database}.{name}"));
            (name, rows[0][0].clone().unwrap_or_default())
        };
        let is_live = |row: &&Vec<Option<String>>| !row[0].as_ref().unwrap().contains("__");
        found.iter().filter(is_live).map(digest).collect()
    }

    /// The names of the account's databases.
    pub fn databases(&self) -> Vec<String> {
        names(&self.account.sql("SHOW DATABASES"))
    }

    /// The schemas of SHOP, its own two aside.
    pub fn schemas(&self) -> Vec<String> {
        let mut names = names(&self.account.sql("SHOW SCHEMAS IN DATABASE SHOP"));
        names.retain(|name| !matches!(name.as_str(), "INFORMATION_SCHEMA" | "PUBLIC"));
        names
    }

    /// The statements of the tool itself that change something, in order, and what each was sent for.
    pub fn writes(&self) -> Vec<(String, String)> {
        self.sent(|_| true)
    }

    /// Those of them that Snowflake did.
    pub fn done(&self) -> Vec<(String, String)> {
        self.sent(|outcome| outcome == "success")
    }

    fn sent(&self, counts: fn(&str) -> bool) -> Vec<(String, String)> {
        let reads = ["SELECT", "SHOW", "ALTER SESSION", "WITH", "USE", "DESC"];
        let one = |entry: &Value| {
            let text = entry["text"].as_str()?.trim_start();
            let tag = entry["query_tag"].as_str()?;
            let is_write = tag.starts_with("switchback/")
                && entry["inner"] == false
                && counts(entry["outcome"].as_str()?)
                && !reads.iter().any(|word| text.starts_with(word));
            is_write.then(|| (tag.rsplit('/').next().unwrap().to_owned(), text.to_owned()))
        };
        self.account.entries().iter().filter_map(one).collect()
    }

    /// How often the cutover's block was sent.
    pub fn cutovers(&self) -> usize {
        self.writes().iter().filter(|(_, text)| text.starts_with("EXECUTE IMMEDIATE")).count()
    }
}

fn names(rows: &[Vec<Option<String>>]) -> Vec<String> {
    let mut names: Vec<String> = rows.iter().map(|row| row[1].clone().unwrap()).collect();
    names.sort();
    names
}
