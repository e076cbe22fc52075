//! `releases`: what can be rolled back to, newest first. Reads only.

use std::collections::BTreeMap;

use super::site::Site;
use super::{View, look};
use crate::domain::history::{Release, ReleaseState};
use crate::domain::name::ReleaseId;
use crate::domain::planner::{Ground, Holding};
use crate::failure::Outcome;
use crate::report::{Answer, Row, Shown};

/// Runs the verb.
pub async fn run(site: &Site) -> Outcome<Answer> {
    let view = look(site).await?;
    let live = view.live(site).map(|shown| shown.release);
    let kept = kept(site, &view)?;
    let previous = live.and_then(|live| view.history.previous(live));
    let rows = view
        .history
        .releases
        .values()
        .rev()
        .filter(|release| {
            !matches!(release.state, ReleaseState::Abandoned | ReleaseState::Building)
        })
        .map(|release| row(site, &view, release, live, previous, &kept))
        .collect();
    Ok(Answer::Releases(rows))
}

fn kept(site: &Site, view: &View) -> Outcome<BTreeMap<ReleaseId, Holding>> {
    view.plan(site, |ground: &Ground<'_>| {
        Ok(ground.history.releases.keys().map(|id| (*id, ground.holding(*id))).collect())
    })
}

fn row(
    site: &Site,
    view: &View,
    release: &Release,
    live: Option<ReleaseId>,
    previous: Option<ReleaseId>,
    kept: &BTreeMap<ReleaseId, Holding>,
) -> Row {
    let is_live = live == Some(release.id);
    let holding = kept.get(&release.id).unwrap_or(&Holding::Gone);
    let is_kept = matches!(holding, Holding::Kept(_));
    let state = match release.state {
        _ if is_live => "live",
        ReleaseState::Waiting if is_kept => "waiting",
        ReleaseState::SwappedBack => "swapped-back",
        _ if is_kept => "archived",
        _ if matches!(holding, Holding::Busy { .. }) => "in use",
        _ => "gone",
    };
    let until = match release.state {
        ReleaseState::Adopted => "until pruned by name".to_owned(),
        _ => format!("while among the {} newest", site.config.keep_releases),
    };
    Row {
        shown: Shown::of(&view.history, release.id),
        state,
        displaced: view.history.displaced.contains(&release.id),
        actor: release.by.name.clone(),
        reason: release.reason.clone(),
        restorable: (state == "archived").then(|| ("archive".to_owned(), until)),
        is_previous: previous == Some(release.id) && is_kept,
    }
}
