//! `dbt_project.yml`: the few keys that Switchback must know, each judged where it is needed. Who
//! rolls back needs none of them once the profile is named, so a file that dbt could not read
//! hinders only who reads it; dbt judges the rest.
//!
//! May import `failure` and its siblings `jinja` and `located`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_yaml::Value;

use super::jinja::Renderer;
use super::located::scalar;
use crate::failure::{Failure, Outcome};

/// The file as it was when it was read, or why it could not be.
#[derive(Clone, Debug)]
pub struct ProjectFile {
    path: PathBuf,
    keys: Result<Keys, String>,
}

/// What is read. Other keys are skipped whole: what stands inside them is dbt's to judge.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Keys {
    name: Option<Value>,
    profile: Option<Value>,
    target_path: Option<Value>,
    packages_install_path: Option<Value>,
    log_path: Option<Value>,
    require_dbt_version: Option<Value>,
    quoting: Option<Value>,
}

/// What only a run of dbt needs to know of the project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name; empty if it has none.
    pub name: String,
    /// `require-dbt-version`, one bound each; empty if any version will do.
    pub require_dbt_version: Vec<String>,
    /// Where dbt would write its artifacts, absolute.
    pub target_path: PathBuf,
    /// Where `dbt deps` puts packages, absolute.
    pub packages_path: PathBuf,
    /// Where dbt would write its log, absolute; dbt does not render this key.
    pub log_path: PathBuf,
}

impl ProjectFile {
    /// Whether the project's `quoting` has `what` (`database`, `schema`, `identifier`) quoted; `None`
    /// where it does not say.
    #[must_use]
    pub fn quotes(&self, what: &str) -> Option<bool> {
        self.keys.as_ref().ok()?.quoting.as_ref()?.get(what)?.as_bool()
    }

    /// Reads the file; whether that went well matters only to who asks it for something.
    #[must_use]
    pub fn read(path: PathBuf) -> Self {
        let keys = std::fs::read_to_string(&path)
            .map_err(|error| {
                format!("the dbt project file {} cannot be read: {error}", path.display())
            })
            .and_then(|text| {
                serde_yaml::from_str(&text).map_err(|error| {
                    format!("the dbt project file {} cannot be understood: {error}", path.display())
                })
            });
        Self { path, keys }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The profile it names.
    pub fn profile(&self, renderer: &Renderer) -> Outcome<Option<String>> {
        let keys = self
            .keys()
            .map_err(|failure| failure.next("mend the file, or name the profile with --profile"))?;
        let written = self.text("profile", keys.profile.as_ref())?;
        written.map(|text| self.render(renderer, "profile", &text)).transpose()
    }

    /// What a run of dbt needs. `target_path` is the environment's, which wins.
    pub fn project(&self, renderer: &Renderer, target_path: Option<&str>) -> Outcome<Project> {
        let keys = self
            .keys()
            .map_err(|failure| failure.next("mend the file; `dbt parse` reads it too"))?;
        let dir = self.path.parent().unwrap_or(Path::new(""));
        let path = |key: &str, value: Option<&Value>, default: &str| {
            let written = self.text(key, value)?;
            let path = self.render(renderer, key, written.as_deref().unwrap_or(default))?;
            Ok::<_, Failure>(dir.join(path))
        };
        Ok(Project {
            name: self.text("name", keys.name.as_ref())?.unwrap_or_default(),
            require_dbt_version: self.bounds(keys.require_dbt_version.as_ref())?,
            target_path: match target_path {
                Some(given) => dir.join(given),
                None => path("target-path", keys.target_path.as_ref(), "target")?,
            },
            packages_path: path(
                "packages-install-path",
                keys.packages_install_path.as_ref(),
                "dbt_packages",
            )?,
            log_path: dir
                .join(self.text("log-path", keys.log_path.as_ref())?.unwrap_or("logs".into())),
        })
    }

    fn keys(&self) -> Outcome<&Keys> {
        self.keys.as_ref().map_err(Failure::usage)
    }

    fn text(&self, key: &str, value: Option<&Value>) -> Outcome<Option<String>> {
        let value = value.filter(|value| !value.is_null());
        let text = |value| scalar(value).ok_or_else(|| self.wrong(key, "must be a single value"));
        value.map(text).transpose()
    }

    fn bounds(&self, value: Option<&Value>) -> Outcome<Vec<String>> {
        const KEY: &str = "require-dbt-version";
        match value {
            Some(Value::Sequence(bounds)) => bounds
                .iter()
                .map(|bound| scalar(bound).ok_or_else(|| self.wrong(KEY, "must hold only texts")))
                .collect(),
            other => {
                let text = self.text(KEY, other)?;
                Ok(text.map_or_else(Vec::new, |text| {
                    text.split(',').map(|bound| bound.trim().to_owned()).collect()
                }))
            }
        }
    }

    fn render(&self, renderer: &Renderer, key: &str, template: &str) -> Outcome<String> {
        renderer.text(template, &format!("key `{key}` of {}", self.path.display()))
    }

    fn wrong(&self, key: &str, what: &str) -> Failure {
        Failure::usage(format!("key `{key}` of {} {what}", self.path.display()))
    }
}
