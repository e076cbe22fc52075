//! What `init` writes, as snapshots; and that names cannot leave their place.

use serde_yaml::Value;

use super::*;

fn filling(on_the_runner: bool) -> Filling {
    Filling {
        branch: "main".into(),
        inputs: vec![("project-dir", "analytics".into()), ("target", "prod".into())],
        secrets: if on_the_runner {
            Vec::new()
        } else {
            vec!["SNOWFLAKE_ACCOUNT".into(), "SNOWFLAKE_PRIVATE_KEY".into()]
        },
        defaulted: vec!["DBT_THREADS".into()],
        on_the_runner,
    }
}

fn wish(with_approval: bool) -> Wish {
    Wish { dir: None, environment: "production".into(), with_approval, force: false }
}

#[test]
fn the_files_of_a_warehouse_in_the_cloud() {
    for (name, text) in files(&wish(false), &filling(false)) {
        insta::assert_snapshot!(format!("cloud_{name}"), text);
    }
}

#[test]
fn the_files_with_an_approval_between_two_jobs() {
    let files = files(&wish(true), &filling(false));
    assert_eq!(files.len(), 2);
    insta::assert_snapshot!("approval_switchback-deploy.yml", files[0].1);
}

#[test]
fn a_duckdb_file_needs_a_runner_of_ones_own_and_a_checkout_that_does_not_clean() {
    for (name, text) in files(&wish(false), &filling(true)) {
        assert!(text.contains("runs-on: [self-hosted, linux]"), "{name}");
        assert!(text.contains("clean: false"), "{name}");
        assert!(!text.contains("secrets."), "{name}");
    }
}

#[test]
fn no_file_runs_a_shell_and_none_leaves_a_placeholder() {
    for with_approval in [false, true] {
        for (name, text) in files(&wish(with_approval), &filling(false)) {
            let shell = |line: &str| line.trim_start_matches([' ', '-']).starts_with("run:");
            assert!(!text.lines().any(shell), "{name}");
            let lines: Vec<&str> =
                text.lines().filter(|line| line.split_whitespace().any(is_placeholder)).collect();
            assert!(lines.is_empty(), "{name}: {lines:?}");
            let _: Value = serde_yaml::from_str(&text).unwrap();
        }
    }
}

fn is_placeholder(word: &str) -> bool {
    word.len() > 2 && word.starts_with('@') && word.ends_with('@')
}

#[test]
fn odd_names_stay_values() {
    for odd in ["a b", "true", "12", "x: y", "- z", "it's \"so\"", "#c", "é", "", "on"] {
        let mut filling = filling(false);
        filling.branch = odd.into();
        filling.inputs = vec![("target", odd.into())];
        let files = files(&wish(false), &filling);
        let deploy: Value = serde_yaml::from_str(&files[0].1).unwrap();
        assert_eq!(deploy["on"]["push"]["branches"][0].as_str(), Some(odd));
        let steps = &deploy["jobs"]["deploy"]["steps"];
        assert_eq!(steps[1]["with"]["target"].as_str(), Some(odd));
    }
}

#[test]
fn environments_have_plain_names() {
    for good in ["production", "eu-west_1", "v2.0"] {
        assert!(check_environment(good).is_ok());
    }
    for bad in ["", "a b", "${{ x }}", "é", "a/b"] {
        assert!(check_environment(bad).is_err(), "{bad}");
    }
}

#[test]
fn nothing_is_overwritten_unless_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(&wish(false), &filling(false));
    assert!(refuse_overwriting(folder.path(), &files, false).is_ok());
    put(&folder.path().join(files[0].0), &files[0].1).unwrap();
    assert!(refuse_overwriting(folder.path(), &files, false).is_ok(), "the same may stay");
    put(&folder.path().join(files[0].0), "mine").unwrap();
    let failure = refuse_overwriting(folder.path(), &files, false).unwrap_err();
    assert!(failure.message.starts_with("switchback-deploy.yml in "), "{}", failure.message);
    assert!(refuse_overwriting(folder.path(), &files, true).is_ok());
}
