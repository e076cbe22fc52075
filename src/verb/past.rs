//! Going back to a state that is not kept, where the warehouse can read its own past: a mark, or a
//! moment at which what is live now was live already; or a release whose archive was dropped and
//! that it keeps for a while all the same.
//!
//! Time Travel follows the container, not its name: the very container that held the state must be
//! found, under whatever name, by its identity.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::View;
use super::deploy::untouched;
use super::site::Site;
use crate::domain::history::Release;
use crate::domain::name::{Identity, ReleaseId, Role, SlotName};
use crate::domain::plan::{Past, Plan};
use crate::domain::planner::{Ground, Holding};
use crate::domain::target::Wish;
use crate::failure::{Failure, Outcome};
use crate::report::moment;

/// A state that has to be read from the past.
pub struct Asked {
    /// When it was.
    pub at: DateTime<Utc>,
    /// In which containers it is.
    pub past: BTreeMap<SlotName, Past>,
}

/// Why going back takes everything away that was written since, and how to say so.
pub struct Since {
    /// Since when.
    pub at: DateTime<Utc>,
    /// What `--to` must say to mean the same again.
    pub to: String,
    /// What came back, in words.
    pub note: String,
}

impl Asked {
    /// What leaves production with it.
    #[must_use]
    pub fn since(&self, plan: &Plan) -> Since {
        Since {
            at: self.at,
            to: self.at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            note: format!("{} is production as it was at {}", plan.release, moment(self.at)),
        }
    }
}

/// The slots of a release that is not kept, where the warehouse can still bring back all that were
/// dropped; one that was cut off before it had brought back all left some that are there.
pub async fn dropped(
    site: &Site,
    view: &View,
    target: ReleaseId,
) -> Outcome<Option<(BTreeMap<SlotName, Identity>, Since)>> {
    let lacking = |ground: &Ground<'_>| {
        let had = ground.history.release(target).map(Release::slots).unwrap_or_default();
        let is_gone = ground.holding(target) == Holding::Gone;
        let own = ground.live.iter().filter(|live| had.is_empty() || had.contains(live));
        let archives = own.map(|live| ground.naming.slot(live, Role::Archive(target)));
        let is_there = |slot: &SlotName| view.observation.content(slot).release() == Some(target);
        Ok(archives.filter(|slot| is_gone && !is_there(slot)).collect())
    };
    let slots: Vec<SlotName> = view.plan(site, lacking)?;
    if slots.is_empty() || !site.warehouse.has_past() {
        return Ok(None);
    }
    let found = site.warehouse.dropped(&slots).await?;
    if let Some(gone) = slots.iter().find(|slot| !found.contains_key(slot)) {
        let failure = Failure::usage(format!(
            "{target} is not kept: there is no {gone}, and if there was one, it was dropped so long \
             ago that it cannot be brought back any more"
        ));
        return Err(untouched(failure.next(site.command("releases", "")), view, site));
    }
    let Some(at) = found.values().map(|one| one.at).max() else { return Ok(None) };
    let since = Since {
        at: view.history.displaced_at(target).unwrap_or(at),
        to: target.to_string(),
        note: format!("the archive of {target} was dropped at {} and is back", moment(at)),
    };
    let containers = found.into_iter().map(|(slot, one)| (slot, one.identity)).collect();
    Ok(Some((containers, since)))
}

/// What a wish asks of the past; `None` where a kept release answers it.
pub async fn asked(
    site: &Site,
    view: &View,
    wish: &Wish,
    live: Option<ReleaseId>,
) -> Outcome<Option<Asked>> {
    if !site.warehouse.has_past() {
        return Ok(None);
    }
    let (at, containers) = match wish {
        Wish::Name(name) => match view.history.mark(name) {
            Some(mark) => (mark.at, mark.containers.clone()),
            None => return Ok(None),
        },
        // Before the first release there is one container only, and it has been live all along.
        Wish::Time(at)
            if view.history.live_at(*at) == live || view.history.publications.is_empty() =>
        {
            (*at, live_containers(site, view))
        }
        Wish::Time(_) | Wish::Previous | Wish::Release(_) => return Ok(None),
    };
    let mut past = BTreeMap::new();
    for (live, identity) in containers {
        let container = find(view, &identity).ok_or_else(|| {
            let failure = Failure::usage(format!(
                "the container that was {live} at {} (created {identity}) does not exist any more, so \
                 its past cannot be read",
                moment(at)
            ));
            untouched(failure.next(site.command("releases", "")), view, site)
        })?;
        reachable(site, view, &container, at).await?;
        past.insert(live, Past { container, identity, at });
    }
    Ok(Some(Asked { at, past }))
}

fn live_containers(site: &Site, view: &View) -> BTreeMap<SlotName, Identity> {
    let live = site.warehouse.live().into_iter();
    live.filter_map(|slot| {
        let identity = view.observation.content(&slot).identity()?.clone();
        Some((slot, identity))
    })
    .collect()
}

fn find(view: &View, identity: &Identity) -> Option<SlotName> {
    let mut all = view.observation.slots.iter();
    all.find(|(_, content)| content.identity() == Some(identity)).map(|(slot, _)| slot.clone())
}

async fn reachable(
    site: &Site,
    view: &View,
    container: &SlotName,
    at: DateTime<Utc>,
) -> Outcome<()> {
    let now = site.warehouse.moment().await?;
    if now.is_some_and(|now| at > now.at) {
        let failure = Failure::usage(format!("{} is in the future", moment(at)));
        return Err(untouched(failure, view, site));
    }
    let Some(reach) = site.warehouse.reach(container).await? else { return Ok(()) };
    if at >= reach.since {
        return Ok(());
    }
    let failure = Failure::usage(format!(
        "{container} cannot be read as it was at {}: {}, so it reaches back to {} only",
        moment(at),
        reach.limited_by,
        moment(reach.since)
    ));
    let next = format!("choose a later time, or a kept release: {}", site.command("releases", ""));
    Err(untouched(failure.next(next), view, site))
}

/// The refusal of a way back on which everything written since would leave production unseen.
#[must_use]
pub fn refused(site: &Site, view: &View, plan: &Plan, since: &Since) -> Failure {
    let kept = plan.displaces.map_or(String::new(), |old| format!(" (it stays in {old})"));
    let failure = Failure::stopped(format!(
        "everything that was written since {} leaves production{kept}, snapshot versions and loaded \
         rows among it",
        moment(since.at)
    ));
    let accept = format!("--to {} --reason TEXT --allow-loss", since.to);
    untouched(
        failure.next(format!("accept that with: {}", site.command("rollback", &accept))),
        view,
        site,
    )
}
