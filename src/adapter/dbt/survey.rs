//! The survey: preparing commands and both parses, run quietly, and what their manifests say.
//!
//! May import `domain`, `failure`, `ports` and its siblings.

use std::collections::BTreeMap;
use std::path::Path;

use super::commands::{shown, subcommand};
use super::fingerprint::{Roots, fingerprint};
use super::manifest::{Raw, Reading};
use super::mapped::Mapped;
use super::rebuilt;
use super::runner::{self, Ended, condense, meaning};
use super::tail::Tail;
use super::workspace::Side;
use super::{DbtProject, is_set, span};
use crate::domain::project::{Manifest, Survey};
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{Halt, HaltReceiver, Redirect};

/// How much of the output is kept of a command that is run quietly.
const TAIL: usize = 1 << 20;

impl DbtProject {
    /// Runs a command whose output is of interest only if it fails, which is the user's to mend.
    pub(super) async fn quietly(
        &self,
        words: &[String],
        side: Side,
        halt: HaltReceiver,
    ) -> Outcome<()> {
        let mut command = self.command(words, side)?;
        command.arg("--log-path").arg(self.workspace()?.logs(side));
        command.env_remove("DBT_ENGINE_SEND_ANONYMOUS_USAGE_STATS");
        command.env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false");
        let mut output = Tail::new(TAIL);
        let sink = |piece: &[u8]| output.push(piece);
        let ended = runner::run(command, sink, halt, self.deadline()).await?;
        let what = match (subcommand(words), side) {
            (Some("parse"), Side::Production) => "`dbt parse`".to_owned(),
            (Some("parse"), Side::Build) => "`dbt parse` for the build".to_owned(),
            _ => format!("`{}`", shown(words)),
        };
        match ended {
            Ended::Halted(why) => Err(halted_failure(&why)),
            Ended::TimedOut => Err(Failure::usage(format!(
                "{what} did not end within {}",
                span(self.settings.timeout)
            ))
            .next("raise the time-out, or see what dbt waits for")),
            Ended::Exited(status) => match meaning(status) {
                None => Ok(()),
                Some(meaning) => Err(Failure::usage(format!(
                    "{what} of project `{}` {meaning}\n{}",
                    self.located.project()?.name,
                    condense(output.last())
                ))
                .next(format!(
                    "mend the project; `dbt parse --target {}` shows the same",
                    self.located.target
                ))),
            },
        }
    }

    fn reading(&self, redirect: Option<&Redirect>, packages: &Path) -> Reading {
        let flagged = |word: &String| word == "--store-failures";
        let packages = packages.strip_prefix(&self.located.project_dir).unwrap_or(packages);
        // What names the live slot in a model's code: the value itself, and a file's own name.
        let mut needles = Vec::new();
        if let Some(redirect) = redirect
            && let Ok(Some(live)) = self.located.text(redirect.key)
        {
            let name = Path::new(&live).file_name();
            needles.extend(name.map(|name| name.to_string_lossy().into_owned()));
            needles.push(live);
        }
        needles.retain(|needle| needle.len() > 2);
        Reading {
            store_failures: self.commands.iter().flatten().any(flagged)
                || is_set(&self.env, "STORE_FAILURES", true),
            packages_dir: packages.display().to_string(),
            needles,
        }
    }

    /// Reads the production parse.
    pub(super) fn read_production(&self) -> Outcome<Manifest> {
        let packages = self.located.project()?.packages_path;
        let reading = Reading { needles: Vec::new(), ..self.reading(None, &packages) };
        let target = self.workspace()?.target(Side::Production);
        let mapped = Mapped::open(&target.join("manifest.json"))?;
        Ok(mapped.parse::<Raw<'_>>()?.summarize(&reading))
    }

    /// Reads both parses. `version` is dbt's own, for a manifest that does not name it.
    pub(super) fn read_survey(&self, redirect: &Redirect, version: &str) -> Outcome<Survey> {
        let packages = self.located.project()?.packages_path;
        let reading = self.reading(Some(redirect), &packages);
        let workspace = self.workspace()?;
        let open = |side| Mapped::open(&workspace.target(side).join("manifest.json"));
        let mapped = open(Side::Production)?;
        let raw: Raw<'_> = mapped.parse()?;
        let roots = Roots { project: &self.located.project_dir, packages: &packages };
        let fingerprint = fingerprint(&raw, roots, &self.commands)?;
        let production = raw.summarize(&reading);
        let narrowed = rebuilt::NARROWING.iter().any(|name| {
            ["DBT_", "DBT_ENGINE_"]
                .iter()
                .any(|prefix| (self.env)(&format!("{prefix}{name}")).is_some())
        });
        // Elsewhere a copy shares its rows with the original.
        let rebuilt = match self.located.adapter.as_str() {
            "postgres" if !narrowed => rebuilt::rebuilt(&raw, &self.commands),
            _ => BTreeMap::new(),
        };
        let reported = raw.metadata.dbt_version.as_deref();
        let dbt_version = reported.unwrap_or(version).to_owned();
        drop(raw);
        drop(mapped); // Or both files would be in memory at once.
        let mapped = open(Side::Build)?;
        let build = mapped.parse::<Raw<'_>>()?.summarize(&reading);
        Ok(Survey { production, build, fingerprint, dbt_version, rebuilt })
    }
}

fn halted_failure(why: &Halt) -> Failure {
    match why {
        Halt::Interrupt => {
            Failure::new(Kind::Interrupted, "interrupted while dbt read the project")
        }
        Halt::Terminate => Failure::new(Kind::Terminated, "ended while dbt read the project"),
        Halt::LeaseLost(to) => Failure::new(Kind::Locked, format!("the lease was taken by {to}")),
    }
}
