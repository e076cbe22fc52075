//! `init`: writes the repository's own workflow files, small and theirs, filled in with what can be
//! seen: the project's folder, its target, its adapter, and the secrets that its files ask for.
//!
//! Nothing from a title, a branch or a message reaches a shell: the files run no shell at all.
//! Every file is decided before the first is written, and none is overwritten without `--force`.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::site::{Asked, Glimpse, glimpse_of, repository_of};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::report::{Answer, ROLLBACK_WORKFLOW, Word};

/// The action, as the files name it.
pub const ACTION: &str = "OWNER/switchback@v0";
/// The checkout the files use, pinned by commit.
const CHECKOUT: &str = "actions/checkout@8e8c483db84b4bee98b60c0593521ed34d9990e8 # v6.0.1";

const DEPLOY: &str = include_str!("init/deploy.template");
const APPROVAL: &str = include_str!("init/approval.template");
const SCHEDULE: &str = include_str!("init/schedule.template");
const ROLLBACK: &str = include_str!("init/rollback.template");

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The repository's folder; found by git where it is not given.
    pub dir: Option<PathBuf>,
    /// The GitHub environment that stands for production.
    pub environment: String,
    /// Two jobs with an approval between them.
    pub with_approval: bool,
    /// Overwrite.
    pub force: bool,
}

/// What the templates are filled with.
struct Filling {
    branch: String,
    inputs: Vec<(&'static str, String)>,
    /// Variables without a default, which become secrets.
    secrets: Vec<String>,
    /// Variables with a default, which are left alone.
    defaulted: Vec<String>,
    /// Whether production is a file on the runner.
    on_the_runner: bool,
}

/// Runs the verb.
pub async fn run(config: &Config, cwd: &Path, wish: &Wish) -> Outcome<Answer> {
    check_environment(&wish.environment)?;
    let env = Arc::new(|name: &str| std::env::var(name).ok());
    let seen = glimpse_of(config, &(env as _), cwd);
    let Some(project) = seen.project_dir.clone() else {
        return Err(Failure::usage("there is no dbt project here: no dbt_project.yml")
            .production("nothing was written")
            .next("change to the dbt project's folder, or pass --project-dir DIR"));
    };
    let (top, branch) = repository_of(&project).await;
    let root = top.unwrap_or_else(|| cwd.to_path_buf());
    let filling = fill(config, &seen, &project, &root, branch)?;
    let folder = wish.dir.as_ref().map_or(root.clone(), |dir| cwd.join(dir));
    let folder = folder.join(".github/workflows");
    let files = files(wish, &filling);
    refuse_overwriting(&folder, &files, wish.force)?;
    for (name, text) in &files {
        put(&folder.join(name), text)?;
    }
    Ok(Answer::Said(Word::Finished, what_next(&folder, &files, wish, &filling, &seen)))
}

/// A name that can stand in a workflow file, a concurrency group and an address as it is.
fn check_environment(name: &str) -> Outcome<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if !name.is_empty() && name.len() <= 100 && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "`environment` is `{name}`; allowed are letters, digits, `-`, `_` and `.`, at most 100"
    )))
}

fn fill(
    config: &Config,
    seen: &Glimpse,
    project: &Path,
    root: &Path,
    branch: Option<String>,
) -> Outcome<Filling> {
    let mut inputs = Vec::new();
    let inside = relative(root, project)?;
    if inside != "." {
        inputs.push(("project-dir", inside));
    }
    // dbt finds profiles.yml in the project by itself; one in a home is not there on a runner.
    if let Some(profiles) = &seen.profiles_dir
        && profiles != project
        && profiles != root
        && let Ok(inside) = relative(root, profiles)
    {
        inputs.push(("profiles-dir", inside));
    }
    inputs.extend(config.profile.clone().map(|profile| ("profile", profile)));
    inputs.extend(seen.target.clone().map(|target| ("target", target)));
    for (name, value) in &inputs {
        if value.contains("${{") || value.chars().any(char::is_control) {
            return Err(Failure::usage(format!(
                "`{name}` is `{}`, which cannot stand in a workflow file",
                value.escape_debug()
            )));
        }
    }
    let names = |with: bool| {
        let asked = seen.asked.iter().filter(|one| one.has_default == with && !is_given(one));
        asked.map(|one| one.name.clone()).collect()
    };
    Ok(Filling {
        branch: branch.unwrap_or_else(|| "main".to_owned()),
        inputs,
        secrets: names(false),
        defaulted: names(true),
        on_the_runner: seen.adapter.as_deref() == Some("duckdb"),
    })
}

/// What every runner sets by itself.
fn is_given(asked: &Asked) -> bool {
    let name = asked.name.as_str();
    name.starts_with("GITHUB_")
        || name.starts_with("RUNNER_")
        || matches!(name, "HOME" | "PATH" | "USER" | "CI" | "TMPDIR" | "PWD")
}

/// A folder as seen from the repository's.
fn relative(root: &Path, folder: &Path) -> Outcome<String> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let (root, folder) = (real(root), real(folder));
    let inside = folder.strip_prefix(&root).map_err(|_| {
        Failure::usage(format!(
            "{} is not inside the repository {}",
            folder.display(),
            root.display()
        ))
        .production("nothing was written")
        .next("run this inside the repository that holds the dbt project")
    })?;
    let parts: Vec<String> = inside
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// The files, by name.
fn files(wish: &Wish, filling: &Filling) -> Vec<(&'static str, String)> {
    let deploy = if wish.with_approval { APPROVAL } else { DEPLOY };
    let mut files = vec![("switchback-deploy.yml", filled(deploy, wish, filling))];
    if !wish.with_approval {
        files.push(("switchback-schedule.yml", filled(SCHEDULE, wish, filling)));
    }
    files.push((ROLLBACK_WORKFLOW, filled(ROLLBACK, wish, filling)));
    files
}

