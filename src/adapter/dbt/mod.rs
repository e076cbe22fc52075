//! The dbt project behind the `Dbt` port.
//!
//! Both parses and every command run in our own current directory and environment, with the target
//! *name* unchanged (macros test it), into target paths of our own that begin empty: a partial
//! parse left from another target silently keeps that target's names. Only the profile's
//! redirected key differs between production and the build, and what the user put under
//! `redirect`.
//!
//! May import `domain`, `failure`, `config`, `ports` and the shared `process`.

pub mod artifacts;
pub mod commands;
pub mod environment;
pub mod fingerprint;
pub mod glimpse;
pub mod jinja;
pub mod locate;
pub mod located;
pub mod manifest;
pub mod mapped;
mod overlay;
pub mod project_file;
mod rebuilt;
pub mod requirement;
pub mod results;
pub mod runner;
mod scratch;
mod series;
mod spans;
pub mod splice;
mod survey;
mod tail;
pub mod version;
mod workspace;
mod yaml;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::process::Command;
use tokio::time::Instant;

use self::commands::{prepares, subcommand, texts, vars_of, vars_option, with_vars};
use self::jinja::{Env, Vars};
use self::locate::{Located, Settings, locate};
use self::series::{Stop, with_nodes};
use self::workspace::{Side, Workspace};
use crate::config::options::{OPTIONS, Shape};
use crate::domain::project::{DbtSummary, Manifest, Survey};
use crate::failure::Outcome;
use crate::ports::{self, DbtEnd, Event, HaltReceiver, Observer, Redirect, Site};

