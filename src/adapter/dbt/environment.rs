//! `dbt-requirements`: a Python environment of the project's own, made from its pins.
//!
//! It lies under `.switchback/dbt-env/` of the current directory, which in a workflow is the
//! workspace: the one folder that a container action shares with the steps around it, so that
//! `actions/cache` can keep it. Its name is a digest of the pins, of the files they include and of
//! the Python; another digest makes another environment. It counts only once its mark `ready` is
//! there, which is written last; one that was cut short is made anew.
//!
//! May import `domain`, `engine`, `failure`, `ports` and the shared `process` (through `runner`).

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::time::Instant;

use super::runner::{self, Ended};
use crate::domain::name::hex;
use crate::engine::halted;
use crate::failure::{Failure, Outcome};
use crate::ports::{Event, HaltReceiver, Observer};

/// Where environments are kept, below the current directory. What lies under `.switchback` is never
/// taken for a change of the checkout.
const HOME: &str = ".switchback/dbt-env";
/// How long all of it may take, waiting for another run that makes the same one included.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How often to look whether that other run is done.
const PACE: Duration = Duration::from_millis(200);
/// How much of a file of pins is read.
const LARGEST: u64 = 1 << 20;

/// The environments of one workspace.
pub struct Environments {
    /// The current directory.
    pub cwd: PathBuf,
    /// The Python that makes them: a path, or a name looked up in `PATH`.
    pub python: String,
    /// Gets pip's output.
    pub observer: Rc<dyn Observer>,
    /// Reasons to end early.
    pub halt: HaltReceiver,
}

impl Environments {
    /// The dbt that the pins in `file` install, installed now unless it is there already.
    pub async fn dbt(&self, file: &str) -> Outcome<PathBuf> {
        let pins = self.cwd.join(file);
        let text = texts(&pins, file)?;
        let deadline = Instant::now() + PATIENCE;
        let python =
            self.answer(&["-c", "import platform, sys; print(sys.version, platform.machine())"]);
        let digest = Sha256::new().chain_update(python.await?).chain_update(&text).finalize();
        let home = self.cwd.join(HOME);
        let folder = home.join(&hex(&digest)[..16]);
        let dbt = folder.join("bin/dbt");
        if !folder.join("ready").is_file() {
            let _lock = self.lock(&home, deadline).await?;
            // Whoever had the lock before us may have made it.
            if !folder.join("ready").is_file() {
                self.make(&folder, &pins, deadline).await?;
                File::create(folder.join("ready")).context("marking the environment as ready")?;
            }
        }
        let executable = dbt
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
        if executable {
            return Ok(dbt);
        }
        Err(Failure::usage(format!(
            "`dbt-requirements` is `{file}`, which installs no dbt command (there is no {})",
            dbt.display()
        ))
        .next("add dbt-core and the warehouse's adapter to it, each with its version"))
    }

