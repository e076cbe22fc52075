//! The user's dbt commands as lists of words: splitting, what they may not hold, their variables.
//!
//! May import `failure`.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use crate::failure::{Failure, Outcome};

/// Options that Switchback passes itself, and what to use instead.
const RESERVED: [(&[&str], &str); 6] = [
    (&["--project-dir"], "pass --project-dir to switchback instead"),
    (&["--profiles-dir"], "pass --profiles-dir to switchback instead"),
    (&["--profile"], "pass --profile to switchback instead"),
    (&["--target", "-t"], "pass --target to switchback instead"),
    (
        &["--target-path"],
        "leave it out: Switchback builds in a target path of its own and copies the artifacts to \
         the project's `target-path` afterwards",
    ),
    (
        &["--partial-parse-file-path"],
        "leave it out: a parse of another target keeps the names of that target",
    ),
];

/// Options before the command that take the next word as their value: dbt's global ones, and those
/// that only Fusion takes there.
const TAKE_A_VALUE: [&str; 25] = [
    "--deprecated-defer",
    "--defer-state",
    "--deprecated-favor-state",
    "--deprecated-state",
    "--indirect-selection",
    "--log-file-max-bytes",
    "--log-format",
    "--log-format-file",
    "--log-level",
    "--log-level-file",
    "--log-path",
    "--partial-parse-file-path",
    "--printer-width",
    "--profile",
    "--record-timing-info",
    "-r",
    "--state",
    "--target",
    "-t",
    "--warn-error-options",
    "--project-dir",
    "--profiles-dir",
    "--target-path",
    "--threads",
    "--vars",
];

/// dbt's commands, to tell one from the value of an option that is not known here.
const COMMANDS: [&str; 21] = [
    "build",
    "run",
    "test",
    "seed",
    "snapshot",
    "compile",
    "parse",
    "deps",
    "clean",
    "docs",
    "source",
    "run-operation",
    "retry",
    "list",
    "ls",
    "show",
    "debug",
    "init",
    "clone",
    "freshness",
    "system",
];

/// Splits a command as a shell does; a leading `dbt` is dropped.
pub fn split_command(text: &str) -> Outcome<Vec<String>> {
    let mut words = shell_words::split(text).map_err(|_| {
        Failure::usage(format!("the dbt command `{text}` has a quote that is not closed"))
            .next("close it, as in: build --vars '{\"a\": 1}'")
    })?;
    if words.first().is_some_and(|word| word == "dbt") {
        words.remove(0);
    }
    Ok(words)
}

/// Refuses commands that would lead dbt elsewhere than Switchback thinks.
pub fn check_commands(commands: &[Vec<String>]) -> Outcome<()> {
    for words in commands {
        if subcommand(words).is_none() {
            return Err(Failure::usage(format!(
                "the dbt command `{}` names no dbt command",
                shown(words)
            ))
            .next("write it as after `dbt`, such as: build --select tag:daily"));
        }
        for word in words {
            let option = word.split('=').next().unwrap_or(word);
            let short = |flag: &str| {
                !flag.starts_with("--") && !word.starts_with("--") && word.starts_with(flag)
            };
            let reserved = RESERVED
                .iter()
                .find(|(flags, _)| flags.iter().any(|flag| option == *flag || short(flag)));
            if let Some((_, instead)) = reserved {
                return Err(Failure::usage(format!(
                    "the dbt command `{}` holds `{option}`, which Switchback sets itself",
                    shown(words)
                ))
                .next(*instead));
            }
        }
    }
    Ok(())
}

/// The command's name, such as `build`: the first word that is neither an option nor its value.
#[must_use]
pub fn subcommand(words: &[String]) -> Option<&str> {
    let mut words = words.iter().map(String::as_str);
    let mut perhaps = None;
    let mut after_option = false;
    while let Some(word) = words.next() {
        if TAKE_A_VALUE.contains(&word) {
            words.next();
            after_option = false;
        } else if word.starts_with('-') {
            after_option = !word.contains('=');
        } else if COMMANDS.contains(&word) || !after_option {
            return Some(word);
        } else {
            // The value of an option of some newer dbt, unless nothing else can be the command.
            perhaps = perhaps.or(Some(word));
            after_option = false;
        }
    }
    perhaps
}

/// Whether the command only prepares the project and must run before it can be parsed.
#[must_use]
pub fn prepares(words: &[String]) -> bool {
    matches!(subcommand(words), Some("deps" | "clean"))
}

/// The command as a person would type it.
#[must_use]
pub fn shown(words: &[String]) -> String {
    format!("dbt {}", shell_words::join(words))
}

/// The variables a parse needs: those of the first command that has any.
pub fn vars_of(commands: &[Vec<String>]) -> Outcome<Mapping> {
    for words in commands {
        if let Some((_, text)) = find_vars(words) {
            return parse_vars(words, text);
        }
    }
    Ok(Mapping::new())
}

/// Variables that hold a single value, as texts.
#[must_use]
pub fn texts(vars: &Mapping) -> BTreeMap<String, String> {
    vars.iter()
        .filter_map(|(key, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => {
                    serde_yaml::to_string(value).ok()?.trim().into()
                }
                _ => return None,
            };
            Some((key.as_str()?.to_owned(), text))
        })
        .collect()
}

