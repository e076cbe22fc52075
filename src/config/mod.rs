//! Configuration: flags, action inputs and `switchback.yml` become one [`Config`].
//!
//! Every option has one name everywhere; the table in [`options`] is the only list of them.
//! Flags and inputs win over the file, the file over the defaults. Unknown keys are refused.
//!
//! May import `domain` and `failure`.

pub mod file;
pub mod options;
pub mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::journal::HoldKind;
use crate::domain::verify::Gates;
use crate::failure::{Failure, Outcome};

/// What was given on the command line or as action inputs: option name → values, in order.
pub type Given = BTreeMap<String, Vec<String>>;

/// How a person or a program reads the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object on standard output.
    Json,
}

/// What an operator has allowed by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Models that may write outside any slot.
    pub external: BTreeSet<String>,
    /// Relations (`schema.name`) whose loss the gates accept.
    pub relations: BTreeSet<String>,
    /// A write-ahead log left beside a DuckDB file may be absorbed.
    pub wal: bool,
    /// Kinds of objects that a clone may lose or change, as written.
    pub objects: BTreeSet<String>,
    /// Whether grants that the role cannot see may be lost.
    pub unseen_grants: bool,
}

/// Everything a run needs to know from its user.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the dbt project is, if given.
    pub project_dir: Option<String>,
    /// Where `profiles.yml` is, if given.
    pub profiles_dir: Option<String>,
    /// The profile, if given.
    pub profile: Option<String>,
    /// The target, if given.
    pub target: Option<String>,
    /// The dbt executable: a path, or a name looked up in `PATH`.
    pub dbt_executable: String,
    /// The pins of a dbt of the project's own, which is then the one to run.
    pub dbt_requirements: Option<String>,
    /// dbt's commands for the build, as written.
    pub dbt_commands: Vec<String>,
    /// dbt's commands for the checks after the swap, as written.
    pub post_deploy_commands: Vec<String>,
    /// How long each series of dbt commands may take.
    pub dbt_timeout: Duration,
    /// How long the lease lasts without renewal.
    pub lease: Duration,
    /// Go on although live has changed.
    pub allow_drift: bool,
    /// Go on although a rollback takes out what dbt cannot rebuild.
    pub allow_loss: bool,
    /// What is allowed by name.
    pub allow: Allow,
    /// The gates.
    pub gates: Gates,
    /// How many archives are kept.
    pub keep_releases: usize,
    /// Environment variables set for the build; `{slot}` stands for the build slot.
    pub redirect_env: BTreeMap<String, String>,
    /// dbt variables set for the build; `{slot}` stands for the build slot.
    pub redirect_vars: BTreeMap<String, String>,
    /// What is swapped, where the warehouse leaves a choice.
    pub isolation: file::Isolation,
    /// The hold a rollback sets.
    pub hold: HoldKind,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// Print the plan and end.
    pub dry_run: bool,
    /// Where `switchback.yml` was read from, if there is one.
    pub file: Option<PathBuf>,
}

impl Config {
    /// Reads `switchback.yml` and lays what was given over it.
    pub fn load(given: &Given, cwd: &Path) -> Outcome<Self> {
        let path = find_file(given, cwd)?;
        let file = match &path {
            Some(path) => file::read(path)?,
            None => file::File::default(),
        };
        Self::merge(given, file, path)
    }

    fn merge(given: &Given, file: file::File, path: Option<PathBuf>) -> Outcome<Self> {
        let text = |name: &str| given.get(name).and_then(|values| values.last()).cloned();
        let list = |name: &str, from_file: file::OneOrMany, default: &[&str]| {
            let given = given.get(name).cloned().unwrap_or_default();
            let chosen = if given.is_empty() { from_file.0 } else { given };
            if chosen.is_empty() {
                default.iter().map(|one| (*one).to_owned()).collect()
            } else {
                chosen
            }
        };
        let flag = |name: &str, from_file: Option<bool>| -> Outcome<bool> {
            match text(name) {
                Some(value) => parse_bool(name, &value),
                None => Ok(from_file.unwrap_or(false)),
            }
        };
        let number = |name: &str, from_file: Option<u64>, default: u64, most: u64| {
            let value = match text(name) {
                Some(value) => value.parse().map_err(|_| {
                    Failure::usage(format!("`{name}` is `{value}`; it must be a whole number"))
                })?,
                None => from_file.unwrap_or(default),
            };
            if value == 0 || value > most {
                return Err(Failure::usage(format!(
                    "`{name}` is {value}; it must be between 1 and {most}"
                )));
            }
            Ok(value)
        };
        let hold = match text("hold").or(file.hold) {
            Some(value) => parse_hold(&value)?,
            None => HoldKind::SameCommit,
        };
        let minutes = number("dbt-timeout-minutes", file.dbt_timeout_minutes, 240, 7 * 24 * 60)?;
        let seconds = number("lease-seconds", file.lease_seconds, 300, 24 * 60 * 60)?;
        let given = (text("dbt-executable"), text("dbt-requirements"));
        let (executable, requirements) =
            which_dbt(given, (file.dbt_executable, file.dbt_requirements))?;
        Ok(Self {
            project_dir: text("project-dir").or(file.project_dir),
            profiles_dir: text("profiles-dir").or(file.profiles_dir),
            profile: text("profile").or(file.profile),
            target: text("target").or(file.target),
            dbt_executable: executable.unwrap_or_else(|| "dbt".to_owned()),
            dbt_requirements: requirements,
            dbt_commands: list("dbt-command", file.dbt_command, &["build"]),
            post_deploy_commands: list("post-deploy-command", file.post_deploy_command, &[]),
            dbt_timeout: Duration::from_secs(minutes * 60),
            lease: Duration::from_secs(seconds),
            allow_drift: flag("allow-drift", file.allow_drift)?,
            allow_loss: flag("allow-loss", file.allow_loss)?,
            allow: Allow {
                external: file.allow.external,
                relations: file.allow.relations,
                wal: file.allow.wal,
                objects: file.allow.objects,
                unseen_grants: file.allow.unseen_grants,
            },
            gates: file.gates,
            keep_releases: file.retention.releases,
            redirect_env: file.redirect.env,
            redirect_vars: file.redirect.vars,
            isolation: file.isolation,
            hold,
            reason: text("reason").filter(|reason| !reason.trim().is_empty()),
            dry_run: flag("dry-run", None)?,
            file: path,
        })
    }
}

