//! The ground that planners stand on: what is remembered, what was seen, and what follows from the
//! two about which slots hold what and which steps a cutover takes.
//!
//! Invariant: nothing is concluded from a name; a slot holds what its stamp says.

use std::collections::{BTreeMap, BTreeSet};

use super::cutover::effects;
use super::history::{History, Release, ReleaseState};
use super::name::{Identity, Naming, ReleaseId, Role, SlotName};
use super::obstacle::Obstacle;
use super::plan::{Effect, Pair, Plan, Planned, Rung, Step, Verb};
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
pub(super) fn readable(ground: &Ground<'_>) -> Result<Standing, Obstacle> {
    match Live::of(ground.live, ground.observation) {
        Live::Damaged { slot, reason, .. } => Err(Obstacle::Damaged { slot, reason }),
        _ => standing(ground),
    }
}

impl Ground<'_> {
    /// The number under which content that no stamp speaks for is adopted.
    pub(super) fn number_of(&self, adopted: &BTreeMap<SlotName, Identity>) -> ReleaseId {
        let known =
            self.history.releases.values().find(|release| {
                release.state == ReleaseState::Adopted && release.is_among(adopted)
            });
        known.map_or_else(|| self.history.number_to_adopt(&self.stamped()), |release| release.id)
    }

    /// What slots that are not all stamped alike agree on after all: an environment grows by slots
    /// that do not exist yet, or that dbt alone wrote until now; they belong to what is live with
    /// them. A slot that the release did have is missed.
    pub(super) fn agreed(&self) -> Option<Standing> {
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

    pub(super) fn content(&self, slot: &SlotName) -> &Content {
        self.observation.content(slot)
    }

    /// A release's slots, with names for those that the environment grew by since: in the release
    /// they are empty.
    pub(super) fn whole(&self, kept: &[Pair], role: Role) -> Vec<Pair> {
        let names = self.named(role).into_iter();
        names
            .map(|named| kept.iter().find(|pair| pair.live == named.live).cloned().unwrap_or(named))
            .collect()
    }

    /// The making of empty slots for what a release did not have, and for what live does not.
    pub(super) fn founded(
        &self,
        pairs: &[Pair],
        release: ReleaseId,
        standing: &Standing,
    ) -> Vec<Step> {
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
    pub(super) fn next(&self, standing: &Standing) -> (ReleaseId, u32) {
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
    pub(super) fn where_needed(&self, step: Step) -> Option<Step> {
        (!(self.render)(&step).is_empty()).then_some(step)
    }

    /// Where the slots of a role are: where dbt built them, or where the rule for names puts them.
    pub(super) fn pairs(&self, role: Role) -> Vec<Pair> {
        if let Role::Build(release) = role
            && let Some(known) = self.history.release(release)
            && !known.pairs.is_empty()
        {
            return known.pairs.clone();
        }
        self.named(role)
    }

    /// Where the rule for names puts the slots of a role.
    pub(super) fn named(&self, role: Role) -> Vec<Pair> {
        self.live
            .iter()
            .map(|live| Pair { live: live.clone(), other: self.naming.slot(live, role) })
            .collect()
    }

    /// The releases that observed stamps name.
    pub(super) fn stamped(&self) -> BTreeSet<ReleaseId> {
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

    pub(super) fn plan(
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
