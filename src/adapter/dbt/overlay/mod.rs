//! The overlay: a copy of the dbt project, made of links, in which the macros that name schemas or
//! databases are wrapped so that they give the build's names. The project itself is not touched.
//!
//! For projects whose macros ignore the target (most large ones), on warehouses where schemas are
//! swapped or a database is named outright. Only files below macro and snapshot paths are read, and
//! only those that define such a macro or set a snapshot's target are rewritten; a macro of ours in
//! the root project does the moving.
//!
//! - `lex`, `macros`, `rewrite`: the rewriting of macro files, by token.
//! - `mover`: where a name goes, here and in Jinja.
//! - `snapshots`: `target_schema` and `target_database`, which no macro decides.
//! - `projects`: the root project and its packages. `tree`: the copy.
//!
//! Tried with real dbt in `tests/overlay`.
//!
//! May import `failure`, `ports` and the parent's `located`.

mod lex;
mod macros;
mod mover;
mod projects;
mod rewrite;
mod snapshots;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use self::lex::Token;
use self::macros::{Definition, definitions};
use self::mover::{Component, Mover};
use self::projects::{Project, files, read_all, resolved};
use self::rewrite::Renamed;
use self::tree::Copy;
use super::located::Located;
use crate::failure::{Failure, Outcome};
use crate::ports::{Overlay, Redirect};

/// The file that our macros stand in.
const FILE: &str = "switchback__overlay.sql";

/// Makes the overlay of a project in the empty folder `to`; returns the project's folder in it.
pub fn make(
    located: &Located,
    redirect: &Redirect,
    overlay: &Overlay,
    to: &Path,
) -> Outcome<PathBuf> {
    let dir = fs::canonicalize(&located.project_dir)
        .with_context(|| format!("{} cannot be found", located.project_dir.display()))?;
    let settings = located.project()?;
    let again = |path: &Path| match path.strip_prefix(&located.project_dir) {
        Ok(inner) => resolved(&dir, inner),
        Err(_) => resolved(&dir, path),
    };
    let packages = again(&settings.packages_path);
    let live = located.text(redirect.key)?;
    let target = live.as_deref().map(|live| (live, redirect.value.as_str()));
    let movers: Vec<Mover> = Component::ALL
        .into_iter()
        .filter_map(|one| Mover::new(one, overlay, target.filter(|_| is_key(redirect.key, one))))
        .collect();
    let projects = read_all(&dir, &packages, &located.renderer)?;
    let mut copy = Copy {
        left_out: [dir.join(".git"), again(&settings.target_path)].into(),
        searched: projects.iter().flat_map(|one| one.searched.clone()).collect(),
        changed: BTreeMap::new(),
    };
    add_macros(&projects, &movers, &mut copy)?;
    add_snapshots(&projects, &movers, &mut copy)?;
    let region = region(&dir, &projects, &packages);
    let place = to.join("project");
    if !packages.starts_with(&region) && copy.changed.keys().any(|path| path.starts_with(&packages))
    {
        let new = to.join("packages");
        redirect_packages(&dir, &new, &mut copy)?;
        copy.make(&packages, &new).context(MAKING)?;
    }
    check_reach(&dir, &projects, &[&region, &packages], &copy)?;
    copy.make(&region, &place).context(MAKING)?;
    Ok(match dir.strip_prefix(&region) {
        Ok(inner) if !inner.as_os_str().is_empty() => place.join(inner),
        _ => place,
    })
}

const MAKING: &str = "the overlay of the dbt project cannot be made";

/// Whether a profile's key is what a component of a name comes from.
fn is_key(key: &str, component: Component) -> bool {
    match component {
        Component::Schema => key == "schema",
        Component::Database => matches!(key, "database" | "dbname"),
    }
}

/// The nearest folder that holds the project and what it reaches by `..`, if that is near.
fn region(dir: &Path, projects: &[Project], packages: &Path) -> PathBuf {
    const HIGHEST: usize = 4;
    let root = projects.iter().filter(|project| project.root);
    let reached =
        root.flat_map(|root| root.searched.iter().filter(|path| !root.fixed.contains(path)));
    // Packages that are elsewhere can be pointed to.
    let reached: Vec<&Path> = reached.map(PathBuf::as_path).chain([packages]).collect();
    let holds = |above: &&Path| {
        above.parent().is_some() && reached.iter().all(|path| path.starts_with(above))
    };
    dir.ancestors().take(HIGHEST).find(holds).unwrap_or(dir).to_path_buf()
}

/// Points the copy of the project file to a copy of the packages.
fn redirect_packages(dir: &Path, packages: &Path, copy: &mut Copy) -> Outcome<()> {
    let file = dir.join("dbt_project.yml");
    let text = match copy.changed.get(&file) {
        Some(text) => text.clone(),
        None => fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?,
    };
    if let Some(new) = snapshots::with_text(&text, "packages-install-path", packages)? {
        copy.changed.insert(file, new);
    }
    Ok(())
}

