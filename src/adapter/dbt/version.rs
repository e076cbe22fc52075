//! Which dbt this is, without starting it: `dbt --version` takes three seconds, asking the
//! environment's Python a tenth of one.
//!
//! The `dbt` script's first line names the Python; a binary dbt (Fusion) has none and is asked.
//!
//! May import `failure`, the shared `process`, and its siblings `jinja` and `requirement`.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use semver::Version;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::jinja::Env;
use super::requirement::{parse_version, satisfies};
use crate::adapter::process;
use crate::failure::{Failure, Outcome};

/// The oldest dbt whose artifacts are understood.
const OLDEST: Version = Version::new(1, 8, 0);
/// How long dbt or its Python may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than this much output is no answer; whoever goes on writing runs out of time.
const LONGEST: u64 = 1 << 20;
/// Reads the versions of dbt's packages. The current directory leaves the path, so that a folder
/// of the project cannot stand in for a package.
const ASK: &str = "import sys\nsys.path = [p for p in sys.path if p]\nimport importlib.metadata as m\n\
    for d in m.distributions():\n    n = (d.metadata['Name'] or '').lower()\n    \
    if n.startswith('dbt'):\n        print(n, d.version)\n";

/// Where dbt is; nothing has been started yet.
#[derive(Clone, Debug)]
pub struct Found {
    /// The executable, absolute.
    pub executable: PathBuf,
    python: Option<PathBuf>,
}

impl Found {
    /// Finds dbt: `named` may be a path or a command in `PATH`.
    pub fn new(named: Option<&str>, env: &Env, cwd: &Path) -> Outcome<Self> {
        let executable = executable(named, env, cwd)?;
        let python = python_of(&executable, env);
        Ok(Self { executable, python })
    }

    /// The environment's own Python, which has the warehouse's driver in the version that dbt uses.
    pub fn python(&self) -> Outcome<PathBuf> {
        self.python.clone().ok_or_else(|| {
            Failure::usage(format!(
                "the dbt at {} is not a script of a Python environment, so there is no Python to \
                 reach the warehouse with",
                self.executable.display()
            ))
            .next("set dbt-executable to the bin/dbt of the virtual environment")
        })
    }
}

/// The dbt that will be run, and its version.
#[derive(Clone, Debug)]
pub struct Dbt {
    /// The executable, absolute.
    pub executable: PathBuf,
    /// Its version as it reports it.
    pub reported: String,
    /// The same, comparable.
    pub version: Version,
    /// The adapter package's version, where Python tells.
    pub adapter: Option<String>,
}

impl Dbt {
    /// Asks for the version. `adapter` is the profile's `type`.
    pub async fn of(found: &Found, adapter: &str) -> Outcome<Self> {
        let executable = found.executable.clone();
        let packages = match &found.python {
            Some(python) => packages(python).await?,
            None => BTreeMap::new(),
        };
        let adapter_version = packages.get(&format!("dbt-{adapter}")).cloned();
        let core = packages.get("dbt-core").or_else(|| packages.get("dbt-fusion"));
        let reported = match core {
            Some(version) => version.clone(),
            None => ask(&executable).await?,
        };
        if core.is_some() && adapter_version.is_none() {
            return Err(Failure::usage(format!(
                "the profile's `type` is `{adapter}`, but the dbt at {} has no package \
                 dbt-{adapter}",
                executable.display()
            ))
            .next(format!("install dbt-{adapter} there, or name another dbt")));
        }
        let version = parse_version(&reported).ok_or_else(|| {
            Failure::usage(format!(
                "the dbt at {} calls its version `{reported}`, which is no version",
                executable.display()
            ))
        })?;
        Ok(Self { executable, reported, version, adapter: adapter_version })
    }

    /// Refuses a dbt that Switchback or the project does not support. `bounds` is the project's
    /// `require-dbt-version`; empty where dbt's own check is switched off.
    pub fn check(&self, bounds: &[String], project: &str) -> Outcome<()> {
        let at = self.executable.display();
        let release = Version::new(self.version.major, self.version.minor, self.version.patch);
        if release < OLDEST {
            return Err(Failure::usage(format!(
                "dbt {} ({at}) is too old: Switchback needs 1.8 or newer",
                self.reported
            ))
            .next("upgrade dbt-core and its adapter, or name another dbt with dbt-executable"));
        }
        match satisfies(&self.version, bounds) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::usage(format!(
                "project `{project}` asks for dbt {} (require-dbt-version), but {at} is {}",
                bounds.join(", "),
                self.reported
            ))
            .next("install a dbt in that range, or name another one with dbt-executable")),
            Err(bound) => Err(Failure::usage(format!(
                "`require-dbt-version` in dbt_project.yml of `{project}` has the bound `{bound}`, \
                 which dbt cannot read"
            ))
            .next("write bounds like `>=1.8.0` or `[\">=1.8.0\", \"<2.0.0\"]`")),
        }
    }
}

