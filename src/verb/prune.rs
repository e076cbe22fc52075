//! `prune`: drops archives beyond retention, or the named ones.

use std::collections::BTreeMap;
use std::time::Instant;

use super::site::Site;
use super::{look, refuse_unsettled};
use crate::domain::journal::Began;
use crate::domain::name::ReleaseId;
use crate::domain::planner;
use crate::failure::{Failure, Kind, Outcome};
use crate::report::{Answer, Changed, Word};

/// Runs the verb.
pub async fn run(site: &Site, named: &[ReleaseId]) -> Outcome<Answer> {
    let started = Instant::now();
    let view = look(site).await?;
    refuse_unsettled(site, &view.history).await?;
    let keep = site.config.keep_releases;
    let plan = view.plan(site, |ground| planner::prune(ground, named, keep))?;
    let word = if site.config.dry_run { Word::Planned } else { Word::NothingToDo };
    let mut changed = Changed::new(word, view.live(site), &view.history);
    changed.plan = Some(plan.clone());
    if site.config.dry_run || plan.steps.is_empty() {
        return Ok(Answer::Changed(Box::new(changed)));
    }
    site.under_lease("prune", false, async |token| {
        let view = look(site).await?;
        refuse_unsettled(site, &view.history).await?;
        if view.plan(site, |ground| planner::prune(ground, named, keep))? != plan {
            return Err(Failure::new(Kind::Locked, "another run changed this environment")
                .next(site.command("status", "")));
        }
        let began = Began {
            plan: plan.clone(),
            commit: None,
            dirty: false,
            fingerprint: None,
            reason: None,
            hold: None,
            adopted: BTreeMap::new(),
            writes: Vec::new(),
        };
        site.engine(token).run(began).await
    })
    .await?;
    changed.word = Word::Pruned;
    changed.notes = plan.steps.iter().map(|planned| planned.step.key()).collect();
    changed.seconds = started.elapsed().as_secs_f64();
    Ok(Answer::Changed(Box::new(changed)))
}
