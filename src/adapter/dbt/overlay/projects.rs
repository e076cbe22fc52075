//! The projects of a parse, the root and its packages, as far as the overlay must know them: their
//! names and the folders dbt reads, found the way dbt finds them.
//!
//! May import `failure` and the parent's `jinja`, `located` and `yaml`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_yaml::Value;

use crate::adapter::dbt::jinja::Renderer;
use crate::adapter::dbt::located::scalar;
use crate::adapter::dbt::yaml;
use crate::failure::{Failure, Outcome};

/// The keys that name folders dbt reads, old spellings included, with their defaults.
const PATHS: [(&str, &[&str]); 11] = [
    ("macro-paths", &["macros"]),
    ("snapshot-paths", &["snapshots"]),
    ("model-paths", &["models"]),
    ("source-paths", &[]),
    ("seed-paths", &["seeds"]),
    ("data-paths", &[]),
    ("test-paths", &["tests"]),
    ("analysis-paths", &["analyses"]),
    ("function-paths", &["functions"]),
    ("docs-paths", &[]),
    ("asset-paths", &[]),
];

/// A project as dbt would load it.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Whether it is the one that is run.
    pub root: bool,
    /// Its folder, as it is reached: links on the way are not resolved.
    pub dir: PathBuf,
    /// Where its macros are.
    pub macros: Vec<PathBuf>,
    /// Where its snapshots are.
    pub snapshots: Vec<PathBuf>,
    /// Every folder that dbt searches, macros and snapshots included.
    pub searched: Vec<PathBuf>,
    /// Those of them that are written as absolute paths: a copy of the project does not move them.
    pub fixed: Vec<PathBuf>,
}

impl Project {
    /// Reads the project in a folder.
    pub fn read(dir: &Path, root: bool, renderer: &Renderer) -> Outcome<Self> {
        let file = dir.join("dbt_project.yml");
        let wrong = |why: String| Failure::usage(format!("{} {why}", file.display()));
        let text =
            fs::read_to_string(&file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let keys =
            yaml::load(&text).map_err(|error| wrong(format!("cannot be understood: {error}")))?;
        let name = keys.get("name").and_then(scalar);
        let name = name.ok_or_else(|| wrong("has no `name`".to_owned()))?;
        let mut project = Self {
            name,
            root,
            dir: dir.to_path_buf(),
            macros: Vec::new(),
            snapshots: Vec::new(),
            searched: Vec::new(),
            fixed: Vec::new(),
        };
        for (key, default) in PATHS {
            let paths = folders(&file, key, keys.get(key), default, renderer)?;
            let absolute = paths.iter().map(Path::new).filter(|path| path.is_absolute());
            project.fixed.extend(absolute.map(|path| resolved(dir, path)));
            let paths = paths.iter().map(|path| resolved(dir, Path::new(path)));
            project.searched.extend(paths.clone());
            match key {
                "macro-paths" => project.macros = paths.collect(),
                "snapshot-paths" => project.snapshots = paths.collect(),
                _ => {}
            }
        }
        Ok(project)
    }
}

/// The root project in `dir` and the packages installed in `packages`.
pub fn read_all(dir: &Path, packages: &Path, renderer: &Renderer) -> Outcome<Vec<Project>> {
    let mut projects = vec![Project::read(dir, true, renderer)?];
    let Ok(entries) = fs::read_dir(packages) else {
        return Ok(projects); // None are installed; whether they should be is dbt's to say.
    };
    let mut folders: Vec<PathBuf> = entries.filter_map(Result::ok).map(|one| one.path()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if folder.join("dbt_project.yml").is_file() && !name.starts_with("__") {
            projects.push(Project::read(&folder, false, renderer)?);
        }
    }
    Ok(projects)
}

fn folders(
    file: &Path,
    key: &str,
    value: Option<&Value>,
    default: &[&str],
    renderer: &Renderer,
) -> Outcome<Vec<String>> {
    let written: Vec<String> = match value {
        None | Some(Value::Null) => default.iter().map(|path| (*path).to_owned()).collect(),
        Some(Value::Sequence(items)) => items.iter().filter_map(scalar).collect(),
        Some(other) => scalar(other).into_iter().collect(),
    };
    let place = format!("key `{key}` of {}", file.display());
    written.iter().map(|path| renderer.text(path, &place)).collect()
}

/// A path as it is reached from a folder, without `.` and, where that is only text, without `..`.
#[must_use]
pub fn resolved(from: &Path, path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in from.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    whole
}

/// The files that dbt's search finds below a folder: hidden ones are passed over, links to folders
/// not followed, except the folder itself.
#[must_use]
pub fn files(top: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![top.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.filter_map(Result::ok) {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            let name = entry.file_name().to_string_lossy().to_lowercase();
            if kind.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending))
                && !name.starts_with(['.', '#', '~'])
                && path.is_file()
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
