//! `demo`: the whole loop on a small shop, with a real dbt: deploy, publish a silent bug, notice,
//! roll back, be held, deploy the fix.
//!
//! It types the same commands a person would, in a process of their own, and checks the exit code
//! of each.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::watch;

use super::site::{Site, Surroundings};
use crate::config::{Config, Given};
use crate::engine::halted;
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Event, Halt, Observer, halted as until_halted};
use crate::report::{Answer, Word};

/// How long any one command of the demo may take.
const PATIENCE: Duration = Duration::from_secs(300);

const QUERY: &str = include_str!("../../demo/query.sql");

macro_rules! shop {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../demo/project/", $path)))),*]
    };
}

const PROJECT: &[(&str, &str)] = shop![
    ".gitignore",
    "dbt_project.yml",
    "profiles.yml",
    "models/marts/customers.sql",
    "models/marts/daily_revenue.sql",
    "models/marts/marts.yml",
    "models/marts/orders.sql",
    "models/marts/payments_log.sql",
    "models/staging/staging.yml",
    "models/staging/stg_customers.sql",
    "models/staging/stg_orders.sql",
    "models/staging/stg_payments.sql",
    "seeds/raw_customers.csv",
    "seeds/raw_orders.csv",
    "seeds/raw_payments.csv",
    "seeds/seeds.yml",
    "snapshots/snapshots.yml",
    "tests/revenue_adds_up.sql",
];

const ORDERS: &str = "models/marts/orders.sql";
const ORDERS_WITH_BUG: &str = include_str!("../../demo/changes/v2/models/marts/orders.sql");
const ORDERS_FIXED: &str = include_str!("../../demo/changes/v3/models/marts/orders.sql");

/// Everything the demo needs to go on.
struct Demo {
    folder: PathBuf,
    observer: Rc<dyn Observer>,
    halt: Rc<watch::Sender<Option<Halt>>>,
}

/// Runs the demo in `folder`, or in a new folder below the current one.
pub async fn run(
    folder: Option<PathBuf>,
    dbt: &str,
    observer: Rc<dyn Observer>,
    halt: Rc<watch::Sender<Option<Halt>>>,
) -> Outcome<Answer> {
    let folder = choose(folder)?;
    write(&folder, dbt)?;
    let demo = Demo { folder, observer, halt };
    demo.tell(&format!("A small shop is in {}", demo.folder.display()));
    demo.commit("Count what the shop earns").await;

    demo.tell("\n── 1. The first deploy: nothing is live yet ──");
    demo.switchback(&["deploy"], 0).await?;
    let right = demo.ask().await?;

    demo.tell("\n── 2. A colleague simplifies the order totals. Every test passes. ──");
    demo.change(ORDERS_WITH_BUG)?;
    demo.commit("Read the payments once instead of twice").await;
    demo.switchback(&["deploy"], 0).await?;
    let wrong = demo.ask().await?;
    if right == wrong {
        return Err(Failure::new(Kind::Unexpected, "the demo's bug changed nothing"));
    }
    demo.tell("Refunds count as revenue now. Nobody was told; the numbers are simply wrong.");

    demo.tell("\n── 3. Take it back ──");
    demo.switchback(&["rollback", "--reason", "refunds count as revenue"], 0).await?;
    if demo.ask().await? != right {
        return Err(Failure::new(Kind::Unexpected, "the rollback did not bring the numbers back"));
    }

    demo.tell("\n── 4. The next schedule tries to publish the same code again: it is held ──");
    demo.switchback(&["deploy"], Kind::Held.exit_code()).await?;

    demo.tell("\n── 5. The fix is other code, so it goes through and lifts the hold ──");
    demo.change(ORDERS_FIXED)?;
    demo.commit("Subtract refunds in the single pass").await;
    demo.switchback(&["deploy"], 0).await?;
    if demo.ask().await? != right {
        return Err(Failure::new(Kind::Unexpected, "the fix does not give the right numbers"));
    }
    demo.switchback(&["releases"], 0).await?;
    Ok(Answer::Said(Word::Finished, demo.what_next()))
}

fn choose(folder: Option<PathBuf>) -> Outcome<PathBuf> {
    let absolute = |path: PathBuf| {
        std::path::absolute(&path).map_err(|error| {
            Failure::usage(format!("{} is no folder", path.display())).because(error.into())
        })
    };
    match folder {
        Some(folder) if folder.exists() => Err(Failure::usage(format!(
            "`dir` is {}, which exists already; the demo writes to a new folder",
            folder.display()
        ))
        .next("name another folder, or leave --dir out")),
        Some(folder) => absolute(folder),
        None => absolute(
            (1..=999)
                .map(|n| match n {
                    1 => PathBuf::from("switchback-demo"),
                    n => PathBuf::from(format!("switchback-demo-{n}")),
                })
                .find(|path| !path.exists())
                .ok_or_else(|| {
                    Failure::usage("too many demos are here: remove switchback-demo-*")
                })?,
        ),
    }
}

