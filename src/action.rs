//! The front door for GitHub: reads `INPUT_*`, runs the verb as the command line would, and writes
//! the outputs.
//!
//! Inputs have the options' names; an empty input counts as not given. Outputs are written with
//! random delimiters, so that no text in them can end its value early.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use crate::cli::{self, Ended, Parsed, Stream};
use crate::config::options::{OPTIONS, Shape, VERBS};
use crate::domain::name::{ReleaseId, hex};
use crate::failure::Failure;
use crate::report::{Answer, Word, answer_text, failure_json, failure_text};

/// The outputs, with what they mean; `action.yml` is checked against this table.
pub const OUTPUTS: &[(&str, &str)] = &[
    ("outcome", "How the run ended, one word of a closed set"),
    ("release", "The release this run made, published or brought back"),
    ("previous-release", "The release that was live before"),
    ("live-release", "The release that is live now"),
    ("rollback-command", "The command that undoes this run; the reason in it is yours"),
];

/// Runs the action of this process.
pub async fn main() -> ExitCode {
    let arguments = arguments(&|name| std::env::var(name).ok());
    let ended = match arguments.map(|arguments| cli::parse(&arguments)) {
        Err(failure) => refused(failure),
        Ok(Parsed::Text(text, _)) => refused(Failure::usage(text.trim().to_owned())),
        Ok(Parsed::Run(invocation)) => cli::execute(&invocation).await,
    };
    match &ended.result {
        Ok(answer) => cli::print(Stream::Out, &answer_text(answer)),
        Err(failure) => cli::print(Stream::Error, &failure_text(failure)),
    }
    write_outputs(&ended);
    ExitCode::from(ended.code)
}

fn refused(failure: Failure) -> Ended {
    Ended { code: failure.kind.exit_code(), result: Err(failure) }
}

/// The command line that the inputs amount to.
fn arguments(env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, Failure> {
    // The runner upper-cases names and keeps their hyphens.
    let input = |name: &str| {
        env(&format!("INPUT_{}", name.to_uppercase()))
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let verb = input("verb").unwrap_or_else(|| "deploy".to_owned());
    let Some(known) = VERBS.iter().find(|known| known.name == verb) else {
        let names: Vec<&str> = VERBS.iter().map(|known| known.name).collect();
        return Err(Failure::usage(format!(
            "`verb` is `{verb}`; allowed are {}",
            names.join(", ")
        )));
    };
    let mut arguments = vec![verb.clone()];
    // Inputs of other verbs are left out: a workflow may pass the same inputs to several verbs.
    for option in OPTIONS.iter().filter(|option| option.is_for(&verb)) {
        let Some(value) = input(option.name) else {
            continue;
        };
        let flag = format!("--{}", option.name);
        match option.shape {
            Shape::Flag => match value.as_str() {
                "true" => arguments.push(flag),
                "false" => {}
                other => {
                    return Err(Failure::usage(format!(
                        "`{}` is `{other}`; allowed are true and false",
                        option.name
                    )));
                }
            },
            Shape::Many(_) => {
                for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    arguments.push(format!("{flag}={line}"));
                }
            }
            Shape::Text(_) | Shape::Choice(_) => arguments.push(format!("{flag}={value}")),
        }
    }
    if known.releases.1 > 0
        && let Some(releases) = input("release")
    {
        arguments.extend(releases.split_whitespace().map(str::to_owned));
    }
    Ok(arguments)
}

fn outputs(ended: &Ended) -> Vec<(&'static str, String)> {
    let mut values = Vec::new();
    match &ended.result {
        Ok(Answer::Changed(changed)) => {
            let name =
                |release: Option<ReleaseId>| release.map_or(String::new(), |r| r.to_string());
            values.push(("outcome", changed.word.as_str().to_owned()));
            let release = changed.plan.as_ref().filter(|_| changed.word != Word::Pruned);
            values.push(("release", name(release.map(|plan| plan.release))));
            values.push(("previous-release", name(changed.previous.as_ref().map(|p| p.release))));
            values.push(("live-release", name(changed.live.as_ref().map(|live| live.release))));
            values.push(("rollback-command", changed.undo.clone().unwrap_or_default()));
        }
        Ok(Answer::Said(word, _)) => values.push(("outcome", word.as_str().to_owned())),
        Ok(Answer::Status(status)) => {
            let live = status.live.as_ref().map_or(String::new(), |live| live.release.to_string());
            values.push(("live-release", live));
        }
        Ok(Answer::Releases(_) | Answer::Doctor(_)) => {}
        Err(failure) => {
            let outcome = failure_json(failure)["outcome"].as_str().unwrap_or_default().to_owned();
            values.push(("outcome", outcome));
        }
    }
    values
}

fn write_outputs(ended: &Ended) {
    let Ok(path) = std::env::var("GITHUB_OUTPUT") else {
        return;
    };
    let mut text = String::new();
    for (name, value) in outputs(ended) {
        let delimiter = delimiter();
        text.extend([name, "<<", &delimiter, "\n", &value, "\n", &delimiter, "\n"]);
    }
    let written = OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        cli::print(Stream::Error, &format!("warning: outputs could not be written: {error}\n"));
    }
}

/// Thirty-two random digits from the kernel.
fn delimiter() -> String {
    let mut bytes = [0u8; 16];
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    format!("switchback_{}", hex(&bytes))
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
    fn an_unknown_verb_is_refused_with_the_list() {
        let failure = read(&[("INPUT_VERB", "undo")]).unwrap_err();
        assert!(failure.message.starts_with("`verb` is `undo`; allowed are deploy"));
    }
}
