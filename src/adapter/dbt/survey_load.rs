//! How long a large project's manifests take, by hand: `cargo test --release -- --ignored large`.

use std::fmt::Write as _;
use std::time::Instant;

use super::*;

const NODES: usize = 20_000;

/// A manifest of about 200 MB, as dbt writes one: compact JSON, code with escapes, nodes with much
/// that is not read, and a macro for every tenth node.
fn manifest(path: &str) -> String {
    let code =
        "select\\n    \\\"id\\\", amount, {{ var('x') }}\\nfrom {{ ref('m') }}\\n".repeat(40);
    let mut columns = String::new();
    for at in 0..30 {
        // Writing to a text cannot fail.
        let _ = write!(
            columns,
            r#""c{at}":{{"name":"c{at}","description":"What it is","meta":{{}},"tags":[]}},"#
        );
    }
    let columns = columns.trim_end_matches(',');
    let mut text =
        String::from(r#"{"metadata":{"project_name":"shop","dbt_version":"1.11.0"},"nodes":{"#);
    for at in 0..NODES {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}"model.shop.m{at}":{{"database":"live","schema":"main","name":"m{at}","resource_type":"model","package_name":"shop","path":"m{at}.sql","original_file_path":"models/m{at}.sql","unique_id":"model.shop.m{at}","fqn":["shop","m{at}"],"alias":"m{at}","checksum":{{"name":"sha256","checksum":"{at:064}"}},"config":{{"enabled":true,"materialized":"table","tags":[],"meta":{{}},"path":"{path}"}},"columns":{{{columns}}},"unrendered_config":{{"materialized":"table","b":1,"a":[1,2]}},"raw_code":"{code}","compiled_code":"{code}","depends_on":{{"macros":["macro.shop.x"],"nodes":["model.shop.m0"]}}}}"#
        );
    }
    text.push_str(r#"},"sources":{},"functions":{},"macros":{"#);
    for at in 0..NODES / 10 {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}"macro.pkg.x{at}":{{"name":"x{at}","package_name":"pkg","original_file_path":"macros/x{at}.sql","macro_sql":"{code}"}}"#
        );
    }
    text.push_str("},\"parent_map\":{},\"child_map\":{}}");
    text
}

fn memory(field: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|line| line.starts_with(field)).unwrap_or_default().to_owned()
}

#[test]
#[ignore = "a measurement, by hand"]
fn a_large_project_is_read_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("dbt_project.yml", "name: shop\nprofile: shop\n");
    write("profiles.yml", "shop:\n  outputs:\n    default: {type: duckdb, path: /d/live.duckdb}\n");
    write("dbt", "#!/bin/sh\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path().join("dbt"), mode).unwrap();
    let settings = Settings { dbt_executable: Some("./dbt".to_owned()), ..Settings::default() };
    let temp = dir.path().display().to_string();
    let env: Env = Arc::new(move |name: &str| (name == "TMPDIR").then(|| temp.clone()));
    let watcher = Rc::new(super::tests::Watcher::default());
    let project =
        DbtProject::open(settings, env, dir.path().to_path_buf(), watcher, Vec::new()).unwrap();
    for side in [Side::Production, Side::Build] {
        let target = project.workspace().unwrap().target(side);
        std::fs::create_dir_all(&target).unwrap();
        let text = manifest("/d/live.duckdb");
        println!("{side:?}: {} MB", text.len() / 1_000_000);
        std::fs::write(target.join("manifest.json"), text).unwrap();
    }
    std::fs::write("/proc/self/clear_refs", "5").unwrap(); // Forgets the peak.
    println!("before: {}, {}", memory("VmRSS"), memory("VmHWM"));
    let began = Instant::now();
    let redirect = Redirect { key: "path", value: "/b/live.duckdb".to_owned(), overlay: None };
    let survey = project.read_survey(&redirect, "1.11.0").unwrap();
    println!("{:?}, after: {}, {}", began.elapsed(), memory("VmRSS"), memory("VmHWM"));
    assert_eq!(survey.build.nodes.len(), NODES);
    let text = manifest("/d/live.duckdb");
    let raw: super::manifest::Raw<'_> = serde_json::from_str(&text).unwrap();
    let began = Instant::now();
    let found = super::rebuilt::rebuilt(&raw, &[vec!["build".to_owned()]]);
    println!("{} tables that are made anew: {:?}", found.len(), began.elapsed());
    let began = Instant::now();
    let failed = |at: usize| crate::domain::project::NodeResult {
        unique_id: format!("model.shop.m{at}"),
        status: "error".to_owned(),
        message: None,
        file: None,
        seconds: 0.0,
    };
    let mut summary =
        DbtSummary { failures: (0..100).map(failed).collect(), ..DbtSummary::default() };
    let target = project.workspace().unwrap().target(Side::Build);
    series::name_files(&target, &mut summary);
    println!("files of failures: {:?}", began.elapsed());
    assert!(summary.failures.iter().all(|node| node.file.is_some()));
}
