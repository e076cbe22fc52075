//! The planners: from what is wished, remembered and observed to a [`Plan`]. Pure; a dry run and
//! a real run call the same function.

use std::collections::BTreeMap;

pub use super::cutover::effects;
pub(super) use super::ground::holds_only;
use super::ground::readable;
pub use super::ground::{Ground, Holding, Standing, standing};
use super::history::ReleaseState;
use super::name::{Identity, ReleaseId, Role, SlotName};
pub use super::obstacle::Obstacle;
use super::plan::{Pair, Past, Plan, Planned, Rung, Side, Step, Verb};
use super::slot::{Content, Seal, Stamp};

/// What a deploy or a build is asked for.
pub struct DeployWish {
    /// Deploy or build.
    pub verb: Verb,
    /// Where dbt builds each live slot, where the rule for names does not say it.
    pub pairs: Option<Vec<Pair>>,
    /// dbt's commands.
    pub commands: Vec<Vec<String>>,
    /// Post-deploy checks.
    pub checks: Vec<Vec<String>>,
    /// How dbt is moved.
    pub moved_by: Rung,
    /// How many archives are kept.
    pub keep: usize,
    /// Whether production that has vanished may be built anew.
    pub allow_vanished: bool,
}

/// Plans a deploy, or the building half of one.
pub fn deploy(ground: &Ground<'_>, wish: &DeployWish) -> Result<Plan, Obstacle> {
    let standing = readable(ground)?;
    if let (None, Some(claimed), false) =
        (standing.release, ground.history.claimed_live(), wish.allow_vanished)
    {
        return Err(Obstacle::Vanished(claimed));
    }
    let (release, attempt) = ground.next(&standing);
    // Slots that dbt does not write any more stay a part of the environment.
    let built = wish.pairs.as_deref().unwrap_or_default();
    let pairs = ground.whole(built, Role::Build(release));
    let mut steps = ground.leftover(release, &pairs)?;
    steps.extend(ground.founded(&[], release, &standing));
    steps.push(Step::Clone {
        pairs: pairs.clone(),
        release,
        attempt,
        from_nothing: standing.release.is_none(),
    });
    steps.push(Step::Build { pairs: pairs.clone(), commands: wish.commands.clone() });
    steps.extend(ground.where_needed(Step::Relink { pairs: pairs.clone(), side: Side::Build }));
    steps.push(Step::Verify { pairs: pairs.clone() });
    steps.push(Step::Seal { pairs: pairs.clone(), release, attempt });
    if wish.verb == Verb::Deploy {
        steps.extend(ground.publish(&pairs, release, attempt, &standing, &wish.checks)?);
        steps.extend(ground.expired(release, standing.release, wish.keep));
    }
    Ok(ground.plan(wish.verb, release, attempt, &standing, Some(wish.moved_by), steps))
}

/// The number of the release that a deploy would make now.
pub fn upcoming(ground: &Ground<'_>) -> Result<ReleaseId, Obstacle> {
    let standing = readable(ground)?;
    Ok(ground.next(&standing).0)
}

/// Plans the publishing of a build that waits: `wanted`, or the newest.
pub fn promote(
    ground: &Ground<'_>,
    wanted: Option<ReleaseId>,
    checks: &[Vec<String>],
    keep: usize,
) -> Result<Plan, Obstacle> {
    let standing = readable(ground)?;
    let waiting = ground
        .history
        .releases
        .values()
        .rev()
        .filter(|release| release.state == ReleaseState::Waiting)
        .find(|release| wanted.is_none_or(|wanted| wanted == release.id))
        .ok_or(Obstacle::NothingWaits(wanted))?;
    let release = waiting.id;
    if waiting.base != standing.release {
        return Err(Obstacle::Outdated { release, base: waiting.base, live: standing.release });
    }
    let built = ground.pairs(Role::Build(release));
    if !built.iter().all(|pair| ground.content(&pair.other).release() == Some(release)) {
        return Err(Obstacle::NotKept(release));
    }
    let pairs = ground.whole(&built, Role::Build(release));
    let mut steps = ground.founded(&pairs, release, &standing);
    if ground.staged {
        steps.extend(ground.drop_of(Role::Candidate(release)));
    }
    steps.extend(ground.publish(&pairs, release, waiting.attempt, &standing, checks)?);
    steps.extend(ground.expired(release, standing.release, keep));
    Ok(ground.plan(Verb::Promote, release, waiting.attempt, &standing, None, steps))
}

