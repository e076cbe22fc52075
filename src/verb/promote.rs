//! `promote`: swaps in the build that waits.

use std::time::Instant;

use super::deploy::{previous, take_back, untouched};
use super::site::Site;
use super::{View, look_after, look_settled};
use crate::domain::history::Release;
use crate::domain::journal::Began;
use crate::domain::name::ReleaseId;
use crate::domain::plan::Plan;
use crate::domain::planner::{self, standing};
use crate::engine::{Rules, Tale, held};
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::Token;
use crate::report::{Answer, Changed, Word};

/// Runs the verb for `wanted`, or for the newest build that waits.
pub async fn run(site: &Site, wanted: Option<ReleaseId>) -> Outcome<Answer> {
    let started = Instant::now();
    site.check_commands()?;
    let (view, plan) = prepare(site, wanted).await?;
    let waiting = view.history.release(plan.release).cloned().ok_or_else(|| {
        Failure::new(Kind::Unexpected, format!("{} is not in the ledger", plan.release))
    })?;
    if let Some(failure) = held(&view.history, waiting.fingerprint.as_ref()) {
        return Err(untouched(failure, &view, site));
    }
    site.warehouse.preflight().await?;
    if site.config.dry_run {
        return Ok(Answer::Changed(Box::new(Changed {
            plan: Some(plan),
            ..Changed::new(Word::Planned, view.live(site), &view.history)
        })));
    }
    let tale = site
        .under_lease("promote", false, async |token| {
            let (view, again) = prepare(site, wanted).await?;
            if again != plan {
                return Err(Failure::new(Kind::Locked, "another run changed this environment")
                    .next(site.command("status", "")));
            }
            publish(site, token, &view, &plan, &waiting).await
        })
        .await?;
    let (view, live) = look_after(site, view, &plan).await;
    Ok(Answer::Changed(Box::new(Changed {
        previous: previous(&view, &plan),
        findings: tale.findings,
        notes: tale
            .notes
            .iter()
            .cloned()
            .chain(tale.drift.iter().map(|line| format!("accepted drift: {line}")))
            .collect(),
        undo: take_back(site, &view, &plan),
        seconds: started.elapsed().as_secs_f64(),
        plan: Some(plan),
        ..Changed::new(Word::Published, live, &view.history)
    })))
}

async fn prepare(site: &Site, wanted: Option<ReleaseId>) -> Outcome<(View, Plan)> {
    let view = look_settled(site).await?;
    let keep = site.config.keep_releases;
    let plan = view.plan(site, |ground| planner::promote(ground, wanted, &site.checks, keep))?;
    Ok((view, plan))
}

async fn publish(
    site: &Site,
    token: Token,
    view: &View,
    plan: &Plan,
    waiting: &Release,
) -> Outcome<Tale> {
    let mut engine = site.engine(token);
    engine.rules = Rules {
        baseline: waiting.baseline.clone(),
        fingerprint: waiting.fingerprint.clone(),
        ..site.rules()
    };
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
    engine.run(began).await?;
    Ok(std::mem::take(&mut engine.tale))
}