fn filled(template: &str, wish: &Wish, filling: &Filling) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let piece = match line {
            "@RUNNER@" => runner(filling),
            "@CHECKOUT@" => checkout(filling),
            "@INPUTS@" => inputs(filling),
            "@ENV@" => env(filling),
            "@ENVIRONMENT_HINT@" => format!(
                "    # Where the secrets belong to the environment:\n    # environment: {}\n",
                wish.environment
            ),
            other => format!(
                "{}\n",
                other
                    .replace("@BRANCH@", &quoted(&filling.branch))
                    .replace("@GROUP@", &format!("switchback-{}", wish.environment))
                    .replace("@ENVIRONMENT@", &wish.environment)
                    .replace("@ROLLBACK_FILE@", ROLLBACK_WORKFLOW)
                    .replace("@ACTION@", &format!("{ACTION} # zizmor: ignore[unpinned-uses]"))
            ),
        };
        text.push_str(&piece);
    }
    text
}

fn runner(filling: &Filling) -> String {
    if filling.on_the_runner {
        "    # Production is a DuckDB file, which lies on a runner of yours.\n    \
         runs-on: [self-hosted, linux]\n"
            .to_owned()
    } else {
        "    runs-on: ubuntu-latest\n".to_owned()
    }
}

fn checkout(filling: &Filling) -> String {
    let mut text =
        format!("      - uses: {CHECKOUT}\n        with:\n          persist-credentials: false\n");
    if filling.on_the_runner {
        text.push_str(
            "          # Or the checkout deletes production's file with all that is untracked.\n          \
             clean: false\n",
        );
    }
    text
}

fn inputs(filling: &Filling) -> String {
    filling.inputs.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "          {name}: {}", quoted(value));
        text
    })
}

fn env(filling: &Filling) -> String {
    let mut text = String::new();
    if !filling.secrets.is_empty() {
        text.push_str("        env:\n");
    }
    for name in &filling.secrets {
        let _ = writeln!(text, "          {name}: ${{{{ secrets.{name} }}}}");
    }
    if !filling.defaulted.is_empty() {
        let _ = writeln!(text, "          # With a default in the project: {}", wrapped(filling));
    }
    text
}

/// Names with a default, on as many comment lines as they need.
fn wrapped(filling: &Filling) -> String {
    filling
        .defaulted
        .chunks(3)
        .map(|names| names.join(", "))
        .collect::<Vec<_>>()
        .join(",\n          # ")
}

/// A value as YAML reads it back: JSON's strings are YAML's too. Plain words stay plain.
fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_-".contains(&b);
    let word = value.bytes().all(plain)
        && value.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
        );
    if word { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

fn refuse_overwriting(folder: &Path, files: &[(&'static str, String)], force: bool) -> Outcome<()> {
    let there: Vec<&str> = files
        .iter()
        .filter(|(name, text)| {
            let path = folder.join(name);
            path.symlink_metadata().is_ok()
                && std::fs::read_to_string(path).ok().as_ref() != Some(text)
        })
        .map(|(name, _)| *name)
        .collect();
    if force || there.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} in {} would be overwritten",
        there.join(" and "),
        folder.display()
    ))
    .production("nothing was written")
    .next("move what is there away, or overwrite it with --force"))
}

fn put(path: &Path, text: &str) -> Outcome<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).map_err(|error| {
        Failure::usage(format!("{} cannot be written", path.display())).because(error.into())
    })
}

fn what_next(
    folder: &Path,
    files: &[(&'static str, String)],
    wish: &Wish,
    filling: &Filling,
    seen: &Glimpse,
) -> String {
    let mut text = String::from("written:\n");
    for (name, _) in files {
        let _ = writeln!(text, "  {}", folder.join(name).display());
    }
    if let Some(missing) = &seen.missing {
        let _ = writeln!(
            text,
            "\nnot everything could be seen, so check `target` and `env` in them: {missing}"
        );
    }
    text.push_str("\nnext:\n");
    let mut steps = vec![format!(
        "replace OWNER in `{ACTION}`, and pin it: a commit's hash instead of the tag"
    )];
    if !filling.secrets.is_empty() {
        let mut step = String::from("give the repository the secrets that the project asks for:");
        for name in &filling.secrets {
            let _ = write!(step, "\n       gh secret set {name}");
        }
        steps.push(step);
    }
    if wish.with_approval {
        steps.push(format!(
            "in the repository's settings, under Environments, make `{}` and name who approves",
            wish.environment
        ));
        steps.push(
            "there is no schedule among them: it would publish what nobody approved".to_owned(),
        );
    }
    if filling.on_the_runner {
        steps.push(
            "production is a DuckDB file: it must lie in the workspace of a self-hosted Linux runner"
                .to_owned(),
        );
    }
    steps.push(
        "read the files, commit them and push; the rollback button is in the Actions tab"
            .to_owned(),
    );
    for (at, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "  {}. {step}", at + 1);
    }
    text
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