/// Plans the way back (or forward) to a release whose content is kept.
pub fn rollback(ground: &Ground<'_>, target: ReleaseId) -> Result<Plan, Obstacle> {
    let standing = standing(ground)?;
    if standing.release == Some(target) {
        return Err(Obstacle::AlreadyLive(target));
    }
    let pairs = match ground.holding(target) {
        Holding::Kept(pairs) => pairs,
        Holding::Busy { slot, reason } => return Err(Obstacle::Busy { slot, reason }),
        Holding::Gone => return Err(Obstacle::NotKept(target)),
    };
    let attempt = ground.history.release(target).map_or(1, |release| release.attempt);
    let mut steps = ground.founded(&pairs, target, &standing);
    steps.extend(ground.cutover(&pairs, target, &standing, &[])?);
    Ok(ground.plan(Verb::Rollback, target, attempt, &standing, None, steps))
}

/// Plans the way back to a release whose archive was dropped, and that the warehouse can still bring
/// back: `dropped` are its slots, and which containers they were.
pub fn restore(
    ground: &Ground<'_>,
    target: ReleaseId,
    dropped: &BTreeMap<SlotName, Identity>,
) -> Result<Plan, Obstacle> {
    let mut observation = ground.observation.clone();
    let attempt = ground.history.release(target).map_or(1, |release| release.attempt);
    for (slot, identity) in dropped {
        if *ground.content(slot) != Content::Absent {
            return Err(Obstacle::Squatter(slot.clone()));
        }
        let identity = identity.clone();
        let stamp =
            Stamp { release: target, attempt, seal: Seal::Sealed, identity: identity.clone() };
        let content = Content::Present { identity, stamp: Some(stamp), created_by_us: true };
        observation.slots.insert(slot.clone(), content);
    }
    let mut plan = rollback(&Ground { observation: &observation, ..*ground }, target)?;
    let step = Step::Restore { slots: dropped.keys().cloned().collect(), release: target };
    let effects = effects(&step, ground.render);
    plan.steps.insert(0, Planned { step, effects });
    Ok(plan)
}

/// Plans the way back to a state that is not kept but that the warehouse can read from its own
/// past: it is copied into slots of its own, which are swapped in. `past` names, for each live slot,
/// the container that held it and the moment; `as_release` is the release that this is, where it is
/// one as a whole, and otherwise it gets a number of its own.
pub fn recall(
    ground: &Ground<'_>,
    as_release: Option<ReleaseId>,
    past: &BTreeMap<SlotName, Past>,
) -> Result<Plan, Obstacle> {
    let standing = standing(ground)?;
    let (release, attempt) = match as_release {
        Some(release) => {
            let known = ground.history.release(release);
            (release, known.map_or(1, |known| known.attempt) + 1)
        }
        None => ground.next(&standing),
    };
    if standing.release == Some(release) {
        return Err(Obstacle::AlreadyLive(release));
    }
    let pairs: Vec<Pair> = ground.named(Role::Build(release));
    let found: Option<Vec<Past>> = pairs.iter().map(|pair| past.get(&pair.live).cloned()).collect();
    let past = found.ok_or(Obstacle::NotKept(release))?;
    let mut steps = ground.leftover(release, &pairs)?;
    steps.push(Step::Recall { pairs: pairs.clone(), release, attempt, past });
    steps.extend(ground.cutover(&pairs, release, &standing, &[])?);
    Ok(ground.plan(Verb::Rollback, release, attempt, &standing, None, steps))
}

/// Plans the dropping of archives: the named ones, or those beyond `keep`.
pub fn prune(ground: &Ground<'_>, named: &[ReleaseId], keep: usize) -> Result<Plan, Obstacle> {
    let standing = standing(ground)?;
    let live = standing.release.ok_or(Obstacle::NothingLive)?;
    let steps = if named.is_empty() {
        ground.expired(live, None, keep)
    } else {
        let mut steps = Vec::new();
        for release in named {
            if *release == live {
                return Err(Obstacle::AlreadyLive(live));
            }
            steps.push(
                ground
                    .drop_of(Role::Archive(*release))
                    .or_else(|| ground.drop_of(Role::Build(*release)))
                    .ok_or(Obstacle::NoArchive(*release))?,
            );
        }
        steps
    };
    Ok(ground.plan(
        Verb::Prune,
        live,
        1,
        &Standing { release: Some(live), ..standing },
        None,
        steps,
    ))
}
