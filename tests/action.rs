//! `action.yml` and the tables in code say the same.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_yaml::Value;
use switchback::action::OUTPUTS;
use switchback::config::options::{Door, OPTIONS, Shape, VERBS};

fn action() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn section(name: &str) -> BTreeMap<String, Value> {
    serde_yaml::from_value(action()[name].clone()).unwrap()
}

#[test]
fn inputs_are_the_options_and_the_verb_and_the_releases() {
    let expected: BTreeSet<String> = OPTIONS
        .iter()
        .filter(|option| option.door.has_action())
        .map(|option| option.name.to_owned())
        .chain(["verb".to_owned(), "release".to_owned()])
        .collect();
    let found: BTreeSet<String> = section("inputs").into_keys().collect();
    assert_eq!(found, expected);
}

#[test]
fn flags_are_false_by_default_and_every_input_is_described() {
    for (name, input) in section("inputs") {
        assert!(!input["description"].as_str().unwrap().is_empty(), "{name}");
        let flag = OPTIONS.iter().any(|option| {
            option.name == name && option.door.has_action() && option.shape == Shape::Flag
        });
        if flag {
            assert_eq!(input["default"].as_str(), Some("false"), "{name}");
        }
    }
}

#[test]
fn each_door_has_an_option_once() {
    for has in [Door::has_action, Door::has_command_line] {
        for verb in VERBS.iter().filter(|verb| has(verb.door)) {
            let mut names: Vec<&str> = OPTIONS
                .iter()
                .filter(|option| has(option.door) && option.is_for(verb.name))
                .map(|option| option.name)
                .collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", verb.name);
        }
    }
}

#[test]
fn the_verb_input_names_every_verb() {
    let inputs = section("inputs");
    let text = inputs["verb"]["description"].as_str().unwrap().to_owned();
    for verb in VERBS.iter().filter(|verb| verb.door.has_action()) {
        assert!(text.contains(verb.name), "{} is missing", verb.name);
    }
}

#[test]
fn outputs_are_the_ones_that_are_written() {
    let expected: BTreeSet<String> = OUTPUTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<String> = section("outputs").into_keys().collect();
    assert_eq!(found, expected);
}
