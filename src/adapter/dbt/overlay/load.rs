//! How long the overlay of a large project takes, by hand:
//! `cargo test --release -- --ignored --nocapture overlay::load`.

use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::adapter::dbt::locate::{Settings, locate};

const FOLDERS: usize = 300;
const FILES: usize = 100;

#[test]
#[ignore = "a measurement, by hand"]
fn a_large_project_is_overlaid_in_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("p");
    let write = |path: String, text: &str| {
        let path = project.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let long = format!("{{% macro x() %}}{}{{% endmacro %}}", "some words ".repeat(300));
    for (folder, file) in (0..FOLDERS).flat_map(|at| (0..FILES).map(move |file| (at, file))) {
        write(format!("models/{folder}/m{file}.sql"), "select 1");
        write(format!("macros/{folder}/x{file}.sql"), &long);
    }
    let own = "{% macro generate_schema_name(a, b) %}{{ a }}{% endmacro %}";
    write("macros/names.sql".to_owned(), own);
    write("profiles.yml".to_owned(), "p: {outputs: {default: {type: postgres, schema: a}}}");
    let overlay = Overlay { schemas: [("a".into(), "b".into())].into(), ..Overlay::default() };
    let redirect =
        Redirect { key: "schema", value: "b".to_owned(), overlay: Some(overlay.clone()) };
    for (name, settings) in [("folders", ""), ("everything", "seed-paths: ['.']\n")] {
        write("dbt_project.yml".to_owned(), &format!("name: p\nprofile: p\n{settings}"));
        let env = Arc::new(|_: &str| None);
        let vars = Arc::new(|| Ok(BTreeMap::new()));
        let located = locate(&Settings::default(), &(env as _), &project, vars).unwrap();
        let began = Instant::now();
        let to = dir.path().join(name);
        make(&located, &redirect, &overlay, &to).unwrap();
        println!("{} files, {name}: {:?}", FOLDERS * FILES * 2, began.elapsed());
    }
}
