//! `status`: what is live, held, unfinished and waiting. Reads only.

use super::site::Site;
use super::{View, look};
use crate::domain::history::ReleaseState;
use crate::domain::planner::standing;
use crate::domain::slot::Live;
use crate::failure::Outcome;
use crate::report::{Answer, Shown, Status, moment};

/// Runs the verb.
pub async fn run(site: &Site) -> Outcome<Answer> {
    let view = look(site).await?;
    let history = &view.history;
    let live = view.plan(site, standing).ok().and_then(|standing| standing.release);
    let lease = site.ledger.lease().await?;
    let unfinished = history.open.as_ref().map(|open| {
        let step = open.step.clone().unwrap_or_else(|| "begin".to_owned());
        (open.began.plan.release, step, open.at, open.by.to_string())
    });
    let running = lease.map(|lease| {
        let since = moment(lease.taken_at);
        format!("{} by {} since {since}", lease.verb, lease.by)
    });
    let names: Vec<String> = site.warehouse.live().iter().map(ToString::to_string).collect();
    Ok(Answer::Status(Box::new(Status {
        environment: names.join(", "),
        warehouse: site.warehouse.kind().to_owned(),
        live: view.live(site),
        doubt: doubt(site, &view),
        hold: history.hold().cloned(),
        // A run that is under way is not unfinished; its lease says so.
        unfinished: unfinished.filter(|_| running.is_none()),
        running,
        waiting: history
            .releases
            .values()
            .filter(|release| release.state == ReleaseState::Waiting)
            .filter(|release| release.base == live)
            .map(|release| Shown::of(history, release.id))
            .collect(),
        ledger: site.ledger.place(),
    })))
}

/// Where stamps and ledger do not agree, or cannot be read.
fn doubt(site: &Site, view: &View) -> Option<String> {
    let standing = match view.plan(site, standing) {
        Ok(standing) => standing,
        Err(failure) => return Some(failure.message),
    };
    if let Live::Damaged { slot, reason, .. } = Live::of(&site.warehouse.live(), &view.observation)
    {
        return Some(format!(
            "{slot} cannot be read: {reason}; put a kept release back with: {}",
            site.command("rollback", "--to TARGET --reason TEXT")
        ));
    }
    let claimed = view.history.claimed_live();
    match (standing.release, claimed) {
        (None, Some(claimed)) => {
            Some(format!("nothing, although the ledger says {claimed}: production is gone"))
        }
        (Some(seen), Some(claimed)) if seen != claimed && !standing.adopted.is_empty() => {
            Some(format!(
                "content that Switchback did not publish; the ledger's last is {claimed} (the next \
                 deploy adopts it as {seen})"
            ))
        }
        _ => None,
    }
}
