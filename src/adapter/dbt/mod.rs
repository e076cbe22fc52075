//! The dbt project behind the `Dbt` port.
//!
//! Both parses and every command run in our own current directory and environment, with the target
//! *name* unchanged (macros test it), into target paths of our own that begin empty: a partial
//! parse left from another target silently keeps that target's names. Only the profile's
//! redirected key differs between production and the build, and what the user put under
//! `redirect`.
//!
//! May import `domain`, `failure`, `ports` and the shared `process`.

pub mod artifacts;
pub mod commands;
pub mod fingerprint;
pub mod jinja;
pub mod locate;
pub mod located;
pub mod manifest;
pub mod mapped;
pub mod requirement;
pub mod results;
pub mod runner;
mod spans;
pub mod splice;
pub mod version;
mod workspace;
mod yaml;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::time::Instant;

use self::commands::{prepares, shown, subcommand, texts, vars_of, vars_option, with_vars};
use self::fingerprint::{Roots, fingerprint};
use self::jinja::Env;
use self::locate::{Located, Settings, locate};
use self::manifest::{Raw, Reading};
use self::mapped::Mapped;
use self::results::RawResults;
use self::runner::{Ended, condense, meaning};
use self::workspace::{Side, Workspace};
use crate::domain::project::{DbtSummary, Survey};
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{self, DbtEnd, Event, Halt, HaltReceiver, Observer, Redirect, Site};

/// The files a command leaves its results in.
const RESULTS: [&str; 2] = ["run_results.json", "sources.json"];

/// A dbt project that was found and whose dbt was checked.
pub struct DbtProject {
    settings: Settings,
    env: Env,
    cwd: PathBuf,
    observer: Rc<dyn Observer>,
    commands: Vec<Vec<String>>,
    located: Located,
    dbt: version::Dbt,
    workspace: Workspace,
    /// Whether the leading `deps` and `clean` commands have run.
    prepared: Cell<bool>,
}

impl DbtProject {
    /// Finds the project and its dbt. `commands` are those that build a release; `cwd` is the
    /// process's own current directory, which dbt will have too.
    pub async fn open(
        settings: Settings,
        env: Env,
        cwd: PathBuf,
        observer: Rc<dyn Observer>,
        commands: Vec<Vec<String>>,
    ) -> Outcome<Self> {
        commands::check_commands(&commands)?;
        let vars = texts(&vars_of(&commands)?);
        let located = locate(&settings, &env, &cwd, vars)?;
        let named = settings.dbt_executable.as_deref();
        let dbt = version::Dbt::find(named, &env, &cwd, &located.adapter).await?;
        let unchecked = |word: &String| word == "--no-version-check";
        let bounds =
            if is_set(&env, "VERSION_CHECK", false) || commands.iter().flatten().any(unchecked) {
                &[]
            } else {
                located.require_dbt_version.as_slice()
            };
        dbt.check(bounds, &located.project)?;
        let workspace = Workspace::new()?;
        Ok(Self {
            settings,
            env,
            cwd,
            observer,
            commands,
            located,
            dbt,
            workspace,
            prepared: Cell::new(false),
        })
    }

    /// The project, profile and target.
    #[must_use]
    pub fn located(&self) -> &Located {
        &self.located
    }

    /// The Python of dbt's environment.
    pub fn python(&self) -> Outcome<PathBuf> {
        self.dbt.python()
    }

