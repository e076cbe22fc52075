use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use super::*;

fn write_script(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn find(named: Option<&str>, env: &Env, cwd: &Path, adapter: &str) -> Outcome<Dbt> {
    Dbt::of(&Found::new(named, env, cwd)?, adapter).await
}

fn env_with_path(path: &Path) -> Env {
    let path = format!("{}:/usr/bin:/bin", path.display());
    Arc::new(move |name: &str| (name == "PATH").then(|| path.clone()))
}

#[test]
fn the_first_line_names_the_python_in_all_its_forms() {
    let named = |head: &str| interpreter(head);
    assert_eq!(named("#!/v/bin/python3.11\nimport"), Some("/v/bin/python3.11".into()));
    assert_eq!(named("#! /v/bin/python\n"), Some("/v/bin/python".into()));
    assert_eq!(named("#!/a b/bin/python3\n"), Some("/a b/bin/python3".into()));
    assert_eq!(named("#!/usr/bin/env python3\n"), Some("python3".into()));
    assert_eq!(named("#!/usr/bin/env -S python3 -I\n"), Some("python3".into()));
    let long = "#!/bin/sh\n'''exec' \"/a b/bin/python3\" \"$0\" \"$@\"\n' '''\nimport re\n";
    assert_eq!(named(long), Some("/a b/bin/python3".into()));
    let bare = "#!/bin/sh\n'''exec' /long/bin/python \"$0\" \"$@\"\n' '''\n";
    assert_eq!(named(bare), Some("/long/bin/python".into()));
    assert_eq!(named("#!/bin/sh\nexec dbt\n"), None);
    assert_eq!(named("\u{7f}ELF"), None);
}

#[tokio::test]
async fn dbt_is_found_in_path_and_its_version_read_from_its_python() {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("venv/bin");
    write_script(&bin.join("python"), "#!/bin/sh\necho dbt-core 1.11.16\necho dbt-duckdb 1.11.1\n");
    write_script(&bin.join("dbt"), &format!("#!{}\n", bin.join("python").display()));
    let links = dir.path().join("links");
    std::fs::create_dir(&links).unwrap();
    symlink(bin.join("dbt"), links.join("dbt")).unwrap();
    let env = env_with_path(&links);
    let dbt = find(None, &env, dir.path(), "duckdb").await.unwrap();
    assert_eq!(dbt.reported, "1.11.16");
    assert_eq!(dbt.adapter.as_deref(), Some("1.11.1"));
    assert_eq!(Found::new(None, &env, dir.path()).unwrap().python().unwrap(), bin.join("python"));
    dbt.check(&[">=1.8.0".to_owned()], "shop").unwrap();
    let failure = dbt.check(&["<1.9.0".to_owned()], "shop").unwrap_err();
    assert!(failure.message.contains("<1.9.0") && failure.message.contains("1.11.16"));
    let failure = find(None, &env, dir.path(), "snowflake").await.unwrap_err();
    assert!(failure.message.contains("dbt-snowflake"), "{failure}");
}

#[tokio::test]
async fn a_dbt_that_is_no_python_script_is_asked_itself() {
    let dir = tempfile::tempdir().unwrap();
    write_script(&dir.path().join("dbt"), "#!/bin/sh\necho dbt-fusion 2.0.0-preview.45\n");
    let env = env_with_path(dir.path());
    let dbt = find(Some("./dbt"), &env, dir.path(), "duckdb").await.unwrap();
    assert_eq!(dbt.version, parse_version("2.0.0-preview.45").unwrap());
    assert!(
        Found::new(Some("./dbt"), &env, dir.path())
            .unwrap()
            .python()
            .unwrap_err()
            .next
            .unwrap()
            .contains("dbt-executable")
    );
    dbt.check(&[], "shop").unwrap();
}

#[tokio::test]
async fn an_old_or_missing_dbt_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let old = "#!/bin/sh\nprintf 'Core:\\n  - installed: 1.7.9\\n  - latest: 1.11.0\\n'\n";
    write_script(&dir.path().join("dbt"), old);
    let env = env_with_path(dir.path());
    let dbt = find(None, &env, dir.path(), "duckdb").await.unwrap();
    assert!(dbt.check(&[], "shop").unwrap_err().message.contains("1.7.9"));
    let failure = find(Some("dbt-nope"), &env, dir.path(), "duckdb").await.unwrap_err();
    assert!(failure.message.contains("`dbt-nope`"), "{failure}");
}
