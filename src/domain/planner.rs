//! The planners: from what is wished, remembered and observed to a [`Plan`]. Pure; a dry run and
//! a real run call the same function.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{History, ReleaseState};
use super::name::{Identity, Naming, ReleaseId, Role, SlotName};
use super::plan::{Effect, Kept, Pair, Plan, Planned, Rung, Step, Verb};
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
    match Live::of(ground.live, ground.observation) {
        Live::Busy { slot, reason } => Err(Obstacle::Busy { slot, reason }),
        Live::Mixed(slots) => Err(Obstacle::Mixed(slots)),
        Live::Empty => Ok(Standing::default()),
        Live::Release(release) => Ok(Standing { release: Some(release), adopted: BTreeMap::new() }),
        Live::Unstamped(identities) => {
            let history = ground.history;
            let known = history.releases.values().find(|release| {
                release.state == ReleaseState::Adopted && release.identities == identities
            });
            let release = match known {
                Some(release) => release.id,
                None if history.releases.is_empty() => ReleaseId(0),
                None => history.next_release().0,
            };
            Ok(Standing { release: Some(release), adopted: identities })
        }
    }
}

/// Plans a deploy, or the building half of one.
pub fn deploy(ground: &Ground<'_>, wish: &DeployWish) -> Result<Plan, Obstacle> {
    let standing = standing(ground)?;
    if let (None, Some(claimed), false) =
        (standing.release, ground.history.claimed_live(), wish.allow_vanished)
    {
        return Err(Obstacle::Vanished(claimed));
    }
    let (mut release, mut attempt) = ground.history.next_release();
    if standing.release == Some(release) {
        (release, attempt) = (release.next(), 1); // The number went to what is being adopted.
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
        steps.extend(ground.cutover(&pairs, release, &standing, &wish.checks));
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
    let standing = standing(ground)?;
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
    let mut steps = ground.cutover(&pairs, release, &standing, checks);
    steps.extend(ground.expired(release, standing.release, keep));
    Ok(ground.plan(Verb::Promote, release, waiting.attempt, &standing, None, steps))
}

/// Plans the way back (or forward) to a release whose content is kept.
pub fn rollback(ground: &Ground<'_>, target: ReleaseId) -> Result<Plan, Obstacle> {
    let standing = standing(ground)?;
    if standing.release == Some(target) {
        return Err(Obstacle::AlreadyLive(target));
    }
    let pairs = ground.holders(target).ok_or(Obstacle::NotKept(target))?;
    let attempt = ground.history.release(target).map_or(1, |release| release.attempt);
    let steps = ground.cutover(&pairs, target, &standing, &[]);
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

    /// The slots whose stamps say that they hold `target`, looked for under every name that this
    /// environment has ever given.
    #[must_use]
    pub fn holders(&self, target: ReleaseId) -> Option<Vec<Pair>> {
        let others = self.history.releases.keys().copied().filter(|id| *id != target);
        std::iter::once(target)
            .chain(others)
            .flat_map(|id| [Role::Archive(id), Role::Build(id)])
            .map(|role| self.pairs(role))
            .find(|pairs| {
                pairs.iter().all(|pair| self.content(&pair.other).release() == Some(target))
            })
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
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        if standing.release.is_some() {
            steps.push(Step::SyncGrants { pairs: pairs.to_vec() });
            steps.push(Step::Drift { pairs: pairs.to_vec() });
        }
        steps.push(Step::Swap {
            pairs: pairs.to_vec(),
            publishes: release,
            displaces: standing.release,
        });
        if !checks.is_empty() {
            steps.push(Step::Check { commands: checks.to_vec() });
        }
        if let Some(old) = standing.release {
            let kept = pairs
                .iter()
                .map(|pair| Kept {
                    live: pair.live.clone(),
                    from: pair.other.clone(),
                    to: self.naming.slot(&pair.live, Role::Archive(old)),
                })
                .collect();
            let adopt = !standing.adopted.is_empty();
            steps.push(Step::Keep { kept, release: old, adopt });
        }
        steps
    }

    /// What an earlier attempt at `release` left where the build must go.
    fn leftover(&self, release: ReleaseId) -> Result<Vec<Step>, Obstacle> {
        for pair in self.pairs(Role::Build(release)) {
            let content = self.content(&pair.other);
            if *content != Content::Absent && !content.is_ours() {
                return Err(Obstacle::Squatter(pair.other));
            }
        }
        Ok(self.drop_of(Role::Build(release)).into_iter().collect())
    }

    fn drop_of(&self, role: Role) -> Option<Step> {
        let slots: Vec<SlotName> = self
            .pairs(role)
            .into_iter()
            .map(|pair| pair.other)
            .filter(|slot| self.content(slot).is_ours())
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
