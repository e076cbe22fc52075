//! The digest of what dbt would build: the same code gives the same fingerprint in any checkout.
//!
//! It holds what decides the data (nodes, macros, packages, configuration, commands) and nothing
//! that does not: no path, no time, no target, no documentation. A hold refuses by fingerprint, so
//! a README or a description must not change it.
//!
//! May import `domain`, `failure` and its sibling `manifest`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::manifest::{Raw, RawNode};
use crate::domain::name::Fingerprint;
use crate::failure::Outcome;

/// Files of the project whose text counts.
const FILES: [&str; 4] =
    ["dbt_project.yml", "packages.yml", "dependencies.yml", "package-lock.yml"];

/// Where the project's files lie.
#[derive(Clone, Copy, Debug)]
pub struct Roots<'a> {
    /// The project.
    pub project: &'a Path,
    /// Its packages.
    pub packages: &'a Path,
}

/// The fingerprint of a manifest together with the commands that build it.
pub fn fingerprint(
    raw: &Raw<'_>,
    roots: Roots<'_>,
    commands: &[Vec<String>],
) -> Outcome<Fingerprint> {
    let mut sum = Sum::new();
    for (id, node) in raw.nodes.iter().chain(&raw.functions) {
        sum.part("node", id);
        content(&mut sum, raw, node, roots)?;
        sum.config(node.unrendered_config);
        sum.config(node.arguments);
        sum.config(node.returns);
        if let Some(columns) = node.contract.as_ref().and_then(|one| one.checksum.as_ref()) {
            sum.part("contract", columns);
        }
    }
    for (id, source) in &raw.sources {
        sum.part("source", id);
        let schema = source.unrendered_schema.as_ref().unwrap_or(&source.schema);
        sum.part("schema", schema);
        for name in [&source.unrendered_database, &source.identifier].into_iter().flatten() {
            sum.part("name", name);
        }
        sum.config(source.unrendered_config);
    }
    for (id, one) in &raw.macros {
        sum.part("macro", id);
        sum.part("sql", &one.macro_sql);
    }
    for name in FILES {
        if let Ok(text) = std::fs::read(roots.project.join(name)) {
            sum.bytes(name, &text);
        }
    }
    for command in commands {
        sum.part("command", "");
        for word in command {
            sum.part("word", word);
        }
    }
    Ok(sum.finish())
}

fn content(sum: &mut Sum, raw: &Raw<'_>, node: &RawNode<'_>, roots: Roots<'_>) -> Outcome<()> {
    let Some(checksum) = &node.checksum else {
        return Ok(());
    };
    if *checksum.name != *"path" {
        sum.part("checksum", &checksum.checksum);
        return Ok(());
    }
    // A seed over a megabyte: dbt tells only its path.
    let is_root = raw.metadata.project_name.as_deref() == Some(&*node.package_name);
    let root: PathBuf = match node.root_path.as_deref() {
        Some(path) if Path::new(path).is_absolute() => path.into(),
        _ if is_root => roots.project.to_path_buf(),
        _ => roots.packages.join(&*node.package_name),
    };
    let path = root.join(&*node.original_file_path);
    let digest = file_digest(&path).with_context(|| format!("seed {}", path.display()))?;
    sum.part("file", &digest);
    Ok(())
}

fn file_digest(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// A digest of named parts, each with its length, so that no two sequences look alike.
struct Sum(Sha256);

impl Sum {
    fn new() -> Self {
        let mut sum = Self(Sha256::new());
        sum.part("switchback fingerprint", "1");
        sum
    }

    fn part(&mut self, name: &str, text: &str) {
        self.bytes(name, text.as_bytes());
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// A configuration in an order of its own: dbt's depends on where each key was set.
    fn config(&mut self, raw: Option<&RawValue>) {
        let value = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let mut text = String::new();
        canonical(&value.unwrap_or(Value::Null), &mut text);
        self.part("config", &text);
    }

    fn finish(self) -> Fingerprint {
        hex(&self.0.finalize()).as_str().into()
    }
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(entries) => {
            let mut keys: Vec<&String> = entries
                .keys()
                .filter(|key| !matches!(key.as_str(), "description" | "docs"))
                .collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(&entries[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a text cannot fail.
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(manifest: &str, dir: &Path, command: &str) -> Fingerprint {
        let raw: Raw<'_> = serde_json::from_str(manifest).unwrap();
        let roots = Roots { project: dir, packages: &dir.join("dbt_packages") };
        fingerprint(&raw, roots, &[vec![command.to_owned()]]).unwrap()
    }

    fn manifest(checksum: &str, config: &str, description: &str, sql: &str) -> String {
        format!(
            r#"{{"metadata": {{"project_name": "shop", "generated_at": "{description}"}},
            "nodes": {{"model.shop.a": {{"resource_type": "model", "package_name": "shop",
              "schema": "{description}", "description": "{description}",
              "checksum": {{"name": "sha256", "checksum": "{checksum}"}},
              "unrendered_config": {config}}}}},
            "macros": {{"macro.shop.m": {{"name": "m", "macro_sql": "{sql}"}}}}}}"#
        )
    }

    #[test]
    fn it_changes_with_code_and_not_with_words_about_it() {
        let dir = tempfile::tempdir().unwrap();
        let of = |manifest: &str, command: &str| of(manifest, dir.path(), command);
        let base = of(&manifest("1", r#"{"a": 1, "b": [2]}"#, "x", "m"), "build");
        let reordered = r#"{"b": [2], "docs": {"show": false}, "a": 1}"#;
        assert_eq!(base, of(&manifest("1", reordered, "other words", "m"), "build"));
        assert_ne!(base, of(&manifest("2", r#"{"a": 1, "b": [2]}"#, "x", "m"), "build"));
        assert_ne!(base, of(&manifest("1", r#"{"a": 1, "b": [3]}"#, "x", "m"), "build"));
        assert_ne!(base, of(&manifest("1", r#"{"a": 1, "b": [2]}"#, "x", "n"), "build"));
        assert_ne!(base, of(&manifest("1", r#"{"a": 1, "b": [2]}"#, "x", "m"), "run"));
        std::fs::write(dir.path().join("README.md"), "words").unwrap();
        assert_eq!(base, of(&manifest("1", r#"{"a": 1, "b": [2]}"#, "x", "m"), "build"));
        std::fs::write(dir.path().join("packages.yml"), "packages: []").unwrap();
        assert_ne!(base, of(&manifest("1", r#"{"a": 1, "b": [2]}"#, "x", "m"), "build"));
    }

    #[test]
    fn a_large_seed_counts_by_its_content_wherever_it_lies() {
        let seed = |dir: &Path, rows: &str| {
            std::fs::create_dir_all(dir.join("seeds")).unwrap();
            std::fs::write(dir.join("seeds/big.csv"), rows).unwrap();
            let manifest = format!(
                r#"{{"metadata": {{"project_name": "shop"}}, "nodes": {{"seed.shop.big": {{
                "resource_type": "seed", "package_name": "shop", "root_path": "{0}",
                "original_file_path": "seeds/big.csv",
                "checksum": {{"name": "path", "checksum": "{0}/seeds/big.csv"}}}}}}}}"#,
                dir.display()
            );
            of(&manifest, dir, "build")
        };
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let base = seed(here.path(), "a\n1\n");
        assert_eq!(base, seed(there.path(), "a\n1\n"));
        assert_ne!(base, seed(there.path(), "a\n2\n"));
    }
}
