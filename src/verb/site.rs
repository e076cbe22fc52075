//! The site: everything a verb works with, put together from the configuration. The only place
//! that knows which adapters there are.

mod duckdb;
mod postgres;
mod snowflake;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::adapter::checkout::{self, Checkout};
use crate::adapter::dbt::DbtProject;
use crate::adapter::dbt::commands::{check_commands, split_command};
use crate::adapter::dbt::environment::Environments;
use crate::adapter::dbt::glimpse;
use crate::adapter::dbt::jinja::Env;
use crate::adapter::dbt::locate;
use crate::adapter::github::{self, GitHub};
use crate::config::Config;
use crate::domain::journal::Actor;
use crate::domain::name::RunId;
use crate::engine::{Engine, Rules, Tale};
use crate::failure::{Failure, Outcome};
use crate::ports::forge::{Forge, Told};
use crate::ports::{Claim, Clock, Dbt, Event, Halt, Ledger, Observer, Token, Warehouse};

/// How long one query of ours may take: gates count rows, which on DuckDB is quick.
const QUERY_TIMEOUT: Duration = Duration::from_secs(600);

/// The machine's clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Everything a verb works with.
pub struct Site {
    /// What the user wants.
    pub config: Config,
    /// The warehouse's environment.
    pub warehouse: Box<dyn Warehouse>,
    /// Its ledger.
    pub ledger: Box<dyn Ledger>,
    /// The dbt project.
    pub dbt: Box<dyn Dbt>,
    /// Whoever watches.
    pub observer: Rc<dyn Observer>,
    /// Who acts.
    pub actor: Actor,
    /// This run.
    pub run: RunId,
    /// Reasons to end early.
    pub halt: Rc<watch::Sender<Option<Halt>>>,
    /// dbt's commands for the build.
    pub commands: Vec<Vec<String>>,
    /// dbt's commands for the checks after the swap.
    pub checks: Vec<Vec<String>>,
    /// The checkout the project is in.
    pub checkout: Checkout,
    /// The project and its target, for people.
    pub project: String,
    /// The options that made this site, as they have to be typed again.
    pub options: String,
}

/// What the process knows of its surroundings.
pub struct Surroundings {
    /// The current directory.
    pub cwd: PathBuf,
    /// The environment.
    pub env: Env,
    /// Whoever watches.
    pub observer: Rc<dyn Observer>,
    /// Reasons to end early.
    pub halt: Rc<watch::Sender<Option<Halt>>>,
    /// The options that made this site, as they have to be typed again.
    pub options: String,
    /// Whether the verb runs dbt, and not only the Python that dbt lives in.
    pub runs_dbt: bool,
}

impl Site {
    /// Finds the project, its profile and its warehouse. Touches nothing.
    pub async fn open(mut config: Config, around: Surroundings) -> Outcome<Self> {
        install(&mut config, &around).await?;
        let Surroundings { cwd, env, observer, halt, options, .. } = around;
        // A rollback must not fail on commands that it does not run; `checked` judges them.
        let commands = split(&config.dbt_commands).unwrap_or_default();
        let checks = split(&config.post_deploy_commands).unwrap_or_default();
        let settings = settings(&config);
        let project = DbtProject::open(
            settings,
            env.clone(),
            cwd.clone(),
            observer.clone(),
            commands.clone(),
        )?;
        let located = project.located();
        let described = format!(
            "{} (profile {}, target {})",
            located.project_dir.display(),
            located.profile,
            located.target
        );
        let checkout = checkout::of(&located.project_dir).await;
        let (actor, run) = (actor(env.as_ref()), run_id());
        let opening = Opening {
            config: &config,
            project: &project,
            actor: &actor,
            run: &run,
            cwd: &cwd,
            env: &env,
            observer: &observer,
        };
        let (warehouse, ledger) = opening.open().await?;
        Ok(Self {
            config,
            warehouse,
            ledger,
            dbt: Box::new(project),
            observer,
            actor,
            run,
            halt,
            commands,
            checks,
            checkout,
            project: described,
            options,
        })
    }

    /// Refuses dbt commands that cannot be run; for the verbs that run them.
    pub fn check_commands(&self) -> Outcome<()> {
        check_commands(&split(&self.config.dbt_commands)?)?;
        check_commands(&split(&self.config.post_deploy_commands)?)
    }

    /// An engine for this run's operation.
    #[must_use]
    pub fn engine(&self, token: Token) -> Engine<'_> {
        Engine {
            warehouse: self.warehouse.as_ref(),
            ledger: self.ledger.as_ref(),
            dbt: Some(self.dbt.as_ref()),
            observer: self.observer.clone(),
            actor: self.actor.clone(),
            operation: self.run.clone(),
            token,
            ttl: self.config.lease,
            halt: self.halt.clone(),
            rules: self.rules(),
            tale: Tale::default(),
            cut_over: false,
        }
    }

    /// The rules that the configuration sets.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            gates: self.config.gates.clone(),
            allowed_relations: self.config.allow.relations.clone(),
            allow_drift: self.config.allow_drift,
            baseline: None,
            fingerprint: None,
            redirect: None,
        }
    }

    /// Does something while holding the lease, and gives it back whatever happened.
    pub async fn under_lease<T>(
        &self,
        verb: &str,
        outranks: bool,
        work: impl AsyncFnOnce(Token) -> Outcome<T>,
    ) -> Outcome<T> {
        let claim = Claim {
            verb: verb.to_owned(),
            by: self.actor.clone(),
            run: self.run.clone(),
            reason: self.config.reason.clone(),
            ttl: self.config.lease,
            outranks,
        };
        let lease = self.ledger.acquire(claim).await?;
        let result = work(lease.token).await;
        if let Err(error) = self.ledger.release(lease.token).await {
            self.observer.event(Event::Warning(format!(
                "the lease could not be given back and expires by itself: {error}"
            )));
        }
        result
    }

    /// A Switchback command line that works in this site, to be typed or pasted.
    #[must_use]
    pub fn command(&self, verb: &str, arguments: &str) -> String {
        let mut text = format!("switchback {verb}");
        for part in [arguments, &self.options] {
            if !part.is_empty() {
                text.push(' ');
                text.push_str(part);
            }
        }
        text
    }
}

