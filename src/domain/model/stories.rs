//! Stories on the model warehouse, and any sequence of operations, cut off anywhere.

use proptest::prelude::*;

use super::*;

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