fn executable(named: Option<&str>, env: &Env, cwd: &Path) -> Outcome<PathBuf> {
    let name = named.unwrap_or("dbt");
    if name.contains('/') {
        let path = cwd.join(name);
        return if is_executable(&path) {
            Ok(path)
        } else {
            Err(Failure::usage(format!(
                "dbt-executable is `{name}`, but {} is not an executable file",
                path.display()
            ))
            .next("give the path of the dbt command, such as .venv/bin/dbt"))
        };
    }
    in_path(name, env, cwd).ok_or_else(|| {
        Failure::usage(format!("there is no command `{name}` in PATH"))
            .next("activate the environment that has dbt, or set dbt-executable to its path")
    })
}

fn in_path(name: &str, env: &Env, cwd: &Path) -> Option<PathBuf> {
    let path = env("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).map(|dir| cwd.join(dir)).collect();
    folders.into_iter().map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The Python that runs the script, if it is one. The script's link is followed, Python's is not:
/// a virtual environment is told by where its `python` link stands.
fn python_of(script: &Path, env: &Env) -> Option<PathBuf> {
    let real = script.canonicalize().ok()?;
    let mut head = Vec::new();
    let file = std::fs::File::open(&real).ok()?;
    file.take(4096).read_to_end(&mut head).ok()?;
    let head = String::from_utf8_lossy(&head);
    let named = interpreter(&head).and_then(|name| {
        if name.contains('/') {
            Some(PathBuf::from(name)).filter(|path| is_executable(path))
        } else {
            in_path(&name, env, Path::new("/"))
        }
    });
    named.or_else(|| {
        if !head.starts_with("#!") {
            return None; // A binary: whatever Python lies beside it is not its own.
        }
        let beside = |script: &Path| script.parent().map(|dir| dir.join("python"));
        [beside(script), beside(&real)].into_iter().flatten().find(|path| is_executable(path))
    })
}

/// The Python that a script's head names: `#!/x/python3`, `#!/usr/bin/env -S python3 -I`, or pip's
/// form for long or spaced paths, where a shell replaces itself: `'''exec' "/x y/python" "$0" …`.
fn interpreter(head: &str) -> Option<String> {
    let mut lines = head.lines();
    let first = lines.next()?.strip_prefix("#!")?.trim();
    let mut words = first.split_whitespace();
    let program = words.next()?;
    let name = if program.ends_with("/env") {
        words.find(|word| !word.starts_with('-'))?.to_owned()
    } else if is_python(first) {
        first.to_owned() // A path with blanks, which the kernel would cut.
    } else {
        program.to_owned()
    };
    if is_python(&name) {
        return Some(name);
    }
    let exec = lines.next()?.strip_prefix("'''exec' ")?;
    let target = match exec.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => exec.split_whitespace().next()?,
    };
    is_python(target).then(|| target.to_owned())
}

fn is_python(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_prefix("python")
        .or_else(|| name.strip_prefix("pypy"))
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

async fn packages(python: &Path) -> Outcome<BTreeMap<String, String>> {
    let text = output_of(Command::new(python).args(["-c", ASK]), python).await?;
    let mut found = BTreeMap::new();
    for (name, version) in text.lines().filter_map(|line| line.split_once(' ')) {
        // What comes first in Python's path is what it imports.
        let name = name.replace('_', "-");
        found.entry(name).or_insert_with(|| version.trim().to_owned());
    }
    Ok(found)
}

/// dbt Core says `- installed: 1.8.0` among other things, Fusion `dbt-fusion 2.0.0-preview.45`.
async fn ask(executable: &Path) -> Outcome<String> {
    let text = output_of(Command::new(executable).arg("--version"), executable).await?;
    let after = text.find("installed:").map_or(0, |at| at + "installed:".len());
    text[after..]
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(str::to_owned)
        .ok_or_else(|| {
            Failure::usage(format!(
                "`{} --version` names no version; is it dbt?",
                executable.display()
            ))
            .next("set dbt-executable to the path of the dbt command")
        })
}

async fn output_of(command: &mut Command, program: &Path) -> Outcome<String> {
    let shown = program.display();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("{shown} cannot be started: {error}"))
            .next("check dbt-executable and the environment it belongs to")
    };
    let mut tree = process::spawn(command).map_err(cannot)?;
    let (mut stdout, mut stderr) = (tree.child().stdout.take(), tree.child().stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let all = async {
        let read_out = async {
            match &mut stdout {
                Some(pipe) => pipe.take(LONGEST).read_to_end(&mut out).await,
                None => Ok(0),
            }
        };
        let read_err = async {
            match &mut stderr {
                Some(pipe) => pipe.take(LONGEST).read_to_end(&mut err).await,
                None => Ok(0),
            }
        };
        tokio::try_join!(read_out, read_err)?;
        tree.wait().await
    };
    let status = tokio::time::timeout(PATIENCE, all).await.map_err(|_| {
        Failure::usage(format!("{shown} did not tell its version within {} s", PATIENCE.as_secs()))
    })?;
    if status.map_err(cannot)?.success() {
        return Ok(String::from_utf8_lossy(&out).into_owned());
    }
    let err = String::from_utf8_lossy(&err);
    let last = err.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output");
    Err(Failure::usage(format!("{shown} cannot tell dbt's version: {last}"))
        .next("try `dbt --version` in the same shell"))
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
