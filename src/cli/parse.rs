//! Arguments to an [`Invocation`], by the tables in `config::options`.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::config::Given;
use crate::config::options::{OPTIONS, Opt, Shape, VERBS};
use crate::failure::Kind;

/// One verb with what was given to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The verb.
    pub verb: String,
    /// Options.
    pub given: Given,
    /// Releases given as plain arguments.
    pub releases: Vec<String>,
}

/// What the arguments amount to.
#[derive(Debug)]
pub enum Parsed {
    /// A verb to run.
    Run(Invocation),
    /// A text to print (help, version, or a usage error) and the exit code.
    Text(String, u8),
}

/// The options that say *where*, which a command that is suggested has to repeat.
const PLACE: &[&str] = &[
    "project-dir",
    "profiles-dir",
    "profile",
    "target",
    "config",
    "dbt-executable",
    "dbt-requirements",
];

impl Invocation {
    /// The options that say where, as they have to be typed again.
    #[must_use]
    pub fn options_again(&self) -> String {
        let mut text = String::new();
        for name in PLACE {
            if let Some(value) = self.given.get(*name).and_then(|values| values.last()) {
                let gap = if text.is_empty() { "" } else { " " };
                let _ = write!(text, "{gap}--{name} {}", quoted(value));
            }
        }
        text
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Reads arguments (without the program's name).
#[must_use]
pub fn parse(arguments: &[String]) -> Parsed {
    let mut full = vec!["switchback".to_owned()];
    full.extend_from_slice(arguments);
    let matches = match command().try_get_matches_from(full) {
        Ok(matches) => matches,
        Err(error) => {
            let code = if error.use_stderr() { Kind::Usage.exit_code() } else { 0 };
            return Parsed::Text(error.render().to_string(), code);
        }
    };
    let Some((verb, matches)) = matches.subcommand() else {
        return Parsed::Text(command().render_help().to_string(), Kind::Usage.exit_code());
    };
    let mut invocation = Invocation { verb: verb.to_owned(), ..Invocation::default() };
    for option in OPTIONS.iter().filter(|option| option.is_flag_of(verb)) {
        let values: Vec<String> = match option.shape {
            Shape::Flag if matches.get_flag(option.name) => vec!["true".to_owned()],
            Shape::Flag => Vec::new(),
            Shape::Text(_) | Shape::Many(_) | Shape::Choice(_) | Shape::Secret(_) => matches
                .get_many::<String>(option.name)
                .map(|values| values.cloned().collect())
                .unwrap_or_default(),
        };
        if !values.is_empty() {
            invocation.given.insert(option.name.to_owned(), values);
        }
    }
    if let Ok(Some(releases)) = matches.try_get_many::<String>("release") {
        invocation.releases = releases.cloned().collect();
    }
    Parsed::Run(invocation)
}

fn command() -> Command {
    let mut root = Command::new("switchback")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Production dbt deploys that can be taken back in seconds")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .term_width(100);
    for verb in VERBS.iter().filter(|verb| verb.door.has_command_line()) {
        let mut command = Command::new(verb.name).about(verb.about);
        let (least, most) = verb.releases;
        if most > 0 {
            let help = "A release, such as r3";
            let arg = Arg::new("release").value_name("rN").num_args(least..=most).help(help);
            command = command.arg(arg);
        }
        for option in OPTIONS.iter().filter(|option| option.is_flag_of(verb.name)) {
            command = command.arg(argument(option));
        }
        root = root.subcommand(command);
    }
    root
}

fn argument(option: &Opt) -> Arg {
    let arg = Arg::new(option.name).long(option.name).help(option.help);
    match option.shape {
        Shape::Flag => arg.action(ArgAction::SetTrue),
        Shape::Text(value) | Shape::Secret(value) => arg.value_name(value).action(ArgAction::Set),
        Shape::Many(value) => arg.value_name(value).action(ArgAction::Append),
        Shape::Choice(choices) => {
            arg.value_parser(clap::builder::PossibleValuesParser::new(choices))
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0        done
  1        an unexpected failure; the message says what state production is in
  2        bad usage or configuration; nothing was touched
  3        stopped before publishing; production is untouched
  4        published, then swapped back by itself
  5        refused: held, or locked by another run
  6        an unfinished release needs `switchback recover`
  130, 143 ended by SIGINT, SIGTERM";

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Invocation {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match parse(&arguments) {
            Parsed::Run(invocation) => invocation,
            Parsed::Text(text, _) => panic!("{text}"),
        }
    }

    #[test]
    fn options_may_be_repeated_where_the_table_says_so() {
        let invocation = run("deploy --dbt-command seed --dbt-command run --dry-run");
        assert_eq!(invocation.given["dbt-command"], ["seed", "run"]);
        assert_eq!(invocation.given["dry-run"], ["true"]);
    }

    #[test]
    fn an_option_of_another_verb_is_bad_usage() {
        let arguments = ["status".to_owned(), "--dry-run".to_owned()];
        assert!(matches!(parse(&arguments), Parsed::Text(_, 2)));
    }

    #[test]
    fn no_verb_is_bad_usage_and_help_is_not() {
        assert!(matches!(parse(&[]), Parsed::Text(_, 2)));
        assert!(matches!(parse(&["--help".to_owned()]), Parsed::Text(_, 0)));
    }

    #[test]
    fn help_lists_every_verb_and_the_exit_codes() {
        let Parsed::Text(text, 0) = parse(&["--help".to_owned()]) else { panic!("no help") };
        insta::assert_snapshot!(text);
    }

    #[test]
    fn help_of_a_verb_lists_its_options() {
        let arguments = ["rollback".to_owned(), "--help".to_owned()];
        let Parsed::Text(text, 0) = parse(&arguments) else { panic!("no help") };
        insta::assert_snapshot!(text);
    }

    #[test]
    fn where_options_are_repeated_with_shell_quotes() {
        let invocation = run("status --target prod --project-dir it's");
        assert_eq!(invocation.options_again(), r"--project-dir 'it'\''s' --target prod");
    }
}
