//! A dbt project made for a test, and what the overlay makes of it.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use switchback::adapter::dbt::DbtProject;
use switchback::adapter::dbt::commands::split_command;
use switchback::adapter::dbt::jinja::Env;
use switchback::adapter::dbt::locate::Settings;
use switchback::domain::name::ReleaseId;
use switchback::domain::project::{Manifest, Survey};
use switchback::failure::Outcome;
use switchback::ports::{Dbt, DbtEnd, Event, Halt, Observer, Overlay, Redirect, Site};
use tempfile::TempDir;
use tokio::sync::watch;

/// PostgreSQL's, which is the shortest.
pub const MAX_BYTES: usize = 63;
/// The release that is built.
pub const RELEASE: ReleaseId = ReleaseId(2);
/// What the target's schema is in production.
pub const SCHEMA: &str = "analytics";

/// Prints dbt's output, which cargo shows of a test that fails.
struct Watcher;

impl Observer for Watcher {
    fn event(&self, event: Event) {
        if let Event::DbtOutput(piece) = event {
            print!("{}", String::from_utf8_lossy(&piece));
        }
    }
}

/// A dbt executable and its adapter.
#[derive(Clone)]
pub struct Tool {
    /// The executable.
    pub dbt: PathBuf,
    /// The profile's type.
    pub adapter: &'static str,
}

/// The dbt of a variable; `None`, said loudly, where it is missing.
pub fn tool(variable: &str, adapter: &'static str) -> Option<Tool> {
    if let Some(dbt) = std::env::var_os(variable).filter(|dbt| !dbt.is_empty()) {
        return Some(Tool { dbt: dbt.into(), adapter });
    }
    let message = format!("SKIPPED: {variable} is not set");
    assert!(std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_none(), "{message}");
    eprintln!("{message}");
    None
}

/// The newest dbt, with DuckDB.
pub fn newest() -> Option<Tool> {
    tool("SWITCHBACK_TEST_DBT", "duckdb")
}

/// Every dbt there is: the newest, the oldest, and those of other adapters that somebody named.
pub fn every() -> Vec<Tool> {
    let named = |variable: &str| std::env::var_os(variable).is_some();
    let mut tools: Vec<Tool> =
        newest().into_iter().chain(tool("SWITCHBACK_TEST_OLDEST_DBT", "duckdb")).collect();
    for (variable, adapter) in [
        ("SWITCHBACK_TEST_POSTGRES_DBT", "postgres"),
        ("SWITCHBACK_TEST_SNOWFLAKE_DBT", "snowflake"),
    ] {
        tools.extend(named(variable).then(|| tool(variable, adapter)).flatten());
    }
    tools
}

/// A project in a folder of its own.
pub struct Shape {
    dir: TempDir,
}

impl Shape {
    /// A project `shop` whose `dbt_project.yml` goes on with `settings`.
    pub fn new(settings: &str) -> Self {
        let shape = Self { dir: tempfile::tempdir().unwrap() };
        let head = "name: shop\nversion: '1.0'\nconfig-version: 2\nprofile: shop\n";
        shape.file("dbt_project.yml", &format!("{head}{settings}"));
        shape
    }

    /// The project's folder; `repo` is around it.
    pub fn project(&self) -> PathBuf {
        self.dir.path().join("repo/shop")
    }