/// Refuses a change that dbt would not see: a file that it reaches by another way than the copy.
fn check_reach(dir: &Path, projects: &[Project], roots: &[&Path], copy: &Copy) -> Outcome<()> {
    let fixed: Vec<&PathBuf> = projects.iter().flat_map(|project| &project.fixed).collect();
    let lost = copy.changed.keys().find(|path| {
        !roots.iter().any(|root| path.starts_with(root))
            || fixed.iter().any(|folder| path.starts_with(folder))
    });
    let Some(lost) = lost else { return Ok(()) };
    Err(Failure::usage(format!(
        "dbt cannot be moved into the build by an overlay: {} decides where dbt writes, and the \
         project in {} names its folder by an absolute path or from afar",
        lost.display(),
        dir.display()
    ))
    .next(
        "write its folder relative to the project (`macro-paths`, `snapshot-paths`), or name what \
         moves dbt under `redirect` in switchback.yml",
    ))
}

/// A macro file that may have to be rewritten.
struct MacroFile<'a> {
    project: &'a Project,
    path: PathBuf,
    text: String,
    tokens: Vec<Token>,
    definitions: Vec<Definition>,
}

fn add_macros(projects: &[Project], movers: &[Mover], copy: &mut Copy) -> Outcome<()> {
    let mut all: Renamed = Renamed::new();
    let mut found = Vec::new();
    let mut in_root: BTreeSet<String> = BTreeSet::new();
    for file in projects.iter().flat_map(|project| macro_files(project, movers)) {
        for definition in &file.definitions {
            if file.project.root {
                in_root.insert(definition.name.clone());
            }
            let component = rewrite::placing(&file.text, &file.tokens, definition);
            if movers.iter().any(|mover| Some(mover.component) == component) {
                let names = all.entry(file.project.name.clone()).or_default();
                names.insert(definition.name.clone());
            }
        }
        found.push(file);
    }
    for file in found {
        let package = (file.project.name.as_str(), file.project.root);
        let new = rewrite::rewritten(&file.text, &file.tokens, &file.definitions, package, &all);
        if new != file.text {
            copy.changed.insert(file.path, new);
        }
    }
    let root = projects.iter().find(|project| project.root);
    let folder =
        root.and_then(|root| root.macros.iter().find(|folder| !root.fixed.contains(folder)));
    let Some(folder) = folder else {
        return Err(Failure::usage(
            "dbt cannot be moved into the build by an overlay: `macro-paths` of the project names no \
             folder inside it",
        )
        .next("give `macro-paths` in dbt_project.yml a folder, which may be empty"));
    };
    copy.changed.insert(folder.join(FILE), ours(movers, &in_root));
    Ok(())
}

fn macro_files<'a>(project: &'a Project, movers: &[Mover]) -> Vec<MacroFile<'a>> {
    let names: Vec<String> = movers.iter().map(|mover| mover.component.macro_name()).collect();
    let paths = project.macros.iter().flat_map(|folder| files(folder, &[".sql"]));
    let paths: BTreeSet<PathBuf> = paths.collect(); // One may lie below another.
    paths
        .into_iter()
        .filter_map(|path| {
            // What cannot be read, or is no template, is dbt's to complain about.
            let text = fs::read_to_string(&path).ok()?;
            if !names.iter().any(|name| text.contains(name)) {
                return None;
            }
            let tokens = lex::tokens(&text)?;
            let definitions = definitions(&text, &tokens);
            Some(MacroFile { project, path, text, tokens, definitions })
        })
        .collect()
}

/// Our own macro file: what moves, and wrappers of dbt's own macros where the project has none.
fn ours(movers: &[Mover], in_root: &BTreeSet<String>) -> String {
    let mut text = String::from("{# Made by Switchback for a build; not part of the project. #}\n");
    for mover in movers {
        text.push_str(&mover.source());
        let component = mover.component;
        let (name, what) = (component.macro_name(), component.mover());
        let parameter = component.parameter();
        for name in [Some(name.as_str()), component.helper()].into_iter().flatten() {
            if in_root.contains(name) {
                continue;
            }
            // Writing to a text cannot fail.
            let _ = write!(
                text,
                "{{% macro {name}({parameter}=none, node=none) -%}}\n    {{{{ return({what}(dbt.{name}\
                 ({parameter}, node))) }}}}\n{{%- endmacro %}}\n"
            );
        }
    }
    text
}

fn add_snapshots(projects: &[Project], movers: &[Mover], copy: &mut Copy) -> Outcome<()> {
    for project in projects {
        let below = |endings: &[&str]| -> BTreeSet<PathBuf> {
            project.snapshots.iter().flat_map(|folder| files(folder, endings)).collect()
        };
        for path in below(&[".sql"]) {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(new) = snapshots::moved_sql(&text, movers) {
                copy.changed.insert(path, new);
            }
        }
        let mut settings = below(&[".yml", ".yaml"]);
        settings.insert(project.dir.join("dbt_project.yml"));
        for path in settings {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(new) = snapshots::moved_yaml(&text, movers)? {
                copy.changed.insert(path, new);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod load;
