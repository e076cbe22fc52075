//! Tests of planners, fold and recovery against a model warehouse: a map of slots on which steps
//! act as the design says. Operations can be cut off before or after any step acts or is recorded.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

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

fn r(number: u32) -> ReleaseId {
    ReleaseId(number)
}

#[test]
fn the_first_deploy_onto_nothing_is_r1_and_has_nothing_before_it() {
    let mut model = Model::new(false);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    assert_eq!(model.live_release(), Some(r(1)));
    assert_eq!(
        resolve(&Wish::Previous, &model.history(), r(1)),
        Err(NoTarget::NothingBefore(r(1)))
    );
}

#[test]
fn production_from_before_is_adopted_as_r0_and_can_come_back() {
    let mut model = Model::new(true);
    let before = model.read();
    model.deploy(Verb::Deploy, "one", None).unwrap();
    assert_ne!(model.read(), before);
    model.rollback(&Wish::Previous, None).unwrap();
    assert_eq!(model.read(), before);
    assert_eq!(model.live_release(), Some(r(0)));
}

#[test]
fn rollback_and_forward_again_are_each_others_inverse() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    let first = model.read();
    model.deploy(Verb::Deploy, "two", None).unwrap();
    let second = model.read();
    model.rollback(&Wish::Previous, None).unwrap();
    assert_eq!(model.read(), first);
    model.rollback(&Wish::Release(r(2)), None).unwrap();
    assert_eq!(model.read(), second);
    assert!(model.history().hold().is_none(), "forward again is where we were: nothing is held");
}

#[test]
fn a_rollback_holds_the_code_it_displaced_until_other_code_is_published() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    model.deploy(Verb::Deploy, "two", None).unwrap();
    model.rollback(&Wish::Previous, None).unwrap();
    let hold = model.history().hold().unwrap().clone();
    assert!(hold.fingerprints.contains(&Fingerprint::from("two")));
    assert!(!hold.fingerprints.contains(&Fingerprint::from("one")));
    model.deploy(Verb::Deploy, "three", None).unwrap();
    assert!(model.history().hold().is_none());
}

#[test]
fn previous_never_is_a_release_that_a_rollback_displaced() {
    let mut model = Model::new(true);
    for code in ["one", "two", "three"] {
        model.deploy(Verb::Deploy, code, None).unwrap();
    }
    model.rollback(&Wish::Release(r(1)), None).unwrap();
    model.deploy(Verb::Deploy, "four", None).unwrap();
    assert_eq!(model.history().previous(r(4)), Some(r(1)));
}

#[test]
fn a_build_that_waits_blocks_nobody_and_is_outdated_once_live_moved_on() {
    let mut model = Model::new(true);
    model.deploy(Verb::Build, "one", None).unwrap();
    assert!(model.history().open.is_none());
    let promoted = model.plan(|ground| planner::promote(ground, None, &[], 2)).unwrap();
    assert_eq!(promoted.release, r(1));
    model.deploy(Verb::Deploy, "two", None).unwrap();
    assert_eq!(model.live_release(), Some(r(2)));
    let obstacle = model.plan(|ground| planner::promote(ground, Some(r(1)), &[], 2)).unwrap_err();
    assert!(matches!(obstacle, Obstacle::Outdated { .. } | Obstacle::NotKept(_)));
}

#[test]
fn the_number_of_an_abandoned_attempt_is_used_again() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", Some((1, 1))).unwrap();
    assert_eq!(model.recover(), Some(Verdict::DidNotHappen));
    let plan = model.deploy(Verb::Deploy, "one", None).unwrap();
    assert_eq!((plan.release, plan.attempt), (r(1), 2));
}

#[test]
fn archives_beyond_retention_go_but_never_the_previous_nor_what_was_adopted() {
    let mut model = Model::new(true);
    for code in ["one", "two", "three", "four", "five"] {
        model.deploy(Verb::Deploy, code, None).unwrap();
    }
    let kept: Vec<bool> = (0..=5)
        .map(|n| {
            let slot = NAMING.slot(&"a".into(), Role::Archive(r(n)));
            *model.slots.content(&slot) != Content::Absent
        })
        .collect();
    assert_eq!(kept, [true, false, false, true, true, false]);
}