fn write(folder: &Path, dbt: &str) -> Outcome<()> {
    let database = folder.join("shop.duckdb").display().to_string();
    // In YAML's single quotes only the quote itself is special.
    let quoted = |text: &str| text.replace('\'', "''");
    // A path stays a path from wherever it is read; a bare name is looked up in PATH.
    let dbt = if dbt.contains('/') {
        std::path::absolute(dbt).map_or_else(|_| dbt.to_owned(), |path| path.display().to_string())
    } else {
        dbt.to_owned()
    };
    let configuration = format!(
        "# Nothing here is needed where dbt is in PATH; `switchback.yml` is optional.\n\
         dbt-executable: '{}'\n",
        quoted(&dbt)
    );
    let profile = |text: &str| text.replace("\"@DB_PATH@\"", &format!("'{}'", quoted(&database)));
    for (path, text) in PROJECT {
        put(
            &folder.join(path),
            &if *path == "profiles.yml" { profile(text) } else { (*text).to_owned() },
        )?;
    }
    put(&folder.join("switchback.yml"), &configuration)
}

fn put(path: &Path, text: &str) -> Outcome<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).map_err(|error| {
        Failure::usage(format!("{} cannot be written", path.display())).because(error.into())
    })
}

impl Demo {
    fn tell(&self, text: &str) {
        self.observer.event(Event::Note(text.to_owned()));
    }

    fn change(&self, orders: &str) -> Outcome<()> {
        put(&self.folder.join(ORDERS), orders)
    }

    /// Commits, where git is there: releases then show which commit they are.
    async fn commit(&self, message: &str) {
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command
                .current_dir(&self.folder)
                .args(["-c", "user.name=demo", "-c", "user.email=demo@example.com"])
                .args(["-c", "commit.gpgsign=false"])
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            command
        };
        for arguments in [&["init", "-q"][..], &["add", "-A"], &["commit", "-qm", message]] {
            let _ = tokio::time::timeout(PATIENCE, git(arguments).status()).await;
        }
    }

    /// Types a command and expects its exit code.
    async fn switchback(&self, arguments: &[&str], expected: u8) -> Outcome<()> {
        let typed: Vec<String> = arguments
            .iter()
            .map(|word| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() })
            .collect();
        self.tell(&format!("\n$ switchback {}", typed.join(" ")));
        let program = std::env::current_exe().map_err(anyhow::Error::from)?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::from(std::io::stderr()))
            .kill_on_drop(true)
            .spawn()
            .map_err(anyhow::Error::from)?;
        let mut halt = self.halt.subscribe();
        let status = tokio::select! {
            status = tokio::time::timeout(PATIENCE, child.wait()) => status,
            reason = until_halted(&mut halt) => {
                // The child got the same signal from the terminal and ends by itself.
                let _ = tokio::time::timeout(PATIENCE, child.wait()).await;
                return Err(halted(&reason));
            }
        };
        let code = match status {
            Ok(status) => status.map_err(anyhow::Error::from)?.code(),
            Err(_) => None,
        };
        if code == Some(i32::from(expected)) {
            return Ok(());
        }
        let got = code.map_or("a signal or the time-out".to_owned(), |code| code.to_string());
        Err(Failure::new(
            Kind::Unexpected,
            format!("`switchback {}` ended with {got}, not {expected}", typed.join(" ")),
        )
        .production(format!("only the demo's own folder was touched: {}", self.folder.display()))
        .next("read what is above; `dbt --version` and `switchback doctor` may help"))
    }

    /// Asks what the shop earned, as a person would, and shows the answer.
    async fn ask(&self) -> Outcome<Vec<Vec<Option<String>>>> {
        let given =
            Given::from([("project-dir".to_owned(), vec![self.folder.display().to_string()])]);
        let config = Config::load(&given, &self.folder)?;
        let around = Surroundings {
            cwd: self.folder.clone(),
            env: Arc::new(|name: &str| std::env::var(name).ok()),
            observer: self.observer.clone(),
            halt: self.halt.clone(),
            options: String::new(),
            runs_dbt: true,
        };
        let site = Site::open(config, around).await?;
        let live = site.warehouse.live()[0].clone();
        let rows = site.warehouse.query(&live, QUERY, 100).await.map_err(Failure::from)?;
        self.tell("\nWhat did the shop earn each month?");
        let aligned = |values: Vec<&str>| {
            values.iter().fold(String::new(), |text, value| format!("{text}  {value:>10}"))
        };
        self.tell(&aligned(rows.columns.iter().map(String::as_str).collect()));
        for row in &rows.rows {
            self.tell(&aligned(row.iter().map(|value| value.as_deref().unwrap_or("")).collect()));
        }
        Ok(rows.rows)
    }

    fn what_next(&self) -> String {
        let program = std::env::current_exe()
            .map_or_else(|_| "switchback".to_owned(), |path| path.display().to_string());
        format!(
            "\nThat was the whole loop. Go on where it stopped:\n\
             \n\
             \x20 cd {}\n\
             \x20 alias switchback={program}\n\
             \x20 switchback status\n\
             \x20 switchback deploy --dry-run                        # the plan, effect by effect\n\
             \x20 switchback rollback --to r1 --reason \"just to see\"\n\
             \x20 switchback rollback --to r3 --reason \"and forward\"  # what was displaced is kept\n\
             \x20 jq . .switchback/shop.duckdb/ledger.jsonl          # everything that was done\n\
             \n\
             In your own dbt project: switchback doctor",
            self.folder.display()
        )
    }
}
