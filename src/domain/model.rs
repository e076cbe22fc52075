//! A model warehouse for tests of planners, fold and recovery: a map of slots on which steps act as
//! the design says. Operations can be cut off before or after any step acts or is recorded.

mod stories;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::history::{History, ReleaseState};
use super::journal::{Actor, Began, Ending, Entry, Evidence, HoldKind, Record, VERSION};
use super::name::{Fingerprint, Identity, Naming, ReleaseId, Role, RunId, SlotName};
use super::plan::{Adoption, Kept, Pair, Past, Plan, Rung, Step, Verb};
use super::planner::{self, DeployWish, Ground, Obstacle, standing};
use super::recovery::{Verdict, recovery};
use super::slot::{Content, Live, Observation, Seal, Stamp};
use super::target::{NoTarget, Wish, resolve};

const NAMING: Naming = Naming::Identifiers { max_bytes: 63 };

/// Where an operation is cut off: step index and point (0 intended, 1 performed, 2 recorded).
type Cut = Option<(usize, u8)>;

struct Model {
    live: Vec<SlotName>,
    staged: bool,
    slots: Observation,
    /// What a reader would find in each container; follows the identity.
    data: BTreeMap<Identity, u32>,
    /// What was dropped last under each name, for warehouses that bring it back.
    dropped: BTreeMap<SlotName, Content>,
    records: Vec<Record>,
    next_identity: u32,
    runs: u32,
    written: u32,
}

impl Model {
    fn new(adopted: bool) -> Self {
        let mut model = Self {
            live: vec!["a".into(), "b".into()],
            staged: false,
            slots: Observation::default(),
            data: BTreeMap::new(),
            dropped: BTreeMap::new(),
            records: Vec::new(),
            next_identity: 0,
            runs: 0,
            written: 0,
        };
        if adopted {
            for live in model.live.clone() {
                let identity = model.container(0);
                let content = Content::Present { identity, stamp: None, created_by_us: false };
                model.slots.slots.insert(live, content);
            }
        }
        model
    }

    fn container(&mut self, data: u32) -> Identity {
        self.next_identity += 1;
        let identity = Identity(format!("#{}", self.next_identity));
        self.data.insert(identity.clone(), data);
        identity
    }

    fn history(&self) -> History {
        History::fold(&self.records)
    }

    fn plan<T>(
        &self,
        planner: impl FnOnce(&Ground<'_>) -> Result<T, Obstacle>,
    ) -> Result<T, Obstacle> {
        let history = self.history();
        planner(&Ground {
            history: &history,
            observation: &self.slots,
            live: &self.live,
            naming: NAMING,
            staged: self.staged,
            render: &|_| Vec::new(),
        })
    }

    fn live_release(&self) -> Option<ReleaseId> {
        self.plan(standing).unwrap().release
    }

    /// What readers of live see, slot by slot.
    fn read(&self) -> Vec<Option<u32>> {
        self.live
            .iter()
            .map(|live| self.slots.content(live).identity().map(|id| self.data[id]))
            .collect()
    }

    fn append(&mut self, operation: &RunId, entry: Entry) {
        let seq = self.records.len() as u64 + 1;
        let start = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap();
        self.records.push(Record {
            v: VERSION,
            seq,
            at: start + TimeDelta::seconds(i64::try_from(seq).unwrap()),
            operation: operation.clone(),
            token: Some(1),
            by: Actor { name: "ada".into(), run_url: None, host: "here".into() },
            entry,
        });
    }

    fn deploy(&mut self, verb: Verb, code: &str, cut: Cut) -> Result<Plan, Obstacle> {
        let wish = DeployWish {
            verb,
            pairs: None,
            commands: vec![vec!["build".into()]],
            checks: Vec::new(),
            moved_by: Rung::Profile,
            keep: 2,
            allow_vanished: false,
        };
        let plan = self.plan(|ground| planner::deploy(ground, &wish))?;
        let fingerprint = Some(Fingerprint::from(code));
        self.run(&plan, fingerprint, cut);
        Ok(plan)
    }

    fn rollback(&mut self, to: &Wish, cut: Cut) -> Result<Plan, String> {
        let live = self.live_release().ok_or("nothing is live")?;
        let target = resolve(to, &self.history(), live).map_err(|error| error.to_string())?;
        let dropped = |slot: SlotName| {
            let content = self.dropped.get(&slot)?;
            let identity = content.identity().filter(|_| content.release() == Some(target))?;
            Some((slot, identity.clone()))
        };
        let archives = self.live.iter().map(|live| NAMING.slot(live, Role::Archive(target)));
        let dropped: BTreeMap<SlotName, Identity> = archives.filter_map(dropped).collect();
        let back = |ground: &Ground<'_>| match planner::rollback(ground, target) {
            Err(Obstacle::NotKept(_)) if !dropped.is_empty() => {
                planner::restore(ground, target, &dropped)
            }
            planned => planned,
        };
        let plan = self.plan(back).map_err(|obstacle| obstacle.to_string())?;
        self.run(&plan, None, cut);
        Ok(plan)
    }

