//! The history: a fold of the journal. What releases there were, which is claimed to be live,
//! what is unfinished, what is held.
//!
//! Invariants: the fold is total (any sequence of records yields a history, also one that a crash
//! cut short), steps are keyed by name and never by position, and nothing here is believed
//! before it has been compared with the stamps (`slot::Live`).

mod fold;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::journal::{Actor, Baseline, Began, HoldKind, Mark, Record};
use super::name::{CommitId, Fingerprint, Identity, ReleaseId, RunId, SlotName};
use super::plan::{Pair, Verb};
use super::project::Written;

/// How far a release got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// It was live before Switchback came.
    Adopted,
    /// It is being made.
    Building,
    /// It is made and waits for `promote`.
    Waiting,
    /// It has been live.
    Published,
    /// It was live for a moment and was swapped back.
    SwappedBack,
    /// It never got live; its number is used again.
    Abandoned,
}

/// One release as the journal tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Its number.
    pub id: ReleaseId,
    /// The latest attempt at it.
    pub attempt: u32,
    /// The release it was built on.
    pub base: Option<ReleaseId>,
    /// How far it got.
    pub state: ReleaseState,
    /// The commit it was built from.
    pub commit: Option<CommitId>,
    /// Whether the checkout had changes beside the commit.
    pub dirty: bool,
    /// What dbt built.
    pub fingerprint: Option<Fingerprint>,
    /// Who made it.
    pub by: Actor,
    /// Why.
    pub reason: Option<String>,
    /// When it was published, or else begun.
    pub at: DateTime<Utc>,
    /// The relations dbt wrote.
    pub writes: Vec<Written>,
    /// For adopted content: its containers.
    pub identities: BTreeMap<SlotName, Identity>,
    /// The live slots it consists of, and the slot each of them was built in.
    pub pairs: Vec<Pair>,
    /// What live looked like when it was cloned.
    pub baseline: Option<Baseline>,
}

impl Release {
    /// The live slots that it consists of, where that is known.
    #[must_use]
    pub fn slots(&self) -> BTreeSet<SlotName> {
        let built = self.pairs.iter().map(|pair| pair.live.clone());
        built.chain(self.identities.keys().cloned()).collect()
    }

    /// Whether these containers are those that were adopted as this release, and perhaps more.
    #[must_use]
    pub fn is_among(&self, found: &BTreeMap<SlotName, Identity>) -> bool {
        !self.identities.is_empty()
            && self.identities.iter().all(|(slot, identity)| found.get(slot) == Some(identity))
    }
}

/// An operation that has begun and not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// Its run.
    pub operation: RunId,
    /// How it began.
    pub began: Began,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub by: Actor,
    /// Steps that were intended.
    pub intended: BTreeSet<String>,
    /// Steps that were done.
    pub done: BTreeSet<String>,
    /// The step it was at.
    pub step: Option<String>,
    /// When and by whom the cutover was intended: where `recover` finds that it happened, that is
    /// when it happened.
    pub cutover: Option<(DateTime<Utc>, Actor)>,
}

/// A stop on deploys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What it stops.
    pub kind: HoldKind,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub by: Actor,
    /// When.
    pub at: DateTime<Utc>,
    /// The commit that was displaced, for people.
    pub commit: Option<CommitId>,
    /// The code it refuses (`same-commit`).
    pub fingerprints: BTreeSet<Fingerprint>,
    /// Whether a rollback set it (rather than `hold`).
    pub by_rollback: bool,
}

/// One change of what is live.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// What became live.
    pub release: ReleaseId,
    /// When.
    pub at: DateTime<Utc>,
    /// Through which verb.
    pub verb: Verb,
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: Option<String>,
}

/// Everything the journal says about one environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Every release, also those that were never live.
    pub releases: BTreeMap<ReleaseId, Release>,
    /// What was live when, oldest first.
    pub publications: Vec<Publication>,
    /// Releases that a rollback took out and nothing has put back.
    pub displaced: BTreeSet<ReleaseId>,
    /// The operation that has not ended.
    pub open: Option<Open>,
    /// The stop on deploys that a rollback set.
    pub hold_of_rollback: Option<Hold>,
    /// The stop on deploys that was set by hand; only `resume` lifts it.
    pub hold_by_hand: Option<Hold>,
    /// Recorded restore points, oldest first.
    pub marks: Vec<Mark>,
}