    /// dbt's version, as it reports it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.dbt.reported
    }

    /// The dbt that is run.
    #[must_use]
    pub fn dbt(&self) -> &version::Dbt {
        &self.dbt
    }

    /// A dbt process: the user's words, then ours.
    fn command(&self, words: &[String], side: Side) -> Outcome<Command> {
        let mut command = Command::new(&self.dbt.executable);
        command.current_dir(&self.cwd);
        let words = match side {
            Side::Build => with_vars(words, &self.settings.redirect_vars)?,
            Side::Production => words.to_vec(),
        };
        command.args(&words);
        command.arg("--project-dir").arg(&self.located.project_dir);
        command
            .arg("--profiles-dir")
            .arg(self.workspace.profiles(side));
        command.args(["--profile", &self.located.profile]);
        command.args(["--target", &self.located.target]);
        // These have no such option, or (`clean`) would clean what it names.
        if !matches!(
            subcommand(&words),
            Some("deps" | "clean" | "debug" | "init")
        ) {
            command
                .arg("--target-path")
                .arg(self.workspace.target(side));
        }
        for name in [
            "DBT_PARTIAL_PARSE_FILE_PATH",
            "DBT_ENGINE_PARTIAL_PARSE_FILE_PATH",
        ] {
            command.env_remove(name); // It holds another target's names.
        }
        // Without them there is nothing to read.
        command
            .env_remove("DBT_ENGINE_WRITE_JSON")
            .env("DBT_WRITE_JSON", "true");
        // Into a pipe Python would hold back what user code prints.
        command.env("PYTHONUNBUFFERED", "1");
        if side == Side::Build {
            command.envs(&self.settings.redirect_env);
        }
        Ok(command)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    /// Runs a command whose output is of interest only if it fails, which is the user's to mend.
    async fn quietly(&self, words: &[String], side: Side, halt: HaltReceiver) -> Outcome<()> {
        let mut command = self.command(words, side)?;
        command.arg("--log-path").arg(self.workspace.logs(side));
        command.env_remove("DBT_ENGINE_SEND_ANONYMOUS_USAGE_STATS");
        command.env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false");
        let mut output = Vec::new();
        let sink = |piece: &[u8]| output.extend_from_slice(piece);
        let ended = runner::run(command, sink, halt, self.deadline()).await?;
        let what = match (subcommand(words), side) {
            (Some("parse"), Side::Production) => "`dbt parse`".to_owned(),
            (Some("parse"), Side::Build) => "`dbt parse` for the build".to_owned(),
            _ => format!("`{}`", shown(words)),
        };
        match ended {
            Ended::Halted(why) => Err(halted_failure(&why)),
            Ended::TimedOut => Err(Failure::usage(format!(
                "{what} did not end within {}",
                span(self.settings.timeout)
            ))
            .next("raise the time-out, or see what dbt waits for")),
            Ended::Exited(status) => match meaning(status) {
                None => Ok(()),
                Some(meaning) => Err(Failure::usage(format!(
                    "{what} of project `{}` {meaning}\n{}",
                    self.located.project,
                    condense(&output)
                ))
                .next(format!(
                    "mend the project; `dbt parse --target {}` shows the same",
                    self.located.target
                ))),
            },
        }
    }

    fn reading(&self, redirect: &Redirect) -> Reading {
        let flagged = |word: &String| word == "--store-failures";
        let packages = &self.located.packages_path;
        let packages = packages
            .strip_prefix(&self.located.project_dir)
            .unwrap_or(packages);
        // What names the live slot in a model's code: the value itself, and a file's own name.
        let mut needles = Vec::new();
        if let Ok(Some(live)) = self.located.text(redirect.key) {
            let name = Path::new(&live).file_name();
            needles.extend(name.map(|name| name.to_string_lossy().into_owned()));
            needles.push(live);
        }
        needles.retain(|needle| needle.len() > 2);
        Reading {
            store_failures: self.commands.iter().flatten().any(flagged)
                || is_set(&self.env, "STORE_FAILURES", true),
            packages_dir: packages.display().to_string(),
            needles,
        }
    }

    fn read_survey(&self, redirect: &Redirect) -> Outcome<Survey> {
        let reading = self.reading(redirect);
        let open = |side| Mapped::open(&self.workspace.target(side).join("manifest.json"));
        let mapped = open(Side::Production)?;
        let raw: Raw<'_> = mapped.parse()?;
        let roots = Roots {
            project: &self.located.project_dir,
            packages: &self.located.packages_path,
        };
        let fingerprint = fingerprint(&raw, roots, &self.commands)?;
        let production = raw.summarize(&reading);
        let reported = raw.metadata.dbt_version.as_deref();
        let dbt_version = reported.unwrap_or(&self.dbt.reported).to_owned();
        drop(raw);
        let mapped = open(Side::Build)?;
        let build = mapped.parse::<Raw<'_>>()?.summarize(&reading);
        Ok(Survey {
            production,
            build,
            fingerprint,
            dbt_version,
        })
    }

    /// Runs one command, its output shown as it comes; returns the end of it.
    async fn stream(
        &self,
        words: &[String],
        side: Side,
        halt: HaltReceiver,
        deadline: Instant,
    ) -> Outcome<(Ended, Vec<u8>)> {
        /// Enough of the end for dbt's last error.
        const TAIL: usize = 1 << 14;
        let mut command = self.command(words, side)?;
        let asked = ["DBT_USE_COLORS", "DBT_ENGINE_USE_COLORS"];
        if (self.env)("NO_COLOR").is_some_and(|value| !value.is_empty())
            && !asked.iter().any(|name| (self.env)(name).is_some())
        {
            command.env("DBT_USE_COLORS", "false"); // dbt colours into pipes too.
        }
        for file in RESULTS {
            // A target path that cannot be written to is dbt's to complain about.
            let _ = artifacts::mark_seen(&self.workspace.target(side).join(file));
        }
        let mut tail = Vec::new();
        let sink = |piece: &[u8]| {
            self.observer.event(Event::DbtOutput(piece.to_vec()));
            tail.extend_from_slice(piece);
            let excess = tail.len().saturating_sub(TAIL);
            tail.drain(..excess);
        };
        let ended = runner::run(command, sink, halt, deadline).await?;
        Ok((ended, tail))
    }

    /// Adds what the command just run has written. A file that cannot be read costs detail, not the
    /// run: dbt's exit code has the say.
    fn collect(&self, side: Side, summary: &mut DbtSummary) {
        let target = self.workspace.target(side);
        let fresh = RESULTS.map(|file| target.join(file));
        for file in fresh.iter().filter(|file| artifacts::is_fresh(file)) {
            let added = Mapped::open(file).and_then(|mapped| {
                mapped.parse::<RawResults<'_>>()?.add_to(summary);
                Ok(())
            });
            if let Err(failure) = added {
                self.observer.event(Event::Warning(format!(
                    "dbt's results cannot be read: {failure}"
                )));
            }
        }
    }

    /// Fills in the files of the nodes that failed.
    fn name_files(&self, side: Side, summary: &mut DbtSummary) {
        if summary.failures.is_empty() {
            return;
        }
        let reading = Reading {
            packages_dir: "dbt_packages".to_owned(),
            ..Reading::default()
        };
        let manifest = self.workspace.target(side).join("manifest.json");
        let Ok(mapped) = Mapped::open(&manifest) else {
            return; // dbt failed before it wrote one.
        };
        if let Ok(raw) = mapped.parse::<Raw<'_>>() {
            for failure in &mut summary.failures {
                failure.file = raw.file_of(&failure.unique_id, &reading);
            }
        }
    }

    async fn series(
        &self,
        commands: &[Vec<String>],
        side: Side,
        halt: &HaltReceiver,
        summary: &mut DbtSummary,
    ) -> Outcome<Result<(), Stop>> {
        let deadline = self.deadline();
        let prepared = self.prepared.get() && side == Side::Build;
        let skip = if prepared {
            commands.iter().take_while(|words| prepares(words)).count()
        } else {
            0
        };
        for words in &commands[skip..] {
            let (ended, tail) = self.stream(words, side, halt.clone(), deadline).await?;
            self.collect(side, summary);
            let what = match ended {
                Ended::Halted(why) => return Ok(Err(Stop::Halted(why))),
                Ended::TimedOut => format!(
                    "did not end within {} and was ended",
                    span(self.settings.timeout)
                ),
                Ended::Exited(status) => match meaning(status) {
                    None => continue,
                    Some(meaning) => meaning,
                },
            };
            let mut message = format!("`{}` {what}", shown(words));
            if summary.failures.is_empty() {
                message = format!("{message}\n{}", condense(&tail));
            }
            let tail = String::from_utf8_lossy(&tail);
            if side == Side::Production && tail.contains("read-only mode") {
                message.push_str(
                    "\nHere dbt may only read production. Tests that store their failures write: \
                     leave them out with `--exclude config.store_failures:true`.",
                );
            }
            return Ok(Err(Stop::Failed(message)));
        }
        Ok(Ok(()))
    }
}