    /// Writes a file of the project.
    pub fn file(&self, path: &str, text: &str) {
        let path = self.project().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a model that is placed in a schema of its own, or in none.
    pub fn model(&self, path: &str, schema: &str) {
        let config = if schema.is_empty() {
            String::new()
        } else {
            format!("{{{{ config(schema='{schema}') }}}} ")
        };
        self.file(path, &format!("{config}select 1 as id\n"));
    }

    /// Makes a package in a folder of the project.
    pub fn package(&self, folder: &str, settings: &str) {
        let name = Path::new(folder).file_name().unwrap().to_str().unwrap();
        let text = format!("name: {name}\nversion: '1.0'\nconfig-version: 2\n{settings}");
        self.file(&format!("{folder}/dbt_project.yml"), &text);
    }

    /// Makes a link, whose target may be relative.
    pub fn link(&self, to: &str, path: &str) {
        let path = self.project().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
    }

    /// Opens it with a dbt.
    pub fn open(&self, tool: &Tool, commands: &[&str]) -> DbtProject {
        let output = match tool.adapter {
            "postgres" => "host: localhost, port: 5432, user: u, password: p, dbname: shop",
            "snowflake" => "account: a, user: u, password: p, database: shop, warehouse: w",
            _ => "path: shop.duckdb",
        };
        self.file(
            "profiles.yml",
            &format!(
                "shop:\n  target: prod\n  outputs:\n    prod: {{type: {}, threads: 1, schema: \
                 {SCHEMA}, {output}}}\n",
                tool.adapter
            ),
        );
        let settings = Settings {
            dbt_executable: Some(tool.dbt.display().to_string()),
            ..Settings::default()
        };
        let temp = self.dir.path().join("tmp");
        std::fs::create_dir_all(&temp).unwrap();
        let env: Env = Arc::new(move |name: &str| match name {
            "TMPDIR" => Some(temp.display().to_string()),
            _ => std::env::var(name).ok(),
        });
        let commands = commands.iter().map(|words| split_command(words).unwrap()).collect();
        DbtProject::open(settings, env, self.project(), Rc::new(Watcher), commands).unwrap()
    }

    /// Parses it as production, where it must write exactly these schemas, and as the build, where
    /// every node must have moved with its schema. Tells where each node went.
    #[track_caller]
    pub fn moves(&self, tool: &Tool, schemas: &[&str]) -> Moves {
        let dbt = self.open(tool, &["build"]);
        let survey = survey(&dbt, &redirect(&written(schemas))).unwrap();
        let build = contained(&survey, schemas);
        Moves { schemas: build }
    }
}

/// Parses a project under a redirect.
pub fn survey(dbt: &DbtProject, redirect: &Redirect) -> Outcome<Survey> {
    let (_halter, halt) = watch::channel::<Option<Halt>>(None);
    block_on(dbt.survey(redirect, halt))
}

/// Where the nodes of a build are.
pub struct Moves {
    schemas: BTreeMap<String, String>,
}

impl Moves {
    /// A node's schema in the build.
    #[track_caller]
    pub fn at(&self, id: &str) -> &str {
        &self.schemas[id]
    }
}

/// A production that writes these schemas.
pub fn written(schemas: &[&str]) -> Overlay {
    let slot = |live: &str| (live.to_owned(), format!("{live}__build_{RELEASE}"));
    Overlay {
        schemas: schemas.iter().map(|live| slot(live)).collect(),
        suffix: format!("__build_{RELEASE}"),
        max_bytes: MAX_BYTES,
        ..Overlay::default()
    }
}

/// The target's schema and an overlay.
pub fn redirect(overlay: &Overlay) -> Redirect {
    let value = format!("{SCHEMA}__build_{RELEASE}");
    Redirect { key: "schema", value, overlay: Some(overlay.clone()) }
}

/// Asserts that production writes these schemas and that every node of it has moved.
#[track_caller]
pub fn contained(survey: &Survey, schemas: &[&str]) -> BTreeMap<String, String> {
    let place = |manifest: &Manifest| -> BTreeMap<String, String> {
        let nodes = manifest.nodes.values();
        nodes.map(|node| (node.unique_id.clone(), node.relation.schema.clone())).collect()
    };
    let (production, build) = (place(&survey.production), place(&survey.build));
    let mut seen: Vec<&str> = production.values().map(String::as_str).collect();
    seen.sort_unstable();
    seen.dedup();
    let mut wanted = schemas.to_vec();
    wanted.sort_unstable();
    assert_eq!(seen, wanted, "{production:#?}");
    let moved: BTreeMap<String, String> = production
        .iter()
        .map(|(id, schema)| (id.clone(), format!("{schema}__build_{RELEASE}")))
        .collect();
    assert_eq!(build, moved);
    build
}

/// Runs commands in the build and asserts that they succeed.
#[track_caller]
pub fn run(dbt: &DbtProject, commands: &[&str], redirect: &Redirect) {
    let (_halter, halt) = watch::channel::<Option<Halt>>(None);
    let commands: Vec<Vec<String>> =
        commands.iter().map(|words| split_command(words).unwrap()).collect();
    let end = block_on(dbt.run(&commands, &Site::Build(redirect.clone()), halt)).unwrap();
    assert!(matches!(end, DbtEnd::Succeeded(_)), "{end:?}");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(future)
}
