//! A series of dbt commands, streamed as they run, and what their results come to.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

use std::path::Path;

use tokio::time::Instant;

use super::commands::{prepares, shown};
use super::manifest::{Raw, Reading};
use super::mapped::Mapped;
use super::results::RawResults;
use super::runner::{self, Ended, clip, condense, meaning};
use super::tail::Tail;
use super::workspace::Side;
use super::{DbtProject, artifacts, span};
use crate::domain::project::DbtSummary;
use crate::failure::Outcome;
use crate::ports::{Event, Halt, HaltReceiver};

/// The files a command leaves its results in.
const RESULTS: [&str; 2] = ["run_results.json", "sources.json"];

/// Why a series of commands stopped before its end.
pub(super) enum Stop {
    /// One failed; what happened.
    Failed(String),
    /// We were asked to stop.
    Halted(Halt),
}

impl DbtProject {
    /// Runs one command, its output shown as it comes; returns the end of it.
    async fn stream(
        &self,
        words: &[String],
        side: Side,
        halt: HaltReceiver,
        deadline: Instant,
    ) -> Outcome<(Ended, Vec<u8>)> {
        /// Enough of the end for dbt's last error.
        const TAIL: usize = 1 << 14;
        let mut command = self.command(words, side)?;
        let target = self.workspace()?.target(side);
        let asked = ["DBT_USE_COLORS", "DBT_ENGINE_USE_COLORS"];
        if (self.env)("NO_COLOR").is_some_and(|value| !value.is_empty())
            && !asked.iter().any(|name| (self.env)(name).is_some())
        {
            command.env("DBT_USE_COLORS", "false"); // dbt colours into pipes too.
        }
        for file in RESULTS {
            // A target path that cannot be written to is dbt's to complain about.
            let _ = artifacts::mark_seen(&target.join(file));
        }
        let mut tail = Tail::new(TAIL);
        let sink = |piece: &[u8]| {
            self.observer.event(Event::DbtOutput(piece.to_vec()));
            tail.push(piece);
        };
        let ended = runner::run(command, sink, halt, deadline).await?;
        Ok((ended, tail.last().to_vec()))
    }

    /// Adds what the command just run has written. A file that cannot be read costs detail, not the
    /// run: dbt's exit code has the say.
    fn collect(&self, target: &Path, summary: &mut DbtSummary) {
        let fresh = RESULTS.map(|file| target.join(file));
        for file in fresh.iter().filter(|file| artifacts::is_fresh(file)) {
            let added = Mapped::open(file).and_then(|mapped| {
                mapped.parse::<RawResults<'_>>()?.add_to(summary);
                Ok(())
            });
            if let Err(failure) = added {
                self.observer
                    .event(Event::Warning(format!("dbt's results cannot be read: {failure}")));
            }
        }
    }

    /// Runs commands until one fails.
    pub(super) async fn series(
        &self,
        commands: &[Vec<String>],
        side: Side,
        halt: &HaltReceiver,
        summary: &mut DbtSummary,
    ) -> Outcome<Result<(), Stop>> {
        let deadline = self.deadline();
        let target = self.workspace()?.target(side);
        let prepared = self.prepared.get() && side == Side::Build;
        let skip =
            if prepared { commands.iter().take_while(|words| prepares(words)).count() } else { 0 };
        for words in &commands[skip..] {
            let (ended, tail) = self.stream(words, side, halt.clone(), deadline).await?;
            self.collect(&target, summary);
            let what = match ended {
                Ended::Halted(why) => return Ok(Err(Stop::Halted(why))),
                Ended::TimedOut => {
                    format!("did not end within {} and was ended", span(self.settings.timeout))
                }
                Ended::Exited(status) => match meaning(status) {
                    None => continue,
                    Some(meaning) => meaning,
                },
            };
            let mut message = format!("`{}` {what}", shown(words));
            if summary.failures.is_empty() {
                message = format!("{message}\n{}", condense(&tail));
            }
            let tail = String::from_utf8_lossy(&tail);
            if side == Side::Production && tail.contains("read-only mode") {
                message.push_str(
                    "\nHere dbt may only read production. Tests that store their failures write: \
                     leave them out with `--exclude config.store_failures:true`.",
                );
            }
            return Ok(Err(Stop::Failed(message)));
        }
        Ok(Ok(()))
    }
}

/// Fills in the files of the nodes that failed.
pub(super) fn name_files(target: &Path, summary: &mut DbtSummary) {
    if summary.failures.is_empty() {
        return;
    }
    let reading = Reading { packages_dir: "dbt_packages".to_owned(), ..Reading::default() };
    let Ok(mapped) = Mapped::open(&target.join("manifest.json")) else {
        return; // dbt failed before it wrote one.
    };
    if let Ok(raw) = mapped.parse::<Raw<'_>>() {
        for failure in &mut summary.failures {
            failure.file = raw.file_of(&failure.unique_id, &reading);
        }
    }
}

/// Names the first nodes that failed.
pub(super) fn with_nodes(mut message: String, summary: &DbtSummary) -> String {
    use std::fmt::Write as _;
    const NAMED: usize = 5;
    for node in summary.failures.iter().take(NAMED) {
        let file = node.file.as_deref().unwrap_or("no file");
        let said = node.message.as_deref().unwrap_or(&node.status);
        let said = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let said: Vec<&str> = said.take(3).collect();
        // Writing to a text cannot fail.
        let _ = write!(message, "\n  {} ({file}): {}", node.unique_id, clip(&said.join(" ")));
    }
    if summary.failures.len() > NAMED {
        let _ = write!(message, "\n  and {} more", summary.failures.len() - NAMED);
    }
    message
}
