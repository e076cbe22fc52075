//! The layers: each part of the crate imports only what stands above it. Read from the sources, so
//! that an import that runs upward fails here and not in a review.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the top; a file may import its own layer and those before it.
const LAYERS: &[&str] = &[
    "domain",
    "failure",
    "failpoint",
    "config",
    "ports",
    "engine",
    "report",
    "adapter",
    "verb",
    "cli",
    "action",
];

/// Of the adapters, those that every sibling may use.
const SHARED: &[&str] = &["process", "sql"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every `crate::a::b` in a source, as `[a, b]`.
fn imports(text: &str) -> Vec<Vec<String>> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    code.match_indices("crate::")
        .map(|(at, found)| {
            code[at + found.len()..]
                .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .next()
                .unwrap()
                .split("::")
                .map(str::to_owned)
                .collect()
        })
        .collect()
}

fn all() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().to_path_buf(), text)
        })
        .collect()
}

fn first(path: &Path) -> String {
    let name = path.iter().next().unwrap().to_str().unwrap();
    name.strip_suffix(".rs").unwrap_or(name).to_owned()
}

#[test]
fn every_file_imports_only_what_stands_above_it() {
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut checked = 0;
    for (path, text) in all() {
        let Some(own) = rank(&first(&path)) else {
            continue;
        };
        for import in imports(&text) {
            let other = rank(&import[0])
                .unwrap_or_else(|| panic!("{}: `{}` is in no layer", path.display(), import[0]));
            assert!(
                other <= own,
                "{} imports `{}`, which stands below it",
                path.display(),
                import[0]
            );
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} imports were seen");
}

#[test]
fn adapters_never_import_each_other() {
    for (path, text) in all() {
        let mut parts = path.iter().map(|part| part.to_str().unwrap());
        if parts.next() != Some("adapter") {
            continue;
        }
        let own = parts.next().unwrap();
        let own = own.strip_suffix(".rs").unwrap_or(own);
        for import in imports(&text) {
            if let [layer, adapter, ..] = import.as_slice()
                && layer == "adapter"
                && !adapter.is_empty()
            {
                let allowed = adapter == own || SHARED.contains(&adapter.as_str());
                assert!(allowed, "{} imports its sibling `{adapter}`", path.display());
            }
        }
    }
}

#[test]
fn only_the_site_knows_which_adapters_there_are() {
    for (path, text) in all() {
        if first(&path) == "adapter"
            || path == Path::new("verb/site.rs")
            || path.starts_with("verb/site")
        {
            continue;
        }
        let knows = imports(&text).iter().any(|import| import[0] == "adapter");
        assert!(!knows, "{} imports an adapter", path.display());
    }
}

#[test]
fn only_the_engine_calls_the_methods_that_mutate() {
    // `append` for `hold`, `resume` and `mark`, which are entries of the journal and nothing else.
    let allowed = |path: &Path| {
        matches!(first(path).as_str(), "engine" | "adapter")
            || path == Path::new("verb/hold.rs")
            || path == Path::new("verb/mark.rs")
            || path == Path::new("verb/site.rs")
    };
    for (path, text) in all() {
        if allowed(&path) {
            continue;
        }
        for method in [".perform(", "ledger.append(", "ledger.acquire(", "ledger.release("] {
            assert!(!text.contains(method), "{} calls `{method}…)`", path.display());
        }
    }
}

#[test]
fn sql_is_written_nowhere_but_in_adapters() {
    for (path, text) in all() {
        let Some(layer) = path.iter().next().map(|part| part.to_str().unwrap().to_owned()) else {
            continue;
        };
        if layer == "adapter" {
            continue;
        }
        for word in ["SELECT ", "INSERT ", "DELETE FROM", "ALTER ", "CREATE TABLE", "CREATE SCHEMA"]
        {
            assert!(!text.contains(word), "{} contains `{word}`", path.display());
        }
    }
}
