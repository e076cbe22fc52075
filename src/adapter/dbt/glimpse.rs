//! A glimpse of a project from where its secrets are not: where it is, which profile, target and
//! adapter it uses, and which environment variables its files ask for.
//!
//! May import `failure` and its siblings `jinja` and `locate`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_yaml::Value;

use super::jinja::Env;
use super::locate::{Settings, locate};
use crate::failure::Failure;

/// An environment variable that a project's files ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Whether every place that asks for it has a default.
    pub has_default: bool,
    /// Whether it looks like something that must not be seen.
    pub secret: bool,
}

/// What could be seen.
#[derive(Debug, Default)]
pub struct Glimpse {
    /// The project's folder.
    pub project_dir: Option<PathBuf>,
    /// The folder of `profiles.yml`.
    pub profiles_dir: Option<PathBuf>,
    /// The target's name.
    pub target: Option<String>,
    /// The adapter's name.
    pub adapter: Option<String>,
    /// The environment variables, in name order.
    pub asked: Vec<Asked>,
    /// What could not be seen, and why.
    pub missing: Option<Failure>,
}

/// Looks. Never fails: what cannot be seen is missing.
#[must_use]
pub fn glimpse(settings: &Settings, env: &Env, cwd: &Path) -> Glimpse {
    let mut asked = BTreeMap::new();
    let mut seen = Glimpse::default();
    match locate(settings, env, cwd, Arc::new(|| Ok(BTreeMap::new()))) {
        Ok(located) => {
            ask_value("", &located.output, &mut asked);
            seen.profiles_dir = located.profiles_file.parent().map(Path::to_path_buf);
            seen.project_dir = Some(located.project_dir);
            seen.target = Some(located.target);
            seen.adapter = Some(located.adapter);
        }
        Err(failure) => {
            let given = settings.project_dir.as_ref().map(|dir| cwd.join(dir));
            let mut folders = given.into_iter().chain(cwd.ancestors().map(Path::to_path_buf));
            seen.project_dir = folders.find(|dir| dir.join("dbt_project.yml").is_file());
            seen.missing = Some(failure);
        }
    }
    if let Some(dir) = &seen.project_dir {
        for file in ["dbt_project.yml", "packages.yml", "dependencies.yml"] {
            ask_text(&std::fs::read_to_string(dir.join(file)).unwrap_or_default(), &mut asked);
        }
    }
    seen.asked = asked.into_values().collect();
    seen
}

/// Keys whose value is a secret wherever it comes from.
const SECRET_KEYS: &[&str] =
    &["password", "pass", "token", "secret", "private_key", "private_key_passphrase"];

/// Finds every `env_var('NAME'…)` of a file's lines.
fn ask_text(text: &str, asked: &mut BTreeMap<String, Asked>) {
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let key = line.split(':').next().unwrap_or_default().trim().trim_start_matches("- ");
        ask(key, line, asked);
    }
}

/// The same of every text in a value that stands under `key`.
fn ask_value(key: &str, value: &Value, asked: &mut BTreeMap<String, Asked>) {
    match value {
        Value::String(text) => ask(key, text, asked),
        Value::Sequence(items) => items.iter().for_each(|item| ask_value(key, item, asked)),
        Value::Mapping(entries) => {
            for (name, item) in entries {
                ask_value(name.as_str().unwrap_or(key), item, asked);
            }
        }
        _ => {}
    }
}

fn ask(key: &str, text: &str, asked: &mut BTreeMap<String, Asked>) {
    let secret_key = SECRET_KEYS.iter().any(|one| key == *one || key.ends_with(&format!("_{one}")));
    for (at, found) in text.match_indices("env_var") {
        let Some((name, has_default)) = call(&text[at + found.len()..]) else {
            continue;
        };
        let secret = secret_key || looks_secret(&name);
        asked
            .entry(name.clone())
            .and_modify(|one| {
                one.has_default &= has_default;
                one.secret |= secret;
            })
            .or_insert(Asked { name, has_default, secret });
    }
}

/// The name in `('NAME', …)`, and whether a default follows.
fn call(text: &str) -> Option<(String, bool)> {
    let inside = text.trim_start().strip_prefix('(')?.trim_start();
    let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let (name, rest) = inside[1..].split_once(quote)?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let sound =
        !name.is_empty() && name.bytes().all(is_name) && !name.as_bytes()[0].is_ascii_digit();
    sound.then(|| (name.to_owned(), rest.trim_start().starts_with(',')))
}

fn looks_secret(name: &str) -> bool {
    name.starts_with("DBT_ENV_SECRET")
        || name.split('_').any(|word| {
            matches!(
                word.to_ascii_uppercase().as_str(),
                "PASSWORD" | "PASS" | "PWD" | "TOKEN" | "SECRET" | "KEY" | "PASSPHRASE" | "PAT"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_asks_for_is_found_with_its_default_and_its_secrecy() {
        let mut asked = BTreeMap::new();
        ask_text(
            "account: \"{{ env_var('SF_ACCOUNT') }}\"\n\
             # password: {{ env_var('OLD') }}\n\
             password: \"{{ env_var( \"SF_WORD\" ) }}\"\n\
             threads: {{ env_var('THREADS', '4') | as_number }}\n\
             role: {{ env_var('A-B') }} {{ env_var(name) }} {{ env_var('X') }}{{ env_var('X', 1) }}\n\
             extra: {{ env_var('API_TOKEN', '') }}\n",
            &mut asked,
        );
        let found: Vec<(&str, bool, bool)> =
            asked.values().map(|one| (one.name.as_str(), one.has_default, one.secret)).collect();
        assert_eq!(
            found,
            [
                ("API_TOKEN", true, true),
                ("SF_ACCOUNT", false, false),
                ("SF_WORD", false, true),
                ("THREADS", true, false),
                ("X", false, false),
            ]
        );
    }

    #[test]
    fn a_value_is_asked_whatever_quotes_it_was_written_in() {
        let mut asked = BTreeMap::new();
        let text =
            "password: '{{ env_var(''P'') }}'\nextensions: [{path: \"{{ env_var('Q', '') }}\"}]";
        ask_value("", &serde_yaml::from_str(text).unwrap(), &mut asked);
        assert_eq!(asked["P"], Asked { name: "P".into(), has_default: false, secret: true });
        assert!(asked["Q"].has_default);
    }
}