/// Makes the dbt that `dbt-requirements` pins the one to run. A rollback must not fail because a
/// package index does: what does not run dbt makes do with the dbt in `PATH`.
async fn install(config: &mut Config, around: &Surroundings) -> Outcome<()> {
    let Some(file) = &config.dbt_requirements else {
        return Ok(());
    };
    let environments = Environments {
        cwd: around.cwd.clone(),
        python: "python3".to_owned(),
        observer: around.observer.clone(),
        halt: around.halt.subscribe(),
    };
    match environments.dbt(file).await {
        Ok(dbt) => config.dbt_executable = dbt.display().to_string(),
        Err(failure) if around.runs_dbt || around.halt.borrow().is_some() => return Err(failure),
        Err(failure) => {
            "dbt".clone_into(&mut config.dbt_executable);
            around.observer.event(Event::Warning(format!("{failure}; going on with dbt in PATH")));
        }
    }
    Ok(())
}

fn settings(config: &Config) -> locate::Settings {
    locate::Settings {
        project_dir: config.project_dir.as_ref().map(PathBuf::from),
        profiles_dir: config.profiles_dir.as_ref().map(PathBuf::from),
        profile: config.profile.clone(),
        target: config.target.clone(),
        dbt_executable: Some(config.dbt_executable.clone()),
        timeout: config.dbt_timeout,
        redirect_env: config.redirect_env.clone(),
        redirect_vars: config.redirect_vars.clone(),
    }
}

/// What opens a warehouse.
struct Opening<'a> {
    config: &'a Config,
    project: &'a DbtProject,
    actor: &'a Actor,
    run: &'a RunId,
    cwd: &'a PathBuf,
    env: &'a Env,
    observer: &'a Rc<dyn Observer>,
}

/// A warehouse's environment and its ledger.
type Opened = (Box<dyn Warehouse>, Box<dyn Ledger>);

impl Opening<'_> {
    /// Opens the warehouse that the profile's target names.
    async fn open(&self) -> Outcome<Opened> {
        let located = self.project.located();
        match located.adapter.as_str() {
            "duckdb" => duckdb::open(self),
            "postgres" => postgres::open(self),
            "snowflake" => snowflake::open(self).await,
            other => Err(Failure::usage(format!(
                "profile `{}`, target `{}` is of type `{other}`, which this version of Switchback \
                 does not deploy to; allowed are duckdb, postgres and snowflake",
                located.profile, located.target
            ))
            .next("choose another target with --target")),
        }
    }
}

fn split(commands: &[String]) -> Outcome<Vec<Vec<String>>> {
    commands.iter().map(|command| split_command(command)).collect()
}

/// Who acts: GitHub's actor and run where there are any, otherwise the user of this host.
fn actor(env: &dyn Fn(&str) -> Option<String>) -> Actor {
    let name = ["GITHUB_ACTOR", "USER", "LOGNAME"]
        .iter()
        .find_map(|key| env(key).filter(|value| !value.is_empty()))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let run_url = match (env("GITHUB_SERVER_URL"), env("GITHUB_REPOSITORY"), env("GITHUB_RUN_ID")) {
        (Some(server), Some(repository), Some(run)) => {
            Some(format!("{server}/{repository}/actions/runs/{run}"))
        }
        _ => None,
    };
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Actor { name, run_url, host }
}

/// Unique without a random source: no two processes of a host share a PID and a moment.
fn run_id() -> RunId {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    RunId(format!("{}-{}", since.as_micros(), std::process::id()))
}

/// What can be seen of the project from where its secrets are not.
#[must_use]
pub fn glimpse_of(config: &Config, env: &Env, cwd: &std::path::Path) -> glimpse::Glimpse {
    glimpse::glimpse(&settings(config), env, cwd)
}

/// The checkout that holds a folder.
pub async fn checkout_of(folder: &std::path::Path) -> Checkout {
    checkout::of(folder).await
}

/// The checkout's own folder and its default branch, where they can be told.
pub async fn repository_of(folder: &std::path::Path) -> (Option<PathBuf>, Option<String>) {
    (checkout::root(folder).await, checkout::default_branch(folder).await)
}

/// The forge that the code lives on.
pub fn forge(settings: github::Settings) -> Told<Box<dyn Forge>> {
    Ok(Box::new(GitHub::new(settings)?))
}

pub use crate::adapter::dbt::glimpse::{Asked, Glimpse};
pub use crate::adapter::github::Settings as ForgeSettings;
