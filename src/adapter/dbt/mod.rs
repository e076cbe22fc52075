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
mod series;
mod spans;
pub mod splice;
mod survey;
pub mod version;
mod workspace;
mod yaml;

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::time::Instant;

use self::commands::{prepares, subcommand, texts, vars_of, vars_option, with_vars};
use self::jinja::Env;
use self::locate::{Located, Settings, locate};
use self::series::{Stop, with_nodes};
use self::workspace::{Side, Workspace};
use crate::domain::project::{DbtSummary, Survey};
use crate::failure::Outcome;
use crate::ports::{self, DbtEnd, Event, HaltReceiver, Observer, Redirect, Site};

/// A dbt project that was found. dbt itself is asked for its version only where it is to run: a
/// rollback must not fail on it.
pub struct DbtProject {
    settings: Settings,
    env: Env,
    cwd: PathBuf,
    observer: Rc<dyn Observer>,
    commands: Vec<Vec<String>>,
    located: Located,
    found: version::Found,
    workspace: Workspace,
    /// Whether the leading `deps` and `clean` commands have run.
    prepared: Cell<bool>,
}

impl DbtProject {
    /// Finds the project and its dbt. `commands` are those that build a release; `cwd` is the
    /// process's own current directory, which dbt will have too.
    pub fn open(
        settings: Settings,
        env: Env,
        cwd: PathBuf,
        observer: Rc<dyn Observer>,
        commands: Vec<Vec<String>>,
    ) -> Outcome<Self> {
        commands::check_commands(&commands)?;
        let vars = texts(&vars_of(&commands)?);
        let located = locate(&settings, &env, &cwd, vars)?;
        let found = version::Found::new(settings.dbt_executable.as_deref(), &env, &cwd)?;
        let workspace = Workspace::new()?;
        Ok(Self {
            settings,
            env,
            cwd,
            observer,
            commands,
            located,
            found,
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
        self.found.python()
    }

    /// Asks dbt for its version, and refuses one that Switchback or the project does not support.
    async fn checked(&self) -> Outcome<version::Dbt> {
        let dbt = version::Dbt::of(&self.found, &self.located.adapter).await?;
        let unchecked = |word: &String| word == "--no-version-check";
        let switched_off = is_set(&self.env, "VERSION_CHECK", false)
            || self.commands.iter().flatten().any(unchecked);
        let bounds: &[String] = if switched_off { &[] } else { &self.located.require_dbt_version };
        dbt.check(bounds, &self.located.project)?;
        Ok(dbt)
    }

    /// A dbt process: the user's words, then ours.
    fn command(&self, words: &[String], side: Side) -> Outcome<Command> {
        let mut command = Command::new(&self.found.executable);
        command.current_dir(&self.cwd);
        let words = match side {
            Side::Build => with_vars(words, &self.settings.redirect_vars)?,
            Side::Production => words.to_vec(),
        };
        command.args(&words);
        command.arg("--project-dir").arg(&self.located.project_dir);
        command.arg("--profiles-dir").arg(self.workspace.profiles(side));
        command.args(["--profile", &self.located.profile]);
        command.args(["--target", &self.located.target]);
        // These have no such option, or (`clean`) would clean what it names.
        if !matches!(subcommand(&words), Some("deps" | "clean" | "debug" | "init")) {
            command.arg("--target-path").arg(self.workspace.target(side));
        }
        for name in ["DBT_PARTIAL_PARSE_FILE_PATH", "DBT_ENGINE_PARTIAL_PARSE_FILE_PATH"] {
            command.env_remove(name); // It holds another target's names.
        }
        // Without them there is nothing to read.
        command.env_remove("DBT_ENGINE_WRITE_JSON").env("DBT_WRITE_JSON", "true");
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
}

#[async_trait(?Send)]
impl ports::Dbt for DbtProject {
    async fn survey(&self, redirect: &Redirect, halt: HaltReceiver) -> Outcome<Survey> {
        let dbt = self.checked().await?;
        self.workspace.clear()?;
        self.workspace.write_profile(
            Side::Production,
            &self.located.profiles_text,
            &self.located,
        )?;
        let spliced = workspace::redirected(&self.located, redirect)?;
        self.workspace.write_profile(Side::Build, &spliced, &self.located)?;
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
        self.read_survey(redirect, &dbt.reported)
    }

    async fn version(&self) -> Outcome<String> {
        let dbt = self.checked().await?;
        let adapter = dbt.adapter.map_or_else(String::new, |version| {
            format!(", dbt-{} {version}", self.located.adapter)
        });
        Ok(format!("{}{adapter} ({})", dbt.reported, dbt.executable.display()))
    }

    async fn run(
        &self,
        commands: &[Vec<String>],
        site: &Site,
        halt: HaltReceiver,
    ) -> Outcome<DbtEnd> {
        commands::check_commands(commands)?;
        let (work, profile) = match site {
            Site::Build(redirect) => (Side::Build, workspace::redirected(&self.located, redirect)?),
            Site::LiveReadOnly => (Side::Production, workspace::read_only(&self.located)?),
        };
        self.workspace.write_profile(work, &profile, &self.located)?;
        let began = Instant::now();
        let mut summary = DbtSummary::default();
        let end = self.series(commands, work, &halt, &mut summary).await?;
        summary.seconds = began.elapsed().as_secs_f64();
        self.name_files(work, &mut summary);
        if work == Side::Build {
            let target = self.workspace.target(work);
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
            Err(Stop::Failed(what)) => {
                DbtEnd::Failed { message: with_nodes(what, &summary), summary }
            }
        })
    }

    fn project_dir(&self) -> PathBuf {
        self.located.project_dir.clone()
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
