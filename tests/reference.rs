//! `docs/reference.md` is written by this test, from the tables in code and from `action.yml`. It
//! fails when the page says something else; with `SWITCHBACK_WRITE_REFERENCE=1` it writes the page.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_yaml::Value;
use switchback::action::OUTPUTS;
use switchback::cli::{Parsed, parse};
use switchback::config::file;
use switchback::config::options::{OPTIONS, Opt, Shape, VERBS};

const HEAD: &str = "\
# Reference

<!-- Written by tests/reference.rs from the tables in code; change those, then run
     SWITCHBACK_WRITE_REFERENCE=1 cargo test --test reference -->

Options, inputs of the action and keys of `switchback.yml` share one name each. An option or an input
wins over the file. Unknown options and keys are refused; an empty input counts as not given.
";

/// The keys of `switchback.yml` that are no options, with their default and meaning. A test holds
/// the names to those that are read.
const KEYS: &[(&str, &str, &str)] = &[
    ("retention.releases", "3", "How many earlier releases are kept, 1 or more"),
    (
        "isolation",
        "auto",
        "What is swapped, where the warehouse leaves a choice: auto, database or schema",
    ),
    ("redirect.env", "none", "Environment variables for the build; `{slot}` stands for its place"),
    ("redirect.vars", "none", "dbt variables for the build; `{slot}` stands for its place"),
    ("allow.external", "none", "Models that may write outside the database"),
    ("allow.relations", "none", "Relations (`schema.name`) whose loss the gates accept"),
    ("allow.wal", "false", "Absorb a write-ahead log that a crash left beside a DuckDB file"),
    (
        "allow.objects",
        "none",
        "Kinds of objects of a Snowflake container that a clone may lose or change: stages, pipes, \
         streams, external-tables, hybrid-tables, iceberg-tables, event-tables, dynamic-tables, \
         materialized-views, tasks, alerts, shares, replication, unseen",
    ),
    ("allow.unseen-grants", "false", "Lose grants that the role cannot see (Snowflake)"),
    ("gates.relations-gone", "stop", "A relation that live has is missing from the build"),
    ("gates.columns-gone", "warn", "A column that live has is missing from the build"),
    ("gates.columns-retyped", "warn", "A column's type differs"),
    ("gates.emptied", "stop", "A table that has rows in live has none in the build"),
    ("gates.rows-dropped", "warn", "A table lost more than `rows-dropped-percent` of its rows"),
    ("gates.rows-dropped-percent", "50", "See `gates.rows-dropped`; 0 to 100"),
    (
        "gates.compare-contents",
        "true",
        "Name tables whose values changed though the number of rows did not",
    ),
    ("gates.checks", "none", "A list of `{name, sql}`: queries that must return no row"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn action(section: &str) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(root().join("action.yml")).unwrap();
    let action: Value = serde_yaml::from_str(&text).unwrap();
    serde_yaml::from_value(action[section].clone()).unwrap()
}

fn help(arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
    match parse(&arguments) {
        Parsed::Text(text, 0) => text,
        other => panic!("{other:?}"),
    }
}

/// A text that may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn values(option: &Opt) -> String {
    if let Shape::Choice(words) = option.shape {
        words.join(", ")
    } else if let Shape::Many(word) = option.shape {
        format!("{word}, repeatable")
    } else if let Shape::Text(word) = option.shape {
        word.to_owned()
    } else {
        "flag".to_owned()
    }
}

fn verbs(page: &mut String) {
    page.push_str("\n## Verbs\n\n| verb | what it does |\n|---|---|\n");
    for verb in VERBS {
        let releases = match verb.releases {
            (_, 0) => "",
            (_, 1) => " [rN]",
            _ => " [rN…]",
        };
        let _ = writeln!(page, "| `{}{releases}` | {} |", verb.name, cell(verb.about));
    }
}

fn options(page: &mut String) {
    page.push_str(
        "\n## Options\n\nWhat has a ✓ under *key* may stand in `switchback.yml` too.\n\n\
         | option | value | key | verbs | meaning |\n|---|---|---|---|---|\n",
    );
    for option in OPTIONS {
        let flag = format!("--{} ", option.name);
        let flag_of = |verb: &str| help(&[verb, "--help"]).replace('\n', " \n").contains(&flag);
        let takes: Vec<&str> =
            VERBS.iter().map(|verb| verb.name).filter(|verb| flag_of(verb)).collect();
        if takes.is_empty() {
            continue; // An input of the action only.
        }
        let takes =
            if takes.len() >= VERBS.len() - 2 { "all".to_owned() } else { takes.join(", ") };
        let key = if option.in_file { "✓" } else { "" };
        let _ = writeln!(
            page,
            "| `--{}` | {} | {key} | {takes} | {} |",
            option.name,
            cell(&values(option)),
            cell(option.help)
        );
    }
}

