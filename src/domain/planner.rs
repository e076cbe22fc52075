//! The planners: from what is wished, remembered and observed to a [`Plan`]. Pure; a dry run and
//! a real run call the same function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::history::{History, Release, ReleaseState};
use super::name::{Identity, Naming, ReleaseId, Role, SlotName};
use super::plan::{
    Adoption, Effect, Kept, Pair, Past, Plan, Planned, Rung, Side, Staged, Step, Verb,
};
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
    /// Whether several slots are swapped in by way of copies, so that the build's names go on
    /// answering meanwhile.
    pub staged: bool,
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
    /// Live slots that do not exist yet, and did not belong to the release either.
    pub missing: Vec<SlotName>,
}

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

/// What is live now: by stamp, or by the identity of content to adopt.
pub fn standing(ground: &Ground<'_>) -> Result<Standing, Obstacle> {
    let unstamped = |adopted: BTreeMap<SlotName, Identity>, damaged, missing| {
        let release = Some(ground.number_of(&adopted));
        Standing { release, adopted, damaged, missing }
    };
    match Live::of(ground.live, ground.observation) {
        Live::Busy { slot, reason } => Err(Obstacle::Busy { slot, reason }),
        Live::Mixed(slots) => match ground.agreed() {
            Some(standing) => Ok(standing),
            None => Err(Obstacle::Mixed(slots)),
        },
        Live::Empty => Ok(Standing::default()),
        Live::Release(release) => Ok(Standing { release: Some(release), ..Standing::default() }),
        Live::Unstamped(identities) => Ok(unstamped(identities, false, Vec::new())),
        Live::Damaged { identities, .. } => Ok(unstamped(identities, true, Vec::new())),
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
    let (release, attempt) = ground.next(&standing);
    let pairs = wish.pairs.clone().unwrap_or_else(|| ground.named(Role::Build(release)));
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

impl Ground<'_> {
    /// The number under which content that no stamp speaks for is adopted.
    fn number_of(&self, adopted: &BTreeMap<SlotName, Identity>) -> ReleaseId {
        let known =
            self.history.releases.values().find(|release| {
                release.state == ReleaseState::Adopted && release.is_among(adopted)
            });
        known.map_or_else(|| self.history.number_to_adopt(&self.stamped()), |release| release.id)
    }

    /// What slots that are not all stamped alike agree on after all: an environment grows by slots
    /// that do not exist yet, or that dbt alone wrote until now; they belong to what is live with
    /// them. A slot that the release did have is missed.
    fn agreed(&self) -> Option<Standing> {
        let mut releases = BTreeSet::new();
        let mut adopted = BTreeMap::new();
        let mut missing = Vec::new();
        for slot in self.live {
            match self.content(slot) {
                Content::Absent => missing.push(slot.clone()),
                content => match content.release() {
                    Some(release) => drop(releases.insert(release)),
                    None => drop(adopted.insert(slot.clone(), content.identity()?.clone())),
                },
            }
        }
        let release = match releases.into_iter().collect::<Vec<_>>()[..] {
            [] => self.number_of(&adopted),
            [release] => release,
            _ => return None,
        };
        let known = self.history.release(release);
        let had = known.map(Release::slots).unwrap_or_default();
        let was_adopted = |slot: &SlotName, identity: &Identity| {
            known.is_some_and(|one| one.identities.get(slot) == Some(identity))
        };
        let grown = missing.iter().all(|slot| !had.contains(slot))
            && adopted.iter().all(|(slot, id)| !had.contains(slot) || was_adopted(slot, id))
            && (known.is_some() || self.live.len() == missing.len() + adopted.len());
        grown.then_some(Standing { release: Some(release), adopted, damaged: false, missing })
    }

    fn content(&self, slot: &SlotName) -> &Content {
        self.observation.content(slot)
    }

    /// A release's slots, with names for those that the environment grew by since: in the release
    /// they are empty.
    fn whole(&self, kept: &[Pair], role: Role) -> Vec<Pair> {
        let names = self.named(role).into_iter();
        names
            .map(|named| kept.iter().find(|pair| pair.live == named.live).cloned().unwrap_or(named))
            .collect()
    }

    /// The making of empty slots for what a release did not have, and for what live does not.
    fn founded(&self, pairs: &[Pair], release: ReleaseId, standing: &Standing) -> Vec<Step> {
        let absent = |pair: &&Pair| *self.content(&pair.other) == Content::Absent;
        let new: Vec<SlotName> =
            pairs.iter().filter(absent).map(|pair| pair.other.clone()).collect();
        let incoming = (!new.is_empty()).then_some(Step::Found { slots: new, release });
        let missing = &standing.missing;
        let live = standing.release.filter(|_| !missing.is_empty());
        let live = live.map(|release| Step::Found { slots: missing.clone(), release });
        incoming.into_iter().chain(live).collect()
    }

    /// The next release and the attempt at it.
    fn next(&self, standing: &Standing) -> (ReleaseId, u32) {
        let (release, attempt) = self.history.next_release(&self.stamped());
        match standing.release.filter(|adopted| *adopted >= release) {
            Some(adopted) => {
                // The number went to what is being adopted.
                let release = adopted.next();
                let known = self.history.release(release);
                (release, known.map_or(1, |abandoned| abandoned.attempt + 1))
            }
            None => (release, attempt),
        }
    }

    /// A step, where the warehouse does something for it.
    fn where_needed(&self, step: Step) -> Option<Step> {
        (!(self.render)(&step).is_empty()).then_some(step)
    }

    /// Where the slots of a role are: where dbt built them, or where the rule for names puts them.
    fn pairs(&self, role: Role) -> Vec<Pair> {
        if let Role::Build(release) = role
            && let Some(known) = self.history.release(release)
            && !known.pairs.is_empty()
        {
            return known.pairs.clone();
        }
        self.named(role)
    }

    /// Where the rule for names puts the slots of a role.
    fn named(&self, role: Role) -> Vec<Pair> {
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
        let had = self.history.release(target).map(Release::slots).unwrap_or_default();
        let is_there = |pair: &Pair| self.content(&pair.other).release() == Some(target);
        let kept = std::iter::once(target)
            .chain(others)
            .flat_map(|id| [Role::Archive(id), Role::Build(id), Role::Candidate(id)])
            .map(|role| self.pairs(role))
            .find(|pairs| {
                let mut own =
                    pairs.iter().filter(|pair| had.is_empty() || had.contains(&pair.live));
                pairs.iter().any(is_there) && own.all(is_there)
            });
        if let Some(kept) = kept {
            let here: Vec<Pair> = kept.into_iter().filter(is_there).collect();
            return Holding::Kept(self.whole(&here, Role::Archive(target)));
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

    /// The publishing of a sealed build.
    fn publish(
        &self,
        pairs: &[Pair],
        release: ReleaseId,
        attempt: u32,
        standing: &Standing,
        checks: &[Vec<String>],
    ) -> Result<Vec<Step>, Obstacle> {
        if !self.staged || pairs.len() < 2 {
            return self.cutover(pairs, release, standing, checks);
        }
        let candidates = |live: &SlotName| self.naming.slot(live, Role::Candidate(release));
        let staged: Vec<Staged> = pairs
            .iter()
            .map(|Pair { live, other }| Staged {
                live: live.clone(),
                build: other.clone(),
                candidate: candidates(live),
            })
            .collect();
        let incoming: Vec<Pair> = staged
            .iter()
            .map(|one| Pair { live: one.live.clone(), other: one.candidate.clone() })
            .collect();
        let builds = staged.iter().map(|one| one.build.clone()).collect();
        let mut steps = vec![Step::Stage { staged, release, attempt }];
        steps.extend(self.cutover(&incoming, release, standing, checks)?);
        let relink = self.where_needed(Step::Relink { pairs: pairs.to_vec(), side: Side::Live });
        let behind = |step: &Step| matches!(step, Step::Swap { .. } | Step::HandOver { .. });
        let at = steps.iter().rposition(behind).map_or(steps.len(), |at| at + 1);
        steps.splice(at..at, relink);
        steps.push(Step::Unstage { release, slots: builds });
        Ok(steps)
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
        if standing.release.is_some() {
            steps.extend(self.where_needed(Step::HandOver { pairs: pairs.to_vec() }));
        }
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
    fn leftover(&self, release: ReleaseId, pairs: &[Pair]) -> Result<Vec<Step>, Obstacle> {
        for pair in pairs.iter().cloned() {
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
        let candidates = if self.staged { self.drop_of(Role::Candidate(release)) } else { None };
        let mut slots: BTreeSet<SlotName> = pairs
            .iter()
            .cloned()
            .chain(self.pairs(Role::Build(release)))
            .map(|pair| pair.other)
            .filter(|slot| holds_only(self.content(slot), release))
            .collect();
        slots.retain(|slot| *self.content(slot) != Content::Absent);
        let builds = (!slots.is_empty())
            .then(|| Step::Drop { role: Role::Build(release), slots: slots.into_iter().collect() });
        Ok(builds.into_iter().chain(candidates).collect())
    }

    /// The dropping of a role's slots, as far as they hold that release and nothing else: a name is
    /// a claim, and what a swap left under it may be somebody's production.
    fn drop_of(&self, role: Role) -> Option<Step> {
        let (Role::Build(release) | Role::Archive(release) | Role::Candidate(release)) = role
        else {
            return None;
        };
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
            .flat_map(|one| [Role::Build(one.id), Role::Candidate(one.id)])
            .filter_map(|role| self.drop_of(role));
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
