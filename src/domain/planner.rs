//! The planners: from what is wished, remembered and observed to a [`Plan`]. Pure; a dry run and
//! a real run call the same function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::history::{History, ReleaseState};
use super::name::{Identity, Naming, ReleaseId, Role, SlotName};
use super::plan::{Adoption, Effect, Kept, Pair, Plan, Planned, Rung, Step, Verb};
use super::slot::{Content, Live, Observation};

/// What every planner stands on.
pub struct Ground<'a> {
    /// The journal's fold.
    pub history: &'a History,
    /// What was seen.
    pub observation: &'a Observation,
    /// The live slots.
    pub live: &'a [SlotName],
    /// How builds and archives are named.
    pub naming: Naming,
    /// The warehouse's renderer.
    pub render: &'a dyn Fn(&Step) -> Vec<Effect>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A live slot cannot be read now.
    Busy {
        /// Which.
        slot: SlotName,
        /// The warehouse's words.
        reason: String,
    },
    /// The live slots do not agree.
    Mixed(BTreeMap<SlotName, Option<ReleaseId>>),
    /// A live slot's content cannot be read at all.
    Damaged {
        /// Which.
        slot: SlotName,
        /// The warehouse's words.
        reason: String,
    },
    /// Whether an interrupted cutover happened cannot be told from what is there.
    Unclear(SlotName),
    /// The ledger says that a release is live, and there is nothing at all.
    Vanished(ReleaseId),
    /// Where a build or an archive must go there is something that Switchback did not make.
    Squatter(SlotName),
    /// There is no build that waits.
    NothingWaits(Option<ReleaseId>),
    /// The build that waits was made from another release than the one that is live.
    Outdated {
        /// The build.
        release: ReleaseId,
        /// What it was made from.
        base: Option<ReleaseId>,
        /// What is live.
        live: Option<ReleaseId>,
    },
    /// The target is live already.
    AlreadyLive(ReleaseId),
    /// The target's content is not kept any more.
    NotKept(ReleaseId),
    /// An archive that is to be pruned by name does not exist.
    NoArchive(ReleaseId),
    /// A deployed release cannot be told from the ledger.
    NothingLive,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { slot, reason } => write!(f, "{slot} cannot be read now: {reason}"),
            Self::Mixed(slots) => {
                write!(f, "the live slots do not hold one release:")?;
                for (slot, release) in slots {
                    match release {
                        Some(release) => write!(f, " {slot} holds {release};")?,
                        None => write!(f, " {slot} holds no finished release;")?,
                    }
                }
                Ok(())
            }
            Self::Damaged { slot, reason } => write!(f, "{slot} cannot be read: {reason}"),
            Self::Unclear(slot) => write!(
                f,
                "what {slot} holds is neither what was live before the interrupted run nor what it \
                 was to publish"
            ),
            Self::Vanished(release) => {
                write!(f, "{release} should be live, but production is not there any more")
            }
            Self::Squatter(slot) => {
                write!(f, "there is something at {slot} that Switchback did not make")
            }
            Self::NothingWaits(None) => write!(f, "no build waits to be promoted"),
            Self::NothingWaits(Some(release)) => {
                write!(f, "{release} is not a build that waits to be promoted")
            }
            Self::Outdated { release, base, live } => {
                let name =
                    |r: &Option<ReleaseId>| r.map_or("nothing".to_owned(), |r| r.to_string());
                let (base, live) = (name(base), name(live));
                write!(f, "{release} was built from {base}, but {live} is live now")
            }
            Self::AlreadyLive(release) => write!(f, "{release} is live already"),
            Self::NotKept(release) => {
                write!(f, "the content of {release} is not kept any more, so it cannot come back")
            }
            Self::NoArchive(release) => write!(f, "there is no archive of {release}"),
            Self::NothingLive => write!(f, "nothing is live yet"),
        }
    }
}

/// What is live, as planners see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The release, also for content that is being adopted; none where nothing is live.
    pub release: Option<ReleaseId>,
    /// The containers of content that no stamp speaks for.
    pub adopted: BTreeMap<SlotName, Identity>,
    /// Whether that content cannot be read at all.
    pub damaged: bool,
}