/// The command with variables added or overridden.
pub fn with_vars(words: &[String], extra: &BTreeMap<String, String>) -> Outcome<Vec<String>> {
    let mut words = words.to_vec();
    if extra.is_empty() {
        return Ok(words);
    }
    let found = find_vars(&words).map(|(range, text)| (range, text.to_owned()));
    let mut vars = match &found {
        Some((_, text)) => parse_vars(&words, text)?,
        None => Mapping::new(),
    };
    for (key, value) in extra {
        vars.insert(Value::from(key.as_str()), Value::from(value.as_str()));
    }
    let new = vars_option(&vars)?;
    match found {
        Some((range, _)) => drop(words.splice(range, new)),
        None => words.extend(new),
    }
    Ok(words)
}

/// `--vars` for a mapping; nothing for an empty one.
pub fn vars_option(vars: &Mapping) -> Outcome<Vec<String>> {
    if vars.is_empty() {
        return Ok(Vec::new());
    }
    let json = serde_json::to_string(vars).map_err(|error| {
        Failure::usage(format!("the dbt variables cannot be passed on: {error}"))
    })?;
    Ok(vec!["--vars".to_owned(), json])
}

/// Where `--vars` stands; the last one counts.
fn find_vars(words: &[String]) -> Option<(std::ops::Range<usize>, &str)> {
    (0..words.len()).rev().find_map(|at| {
        if let Some(text) = words[at].strip_prefix("--vars=") {
            return Some((at..at + 1, text));
        }
        let text = words.get(at + 1).filter(|_| words[at] == "--vars")?;
        Some((at..at + 2, text.as_str()))
    })
}

fn parse_vars(words: &[String], text: &str) -> Outcome<Mapping> {
    serde_yaml::from_str::<Mapping>(text).map_err(|error| {
        Failure::usage(format!(
            "`--vars` in the dbt command `{}` is not a YAML mapping: {error}",
            shown(words)
        ))
        .next("write it like: --vars '{\"region\": \"eu\"}'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        split_command(text).unwrap()
    }

    #[test]
    fn commands_are_split_as_a_shell_does() {
        assert_eq!(
            words("dbt build --select 'tag:a b' --vars '{\"x\": 1}'"),
            ["build", "--select", "tag:a b", "--vars", "{\"x\": 1}"]
        );
        assert_eq!(words("--debug build"), ["--debug", "build"]);
        assert!(split_command("build 'x").is_err());
    }

    #[test]
    fn options_that_switchback_sets_are_refused_with_the_way_out() {
        for (command, option) in [
            ("build --target dev", "--target"),
            ("build -t dev", "-t"),
            ("build --profiles-dir=x", "--profiles-dir"),
            ("run --profile x", "--profile"),
            ("run --project-dir x", "--project-dir"),
            ("run --target-path x", "--target-path"),
        ] {
            let failure = check_commands(&[words(command)]).unwrap_err();
            assert!(failure.message.contains(&format!("`{option}`")), "{failure}");
            assert!(failure.next.is_some());
        }
        let fine = ["build --threads 4 --select target", "--log-level debug run"];
        check_commands(&fine.map(words)).unwrap();
        assert!(check_commands(&[vec![]]).is_err());
        assert!(check_commands(&[words("--debug")]).is_err());
    }

    #[test]
    fn the_command_is_found_among_global_options() {
        assert_eq!(subcommand(&words("--log-level debug-x build")), Some("build"));
        for command in [
            "--log-level debug build",
            "--log-level=debug build",
            "-r run --no-use-colors --state test build --select parse",
            "--warn-error --indirect-selection=empty --log-path clean build",
            "--some-newer-option x build --select run",
        ] {
            assert_eq!(subcommand(&words(command)), Some("build"), "{command}");
        }
        assert_eq!(subcommand(&words("source freshness")), Some("source"));
        assert_eq!(subcommand(&words("--debug frobnicate")), Some("frobnicate"));
        assert_eq!(subcommand(&words("frobnicate --select run")), Some("frobnicate"));
        assert_eq!(subcommand(&words("--log-level debug")), None);
        assert!(prepares(&words("deps")) && !prepares(&words("build")));
    }

    #[test]
    fn variables_are_merged_over_the_users() {
        let extra = BTreeMap::from([("schema".to_owned(), "b".to_owned())]);
        let merged = with_vars(&words("build --vars '{schema: a, n: 1}' -x"), &extra).unwrap();
        assert_eq!(merged[..2], ["build", "--vars"]);
        assert_eq!(merged[2], r#"{"schema":"b","n":1}"#);
        assert_eq!(merged[3], "-x");
        let added = with_vars(&words("build"), &extra).unwrap();
        assert_eq!(added[1..], ["--vars", r#"{"schema":"b"}"#]);
        assert_eq!(with_vars(&words("build"), &BTreeMap::new()).unwrap(), ["build"]);
        let vars = vars_of(&[words("deps"), words("build --vars=n:\\ 1")]).unwrap();
        assert_eq!(texts(&vars)["n"], "1");
        assert!(vars_of(&[words("build --vars nonsense")]).is_err());
    }
}