/// Why a series of commands stopped before its end.
enum Stop {
    Failed(String),
    Halted(Halt),
}

#[async_trait(?Send)]
impl ports::Dbt for DbtProject {
    async fn survey(&self, redirect: &Redirect, halt: HaltReceiver) -> Outcome<Survey> {
        self.workspace.clear()?;
        self.workspace.write_profile(
            Side::Production,
            &self.located.profiles_text,
            &self.located,
        )?;
        let spliced = workspace::redirected(&self.located, redirect)?;
        self.workspace
            .write_profile(Side::Build, &spliced, &self.located)?;
        if !self.prepared.get() {
            for words in self.commands.iter().take_while(|words| prepares(words)) {
                self.quietly(words, Side::Production, halt.clone()).await?;
            }
            self.prepared.set(true);
        }
        let mut parse = vec!["parse".to_owned()];
        parse.extend(vars_option(&vars_of(&self.commands)?)?);
        tokio::try_join!(
            self.quietly(&parse, Side::Production, halt.clone()),
            self.quietly(&parse, Side::Build, halt),
        )?;
        self.read_survey(redirect)
    }

    async fn run(
        &self,
        commands: &[Vec<String>],
        site: &Site,
        halt: HaltReceiver,
    ) -> Outcome<DbtEnd> {
        commands::check_commands(commands)?;
        let (side, profile) = match site {
            Site::Build(redirect) => (Side::Build, workspace::redirected(&self.located, redirect)?),
            Site::LiveReadOnly => (Side::Production, workspace::read_only(&self.located)?),
        };
        self.workspace
            .write_profile(side, &profile, &self.located)?;
        let began = Instant::now();
        let mut summary = DbtSummary::default();
        let end = self.series(commands, side, &halt, &mut summary).await?;
        summary.seconds = began.elapsed().as_secs_f64();
        self.name_files(side, &mut summary);
        if side == Side::Build {
            let target = self.workspace.target(side);
            if let Err(error) = artifacts::copy(&target, &self.located.target_path) {
                self.observer.event(Event::Warning(format!(
                    "dbt's artifacts could not be copied to {}: {error}",
                    self.located.target_path.display()
                )));
            }
        }
        Ok(match end {
            Ok(()) => DbtEnd::Succeeded(summary),
            Err(Stop::Halted(why)) => DbtEnd::Halted(why),
            Err(Stop::Failed(what)) => DbtEnd::Failed {
                message: with_nodes(what, &summary),
                summary,
            },
        })
    }