/// A dbt project that was found. What only a run of dbt needs (its version, sound commands, a
/// project file that can be read, a workspace) is looked at only where it is to run: a rollback
/// must not fail on it.
pub struct DbtProject {
    settings: Settings,
    env: Env,
    cwd: PathBuf,
    observer: Rc<dyn Observer>,
    commands: Vec<Vec<String>>,
    located: Located,
    found: version::Found,
    /// The folder for temporary files.
    temp: PathBuf,
    /// Made when dbt is to run.
    workspace: OnceCell<Workspace>,
    /// Whether the leading `deps` and `clean` commands have run.
    prepared: Cell<bool>,
    /// Whether this run has parsed the project as production.
    parsed: Cell<bool>,
    /// The overlay that stands in the workspace: for which redirect, and its project's folder.
    overlay: RefCell<Option<(Redirect, PathBuf)>>,
    /// The build slot, which `{slot}` under `redirect` stands for; known once dbt is to run on it.
    slot: RefCell<String>,
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
        let words = commands.clone();
        let vars: Vars = Arc::new(move || vars_of(&words).map(|vars| texts(&vars)));
        let located = locate(&settings, &env, &cwd, vars)?;
        let found = version::Found::new(settings.dbt_executable.as_deref(), &env, &cwd)?;
        let temp = env("TMPDIR").filter(|dir| !dir.is_empty()).unwrap_or_else(|| "/tmp".into());
        let temp = cwd.join(temp);
        scratch::sweep_aside(temp.clone());
        Ok(Self {
            settings,
            env,
            cwd,
            observer,
            commands,
            located,
            found,
            temp,
            workspace: OnceCell::new(),
            prepared: Cell::new(false),
            parsed: Cell::new(false),
            overlay: RefCell::new(None),
            slot: RefCell::new(String::new()),
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

    fn workspace(&self) -> Outcome<&Workspace> {
        if let Some(workspace) = self.workspace.get() {
            return Ok(workspace);
        }
        let workspace = Workspace::new(&self.temp)?;
        Ok(self.workspace.get_or_init(|| workspace))
    }

    /// Asks dbt for its version, and refuses one that Switchback or the project does not support.
    async fn checked(&self) -> Outcome<version::Dbt> {
        let dbt = version::Dbt::of(&self.found, &self.located.adapter).await?;
        let unchecked = |word: &String| word == "--no-version-check";
        let switched_off = is_set(&self.env, "VERSION_CHECK", false)
            || self.commands.iter().flatten().any(unchecked);
        let project = self.located.project()?;
        let bounds: &[String] = if switched_off { &[] } else { &project.require_dbt_version };
        dbt.check(bounds, &project.name)?;
        Ok(dbt)
    }

    /// A dbt process: the user's words, then ours.
    fn command(&self, words: &[String], side: Side) -> Outcome<Command> {
        let workspace = self.workspace()?;
        let mut command = Command::new(&self.found.executable);
        command.current_dir(&self.cwd);
        let words = match side {
            Side::Build => with_vars(words, &self.with_slot(&self.settings.redirect_vars))?,
            Side::Production => words.to_vec(),
        };
        command.args(&words);
        let prepares = matches!(subcommand(&words), Some("deps" | "clean" | "debug" | "init"));
        let overlay = self.overlay.borrow();
        let overlay = overlay.as_ref().filter(|_| side == Side::Build && !prepares);
        let project_dir = overlay.map_or(&self.located.project_dir, |(_, dir)| dir);
        command.arg("--project-dir").arg(project_dir);
        if overlay.is_some() && !self.names_log_path(&words) {
            // dbt's own default, which would lie in the overlay.
            command.env("DBT_LOG_PATH", &self.located.project()?.log_path);
        }
        command.arg("--profiles-dir").arg(workspace.profiles(side));
        command.args(["--profile", &self.located.profile]);
        command.args(["--target", &self.located.target]);
        // These have no such option, or (`clean`) would clean what it names.
        if !prepares {
            command.arg("--target-path").arg(workspace.target(side));
        }
        for name in ["DBT_PARTIAL_PARSE_FILE_PATH", "DBT_ENGINE_PARTIAL_PARSE_FILE_PATH"] {
            command.env_remove(name); // It holds another target's names.
        }
        // What the action was given in confidence is none of the project's business.
        for secret in OPTIONS.iter().filter(|one| matches!(one.shape, Shape::Secret(_))) {
            command.env_remove(format!("INPUT_{}", secret.name.to_uppercase()));
        }
        // Without them there is nothing to read.
        command.env_remove("DBT_ENGINE_WRITE_JSON").env("DBT_WRITE_JSON", "true");
        // Into a pipe Python would hold back what user code prints.
        command.env("PYTHONUNBUFFERED", "1");
        match side {
            Side::Build => drop(command.envs(self.with_slot(&self.settings.redirect_env))),
            // Production is only parsed and checked; where the profile cannot say so, libpq can.
            Side::Production if self.located.adapter == "postgres" => {
                let given = (self.env)("PGOPTIONS").unwrap_or_default();
                let options = format!("{given} -c default_transaction_read_only=on");
                command.env("PGOPTIONS", options.trim());
            }
            Side::Production => {}
        }
        Ok(command)
    }

    /// The arguments of a parse.
    fn parse_words(&self) -> Outcome<Vec<String>> {
        commands::check_commands(&self.commands)?;
        let mut parse = vec!["parse".to_owned()];
        parse.extend(vars_option(&vars_of(&self.commands)?)?);
        Ok(parse)
    }

    /// Makes the workspace's production side ready to be parsed from nothing, and runs the commands
    /// that come before a parse.
    async fn prepare(&self, halt: HaltReceiver) -> Outcome<()> {
        let workspace = self.workspace()?;
        workspace.clear(Side::Production)?;
        let unchanged = &self.located.profiles_text;
        workspace.write_profile(Side::Production, unchanged, &self.located)?;
        if !self.prepared.get() {
            for words in self.commands.iter().take_while(|words| prepares(words)) {
                self.quietly(words, Side::Production, halt.clone()).await?;
            }
            self.prepared.set(true);
        }
        Ok(())
    }

    /// Whether the user says where dbt's log goes.
    fn names_log_path(&self, words: &[String]) -> bool {
        let named = |word: &String| word == "--log-path" || word.starts_with("--log-path=");
        let set = |name| (self.env)(name).is_some_and(|value| !value.is_empty());
        words.iter().any(named) || ["DBT_ENGINE_LOG_PATH", "DBT_LOG_PATH"].into_iter().any(set)
    }

    /// Makes the overlay that a redirect asks for, unless it stands. What was parsed without it, or
    /// in another, is not to be used again.
    fn overlay(&self, redirect: &Redirect) -> Outcome<()> {
        let wanted = redirect.overlay.as_ref();
        let stands = self.overlay.borrow().as_ref().map(|(made, _)| made == redirect);
        if stands == wanted.map(|_| true) {
            return Ok(());
        }
        self.overlay.replace(None);
        let workspace = self.workspace()?;
        workspace.forget_parse(Side::Build)?;
        if let Some(wanted) = wanted {
            let place = workspace.overlay()?;
            let dir = overlay::make(&self.located, redirect, wanted, &place)?;
            self.overlay.replace(Some((redirect.clone(), dir)));
        }
        Ok(())
    }

    fn with_slot(&self, templates: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let slot = self.slot.borrow();
        templates
            .iter()
            .map(|(name, value)| (name.clone(), value.replace("{slot}", &slot)))
            .collect()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }
}

#[async_trait(?Send)]
impl ports::Dbt for DbtProject {
    async fn production(&self, halt: HaltReceiver) -> Outcome<Manifest> {
        let parse = self.parse_words()?;
        self.checked().await?;
        self.prepare(halt.clone()).await?;
        self.quietly(&parse, Side::Production, halt).await?;
        self.parsed.set(true);
        self.read_production()
    }

    async fn survey(&self, redirect: &Redirect, halt: HaltReceiver) -> Outcome<Survey> {
        let parse = self.parse_words()?;
        let spliced = workspace::redirected(&self.located, redirect)?;
        self.slot.replace(redirect.value.clone());
        let dbt = self.checked().await?;
        let workspace = self.workspace()?;
        // An overlay was made from a parse as production, which is as good as new.
        let parsed = self.parsed.get();
        if !parsed {
            self.prepare(halt.clone()).await?;
        }
        workspace.clear(Side::Build)?;
        workspace.write_profile(Side::Build, &spliced, &self.located)?;
        self.overlay.replace(None); // The project may have changed since it was made.
        self.overlay(redirect)?;
        if parsed {
            self.quietly(&parse, Side::Build, halt).await?;
        } else {
            tokio::try_join!(
                self.quietly(&parse, Side::Production, halt.clone()),
                self.quietly(&parse, Side::Build, halt),
            )?;
            self.parsed.set(true);
        }
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
            Site::Build(redirect) => {
                self.slot.replace(redirect.value.clone());
                self.overlay(redirect)?;
                (Side::Build, workspace::redirected(&self.located, redirect)?)
            }
            Site::LiveReadOnly => (Side::Production, workspace::read_only(&self.located)?),
        };
        let project = self.located.project()?;
        let workspace = self.workspace()?;
        workspace.write_profile(work, &profile, &self.located)?;
        let target = workspace.target(work);
        let began = Instant::now();
        let mut summary = DbtSummary::default();
        let end = self.series(commands, work, &halt, &mut summary).await?;
        summary.seconds = began.elapsed().as_secs_f64();
        series::name_files(&target, &mut summary);
        if work == Side::Build
            && let Err(error) = artifacts::copy(&target, &project.target_path)
        {
            self.observer.event(Event::Warning(format!(
                "dbt's artifacts could not be copied to {}: {error}",
                project.target_path.display()
            )));
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

#[cfg(test)]
mod survey_load;
