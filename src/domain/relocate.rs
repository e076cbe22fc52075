//! A history that was written while production had another path: under another mount point, as in a
//! container, or before its folder was renamed.
//!
//! The journal names slots as they were called then. Names that were given by the rule in `name` are
//! given anew for today's live slot; nothing is parsed.

use std::collections::BTreeMap;

use super::history::History;
use super::name::{Naming, ReleaseId, Role, SlotName};
use super::plan::{Kept, Pair, Step};

/// The same history in terms of today's live slot. Only a file can move and stay the environment it
/// was; where names are the environment, the history is left as it is.
#[must_use]
pub fn relocated(mut history: History, live: &[SlotName], naming: Naming) -> History {
    let ([today], Naming::Files) = (live, naming) else { return history };
    let releases: Vec<ReleaseId> = history.releases.keys().copied().collect();
    for release in history.releases.values_mut() {
        release.identities = renamed(&release.identities, today);
        release.pairs.clear(); // the rule for names says where they are
        if let Some(baseline) = &mut release.baseline {
            baseline.marks = renamed(&baseline.marks, today);
        }
    }
    if let Some(open) = &mut history.open {
        open.began.adopted = renamed(&open.began.adopted, today);
        if let Some(then) = live_of(open.began.plan.steps.iter().map(|planned| &planned.step))
            && then != *today
        {
            let now = |slot: &SlotName| moved(slot, &then, today, &releases, naming);
            for planned in &mut open.began.plan.steps {
                rename(&mut planned.step, &now);
            }
        }
    }
    history
}

/// Keys of a map that has one entry per live slot, of which there is one.
fn renamed<T: Clone>(by_slot: &BTreeMap<SlotName, T>, today: &SlotName) -> BTreeMap<SlotName, T> {
    match by_slot.len() {
        1 => by_slot.values().map(|value| (today.clone(), value.clone())).collect(),
        _ => by_slot.clone(),
    }
}

fn live_of<'a>(mut steps: impl Iterator<Item = &'a Step>) -> Option<SlotName> {
    steps.find_map(|step| match step {
        Step::Swap { pairs, .. } | Step::Clone { pairs, .. } => {
            pairs.first().map(|pair| pair.live.clone())
        }
        _ => None,
    })
}

/// The slot's name today: the one rule gave it its name then, and gives it its name now.
fn moved(
    slot: &SlotName,
    then: &SlotName,
    today: &SlotName,
    releases: &[ReleaseId],
    naming: Naming,
) -> SlotName {
    std::iter::once(Role::Live)
        .chain(releases.iter().flat_map(|id| [Role::Build(*id), Role::Archive(*id)]))
        .find(|role| naming.slot(then, *role) == *slot)
        .map_or_else(|| slot.clone(), |role| naming.slot(today, role))
}

fn rename(step: &mut Step, now: &dyn Fn(&SlotName) -> SlotName) {
    match step {
        Step::Drop { slots, .. }
        | Step::Found { slots, .. }
        | Step::Restore { slots, .. }
        | Step::Unstage { slots, .. } => {
            for slot in slots {
                *slot = now(slot);
            }
        }
        Step::Clone { pairs, .. }
        | Step::Recall { pairs, .. }
        | Step::Relink { pairs, .. }
        | Step::HandOver { pairs }
        | Step::Build { pairs, .. }
        | Step::Verify { pairs }
        | Step::Seal { pairs, .. }
        | Step::SyncGrants { pairs }
        | Step::Drift { pairs }
        | Step::Swap { pairs, .. }
        | Step::SwapBack { pairs, .. } => {
            for Pair { live, other } in pairs {
                (*live, *other) = (now(live), now(other));
            }
        }
        Step::Keep { kept, .. } => {
            for Kept { live, from, to } in kept {
                (*live, *from, *to) = (now(live), now(from), now(to));
            }
        }
        Step::Stage { .. } | Step::Check { .. } => {} // files are never staged
    }
}