    fn project_dir(&self) -> PathBuf {
        self.located.project_dir.clone()
    }
}

/// Names the first nodes that failed.
fn with_nodes(mut message: String, summary: &DbtSummary) -> String {
    use std::fmt::Write as _;
    const NAMED: usize = 5;
    for node in summary.failures.iter().take(NAMED) {
        let file = node.file.as_deref().unwrap_or("no file");
        let said = node.message.as_deref().unwrap_or(&node.status);
        let said = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let said: Vec<&str> = said.take(3).collect();
        // Writing to a text cannot fail.
        let _ = write!(
            message,
            "\n  {} ({file}): {}",
            node.unique_id,
            said.join(" ")
        );
    }
    if summary.failures.len() > NAMED {
        let _ = write!(message, "\n  and {} more", summary.failures.len() - NAMED);
    }
    message
}

fn halted_failure(why: &Halt) -> Failure {
    match why {
        Halt::Interrupt => {
            Failure::new(Kind::Interrupted, "interrupted while dbt read the project")
        }
        Halt::Terminate => Failure::new(Kind::Terminated, "ended while dbt read the project"),
        Halt::LeaseLost(to) => Failure::new(Kind::Locked, format!("the lease was taken by {to}")),
    }
}

/// Whether a boolean variable of dbt's has this value.
fn is_set(env: &Env, name: &str, value: bool) -> bool {
    let found = ["DBT_ENGINE_", "DBT_"]
        .iter()
        .find_map(|prefix| env(&format!("{prefix}{name}")).filter(|text| !text.is_empty()));
    found.is_some_and(|text| match text.to_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => value,
        _ => !value,
    })
}

fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 120 {
        format!("{} min", seconds / 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
#[path = "project_tests.rs"]
mod tests;
