//! What was found: the project, the profile, the target, and the values of its output, each
//! rendered when it is asked for.
//!
//! May import `failure` and its siblings `jinja` and `project_file`.

use std::path::PathBuf;

use serde_yaml::Value;

use super::jinja::Renderer;
use super::project_file::{Project, ProjectFile};
use crate::failure::{Failure, Outcome};

/// The project, profile and target that dbt would use.
#[derive(Clone, Debug)]
pub struct Located {
    /// The folder with `dbt_project.yml`, absolute.
    pub project_dir: PathBuf,
    /// The profile's name.
    pub profile: String,
    /// The target's name.
    pub target: String,
    /// The file the profile stands in.
    pub profiles_file: PathBuf,
    /// That file's text, as it was when it was read.
    pub profiles_text: String,
    /// The output's `type`, such as `duckdb`.
    pub adapter: String,
    /// The project's own file, for who runs dbt.
    pub(super) project_file: ProjectFile,
    /// The environment's target path.
    pub(super) target_path: Option<String>,
    /// The chosen output, merges applied, Jinja not rendered.
    pub(super) output: Value,
    pub(super) renderer: Renderer,
}

impl Located {
    /// What only a run of dbt needs to know of the project. A usage failure where its file cannot
    /// be read, which hinders nobody else.
    pub fn project(&self) -> Outcome<Project> {
        self.project_file.project(&self.renderer, self.target_path.as_deref())
    }

    /// Whether the project's `quoting` has `what` quoted; `None` where it does not say.
    #[must_use]
    pub fn quotes(&self, what: &str) -> Option<bool> {
        self.project_file.quotes(what)
    }

    /// The rendered text of a key of the chosen output; `None` if it is not there or empty. A
    /// mapping or a list is a usage failure.
    pub fn text(&self, key: &str) -> Outcome<Option<String>> {
        let Some(value) = self.raw(key) else {
            return Ok(None);
        };
        let place = format!(
            "key `{key}` of target `{}` in profile `{}` ({})",
            self.target,
            self.profile,
            self.profiles_file.display()
        );
        let text = scalar(value)
            .ok_or_else(|| Failure::usage(format!("{place} must be a single value")))?;
        self.renderer.text(&text, &place).map(Some)
    }

    /// A key of the chosen output as it is written, Jinja included; `None` if not there or null.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&Value> {
        self.output.get(key).filter(|value| !value.is_null())
    }

    /// A key of the chosen output with every text inside it rendered.
    pub fn rendered(&self, key: &str) -> Outcome<Option<Value>> {
        let place = format!("key `{key}` of target `{}`", self.target);
        self.raw(key).map(|value| deep(&self.renderer, value.clone(), &place)).transpose()
    }
}

fn deep(renderer: &Renderer, value: Value, place: &str) -> Outcome<Value> {
    Ok(match value {
        Value::String(text) => Value::from(renderer.text(&text, place)?),
        Value::Sequence(items) => Value::Sequence(
            items.into_iter().map(|item| deep(renderer, item, place)).collect::<Outcome<_>>()?,
        ),
        Value::Mapping(entries) => Value::Mapping(
            entries
                .into_iter()
                .map(|(key, item)| Ok((key, deep(renderer, item, place)?)))
                .collect::<Outcome<_>>()?,
        ),
        other => other,
    })
}

/// The text of a single value.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(serde_yaml::to_string(value).ok()?.trim().into()),
        _ => None,
    }
}
