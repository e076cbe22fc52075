//! `promote`: swaps in the build that waits.

use std::time::Instant;

use super::deploy::{previous, take_back, untouched};
use super::site::Site;
use super::{look, refuse_unsettled};
use crate::domain::journal::Began;
use crate::domain::name::ReleaseId;
use crate::domain::planner::{self, standing};
use crate::engine::{Rules, held};
use crate::failure::{Failure, Kind, Outcome};
use crate::report::{Answer, Changed, Word};

/// Runs the verb for `wanted`, or for the newest build that waits.
pub async fn run(site: &Site, wanted: Option<ReleaseId>) -> Outcome<Answer> {
    let started = Instant::now();
    let view = look(site).await?;
    refuse_unsettled(site, &view.history).await?;
    let keep = site.config.keep_releases;
    let plan = view.plan(site, |ground| {
        planner::promote(ground, wanted, &site.checks, keep)
    })?;
    let waiting = view.history.release(plan.release).cloned().ok_or_else(|| {
        Failure::new(
            Kind::Unexpected,
            format!("{} is not in the ledger", plan.release),
        )
    })?;
    if let Some(failure) = held(&view.history, waiting.fingerprint.as_ref()) {
        return Err(untouched(failure, &view, site));
    }
    site.warehouse.preflight().await?;
    let mut changed = Changed {
        word: Word::Planned,
        live: view.live(site),
        previous: None,
        plan: Some(plan.clone()),
        changes: Vec::new(),
        findings: Vec::new(),
        dbt: None,
        loss: None,
        hold: view.history.hold.clone(),
        notes: Vec::new(),
        next: None,
        seconds: 0.0,
    };
    if site.config.dry_run {
        return Ok(Answer::Changed(Box::new(changed)));
    }
    let began = Began {
        plan: plan.clone(),
        commit: waiting.commit.clone(),
        dirty: waiting.dirty,
        fingerprint: waiting.fingerprint.clone(),
        reason: site.config.reason.clone(),
        hold: None,
        adopted: view.plan(site, standing)?.adopted,
        writes: Vec::new(),
    };
    let view = site
        .under_lease("promote", false, async |token| {
            let view = look(site).await?;
            refuse_unsettled(site, &view.history).await?;
            let again = view.plan(site, |ground| {
                planner::promote(ground, wanted, &site.checks, keep)
            })?;
            if again != plan {
                return Err(
                    Failure::new(Kind::Locked, "another run changed this environment")
                        .next(site.command("status", "")),
                );
            }
            let mut engine = site.engine(token);
            engine.rules = Rules {
                baseline: waiting.baseline.clone(),
                fingerprint: waiting.fingerprint.clone(),
                ..site.rules()
            };
            engine.run(began.clone()).await?;
            changed.findings = std::mem::take(&mut engine.tale.findings);
            changed.notes = engine
                .tale
                .drift
                .iter()
                .map(|d| format!("accepted drift: {d}"))
                .collect();
            look(site).await
        })
        .await?;
    changed.word = Word::Published;
    changed.live = view.live(site);
    changed.previous = previous(&view, &plan);
    changed.hold.clone_from(&view.history.hold);
    changed.next = take_back(site, &view, &plan);
    changed.seconds = started.elapsed().as_secs_f64();
    Ok(Answer::Changed(Box::new(changed)))
}
