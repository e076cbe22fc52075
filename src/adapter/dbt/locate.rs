//! Finds the project, the profile and the target the way dbt does, and reads the few keys of
//! `profiles.yml` that Switchback must know.
//!
//! Order, each: option, environment, file, default. dbt never changes its directory for a build,
//! so relative paths in a profile mean the current directory; nothing here resolves them.
//!
//! May import `failure` and its siblings `jinja`, `located`, `project_file` and `yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value;

use super::jinja::{Env, Renderer, Vars};
pub use super::located::Located;
use super::located::scalar;
use super::project_file::ProjectFile;
use super::yaml;
use crate::failure::{Failure, Outcome};

/// What the user set for dbt; everything else is found as dbt finds it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--project-dir`.
    pub project_dir: Option<PathBuf>,
    /// `--profiles-dir`.
    pub profiles_dir: Option<PathBuf>,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--target`.
    pub target: Option<String>,
    /// `dbt-executable`: a name to look for in `PATH`, or a path.
    pub dbt_executable: Option<String>,
    /// How long one series of dbt commands may take.
    pub timeout: Duration,
    /// Environment variables set for dbt only when it works in the build.
    pub redirect_env: BTreeMap<String, String>,
    /// dbt variables set only when it works in the build.
    pub redirect_vars: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            project_dir: None,
            profiles_dir: None,
            profile: None,
            target: None,
            dbt_executable: None,
            timeout: Duration::from_secs(6 * 3600),
            redirect_env: BTreeMap::new(),
            redirect_vars: BTreeMap::new(),
        }
    }
}

/// A value with the words for where it came from.
struct Sourced<T> {
    value: T,
    from: String,
}

fn sourced<T>(value: T, from: impl Into<String>) -> Sourced<T> {
    Sourced { value, from: from.into() }
}

/// Finds everything. `vars` are the `--vars` of the user's dbt commands, which a profile may read.
pub fn locate(settings: &Settings, env: &Env, cwd: &Path, vars: Vars) -> Outcome<Located> {
    let renderer = Renderer::new(Env::clone(env), vars);
    let project_dir = project_dir(settings, env, cwd)?;
    let project_file = ProjectFile::read(project_dir.join("dbt_project.yml"));
    let profiles_file = profiles_file(settings, env, cwd, &project_dir)?;
    let profiles_text = read(&profiles_file, "the dbt profiles file")?;
    let profile = if let Some(name) = &settings.profile {
        sourced(name.clone(), "`--profile`")
    } else if let Some(found) = from_env(env, "PROFILE") {
        found
    } else if let Some(name) = project_file.profile(&renderer)? {
        sourced(name, project_file.path().display().to_string())
    } else {
        return Err(Failure::usage(format!(
            "no dbt profile is named: {} has no key `profile`",
            project_file.path().display()
        ))
        .next("pass --profile NAME, or add `profile: NAME` to dbt_project.yml"));
    };
    let (target, output) =
        output(settings, env, &renderer, &profiles_file, &profiles_text, &profile)?;

    let mut located = Located {
        profile: profile.value,
        target,
        profiles_file,
        profiles_text,
        adapter: String::new(),
        project_dir,
        project_file,
        target_path: from_env(env, "TARGET_PATH").map(|found| found.value),
        output,
        renderer,
    };
    located.adapter = located.text("type")?.ok_or_else(|| {
        Failure::usage(format!(
            "target `{}` of profile `{}` in {} has no `type`",
            located.target,
            located.profile,
            located.profiles_file.display()
        ))
        .next("give it the adapter's name, such as `type: duckdb`")
    })?;
    Ok(located)
}

/// dbt 1.11 reads `DBT_ENGINE_X` before `DBT_X`; an empty value counts as none.
fn from_env(env: &Env, name: &str) -> Option<Sourced<String>> {
    ["DBT_ENGINE_", "DBT_"].into_iter().find_map(|prefix| {
        let name = format!("{prefix}{name}");
        let value = env(&name).filter(|value| !value.is_empty())?;
        Some(sourced(value, format!("the environment variable {name}")))
    })
}

fn read(path: &Path, what: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("{what} {} cannot be read: {error}", path.display()))
    })
}

fn project_dir(settings: &Settings, env: &Env, cwd: &Path) -> Outcome<PathBuf> {
    let given = match &settings.project_dir {
        Some(dir) => Some(sourced(dir.clone(), "`--project-dir`")),
        None => from_env(env, "PROJECT_DIR").map(|found| sourced(found.value.into(), found.from)),
    };
    if let Some(Sourced { value, from }) = given {
        let dir = cwd.join(&value);
        if dir.join("dbt_project.yml").is_file() {
            return Ok(dir);
        }
        return Err(Failure::usage(format!(
            "there is no dbt_project.yml in {}, which {from} names",
            dir.display()
        ))
        .next("name the folder that holds dbt_project.yml"));
    }
    let found = cwd.ancestors().find(|dir| dir.join("dbt_project.yml").is_file());
    found.map(Path::to_path_buf).ok_or_else(|| {
        Failure::usage(format!(
            "there is no dbt project here: no dbt_project.yml in {} or any folder above it",
            cwd.display()
        ))
        .next("change to the dbt project's folder, or pass --project-dir DIR")
    })
}

fn profiles_file(
    settings: &Settings,
    env: &Env,
    cwd: &Path,
    project_dir: &Path,
) -> Outcome<PathBuf> {
    let given = match &settings.profiles_dir {
        Some(dir) => Some(sourced(dir.clone(), "`--profiles-dir`")),
        None => from_env(env, "PROFILES_DIR").map(|found| sourced(found.value.into(), found.from)),
    };
    if let Some(Sourced { value, from }) = given {
        let file = cwd.join(&value).join("profiles.yml");
        if file.is_file() {
            return Ok(file);
        }
        return Err(Failure::usage(format!(
            "there is no profiles.yml in {}, which {from} names",
            cwd.join(&value).display()
        ))
        .next("name the folder that holds profiles.yml"));
    }
    let home = env("HOME").map(|home| Path::new(&home).join(".dbt"));
    let folders = [Some(cwd.to_path_buf()), Some(project_dir.to_path_buf()), home];
    let mut looked: Vec<PathBuf> = folders.into_iter().flatten().collect();
    looked.dedup();
    let files = looked.iter().map(|dir| dir.join("profiles.yml"));
    files.into_iter().find(|file| file.is_file()).ok_or_else(|| {
        let looked: Vec<String> = looked.iter().map(|dir| dir.display().to_string()).collect();
        Failure::usage(format!("there is no profiles.yml; looked in {}", looked.join(", ")))
            .next("pass --profiles-dir DIR, or set DBT_PROFILES_DIR")
    })
}

/// The target's name and its output, merges applied.
fn output(
    settings: &Settings,
    env: &Env,
    renderer: &Renderer,
    file: &Path,
    text: &str,
    profile: &Sourced<String>,
) -> Outcome<(String, Value)> {
    let shown = file.display();
    let mut profiles = yaml::load(text)
        .map_err(|error| Failure::usage(format!("{shown} is not valid YAML: {error}")))?;
    let name = &profile.value;
    let Some(body) = profiles.get_mut(name).filter(|body| body.is_mapping()) else {
        return Err(Failure::usage(format!(
            "profile `{name}`, which {} names, is not in {shown}; it has: {}",
            profile.from,
            names(&profiles, &["config"])
        ))
        .next("pass --profile with one of these names, or --profiles-dir for another file"));
    };
    let target = if let Some(name) = &settings.target {
        sourced(name.clone(), "`--target`")
    } else if let Some(found) = from_env(env, "TARGET") {
        found
    } else if let Some(written) = body.get("target").and_then(scalar) {
        let place = format!("key `target` of profile `{name}` in {shown}");
        sourced(renderer.text(&written, &place)?, place)
    } else {
        sourced("default".to_owned(), "dbt's own default")
    };
    let outputs = body.get_mut("outputs").filter(|outputs| outputs.is_mapping());
    let outputs = outputs
        .ok_or_else(|| Failure::usage(format!("profile `{name}` in {shown} has no `outputs`")))?;
    match outputs.get_mut(&target.value) {
        Some(output) if output.is_mapping() => Ok((target.value, std::mem::take(output))),
        Some(_) => Err(Failure::usage(format!(
            "target `{}` of profile `{name}` in {shown} is not a mapping",
            target.value
        ))),
        None => Err(Failure::usage(format!(
            "target `{}`, from {}, is not in profile `{name}` of {shown}; it has: {}",
            target.value,
            target.from,
            names(outputs, &[])
        ))
        .next("pass --target with one of these names")),
    }
}

fn names(mapping: &Value, except: &[&str]) -> String {
    let keys = mapping.as_mapping().into_iter().flat_map(|map| map.keys());
    let names: Vec<String> = keys
        .filter_map(scalar)
        .filter(|name| !except.contains(&name.as_str()))
        .map(|name| format!("`{name}`"))
        .collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