/// What a deploy or a build is asked for.
pub struct DeployWish {
    /// Deploy or build.
    pub verb: Verb,
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

/// What is live now: by stamp, or by the identity of content to adopt.
pub fn standing(ground: &Ground<'_>) -> Result<Standing, Obstacle> {
    let unstamped = |adopted: BTreeMap<SlotName, Identity>, damaged| {
        let known = ground.history.releases.values().find(|release| {
            release.state == ReleaseState::Adopted && release.identities == adopted
        });
        let number = || ground.history.number_to_adopt(&ground.stamped());
        let release = Some(known.map_or_else(number, |release| release.id));
        Standing { release, adopted, damaged }
    };
    match Live::of(ground.live, ground.observation) {
        Live::Busy { slot, reason } => Err(Obstacle::Busy { slot, reason }),
        Live::Mixed(slots) => Err(Obstacle::Mixed(slots)),
        Live::Empty => Ok(Standing::default()),
        Live::Release(release) => Ok(Standing { release: Some(release), ..Standing::default() }),
        Live::Unstamped(identities) => Ok(unstamped(identities, false)),
        Live::Damaged { identities, .. } => Ok(unstamped(identities, true)),
    }
}

/// The same for a verb that must be able to read what is live.
fn readable(ground: &Ground<'_>) -> Result<Standing, Obstacle> {
    match Live::of(ground.live, ground.observation) {
        Live::Damaged { slot, reason, .. } => Err(Obstacle::Damaged { slot, reason }),
        _ => standing(ground),
    }
}

/// Plans a deploy, or the building half of one.
pub fn deploy(ground: &Ground<'_>, wish: &DeployWish) -> Result<Plan, Obstacle> {
    let standing = readable(ground)?;
    if let (None, Some(claimed), false) =
        (standing.release, ground.history.claimed_live(), wish.allow_vanished)
    {
        return Err(Obstacle::Vanished(claimed));
    }
    let (mut release, mut attempt) = ground.history.next_release(&ground.stamped());
    if let Some(adopted) = standing.release.filter(|adopted| *adopted >= release) {
        // The number went to what is being adopted.
        release = adopted.next();
        attempt = ground.history.release(release).map_or(1, |abandoned| abandoned.attempt + 1);
    }
    let pairs = ground.pairs(Role::Build(release));
    let mut steps = ground.leftover(release)?;
    steps.push(Step::Clone {
        pairs: pairs.clone(),
        release,
        attempt,
        from_nothing: standing.release.is_none(),
    });
    steps.push(Step::Build { pairs: pairs.clone(), commands: wish.commands.clone() });
    steps.push(Step::Verify { pairs: pairs.clone() });
    steps.push(Step::Seal { pairs: pairs.clone(), release, attempt });
    if wish.verb == Verb::Deploy {
        steps.extend(ground.cutover(&pairs, release, &standing, &wish.checks)?);
        steps.extend(ground.expired(release, standing.release, wish.keep));
    }
    Ok(ground.plan(wish.verb, release, attempt, &standing, Some(wish.moved_by), steps))
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
    let pairs = ground.pairs(Role::Build(release));
    if !pairs.iter().all(|pair| ground.content(&pair.other).release() == Some(release)) {
        return Err(Obstacle::NotKept(release));
    }
    let mut steps = ground.cutover(&pairs, release, &standing, checks)?;
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
    let steps = ground.cutover(&pairs, target, &standing, &[])?;
    Ok(ground.plan(Verb::Rollback, target, attempt, &standing, None, steps))
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

impl Ground<'_> {
    fn content(&self, slot: &SlotName) -> &Content {
        self.observation.content(slot)
    }

    fn pairs(&self, role: Role) -> Vec<Pair> {
        self.live
            .iter()
            .map(|live| Pair { live: live.clone(), other: self.naming.slot(live, role) })
            .collect()
    }

    /// The releases that observed stamps name.
    fn stamped(&self) -> BTreeSet<ReleaseId> {
        let stamps = self.observation.slots.values().filter_map(Content::own_stamp);
        stamps.map(|stamp| stamp.release).collect()
    }

    /// The slots whose stamps say that they hold `target`, looked for under every name that this
    /// environment has ever given.
    #[must_use]
    pub fn holding(&self, target: ReleaseId) -> Holding {
        let others = self.history.releases.keys().copied().filter(|id| *id != target);
        let kept = std::iter::once(target)
            .chain(others)
            .flat_map(|id| [Role::Archive(id), Role::Build(id)])
            .map(|role| self.pairs(role))
            .find(|pairs| {
                pairs.iter().all(|pair| self.content(&pair.other).release() == Some(target))
            });
        if let Some(pairs) = kept {
            return Holding::Kept(pairs);
        }
        // It may be there and only not readable now, because somebody looks into it.
        let busy = self.pairs(Role::Archive(target)).into_iter().find_map(|pair| {
            match self.content(&pair.other) {
                Content::Busy { reason } => {
                    Some(Holding::Busy { slot: pair.other, reason: reason.clone() })
                }
                _ => None,
            }
        });
        busy.unwrap_or(Holding::Gone)
    }

    fn plan(
        &self,
        verb: Verb,
        release: ReleaseId,
        attempt: u32,
        standing: &Standing,
        moved_by: Option<Rung>,
        steps: Vec<Step>,
    ) -> Plan {
        Plan {
            verb,
            release,
            attempt,
            displaces: standing.release,
            adopts: !standing.adopted.is_empty(),
            moved_by,
            steps: steps
                .into_iter()
                .map(|step| Planned { effects: effects(&step, self.render), step })
                .collect(),
        }
    }

    fn cutover(
        &self,
        pairs: &[Pair],
        release: ReleaseId,
        standing: &Standing,
        checks: &[Vec<String>],
    ) -> Result<Vec<Step>, Obstacle> {
        let mut steps = Vec::new();
        if standing.release.is_some() {
            steps.push(Step::SyncGrants { pairs: pairs.to_vec() });
        }
        if standing.release.is_some() && !standing.damaged {
            steps.push(Step::Drift { pairs: pairs.to_vec() });
        }
        steps.push(Step::Swap {
            pairs: pairs.to_vec(),
            publishes: release,
            displaces: standing.release,
            damaged: standing.damaged,
        });
        if !checks.is_empty() {
            steps.push(Step::Check { commands: checks.to_vec() });
        }
        if let Some(old) = standing.release {
            steps.push(self.keep(pairs, old, standing)?);
        }
        Ok(steps)
    }

    fn keep(&self, pairs: &[Pair], old: ReleaseId, standing: &Standing) -> Result<Step, Obstacle> {
        let mut kept = Vec::new();
        for Pair { live, other } in pairs {
            let to = self.naming.slot(live, Role::Archive(old));
            if to != *other && *self.content(&to) != Content::Absent {
                return Err(Obstacle::Squatter(to)); // Better told before the swap than after it.
            }
            kept.push(Kept { live: live.clone(), from: other.clone(), to });
        }
        let adopt = match (standing.damaged, standing.adopted.is_empty()) {
            (true, _) => Adoption::Aside,
            (false, false) => Adoption::Stamp,
            (false, true) => Adoption::Ours,
        };
        Ok(Step::Keep { kept, release: old, adopt })
    }

    /// What an earlier attempt at `release` left where the build must go.
    fn leftover(&self, release: ReleaseId) -> Result<Vec<Step>, Obstacle> {
        for pair in self.pairs(Role::Build(release)) {
            match self.content(&pair.other) {
                Content::Busy { reason } => {
                    return Err(Obstacle::Busy { slot: pair.other, reason: reason.clone() });
                }
                content if *content != Content::Absent && !holds_only(content, release) => {
                    return Err(Obstacle::Squatter(pair.other));
                }
                _ => {}
            }
        }
        Ok(self.drop_of(Role::Build(release)).into_iter().collect())
    }

    /// The dropping of a role's slots, as far as they hold that release and nothing else: a name is
    /// a claim, and what a swap left under it may be somebody's production.
    fn drop_of(&self, role: Role) -> Option<Step> {
        let (Role::Build(release) | Role::Archive(release)) = role else { return None };
        let slots: Vec<SlotName> = self
            .pairs(role)
            .into_iter()
            .map(|pair| pair.other)
            .filter(|slot| holds_only(self.content(slot), release))
            .collect();
        (!slots.is_empty()).then_some(Step::Drop { role, slots })
    }

    /// Archives beyond the `keep` newest once `release` is live and `displaced` is kept, and
    /// builds that can never be published. What was adopted is pruned only by name.
    fn expired(&self, release: ReleaseId, displaced: Option<ReleaseId>, keep: usize) -> Vec<Step> {
        let mut kept: Vec<_> = self
            .history
            .releases
            .values()
            .filter(|one| one.state == ReleaseState::Published && one.id != release)
            .filter(|one| {
                displaced == Some(one.id) || self.drop_of(Role::Archive(one.id)).is_some()
            })
            .collect();
        kept.sort_by_key(|one| std::cmp::Reverse((Some(one.id) == displaced, one.at)));
        let archives = kept
            .into_iter()
            .skip(keep)
            .filter(|one| Some(one.id) != displaced)
            .filter(|one| self.history.previous(release) != Some(one.id))
            .filter_map(|one| self.drop_of(Role::Archive(one.id)));
        let builds = self
            .history
            .releases
            .values()
            .filter(|one| one.id != release)
            .filter(|one| match one.state {
                ReleaseState::SwappedBack | ReleaseState::Abandoned => true,
                ReleaseState::Waiting => one.base != Some(release),
                ReleaseState::Adopted | ReleaseState::Building | ReleaseState::Published => false,
            })
            .filter_map(|one| self.drop_of(Role::Build(one.id)));
        archives.chain(builds).collect()
    }
}

/// Whether a slot's content is that release of ours, or a copy we made that was never stamped.
pub(super) fn holds_only(content: &Content, release: ReleaseId) -> bool {
    match content.own_stamp() {
        Some(stamp) => stamp.release == release,
        None => content.is_ours(),
    }
}

/// Where the content of a release is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holding {
    /// In these slots.
    Kept(Vec<Pair>),
    /// In a slot that cannot be read now.
    Busy {
        /// Which.
        slot: SlotName,
        /// The warehouse's words.
        reason: String,
    },
    /// Nowhere.
    Gone,
}

/// A step's effects: dbt's are the same on every warehouse, the rest are the warehouse's own.
pub fn effects(step: &Step, render: &dyn Fn(&Step) -> Vec<Effect>) -> Vec<Effect> {
    let dbt = |commands: &[Vec<String>], on: &str| {
        commands
            .iter()
            .map(|arguments| Effect::Dbt { arguments: arguments.clone(), on: on.to_owned() })
            .collect::<Vec<_>>()
    };
    let mut effects = match step {
        Step::Build { commands, .. } => dbt(commands, "build"),
        Step::Check { commands } => dbt(commands, "live"),
        _ => Vec::new(),
    };
    effects.extend(render(step));
    effects
}
