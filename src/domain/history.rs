//! The history: a fold of the journal. What releases there were, which is claimed to be live,
//! what is unfinished, what is held.
//!
//! Invariants: the fold is total (any sequence of records yields a history, also one that a crash
//! cut short), steps are keyed by name and never by position, and nothing here is believed
//! before it has been compared with the stamps (`slot::Live`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::journal::{Actor, Baseline, Began, Ending, Entry, Evidence, HoldKind, Mark, Record};
use super::name::{CommitId, Fingerprint, Identity, ReleaseId, RunId, SlotName};
use super::plan::{Pair, Plan, Step, Verb};
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

    fn apply(&mut self, record: &Record) {
        match &record.entry {
            Entry::Began(began) => self.begin(record, began),
            Entry::Intended { step, .. } => {
                if let Some(open) = self.open_of(&record.operation) {
                    open.intended.insert(step.clone());
                    if step == "swap" {
                        open.cutover = Some((record.at, record.by.clone()));
                    }
                    open.step = Some(step.clone());
                }
            }
            Entry::Done { step, evidence } => self.done(record, step, evidence),
            Entry::Failed { .. } => {}
            Entry::Ended { ending, .. } => self.end(record, *ending),
            Entry::Held { reason } => {
                self.hold_by_hand = Some(Hold {
                    kind: HoldKind::All,
                    reason: reason.clone(),
                    by: record.by.clone(),
                    at: record.at,
                    commit: None,
                    fingerprints: BTreeSet::new(),
                    by_rollback: false,
                });
            }
            Entry::Marked(mark) => self.marks.push(mark.clone()),
            Entry::Resumed { .. } => {
                self.hold_by_hand = None;
                self.hold_of_rollback = None;
            }
        }
    }

    fn open_of(&mut self, operation: &RunId) -> Option<&mut Open> {
        self.open.as_mut().filter(|open| open.operation == *operation)
    }

    fn begin(&mut self, record: &Record, began: &Began) {
        let plan = &began.plan;
        if let (true, Some(id)) = (plan.adopts, plan.displaces) {
            let base = self.claimed_live();
            match self.releases.get_mut(&id) {
                // Slots that the environment has grown by belong to what was live with them.
                Some(known)
                    if known.state != ReleaseState::Adopted || known.is_among(&began.adopted) =>
                {
                    known.identities.extend(began.adopted.clone());
                }
                _ => {
                    self.releases.insert(id, adopted(record, began, id, base));
                }
            }
        }
        if matches!(plan.verb, Verb::Deploy | Verb::Build) {
            let release = Release {
                id: plan.release,
                attempt: plan.attempt,
                base: plan.displaces,
                state: ReleaseState::Building,
                commit: began.commit.clone(),
                dirty: began.dirty,
                fingerprint: began.fingerprint.clone(),
                by: record.by.clone(),
                reason: began.reason.clone(),
                at: record.at,
                writes: began.writes.clone(),
                identities: BTreeMap::new(),
                pairs: made_in(plan),
                baseline: None,
            };
            self.releases.insert(plan.release, release);
        }
        self.open = Some(Open {
            operation: record.operation.clone(),
            began: began.clone(),
            at: record.at,
            by: record.by.clone(),
            intended: BTreeSet::new(),
            done: BTreeSet::new(),
            step: None,
            cutover: None,
        });
    }

    fn done(&mut self, record: &Record, step: &str, evidence: &Evidence) {
        let Some(open) = self.open_of(&record.operation) else { return };
        open.done.insert(step.to_owned());
        let release = open.began.plan.release;
        let cutover = open.cutover.clone().filter(|_| *evidence == Evidence::Observed);
        let began = matches!(step, "swap" | "swap-back").then(|| open.began.clone());
        if let Evidence::Cloned(baseline) = evidence
            && let Some(release) = self.releases.get_mut(&release)
        {
            release.baseline = Some(baseline.clone());
        }
        let Some(began) = began else { return };
        if step == "swap" {
            let (at, by) = cutover.unwrap_or_else(|| (record.at, record.by.clone()));
            self.published(at, &by, &began);
        } else {
            self.swapped_back(record, &began);
        }
    }

    fn published(&mut self, at: DateTime<Utc>, by: &Actor, began: &Began) {
        let plan = &began.plan;
        if self.publications.is_empty()
            && let Some(adopted) = plan.displaces.and_then(|id| self.releases.get(&id))
        {
            // What was there first is part of what `--to TIME` can ask for.
            self.publications.push(Publication {
                release: adopted.id,
                at: DateTime::<Utc>::MIN_UTC,
                verb: Verb::Deploy,
                by: adopted.by.clone(),
                reason: None,
            });
        }
        self.publications.push(Publication {
            release: plan.release,
            at,
            verb: plan.verb,
            by: by.clone(),
            reason: began.reason.clone(),
        });
        if plan.verb == Verb::Rollback {
            self.rolled_back(at, by, began);
        } else if let Some(release) = self.releases.get_mut(&plan.release) {
            release.state = ReleaseState::Published;
            release.at = at;
            let lifts = self.hold_of_rollback.as_ref().is_some_and(|hold| {
                hold.kind == HoldKind::SameCommit
                    && release.fingerprint.as_ref().is_some_and(|f| !hold.fingerprints.contains(f))
            });
            if lifts {
                self.hold_of_rollback = None;
            }
        }
        self.displaced.remove(&plan.release);
    }

    fn rolled_back(&mut self, at: DateTime<Utc>, by: &Actor, began: &Began) {
        let plan = &began.plan;
        let mut kept: BTreeSet<ReleaseId> = self.ancestors(plan.release).into_iter().collect();
        kept.insert(plan.release);
        let gone: Vec<ReleaseId> = plan
            .displaces
            .into_iter()
            .flat_map(|old| std::iter::once(old).chain(self.ancestors(old)))
            .collect();
        self.displaced.extend(gone);
        self.displaced.retain(|id| !kept.contains(id));
        let displaced: Vec<&Release> =
            self.displaced.iter().rev().filter_map(|id| self.releases.get(id)).collect();
        let fingerprints: BTreeSet<Fingerprint> =
            displaced.iter().filter_map(|release| release.fingerprint.clone()).collect();
        let commit = displaced.first().and_then(|release| release.commit.clone());
        let asked = began.hold.unwrap_or(HoldKind::SameCommit);
        self.hold_of_rollback = match (self.hold_of_rollback.take(), asked) {
            // Only `resume` lifts a hold on everything.
            (Some(hold), _) if hold.kind == HoldKind::All => Some(hold),
            // Without a hold of its own it leaves an earlier one as far as that is still right.
            (Some(hold), HoldKind::None) => {
                let fingerprints: BTreeSet<Fingerprint> =
                    hold.fingerprints.intersection(&fingerprints).cloned().collect();
                (!fingerprints.is_empty()).then_some(Hold { fingerprints, ..hold })
            }
            (None, HoldKind::None) => None,
            (_, HoldKind::SameCommit) if fingerprints.is_empty() => None,
            (_, kind) => Some(Hold {
                kind,
                reason: began.reason.clone().unwrap_or_default(),
                by: by.clone(),
                at,
                commit,
                fingerprints,
                by_rollback: true,
            }),
        };
    }

    fn swapped_back(&mut self, record: &Record, began: &Began) {
        let plan = &began.plan;
        if let Some(release) = self.releases.get_mut(&plan.release) {
            release.state = ReleaseState::SwappedBack;
        }
        if let Some(base) = plan.displaces {
            self.publications.push(Publication {
                release: base,
                at: record.at,
                verb: plan.verb,
                by: record.by.clone(),
                reason: Some(format!("{} was swapped back", plan.release)),
            });
        } else {
            self.publications.pop();
        }
    }

    fn end(&mut self, record: &Record, ending: Ending) {
        let Some(open) = self.open_of(&record.operation) else {
            return;
        };
        let plan = open.began.plan.clone();
        self.open = None;
        if !matches!(plan.verb, Verb::Deploy | Verb::Build) {
            return;
        }
        if let Some(release) = self.releases.get_mut(&plan.release) {
            release.state = match (ending, release.state) {
                (Ending::Built, _) => ReleaseState::Waiting,
                (Ending::Abandoned, ReleaseState::Building) => ReleaseState::Abandoned,
                (_, state) => state,
            };
        }
    }
}

fn adopted(record: &Record, began: &Began, id: ReleaseId, base: Option<ReleaseId>) -> Release {
    Release {
        id,
        attempt: 0,
        base,
        state: ReleaseState::Adopted,
        commit: None,
        dirty: false,
        fingerprint: None,
        by: record.by.clone(),
        reason: None,
        at: record.at,
        writes: Vec::new(),
        identities: began.adopted.clone(),
        pairs: Vec::new(),
        baseline: None,
    }
}

/// The live slots of a release and where each of them is built.
fn made_in(plan: &Plan) -> Vec<Pair> {
    let made = plan.steps.iter().find_map(|planned| match &planned.step {
        Step::Clone { pairs, .. } | Step::Recall { pairs, .. } => Some(pairs.clone()),
        _ => None,
    });
    made.unwrap_or_default()
}
