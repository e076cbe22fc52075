//! What each step does beyond its effects: what it expects before, what it reads, how it judges.

use super::{
    Baseline, DbtSummary, Engine, Event, Evidence, Failure, History, Kind, Outcome, Pair, Plan,
    Planned, PortError, Step, Under, Verb, halted, held,
};
use crate::domain::inventory::compare;
use crate::domain::plan::Effect;
use crate::domain::slot::Content;
use crate::domain::verify::{Action, Finding, judge};
use crate::ports::{DbtEnd, Next, Site};

/// How many rows of a failing check are looked at.
const CHECK_ROWS: usize = 20;

impl Engine<'_> {
    /// Re-checks, right before a cutover, what the plan was made on: the stamps and the hold.
    pub(super) async fn expect(&self, plan: &Plan, step: &Step) -> Outcome<()> {
        let Step::Swap { pairs, publishes, displaces, .. } = step else {
            return Ok(());
        };
        let load = async {
            if plan.verb == Verb::Rollback { Ok(Vec::new()) } else { self.ledger.load().await }
        };
        let (records, seen) = tokio::join!(load, self.warehouse.observe());
        let history = History::fold(&records.map_err(Failure::from)?);
        if let Some(failure) = held(&history, self.rules.fingerprint.as_ref()) {
            return Err(failure);
        }
        let seen = seen.map_err(Failure::from)?;
        for Pair { live, other } in pairs {
            if let Content::Busy { reason } = seen.content(other) {
                let message = format!("{other} cannot be read now: {reason}");
                return Err(Failure::new(Kind::Locked, message)
                    .next("wait until whoever uses it is done, then run the same command again"));
            }
            let incoming = seen.content(other).release();
            if incoming != Some(*publishes) {
                return Err(Failure::stopped(format!(
                    "{other} should hold {publishes}, sealed, but its stamp does not say so"
                ))
                .next("switchback status"));
            }
            let now = seen.content(live).release();
            let as_planned = now == *displaces || (plan.adopts && now.is_none());
            if !as_planned {
                return Err(Failure::new(
                    Kind::Locked,
                    format!("{live} changed while this run was under way"),
                )
                .next("switchback status"));
            }
        }
        Ok(())
    }

    /// What a step is performed under.
    pub(super) fn under(&self, plan: &Plan, step: &Step) -> Under {
        Under { fence: self.token, release: plan.release, step: step.key(), verb: plan.verb }
    }

    /// Performs a step: its effects through the warehouse or dbt, and what it reads and judges.
    pub(super) async fn perform(
        &mut self,
        plan: &Plan,
        planned: &Planned,
    ) -> Result<Evidence, PortError> {
        let under = self.under(plan, &planned.step);
        match &planned.step {
            Step::Clone { from_nothing, .. } => {
                self.clone_live(planned, &under, *from_nothing).await
            }
            Step::Build { commands, .. } => {
                let redirect = self.rules.redirect.clone().ok_or_else(|| {
                    Failure::new(Kind::Unexpected, "a build was run without a way to move dbt")
                })?;
                self.dbt_step(commands, &Site::Build(redirect)).await
            }
            Step::Check { commands } => self.dbt_step(commands, &Site::LiveReadOnly).await,
            Step::Verify { pairs } => self.verify(pairs).await,
            Step::Drift { .. } => self.drift(planned, &under).await,
            Step::Drop { .. }
            | Step::Found { .. }
            | Step::Recall { .. }
            | Step::Restore { .. }
            | Step::Relink { .. }
            | Step::Stage { .. }
            | Step::Unstage { .. }
            | Step::HandOver { .. }
            | Step::Seal { .. }
            | Step::SyncGrants { .. }
            | Step::Swap { .. }
            | Step::SwapBack { .. }
            | Step::Keep { .. } => {
                self.effects(&planned.effects, &under).await?;
                Ok(Evidence::Performed)
            }
        }
    }

    async fn effects(&mut self, effects: &[Effect], under: &Under) -> Result<(), PortError> {
        for note in self.warehouse.perform(effects, under).await? {
            self.observer.event(Event::Note(note.clone()));
            self.tale.notes.push(note);
        }
        Ok(())
    }

    /// Live is looked at after writers are kept out, where that can be done, and in any case before
    /// the copy: what is written between the two is reported as drift, never lost.
    async fn clone_live(
        &mut self,
        planned: &Planned,
        under: &Under,
        from_nothing: bool,
    ) -> Result<Evidence, PortError> {
        let guard = planned.effects.iter().position(|one| matches!(one, Effect::Guard { .. }));
        let (first, rest) = planned.effects.split_at(guard.map_or(0, |at| at + 1));
        self.effects(first, under).await?;
        let baseline = if from_nothing {
            Baseline::default()
        } else {
            self.warehouse.baseline(Next::Copy).await?
        };
        self.rules.baseline = Some(baseline.clone());
        self.effects(rest, under).await?;
        Ok(Evidence::Cloned(self.warehouse.counted(baseline)))
    }

    async fn dbt_step(
        &mut self,
        commands: &[Vec<String>],
        site: &Site,
    ) -> Result<Evidence, PortError> {
        let dbt = self.dbt.ok_or_else(|| {
            Failure::new(Kind::Unexpected, "a plan with dbt steps was run without a dbt project")
        })?;
        match dbt.run(commands, site, self.halt.subscribe()).await? {
            DbtEnd::Succeeded(summary) => {
                self.observer.event(Event::DbtEnded(Box::new(summary.clone())));
                Ok(Evidence::Built(summary))
            }
            DbtEnd::Failed { summary, message } => {
                self.observer.event(Event::DbtEnded(Box::new(summary.clone())));
                self.tale.dbt = Some(summary);
                Err(Failure::stopped(message)
                    .next("read dbt's output, correct the project and run this again")
                    .into())
            }
            DbtEnd::Halted(halt) => Err(halted(&halt).into()),
        }
    }

    async fn verify(&mut self, pairs: &[Pair]) -> Result<Evidence, PortError> {
        let compared = if self.rules.gates.compare_contents { u64::MAX } else { 0 };
        let (before, after) = self.warehouse.inventories(pairs, compared).await?;
        let changes = compare(&before, &after);
        let mut findings = judge(&changes, &self.rules.gates, &self.rules.allowed_relations);
        for pair in pairs {
            findings.extend(self.checks(pair).await?);
        }
        self.tale.changes.clone_from(&changes);
        self.tale.findings.clone_from(&findings);
        self.observer.event(Event::Judged(changes.clone(), findings.clone()));
        for finding in findings.iter().filter(|finding| finding.action == Action::Warn) {
            self.observer.event(Event::Warning(finding.to_string()));
        }
        let stops: Vec<String> = findings
            .iter()
            .filter(|finding| finding.action == Action::Stop)
            .map(|finding| format!("  {finding}"))
            .collect();
        if stops.is_empty() {
            return Ok(Evidence::Verified { findings, changes });
        }
        Err(Failure::stopped(format!(
            "the gates stop this release:\n{}",
            stops.join("\n")
        ))
        .next(
            "correct the project; or accept it by name with `allow: {relations: [schema.name]}` \
                 or the gate's key under `gates` in switchback.yml",
        )
        .into())
    }

    async fn checks(&self, pair: &Pair) -> Result<Vec<Finding>, PortError> {
        let mut findings = Vec::new();
        for check in &self.rules.gates.checks {
            let rows = self.warehouse.query(&pair.other, &check.sql, CHECK_ROWS).await?;
            if let Some(first) = rows.rows.first() {
                let shown: Vec<&str> =
                    first.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
                let more = if rows.rows.len() >= CHECK_ROWS { " or more" } else { "" };
                findings.push(Finding {
                    gate: "checks".to_owned(),
                    action: Action::Stop,
                    message: format!(
                        "check `{}` returned {}{more} rows, the first is ({})",
                        check.name,
                        rows.rows.len(),
                        shown.join(", ")
                    ),
                });
            }
        }
        Ok(findings)
    }

    async fn drift(&mut self, planned: &Planned, under: &Under) -> Result<Evidence, PortError> {
        self.effects(&planned.effects, under).await?;
        let Some(baseline) = self.rules.baseline.clone() else {
            return Err(Failure::stopped(
                "it is not known what production looked like when this release was cloned, so what \
                 was written to it since cannot be found",
            )
            .next("build it again")
            .into());
        };
        let drift = self.warehouse.drift(&baseline).await?;
        if !drift.is_empty() && !self.rules.allow_drift {
            return Err(Failure::stopped(format!(
                "production was written to while this release was being made, and the swap would \
                 hide that:\n  {}",
                drift.join("\n  ")
            ))
            .next("run this again to build on what is there now, or add --allow-drift")
            .into());
        }
        self.tale.drift.clone_from(&drift);
        Ok(Evidence::Drifted(drift))
    }

    /// Remembers a step's evidence for the report; returns what is worth a word at once.
    pub(super) fn keep(&mut self, evidence: &Evidence) -> Option<String> {
        match evidence {
            Evidence::Built(summary) => {
                let note = describe(summary);
                self.tale.dbt = Some(summary.clone());
                Some(note)
            }
            Evidence::Verified { findings, changes } => {
                let count = |n: usize, one: &str, more: &str| match n {
                    1 => format!("1 {one}"),
                    n => format!("{n} {more}"),
                };
                let differ = count(changes.len(), "relation differs", "relations differ");
                Some(format!("{differ}, {}", count(findings.len(), "warning", "warnings")))
            }
            Evidence::Drifted(drift) if !drift.is_empty() => {
                Some(format!("{} accepted", drift.len()))
            }
            Evidence::Cloned(baseline) => {
                self.rules.baseline = Some(baseline.clone());
                None
            }
            Evidence::Observed => Some("found done".to_owned()),
            Evidence::Performed | Evidence::Drifted(_) => None,
        }
    }
}

fn describe(summary: &DbtSummary) -> String {
    let parts: Vec<String> =
        summary.counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    parts.join(", ")
}