fn keys(page: &mut String) {
    page.push_str(
        "\n## switchback.yml\n\nBeside the options with a ✓, which have the option's name:\n\n\
         | key | default | meaning |\n|---|---|---|\n",
    );
    for (key, default, meaning) in KEYS {
        let _ = writeln!(page, "| `{key}` | {default} | {} |", cell(meaning));
    }
    page.push_str("\nA gate's value is stop, warn or off.\n");
}

fn inputs(page: &mut String) {
    page.push_str(
        "\n## Inputs of the action\n\nSeveral values stand one a line. `verb` chooses what to do; \
         inputs of other verbs are left out of account, so that one workflow can pass the same to \
         several.\n\n| input | default | meaning |\n|---|---|---|\n",
    );
    for (name, input) in action("inputs") {
        let default = match input["default"].as_str() {
            Some(text) if text.contains("${{") => "the job's own".to_owned(),
            Some(text) if !text.is_empty() => format!("`{text}`"),
            _ => String::new(),
        };
        let meaning = cell(input["description"].as_str().unwrap());
        let _ = writeln!(page, "| `{name}` | {default} | {meaning} |");
    }
}

fn outputs(page: &mut String) {
    page.push_str("\n## Outputs of the action\n\n| output | meaning |\n|---|---|\n");
    for (name, meaning) in OUTPUTS {
        let _ = writeln!(page, "| `{name}` | {} |", cell(meaning));
    }
}

fn exit_codes(page: &mut String) {
    page.push_str(
        "\n## Exit codes\n\nThe same on the command line and of the action's step.\n\n\
         | code | meaning |\n|---|---|\n",
    );
    let help = help(&["--help"]);
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    for line in codes.lines().filter(|line| !line.trim().is_empty()) {
        let line = line.trim();
        let end = line.find(|c: char| c.is_alphabetic()).unwrap();
        let _ = writeln!(page, "| {} | {} |", line[..end].trim(), cell(&line[end..]));
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    verbs(&mut page);
    options(&mut page);
    keys(&mut page);
    inputs(&mut page);
    outputs(&mut page);
    exit_codes(&mut page);
    page
}

#[test]
fn the_reference_says_what_the_tables_say() {
    let path = root().join("docs/reference.md");
    let expected = page();
    if std::env::var_os("SWITCHBACK_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    assert!(
        expected == found,
        "docs/reference.md is out of date ({differs:?}); write it with \
         SWITCHBACK_WRITE_REFERENCE=1 cargo test --test reference"
    );
}

/// The keys that are read at a place of `switchback.yml`, as the refusal of another one lists them.
fn read_at(prefix: &str) -> Vec<String> {
    let text = match prefix {
        "" => "no-such-key: 1\n".to_owned(),
        _ => format!("{prefix}:\n  no-such-key: 1\n"),
    };
    let refusal = file::parse(&text, Path::new("switchback.yml")).unwrap_err().message;
    let (_, list) = refusal.split_once("expected ").unwrap_or_else(|| panic!("{refusal}"));
    let names = list.split('`').skip(1).step_by(2).map(str::to_owned);
    names.collect()
}

#[test]
fn every_key_of_the_file_is_described() {
    let sections = ["retention", "redirect", "allow", "gates"];
    let mut read: Vec<String> =
        read_at("").into_iter().filter(|key| !sections.contains(&key.as_str())).collect();
    for section in sections {
        read.extend(read_at(section).into_iter().map(|key| format!("{section}.{key}")));
    }
    let mut described: Vec<String> = OPTIONS
        .iter()
        .filter(|option| option.in_file)
        .map(|option| option.name.to_owned())
        .chain(KEYS.iter().map(|(key, ..)| (*key).to_owned()))
        .collect();
    read.sort();
    described.sort();
    assert_eq!(described, read);
}

#[test]
fn every_kind_of_object_is_described() {
    let (_, _, meaning) = KEYS.iter().find(|(key, ..)| *key == "allow.objects").unwrap();
    let (_, list) = meaning.split_once(": ").unwrap();
    let kinds = switchback::adapter::snowflake::Kind::ALL;
    assert_eq!(list, kinds.map(switchback::adapter::snowflake::Kind::name).join(", "));
}

#[test]
fn the_defaults_of_gates_are_those_in_code() {
    let gates = serde_json::to_value(switchback::domain::verify::Gates::default()).unwrap();
    for (key, default, _) in KEYS {
        let Some(gate) = key.strip_prefix("gates.").filter(|gate| *gate != "checks") else {
            continue;
        };
        let value = &gates[gate];
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(*default, text, "{key}");
    }
}