#[test]
fn a_half_swapped_environment_is_mixed_and_recovery_takes_it_back() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    let before = model.read();
    let plan = model.deploy(Verb::Deploy, "two", Some((6, 0))).unwrap();
    let Step::Swap { pairs, publishes, displaces, damaged } = plan.swap().unwrap().clone() else {
        unreachable!()
    };
    assert_eq!(plan.steps[6].step.key(), "swap");
    model.act(&Step::Swap { pairs: pairs[..1].to_vec(), publishes, displaces, damaged });
    assert!(matches!(Live::of(&model.live, &model.slots), Live::Mixed(_)));
    assert_eq!(model.recover(), Some(Verdict::MustBeTakenBack));
    assert_eq!(model.read(), before);
    assert_eq!(model.history().release(r(2)).unwrap().state, ReleaseState::SwappedBack);
}

#[test]
fn an_environment_grows_by_a_slot_and_a_rollback_takes_it_away_again() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    let before = model.read();
    model.live.push("c".into());
    let plan = model.deploy(Verb::Deploy, "two", None).unwrap();
    assert_eq!(plan.steps[0].step.key(), "found:r1");
    assert_eq!(model.live_release(), Some(r(2)));
    assert_eq!(model.read()[2], model.read()[0]);
    model.rollback(&Wish::Previous, None).unwrap();
    assert_eq!(model.live_release(), Some(r(1)));
    assert_eq!(model.read()[..2], before);
    assert_eq!(model.read()[2], Some(0), "the slot is there and empty, as it was");
    // What is older than the slot can come back as well.
    model.rollback(&Wish::Release(r(0)), None).unwrap();
    assert_eq!(model.live_release(), Some(r(0)));
    model.rollback(&Wish::Release(r(2)), None).unwrap();
    assert_eq!(model.read()[2], model.read()[0]);
}

#[test]
fn a_slot_that_dbt_alone_wrote_until_now_is_adopted_with_what_is_live() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    let identity = model.container(77);
    let content = Content::Present { identity, stamp: None, created_by_us: false };
    model.slots.slots.insert("c".into(), content);
    model.live.push("c".into());
    let plan = model.deploy(Verb::Deploy, "two", None).unwrap();
    assert_eq!((plan.displaces, plan.adopts), (Some(r(1)), true));
    model.rollback(&Wish::Previous, None).unwrap();
    assert_eq!(model.live_release(), Some(r(1)));
    assert_eq!(model.read()[2], Some(77));
}

#[test]
fn a_slot_that_the_live_release_had_is_missed() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    model.slots.slots.remove(&SlotName::from("b"));
    assert!(matches!(model.plan(standing), Err(Obstacle::Mixed(_))));
}

#[test]
fn a_staged_build_is_swapped_in_by_a_copy_and_removed_behind_it() {
    let mut model = Model::new(true);
    model.staged = true;
    model.deploy(Verb::Deploy, "one", None).unwrap();
    let plan = model.deploy(Verb::Deploy, "two", None).unwrap();
    let keys: Vec<String> = plan.steps.iter().map(|planned| planned.step.key()).collect();
    assert_eq!(
        keys,
        [
            "clone",
            "build",
            "verify",
            "seal",
            "stage",
            "sync-grants",
            "drift",
            "swap",
            "keep",
            "unstage"
        ]
    );
    let left: Vec<&str> = model.slots.slots.keys().map(SlotName::as_str).collect();
    assert_eq!(left, ["a", "a__r0", "a__r1", "b", "b__r0", "b__r1"]);
}