    fn run(&mut self, plan: &Plan, fingerprint: Option<Fingerprint>, cut: Cut) {
        self.runs += 1;
        let operation = RunId(format!("run-{}", self.runs));
        let adopted = self.plan(standing).unwrap().adopted;
        let began = Began {
            plan: plan.clone(),
            commit: None,
            dirty: false,
            fingerprint,
            reason: Some("why".into()),
            hold: (plan.verb == Verb::Rollback).then_some(HoldKind::SameCommit),
            adopted,
            writes: Vec::new(),
        };
        self.append(&operation, Entry::Began(Box::new(began)));
        for (index, planned) in plan.steps.iter().enumerate() {
            let step = planned.step.key();
            let cut_here = |point| cut == Some((index, point));
            self.append(&operation, Entry::Intended { step: step.clone(), effects: Vec::new() });
            if cut_here(0) {
                return;
            }
            self.act(&planned.step);
            if cut_here(1) {
                return;
            }
            self.append(&operation, Entry::Done { step, evidence: Evidence::Performed });
            if cut_here(2) {
                return;
            }
        }
        let ending = match plan.verb {
            Verb::Build => Ending::Built,
            Verb::Prune => Ending::Finished,
            Verb::Deploy | Verb::Promote | Verb::Rollback => Ending::Published,
        };
        self.append(&operation, Entry::Ended { ending, message: None });
    }

    fn recover(&mut self) -> Option<Verdict> {
        let plan = recovery(&self.history(), &self.slots, &|_| Vec::new()).unwrap()?;
        let operation = plan.open.operation.clone();
        for step in plan.observed {
            self.append(&operation, Entry::Done { step, evidence: Evidence::Observed });
        }
        for planned in plan.remaining {
            if planned.step.holds_in(&self.slots) != Some(true) {
                self.act(&planned.step);
            }
            let step = planned.step.key();
            self.append(&operation, Entry::Done { step, evidence: Evidence::Performed });
        }
        self.append(&operation, Entry::Ended { ending: plan.ending, message: None });
        Some(plan.verdict)
    }

    fn act(&mut self, step: &Step) {
        match step {
            Step::Drop { slots, .. } | Step::Unstage { slots, .. } => {
                for slot in slots {
                    assert!(self.slots.content(slot).is_ours(), "{slot} is not ours to drop");
                    let content = self.slots.slots.remove(slot).unwrap();
                    self.dropped.insert(slot.clone(), content);
                }
            }
            Step::Clone { pairs, release, attempt, .. } => {
                for pair in pairs {
                    let from = self.slots.content(&pair.live).identity();
                    let data = from.map_or(0, |id| self.data[id]);
                    let identity = self.container(data);
                    let stamp = stamp(*release, *attempt, Seal::Building, &identity);
                    self.put(&pair.other, identity, stamp, true);
                }
            }
            Step::Build { pairs, .. } => {
                self.written += 1;
                for pair in pairs {
                    let identity = self.slots.content(&pair.other).identity().unwrap().clone();
                    self.data.insert(identity, self.written);
                }
            }
            Step::Seal { pairs, release, attempt } => {
                for pair in pairs {
                    let identity = self.slots.content(&pair.other).identity().unwrap().clone();
                    let stamp = stamp(*release, *attempt, Seal::Sealed, &identity);
                    self.put(&pair.other, identity, stamp, true);
                }
            }
            Step::Swap { pairs, .. } | Step::SwapBack { pairs, .. } => {
                for pair in pairs {
                    self.swap(pair);
                }
            }
            Step::Keep { kept, release, adopt } => self.keep(kept, *release, *adopt),
            Step::Found { slots, release } => {
                for slot in slots {
                    let identity = self.container(0);
                    let stamp = stamp(*release, 0, Seal::Sealed, &identity);
                    self.put(slot, identity, stamp, true);
                }
            }
            Step::Stage { staged, release, attempt } => {
                for one in staged {
                    let data = self.data[self.slots.content(&one.build).identity().unwrap()];
                    let identity = self.container(data);
                    let stamp = stamp(*release, *attempt, Seal::Sealed, &identity);
                    self.put(&one.candidate, identity, stamp, true);
                }
            }
            Step::Recall { pairs, release, attempt, past } => {
                for (pair, past) in pairs.iter().zip(past) {
                    let identity = self.container(self.data[&past.identity]);
                    let stamp = stamp(*release, *attempt, Seal::Sealed, &identity);
                    self.put(&pair.other, identity, stamp, true);
                }
            }
            Step::Restore { slots, .. } => {
                let back = slots.iter().map(|slot| (slot.clone(), self.dropped[slot].clone()));
                self.slots.slots.extend(back);
            }
            Step::Relink { .. }
            | Step::HandOver { .. }
            | Step::Verify { .. }
            | Step::SyncGrants { .. }
            | Step::Drift { .. }
            | Step::Check { .. } => {}
        }
    }

    fn swap(&mut self, pair: &Pair) {
        let live = self.slots.slots.remove(&pair.live);
        let other = self.slots.slots.remove(&pair.other).unwrap();
        self.slots.slots.insert(pair.live.clone(), other);
        if let Some(live) = live {
            self.slots.slots.insert(pair.other.clone(), live);
        }
    }

    fn keep(&mut self, kept: &[Kept], release: ReleaseId, adopt: Adoption) {
        for one in kept {
            let Some(content) = self.slots.slots.remove(&one.from) else {
                continue;
            };
            let identity = content.identity().unwrap().clone();
            if adopt == Adoption::Stamp {
                let stamp = stamp(release, 0, Seal::Sealed, &identity);
                self.put(&one.to, identity, stamp, false);
            } else {
                self.slots.slots.insert(one.to.clone(), content);
            }
        }
    }

    fn put(&mut self, slot: &SlotName, identity: Identity, stamp: Stamp, ours: bool) {
        let stamp = Some(stamp);
        let content = Content::Present { identity, stamp, created_by_us: ours };
        self.slots.slots.insert(slot.clone(), content);
    }
}

fn stamp(release: ReleaseId, attempt: u32, seal: Seal, identity: &Identity) -> Stamp {
    Stamp { release, attempt, seal, identity: identity.clone() }
}