    /// One run at a time makes environments here.
    async fn lock(&self, home: &Path, deadline: Instant) -> Outcome<File> {
        fs::create_dir_all(home).and_then(|()| fs::write(home.join(".gitignore"), "*\n")).map_err(
            |error| {
                Failure::usage(format!(
                    "`dbt-requirements` installs into {}, which cannot be made",
                    home.display()
                ))
                .because(error.into())
                .next("run it where the workspace can be written to")
            },
        )?;
        let path = home.join("lock");
        let lock = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
        let mut halt = self.halt.clone();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => {
                    return Err(Failure::usage(format!("{} cannot be locked", path.display()))
                        .because(error.into()));
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(Failure::usage(format!(
                        "another run has been installing into {} for {} minutes",
                        home.display(),
                        PATIENCE.as_secs() / 60
                    ))
                    .next("end that run, then run this again"));
                }
                Err(TryLockError::WouldBlock) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                why = crate::ports::halted(&mut halt) => return Err(halted(&why)),
            }
        }
    }

    async fn make(&self, folder: &Path, pins: &Path, deadline: Instant) -> Outcome<()> {
        let shown = pins.display();
        self.observer.event(Event::Note(format!("installing {shown} into {}", folder.display())));
        if folder.exists() {
            fs::remove_dir_all(folder).context("removing an environment that was cut short")?;
        }
        let mut venv = Command::new(&self.python);
        venv.args(["-m", "venv"]).arg(folder);
        self.run(venv, deadline, &format!("{} cannot make a virtual environment", self.python))
            .await?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"])
            .args(["--progress-bar", "off", "--requirement"])
            .arg(pins);
        self.run(pip, deadline, &format!("`dbt-requirements`: {shown} cannot be installed")).await
    }

    /// Runs a command whose output is shown as it comes.
    async fn run(&self, command: Command, deadline: Instant, failed: &str) -> Outcome<()> {
        let show = |bytes: &[u8]| self.observer.event(Event::DbtOutput(bytes.to_vec()));
        let untouched = "production was not touched by this run";
        match runner::run(command, show, self.halt.clone(), deadline).await? {
            Ended::Exited(status) if status.success() => Ok(()),
            Ended::Exited(status) => Err(Failure::usage(format!("{failed} ({status})"))
                .production(untouched)
                .next("read what is printed above, correct the file, and run this again")),
            Ended::TimedOut => Err(Failure::usage(format!(
                "{failed} within {} minutes",
                PATIENCE.as_secs() / 60
            ))
            .production(untouched)
            .next("look whether the package index can be reached from here, and run this again")),
            Ended::Halted(why) => Err(halted(&why).production(untouched)),
        }
    }

    async fn answer(&self, arguments: &[&str]) -> Outcome<Vec<u8>> {
        let mut text = Vec::new();
        let mut command = Command::new(&self.python);
        command.args(arguments);
        let deadline = Instant::now() + Duration::from_secs(60);
        let ended = runner::run(
            command,
            |bytes| text.extend_from_slice(bytes),
            self.halt.clone(),
            deadline,
        );
        match ended.await {
            Ok(Ended::Exited(status)) if status.success() => Ok(text),
            Ok(Ended::Halted(why)) => Err(halted(&why)),
            Ok(_) | Err(_) => Err(Failure::usage(format!(
                "`dbt-requirements` needs Python 3 with its venv module, and `{}` does not run",
                self.python
            ))
            .next("install python3 and python3-venv")),
        }
    }
}

/// The pins with every file that they include (`-r`, `-c`), in the order in which they are met.
fn texts(pins: &Path, file: &str) -> Outcome<Vec<u8>> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![pins.to_path_buf()];
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let text = read(&path).map_err(|error| {
            let included = if path == pins { "" } else { ", which it includes," };
            Failure::usage(format!(
                "`dbt-requirements` is `{file}`, but {}{included} cannot be read",
                path.display()
            ))
            .because(error.into())
            .next("name a file of pip requirements in the checkout, such as requirements.txt")
        })?;
        // The length, so that no two sets of files read the same one after the other.
        all.extend_from_slice(&(text.len() as u64).to_be_bytes());
        all.extend_from_slice(text.as_bytes());
        let folder = path.parent().unwrap_or(Path::new("/"));
        open.extend(text.lines().filter_map(included).map(|name| folder.join(name)));
    }
    Ok(all)
}

fn read(path: &Path) -> std::io::Result<String> {
    if path.metadata()?.len() > LARGEST {
        return Err(std::io::Error::other("it is larger than a megabyte"));
    }
    fs::read_to_string(path)
}

/// The file that a line of pins includes, if it does.
fn included(line: &str) -> Option<&str> {
    let line = line.trim();
    let rest = ["--requirement", "--constraint", "-r", "-c"]
        .iter()
        .find_map(|flag| line.strip_prefix(flag))?;
    let name = rest.trim_start_matches('=').split(" #").next()?.trim();
    (!name.is_empty() && !name.contains("://")).then_some(name)
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
