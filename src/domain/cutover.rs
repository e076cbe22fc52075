//! The steps that publish, keep and drop, in their order.
//!
//! Invariant: what may be dropped is said by stamps, never by names.

use std::collections::BTreeSet;

use super::ground::{Ground, Standing, holds_only};
use super::history::ReleaseState;
use super::name::{ReleaseId, Role, SlotName};
use super::obstacle::Obstacle;
use super::plan::{Adoption, Effect, Kept, Pair, Side, Staged, Step};
use super::slot::Content;

impl Ground<'_> {
    /// The publishing of a sealed build.
    pub(super) fn publish(
        &self,
        pairs: &[Pair],
        release: ReleaseId,
        attempt: u32,
        standing: &Standing,
        checks: &[Vec<String>],
    ) -> Result<Vec<Step>, Obstacle> {
        if !self.staged {
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

    pub(super) fn cutover(
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

    pub(super) fn keep(
        &self,
        pairs: &[Pair],
        old: ReleaseId,
        standing: &Standing,
    ) -> Result<Step, Obstacle> {
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
    pub(super) fn leftover(
        &self,
        release: ReleaseId,
        pairs: &[Pair],
    ) -> Result<Vec<Step>, Obstacle> {
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
    pub(super) fn drop_of(&self, role: Role) -> Option<Step> {
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
    pub(super) fn expired(
        &self,
        release: ReleaseId,
        displaced: Option<ReleaseId>,
        keep: usize,
    ) -> Vec<Step> {
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