#[test]
fn a_past_that_is_recalled_is_a_release_of_its_own_and_what_it_displaced_stays() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    let at = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).unwrap();
    let past: BTreeMap<SlotName, Past> = model
        .live
        .iter()
        .map(|live| {
            let identity = model.slots.content(live).identity().unwrap().clone();
            (live.clone(), Past { container: live.clone(), identity, at })
        })
        .collect();
    let plan = model.plan(|ground| planner::recall(ground, None, &past)).unwrap();
    assert_eq!((plan.verb, plan.release, plan.displaces), (Verb::Rollback, r(2), Some(r(1))));
    model.run(&plan, None, None);
    assert_eq!(model.live_release(), Some(r(2)));
    assert!(model.history().displaced.contains(&r(1)));
    model.rollback(&Wish::Release(r(1)), None).unwrap();
}

#[test]
fn a_pruned_release_comes_back_from_what_the_warehouse_keeps_of_what_was_dropped() {
    let mut model = Model::new(true);
    model.deploy(Verb::Deploy, "one", None).unwrap();
    let one = model.read();
    model.deploy(Verb::Deploy, "two", None).unwrap();
    let prune = model.plan(|ground| planner::prune(ground, &[r(1)], 9)).unwrap();
    model.run(&prune, None, None);
    let plan = model.rollback(&Wish::Release(r(1)), None).unwrap();
    let steps: Vec<&str> = plan.steps.iter().map(|planned| planned.step.title()).collect();
    assert_eq!(steps, ["restore", "sync-grants", "drift", "swap", "keep"]);
    assert_eq!((model.live_release(), model.read()), (Some(r(1)), one));
}

#[derive(Clone, Debug)]
enum Act {
    Deploy(u8, Cut),
    Build(u8),
    Promote,
    Rollback(u8, Cut),
    Grow,
}

fn act() -> impl Strategy<Value = Act> {
    let cut = || proptest::option::weighted(0.5, (0usize..13, 0u8..3));
    prop_oneof![
        (0u8..4, cut()).prop_map(|(code, cut)| Act::Deploy(code, cut)),
        (0u8..4).prop_map(Act::Build),
        Just(Act::Promote),
        (0u8..8, cut()).prop_map(|(to, cut)| Act::Rollback(to, cut)),
        Just(Act::Grow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is done and wherever it is cut off: after recovery live is whole, is what it was
    /// before or what was wanted, the ledger agrees with the stamps, nothing of the user's was
    /// dropped, and recovering again does nothing.
    #[test]
    fn after_recovery_live_is_whole_and_the_ledger_agrees_with_the_stamps(
        adopted: bool, staged: bool, acts in proptest::collection::vec(act(), 1..12),
    ) {
        let mut model = Model::new(adopted);
        model.staged = staged;
        for act in acts {
            let before = model.live_release();
            let wanted = match act {
                Act::Deploy(code, cut) => model
                    .deploy(Verb::Deploy, &code.to_string(), cut)
                    .ok()
                    .map(|plan| plan.release),
                Act::Build(code) => {
                    let _ = model.deploy(Verb::Build, &code.to_string(), None);
                    None
                }
                Act::Promote => {
                    let plan = model.plan(|ground| planner::promote(ground, None, &[], 2)).ok();
                    if let Some(plan) = &plan {
                        model.run(plan, None, None);
                    }
                    plan.map(|plan| plan.release)
                }
                Act::Grow => {
                    model.live.push(SlotName(format!("s{}", model.live.len())));
                    None
                }
                Act::Rollback(to, cut) => {
                    let wish = if to == 7 { Wish::Previous } else { Wish::Release(r(to.into())) };
                    model.rollback(&wish, cut).ok().map(|plan| plan.release)
                }
            };
            model.recover();
            let now = model.live_release();
            prop_assert!(now == before || now == wanted, "{before:?} → {now:?}, not {wanted:?}");
            let read = model.read();
            // A slot that the release does not have is absent or empty (0).
            let whole = |one: &Option<u32>| *one == read[0] || matches!(one, None | Some(0));
            prop_assert!(read.iter().all(whole), "a mixture: {read:?}");
            let history = model.history();
            prop_assert!(history.open.is_none());
            if !history.publications.is_empty() {
                prop_assert_eq!(history.claimed_live(), now);
            }
            let records = model.records.len();
            prop_assert_eq!(model.recover(), None);
            prop_assert_eq!(model.records.len(), records);
        }
    }
}
