//! The reusable workflows hand on what the action takes, and hold to what they promise.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_yaml::Value;
use switchback::action::OUTPUTS;
use switchback::config::options::OPTIONS;

/// Inputs whose default is right for a called workflow, and which it leaves out.
const LEFT_OUT: &[&str] = &[
    "allow-pull-request",
    "github-deployment",
    "github-token",
    "pull-request-comment",
    "rollback-workflow",
];

fn yaml(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn keys(value: &Value) -> Vec<String> {
    let keys = value.as_mapping().unwrap().keys();
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// A workflow, its only job, and the step that runs the action.
fn workflow(name: &str) -> (Value, Value, Value) {
    let workflow = yaml(&format!(".github/workflows/{name}.yml"));
    let job = workflow["jobs"][name].clone();
    let steps = job["steps"].as_sequence().unwrap();
    let step = steps.iter().find(|step| step["id"].as_str() == Some("switchback")).unwrap().clone();
    (workflow, job, step)
}

#[test]
fn what_cannot_stand_in_switchback_yml_can_be_given_to_the_workflow() {
    let inputs = keys(&yaml("action.yml")["inputs"]);
    for (name, verbs) in
        [("deploy", &["deploy", "build", "promote"][..]), ("rollback", &["rollback"][..])]
    {
        let (workflow, _, step) = workflow(name);
        let given = keys(&step["with"]);
        let called = keys(&workflow["on"]["workflow_call"]["inputs"]);
        for option in OPTIONS.iter().filter(|option| {
            inputs.contains(&option.name.to_owned())
                && !option.in_file
                && !LEFT_OUT.contains(&option.name)
                && verbs.iter().any(|verb| option.is_for(verb))
        }) {
            let name = option.name.to_owned();
            assert!(
                given.contains(&name),
                "{}: {name} is not handed on",
                step["uses"].as_str().unwrap()
            );
            assert!(called.contains(&name), "{name} is no input");
        }
        for input in given.iter().filter(|input| *input != "verb" || name == "deploy") {
            assert!(inputs.contains(input), "the action has no input {input}");
            let value = step["with"][input.as_str()].as_str().unwrap();
            assert_eq!(value, format!("${{{{ inputs.{input} }}}}"), "{input}");
        }
    }
}

#[test]
fn every_output_of_the_action_is_an_output_of_the_workflow() {
    for name in ["deploy", "rollback"] {
        let (workflow, job, _) = workflow(name);
        let outputs = &workflow["on"]["workflow_call"]["outputs"];
        for (output, _) in OUTPUTS {
            let from_step = format!("${{{{ steps.switchback.outputs.{output} }}}}");
            let from_job = format!("${{{{ jobs.{name}.outputs.{output} }}}}");
            assert_eq!(job["outputs"][*output].as_str(), Some(from_step.as_str()), "{output}");
            assert_eq!(outputs[*output]["value"].as_str(), Some(from_job.as_str()), "{output}");
        }
    }
}

#[test]
fn a_rollback_waits_in_no_group_and_a_deploy_cancels_nothing() {
    let (_, rollback, _) = workflow("rollback");
    let group = rollback["concurrency"]["group"].as_str().unwrap();
    assert!(group.contains("github.run_id"), "{group}");
    let (_, deploy, _) = workflow("deploy");
    let group = deploy["concurrency"]["group"].as_str().unwrap();
    assert!(group.contains("inputs.environment") && !group.contains("rollback"), "{group}");
    for job in [rollback, deploy] {
        assert_eq!(job["concurrency"]["cancel-in-progress"].as_bool(), Some(false));
    }
}

#[test]
fn permissions_are_given_to_jobs_and_to_nothing_else() {
    for name in ["ci", "deploy", "release", "rollback"] {
        let workflow = yaml(&format!(".github/workflows/{name}.yml"));
        assert!(workflow["permissions"].as_mapping().unwrap().is_empty(), "{name}");
        for (job, keys) in workflow["jobs"].as_mapping().unwrap() {
            assert!(keys["permissions"].is_mapping(), "{name}: {job:?}");
        }
    }
}

#[test]
fn the_button_asks_for_what_a_rollback_needs() {
    let (workflow, ..) = workflow("rollback");
    let button = &workflow["on"]["workflow_dispatch"]["inputs"];
    assert_eq!(keys(button), ["environment", "to", "reason", "hold", "dry-run", "allow-loss"]);
    assert_eq!(button["to"]["default"].as_str(), Some("previous"));
    assert_eq!(button["reason"]["required"].as_bool(), Some(true));
    assert!(button["reason"]["default"].is_null());
}