impl History {
    /// Folds the journal.
    #[must_use]
    pub fn fold(records: &[Record]) -> Self {
        let mut history = Self::default();
        for record in records {
            history.apply(record);
        }
        history
    }

    /// The release that is live if nothing happened outside Switchback.
    #[must_use]
    pub fn claimed_live(&self) -> Option<ReleaseId> {
        self.publications.last().map(|publication| publication.release)
    }

    /// A release by number.
    #[must_use]
    pub fn release(&self, id: ReleaseId) -> Option<&Release> {
        self.releases.get(&id)
    }

    /// The hold that people are shown: one set by hand comes first.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        self.hold_by_hand.as_ref().or(self.hold_of_rollback.as_ref())
    }

    /// The number and attempt of the next release: numbers of abandoned attempts are used again,
    /// numbers in `stamped` that the journal does not know are not.
    #[must_use]
    pub fn next_release(&self, stamped: &BTreeSet<ReleaseId>) -> (ReleaseId, u32) {
        let used = self
            .releases
            .values()
            .filter(|release| release.state != ReleaseState::Abandoned)
            .map(|release| release.id)
            .chain(stamped.iter().copied().filter(|id| !self.releases.contains_key(id)))
            .max();
        let next = used.map_or(ReleaseId(1), ReleaseId::next);
        let attempt = self.releases.get(&next).map_or(1, |abandoned| abandoned.attempt + 1);
        (next, attempt)
    }

    /// The number for content that was not made by Switchback: `r0` if it was there first, else
    /// one that nothing ever had.
    #[must_use]
    pub fn number_to_adopt(&self, stamped: &BTreeSet<ReleaseId>) -> ReleaseId {
        self.releases.keys().chain(stamped).max().map_or(ReleaseId(0), |highest| highest.next())
    }

    /// The newest mark of that name.
    #[must_use]
    pub fn mark(&self, name: &str) -> Option<&Mark> {
        self.marks.iter().rev().find(|mark| mark.name == name)
    }

    /// Every live slot that a release of this environment consists of.
    #[must_use]
    pub fn slots(&self) -> BTreeSet<SlotName> {
        let marked = self.marks.iter().flat_map(|mark| mark.containers.keys().cloned());
        self.releases.values().flat_map(Release::slots).chain(marked).collect()
    }

    /// The releases `from` was built on, nearest first (`from` itself left out).
    #[must_use]
    pub fn ancestors(&self, from: ReleaseId) -> Vec<ReleaseId> {
        let mut chain = Vec::new();
        let mut at = from;
        while let Some(base) = self.releases.get(&at).and_then(|release| release.base) {
            if chain.contains(&base) || base == from {
                break; // A journal that was edited by hand must not hang us.
            }
            chain.push(base);
            at = base;
        }
        chain
    }

    /// The newest published ancestor of `live` that no rollback displaced.
    #[must_use]
    pub fn previous(&self, live: ReleaseId) -> Option<ReleaseId> {
        self.ancestors(live).into_iter().find(|id| {
            !self.displaced.contains(id)
                // One that a lost journal does not know was live all the same: it was built upon.
                && self.releases.get(id).is_none_or(|release| {
                    matches!(release.state, ReleaseState::Published | ReleaseState::Adopted)
                })
        })
    }

    /// The release that was live at that moment.
    #[must_use]
    pub fn live_at(&self, at: DateTime<Utc>) -> Option<ReleaseId> {
        self.publications.iter().rev().find(|one| one.at <= at).map(|one| one.release)
    }

    /// When a release was last taken out of production; `None` while it is live, or if it never was.
    #[must_use]
    pub fn displaced_at(&self, id: ReleaseId) -> Option<DateTime<Utc>> {
        let last = self.publications.iter().rposition(|one| one.release == id)?;
        self.publications.get(last + 1).map(|next| next.at)
    }

    /// The last rollback that has not been followed by another publication.
    #[must_use]
    pub fn standing_rollback(&self) -> Option<&Publication> {
        self.publications.last().filter(|publication| publication.verb == Verb::Rollback)
    }
}
