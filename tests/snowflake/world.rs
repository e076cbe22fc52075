//! The small world of these stories: a shop's dbt project, whose layout each story chooses, and an
//! emulated account.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::account::Emulator;

/// A project, an account, and the tools.
pub struct World {
    folder: TempDir,
    dbt: PathBuf,
    /// The account.
    pub account: Emulator,
}

/// How a run of the binary ended.
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// How a process ended; 128 + the signal for death by signal.
    pub fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().or_else(|| output.status.signal().map(|s| 128 + s));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: code.unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Asserts the exit code and shows everything if it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}\nstdout:\n{}\nstderr:\n{}", self.out, self.err))
    }
}

/// What tells one layout of the project from another.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Every model in the target's own schema.
    pub one_schema: bool,
    /// A schema macro that ignores the target in production.
    pub fixed_schemas: bool,
    /// `switchback.yml`.
    pub switchback: &'static str,
}

const FIXED: &str = "{% macro generate_schema_name(custom_schema_name, node) -%}
{%- if target.name == 'prod' -%}{{ (custom_schema_name or 'core') | trim }}
{%- else -%}{{ target.schema }}{%- endif -%}
{%- endmacro %}
";

impl World {
    /// A world whose account has a database SHOP. `None`: a tool is missing, said loudly.
    pub fn new(test: &str, layout: Layout, arguments: &[&str]) -> Option<Self> {
        let mut all = vec!["--database", "SHOP", "--role", "DEPLOY", "--role", "READER"];
        all.extend(arguments);
        let account = Emulator::start_with(test, &all)?;
        let python = PathBuf::from(std::env::var_os("SWITCHBACK_TEST_SNOWFLAKE_PYTHON")?);
        let dbt = std::path::absolute(python).unwrap().with_file_name("dbt");
        let world = Self { folder: tempfile::tempdir().unwrap(), dbt, account };
        world.project(layout);
        world.version(1);
        Some(world)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn project(&self, layout: Layout) {
        let schemas = if layout.one_schema {
            "seeds: {shop: {}}".to_owned()
        } else {
            "models: {shop: {staging: {+schema: staging}, marts: {+schema: marts}}}\nseeds: {shop: \
             {+schema: raw}}"
                .to_owned()
        };
        self.write(
            "dbt_project.yml",
            &format!(
                "name: shop\nversion: '1.0'\nprofile: shop\nflags: {{send_anonymous_usage_stats: \
                 false}}\n{schemas}\n"
            ),
        );
        let port = self.account.port();
        self.write(
            "profiles.yml",
            &format!(
                "shop:\n  target: prod\n  outputs:\n    prod:\n      type: snowflake\n      account: \
                 emulator\n      host: 127.0.0.1\n      port: {port}\n      protocol: http\n      \
                 user: deployer\n      password: secret\n      role: ACCOUNTADMIN\n      warehouse: \
                 COMPUTE_WH\n      database: SHOP\n      schema: CORE\n      threads: 4\n      \
                 connect_retries: 0\n"
            ),
        );
        if layout.fixed_schemas {
            self.write("macros/schemas.sql", FIXED);
        }
        self.write("models/staging/stg_orders.sql", "{{ config(materialized='view') }}\nselect id, customer, amount from {{ ref('raw_orders') }}\n");
        self.write("models/marts/orders.sql", "{{ config(materialized='table') }}\nwith stg_orders as (select * from {{ ref('stg_orders') }})\nselect *, {{ var('version') }} as version from stg_orders\n");
        self.write("models/marts/customers.sql", "{{ config(materialized='view') }}\nwith orders as (select * from {{ ref('orders') }})\nselect customer, sum(amount) as spent, max(version) as version from orders group by 1\n");
        self.write("models/everything.sql", "{{ config(materialized='view') }}\nselect c.customer, c.spent, o.n, c.version as cv, o.version as ov, s.n as seeds\nfrom {{ ref('customers') }} c\ncross join (select count(*) as n, max(version) as version from {{ ref('orders') }}) o\ncross join (select count(*) as n from {{ ref('raw_orders') }}) s\n");
        self.write(
            "switchback.yml",
            &format!("dbt-executable: '{}'\n{}", self.dbt.display(), layout.switchback),
        );
    }

    /// Makes the project's code a version: what dbt builds differs, and so do the seed's rows.
    pub fn version(&self, version: u32) {
        let project = fs::read_to_string(self.path().join("dbt_project.yml")).unwrap();
        let kept: String = project
            .lines()
            .filter(|line| !line.starts_with("vars:"))
            .fold(String::new(), |text, line| text + line + "\n");
        self.write("dbt_project.yml", &format!("{kept}vars: {{version: {version}}}\n"));
        let rows: String =
            (1..=version + 2).map(|id| format!("{id},c{},{}.5\n", id % 2, id * version)).collect();
        self.write("seeds/raw_orders.csv", &format!("id,customer,amount\n{rows}"));
    }

    /// Runs dbt itself on production, as a team did before.
    pub fn dbt(&self, arguments: &[&str]) {
        let done = Command::new(&self.dbt)
            .args(arguments)
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
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&self.command(arguments).output().unwrap())
    }

    /// What a reader finds in a relation of production, or the error.
    pub fn read(&self, relation: &str) -> Vec<Vec<Option<String>>> {
        self.account.sql(&format!("SELECT * FROM SHOP.{relation} ORDER BY 1"))
    }

    /// The version that every relation of production answers from: they all must agree.
    #[track_caller]
    pub fn seen(&self, everything: &str) -> u32 {
        let rows = self.read(everything);
        let cell =
            |row: &[Option<String>], at: usize| row[at].as_ref().unwrap().parse::<u32>().unwrap();
        let version = cell(&rows[0], 3);
        for row in &rows {
            assert_eq!((cell(row, 3), cell(row, 4)), (version, version), "a mixture: {rows:?}");
            assert_eq!(cell(row, 5), version + 2, "a mixture: {rows:?}");
        }
        version
    }

    /// The names of the account's containers.
    pub fn databases(&self) -> Vec<String> {
        let rows = self.account.sql("SHOW DATABASES");
        let mut names: Vec<String> = rows.iter().map(|row| row[1].clone().unwrap()).collect();
        names.sort();
        names
    }

    /// The schemas of SHOP.
    pub fn schemas(&self) -> Vec<String> {
        let rows = self.account.sql("SHOW SCHEMAS IN DATABASE SHOP");
        let mut names: Vec<String> = rows.iter().map(|row| row[1].clone().unwrap()).collect();
        names.retain(|name| name != "INFORMATION_SCHEMA");
        names.sort();
        names
    }
}