/// The format that was asked for; read on its own because it decides how a failure to read the
/// rest is reported.
pub fn format_of(given: &Given) -> Outcome<Format> {
    match given.get("format").and_then(|values| values.last()).map(String::as_str) {
        None | Some("text") => Ok(Format::Text),
        Some("json") => Ok(Format::Json),
        Some(other) => {
            Err(Failure::usage(format!("`format` is `{other}`; allowed are text and json")))
        }
    }
}

/// `dbt-executable` and `dbt-requirements`, each a way to say which dbt to run: one place must use
/// one of them, and what is given wins over the file.
fn which_dbt(
    given: (Option<String>, Option<String>),
    file: (Option<String>, Option<String>),
) -> Outcome<(Option<String>, Option<String>)> {
    let chosen = if given == (None, None) { file } else { given };
    if let (Some(executable), Some(requirements)) = &chosen {
        return Err(Failure::usage(format!(
            "`dbt-executable` is `{executable}` and `dbt-requirements` is `{requirements}`; each \
             says which dbt to run"
        ))
        .next("leave one of them out"));
    }
    Ok(chosen)
}

fn parse_bool(name: &str, value: &str) -> Outcome<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Failure::usage(format!("`{name}` is `{other}`; allowed are true and false"))),
    }
}

fn parse_hold(value: &str) -> Outcome<HoldKind> {
    match value {
        "same-commit" => Ok(HoldKind::SameCommit),
        "all" => Ok(HoldKind::All),
        "none" => Ok(HoldKind::None),
        other => Err(Failure::usage(format!(
            "`hold` is `{other}`; allowed are same-commit, all and none"
        ))),
    }
}

fn find_file(given: &Given, cwd: &Path) -> Outcome<Option<PathBuf>> {
    if let Some(path) = given.get("config").and_then(|values| values.last()) {
        let path = cwd.join(path);
        if !path.is_file() {
            return Err(Failure::usage(format!(
                "`config` is {}, which is no file",
                path.display()
            ))
            .next("name an existing switchback.yml, or leave `config` out"));
        }
        return Ok(Some(path));
    }
    let project = given.get("project-dir").and_then(|values| values.last());
    // From a folder inside the project dbt finds the project above; so is its configuration.
    let above = cwd.ancestors().find(|folder| folder.join("dbt_project.yml").is_file());
    let folders = [
        Some(cwd.to_path_buf()),
        project.map(|project| cwd.join(project)),
        above.map(Path::to_path_buf),
    ];
    Ok(folders
        .into_iter()
        .flatten()
        .flat_map(|folder| [folder.join("switchback.yml"), folder.join("switchback.yaml")])
        .find(|path| path.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(given: &[(&str, &str)], yaml: &str) -> Outcome<Config> {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
            .collect();
        Config::merge(&given, file::parse(yaml, Path::new("switchback.yml"))?, None)
    }

    #[test]
    fn without_anything_given_dbt_build_is_run_and_three_releases_are_kept() {
        let config = merged(&[], "").unwrap();
        assert_eq!(config.dbt_commands, ["build"]);
        assert_eq!(config.keep_releases, 3);
        assert_eq!(config.hold, HoldKind::SameCommit);
    }

    #[test]
    fn what_is_given_wins_over_the_file() {
        let config = merged(&[("target", "prod")], "target: staging\nprofile: shop\n").unwrap();
        assert_eq!(config.target.as_deref(), Some("prod"));
        assert_eq!(config.profile.as_deref(), Some("shop"));
    }

    #[test]
    fn one_place_says_in_one_way_which_dbt_to_run() {
        let pins = ("dbt-requirements", "pins.txt");
        let failure = merged(&[pins, ("dbt-executable", "bin/dbt")], "").unwrap_err();
        assert_eq!(
            failure.message,
            "`dbt-executable` is `bin/dbt` and `dbt-requirements` is `pins.txt`; each says which dbt \
             to run"
        );
        assert!(merged(&[], "dbt-requirements: a.txt\ndbt-executable: bin/dbt\n").is_err());
        let config = merged(&[pins], "dbt-executable: bin/dbt\n").unwrap();
        assert_eq!(config.dbt_requirements.as_deref(), Some("pins.txt"));
        let config = merged(&[("dbt-executable", "dbt")], "dbt-requirements: pins.txt\n").unwrap();
        assert_eq!(config.dbt_requirements, None, "what is given wins over the file");
    }

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let failure = merged(&[], "retnetion: {releases: 2}\n").unwrap_err();
        assert_eq!(failure.kind, crate::failure::Kind::Usage);
        assert!(failure.message.contains("retnetion"), "{}", failure.message);
    }

    #[test]
    fn a_value_that_is_not_allowed_names_the_option_the_value_and_what_is() {
        let failure = merged(&[("hold", "forever")], "").unwrap_err();
        assert_eq!(failure.message, "`hold` is `forever`; allowed are same-commit, all and none");
    }
}
