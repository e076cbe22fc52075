//! How each record changes the history.
//!
//! Invariant: total, like the fold; a record that fits nothing changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::{History, Hold, Open, Publication, Release, ReleaseState};
use crate::domain::journal::{Actor, Began, Ending, Entry, Evidence, HoldKind, Record};
use crate::domain::name::{Fingerprint, ReleaseId, RunId};
use crate::domain::plan::{Pair, Plan, Step, Verb};

impl History {
    pub(super) fn apply(&mut self, record: &Record) {
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
