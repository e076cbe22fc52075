//! `INPUT_*` to a command line, and to what only the action is told.
//!
//! May import `config` and `failure`.

use crate::config::options::{OPTIONS, Opt, Shape, VERBS};
use crate::config::secret::Secret;
use crate::failure::{Failure, Outcome};

/// Reads the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What only the action is told.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The token for GitHub; none: GitHub is not told anything.
    pub token: Option<Secret>,
    /// Whether deployments are recorded.
    pub deployment: bool,
    /// Whether the pull request is told.
    pub comment: bool,
    /// The environment's name.
    pub environment: String,
    /// Where people look at it.
    pub environment_url: Option<String>,
    /// The workflow file that is the rollback button.
    pub rollback_workflow: Option<String>,
    /// Deploy although the pull request is not merged.
    pub allow_pull_request: bool,
}

/// An input that is given. The runner upper-cases names and keeps their hyphens; an empty one
/// counts as not given.
fn input(env: Env<'_>, name: &str) -> Option<String> {
    env(&format!("INPUT_{}", name.to_uppercase()))
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn truth(name: &str, value: &str) -> Outcome<bool> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Failure::usage(format!("`{name}` is `{other}`; allowed are true and false"))),
    }
}

impl Inputs {
    /// Reads them.
    pub fn read(env: Env<'_>) -> Outcome<Self> {
        let flag = |name: &str, default: bool| {
            input(env, name).map_or(Ok(default), |value| truth(name, &value))
        };
        Ok(Self {
            token: input(env, "github-token").map(Secret::new),
            deployment: flag("github-deployment", true)?,
            comment: flag("pull-request-comment", true)?,
            environment: input(env, "environment").unwrap_or_else(|| "production".to_owned()),
            environment_url: input(env, "environment-url"),
            rollback_workflow: input(env, "rollback-workflow"),
            allow_pull_request: flag("allow-pull-request", false)?,
        })
    }
}

/// The secrets among the inputs.
#[must_use]
pub fn secrets(env: Env<'_>) -> Vec<String> {
    let is_secret = |option: &&Opt| matches!(option.shape, Shape::Secret(_));
    OPTIONS.iter().filter(is_secret).filter_map(|option| input(env, option.name)).collect()
}

/// The verb.
pub fn verb(env: Env<'_>) -> Outcome<String> {
    let verb = input(env, "verb").unwrap_or_else(|| "deploy".to_owned());
    let known = || VERBS.iter().filter(|known| known.door.has_action());
    if known().any(|known| known.name == verb) {
        return Ok(verb);
    }
    let names: Vec<&str> = known().map(|known| known.name).collect();
    Err(Failure::usage(format!("`verb` is `{verb}`; allowed are {}", names.join(", "))))
}

/// The command line that the inputs amount to.
pub fn arguments(env: Env<'_>) -> Outcome<Vec<String>> {
    let verb = verb(env)?;
    let mut arguments = vec![verb.clone()];
    // Inputs of other verbs are left out: a workflow may pass the same inputs to several verbs.
    let both = |option: &&Opt| {
        option.door.has_action() && option.door.has_command_line() && option.is_for(&verb)
    };
    for option in OPTIONS.iter().filter(both) {
        let Some(value) = input(env, option.name) else {
            continue;
        };
        let flag = format!("--{}", option.name);
        match option.shape {
            Shape::Flag if truth(option.name, &value)? => arguments.push(flag),
            Shape::Flag => {}
            Shape::Many(_) => {
                for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    arguments.push(format!("{flag}={line}"));
                }
            }
            Shape::Text(_) | Shape::Choice(_) | Shape::Secret(_) => {
                arguments.push(format!("{flag}={value}"));
            }
        }
    }
    let takes_releases = VERBS.iter().any(|known| known.name == verb && known.releases.1 > 0);
    if takes_releases && let Some(releases) = input(env, "release") {
        arguments.extend(releases.split_whitespace().map(str::to_owned));
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inputs: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
        arguments(&|name| {
            inputs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_inputs_it_deploys() {
        assert_eq!(read(&[]).unwrap(), ["deploy"]);
    }

    #[test]
    fn several_commands_come_one_a_line_and_flags_as_true() {
        let inputs = [("INPUT_DBT-COMMAND", "seed\n run --select a \n"), ("INPUT_DRY-RUN", "true")];
        assert_eq!(
            read(&inputs).unwrap(),
            ["deploy", "--dbt-command=seed", "--dbt-command=run --select a", "--dry-run"]
        );
    }

    #[test]
    fn a_value_that_looks_like_a_flag_stays_a_value() {
        let inputs = [("INPUT_VERB", "rollback"), ("INPUT_REASON", "--allow-loss")];
        assert_eq!(read(&inputs).unwrap(), ["rollback", "--reason=--allow-loss"]);
    }

    #[test]
    fn what_only_the_action_is_told_is_no_argument() {
        let inputs = [("INPUT_GITHUB-TOKEN", "t"), ("INPUT_ENVIRONMENT", "eu")];
        assert_eq!(read(&inputs).unwrap(), ["deploy"]);
    }

    #[test]
    fn an_unknown_verb_is_refused_with_the_list() {
        let failure = read(&[("INPUT_VERB", "undo")]).unwrap_err();
        assert!(failure.message.starts_with("`verb` is `undo`; allowed are deploy"));
        assert!(read(&[("INPUT_VERB", "demo")]).is_err());
    }
}
