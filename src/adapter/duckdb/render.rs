//! Steps to effects: pure text, the same for a dry run and a real one.
//!
//! Invariant: every cutover is preceded by a look for leftover write-ahead logs and by guards on
//! what is live and on what comes in; only where live is damaged is there none on it.
//! May import `domain` and `stamp`.

use super::stamp;
use crate::domain::name::{ReleaseId, Role, SlotName};
use crate::domain::plan::{Adoption, Effect, Kept, Pair, Step};
use crate::domain::slot::Seal;

/// The attempt written into the stamp of content that dbt alone made.
const ADOPTED: u32 = 0;

/// The effects of a step; dbt's own are the engine's to add.
pub(super) fn effects(step: &Step, allow_wal: bool) -> Vec<Effect> {
    match step {
        Step::Drop { role, slots } => match role {
            Role::Build(release) | Role::Archive(release) => removed(slots, *release),
            Role::Live | Role::Candidate(_) => Vec::new(), // no planner drops these here
        },
        Step::Clone { pairs, release, attempt, from_nothing } => each(pairs, |pair| {
            let stamped = sql(&pair.other, stamp::write(*release, *attempt, Seal::Building));
            clone(pair, stamped, *from_nothing, allow_wal)
        }),
        Step::Seal { pairs, release, attempt } => each(pairs, |pair| {
            vec![sql(&pair.other, stamp::write(*release, *attempt, Seal::Sealed))]
        }),
        Step::SyncGrants { pairs } => each(pairs, |pair| vec![access(pair)]),
        Step::Verify { pairs } => each(pairs, |pair| {
            let what = format!("{} against {}: the gates", pair.other, pair.live);
            vec![Effect::Inspect { what }]
        }),
        Step::Drift { pairs } => each(pairs, |pair| {
            let what = format!("{} against what it was when it was copied", pair.live);
            let live = Effect::RefuseWal { slots: vec![pair.live.clone()] };
            vec![live, guard(&pair.live), Effect::Inspect { what }]
        }),
        Step::Swap { pairs, damaged: true, .. } => each(pairs, exchange_damaged),
        Step::Swap { pairs, displaces, .. } => each(pairs, |pair| match displaces {
            Some(_) => exchange(pair),
            None => vec![refuse_wal(pair), guard(&pair.other), place(&pair.other, &pair.live)],
        }),
        Step::SwapBack { pairs, publishes, .. } => each(pairs, |pair| match publishes {
            Some(_) => exchange(pair),
            None => vec![guard(&pair.live), refuse_wal(pair), place(&pair.live, &pair.other)],
        }),
        Step::Keep { kept, release, adopt } => kept
            .iter()
            .flat_map(|one| {
                // What cannot be read is put aside as it is.
                let stamped = (*adopt == Adoption::Stamp)
                    .then(|| sql(&one.from, stamp::write(*release, ADOPTED, Seal::Sealed)));
                stamped.into_iter().chain(moved(one))
            })
            .collect(),
        // One file moves as a whole, keeps its name and runs nothing by itself; it keeps no past.
        Step::Found { .. }
        | Step::Recall { .. }
        | Step::Restore { .. }
        | Step::Relink { .. }
        | Step::Stage { .. }
        | Step::Unstage { .. }
        | Step::HandOver { .. }
        | Step::Build { .. }
        | Step::Check { .. } => Vec::new(),
    }
}

fn each(pairs: &[Pair], effects: impl Fn(&Pair) -> Vec<Effect>) -> Vec<Effect> {
    pairs.iter().flat_map(effects).collect()
}

fn clone(pair: &Pair, stamped: Effect, from_nothing: bool, allow_wal: bool) -> Vec<Effect> {
    let create = Effect::CreateFile { path: pair.other.to_string() };
    if from_nothing {
        return vec![create, stamped];
    }
    let absorb = allow_wal.then(|| sql(&pair.live, stamp::ABSORB.to_owned()));
    let copy = Effect::CopyFile { from: pair.live.to_string(), to: pair.other.to_string() };
    absorb.into_iter().chain([guard(&pair.live), create, copy, access(pair), stamped]).collect()
}

fn exchange(pair: &Pair) -> Vec<Effect> {
    vec![guard(&pair.live), refuse_wal(pair), guard(&pair.other), exchanged(pair, true)]
}

/// What cannot be read cannot be guarded, and a log beside it goes where it goes.
fn exchange_damaged(pair: &Pair) -> Vec<Effect> {
    let refuse = Effect::RefuseWal { slots: vec![pair.other.clone()] };
    vec![refuse, guard(&pair.other), exchanged(pair, false)]
}

fn exchanged(pair: &Pair, guarded: bool) -> Effect {
    Effect::Exchange { left: pair.live.to_string(), right: pair.other.to_string(), guarded }
}

fn removed(slots: &[SlotName], release: ReleaseId) -> Vec<Effect> {
    slots.iter().map(|slot| Effect::RemoveSlot { slot: slot.clone(), release }).collect()
}

fn guard(slot: &SlotName) -> Effect {
    Effect::Guard { slot: slot.clone() }
}

fn refuse_wal(pair: &Pair) -> Effect {
    Effect::RefuseWal { slots: vec![pair.live.clone(), pair.other.clone()] }
}

fn access(pair: &Pair) -> Effect {
    Effect::CopyAccess { from: pair.live.to_string(), to: pair.other.to_string() }
}

fn place(from: &SlotName, to: &SlotName) -> Effect {
    Effect::PlaceNew { from: from.to_string(), to: to.to_string() }
}

fn sql(slot: &SlotName, text: String) -> Effect {
    Effect::Sql { slot: slot.clone(), text }
}

fn moved(kept: &Kept) -> Option<Effect> {
    (kept.from != kept.to)
        .then(|| Effect::MoveSlot { from: kept.from.clone(), to: kept.to.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<Pair> {
        vec![Pair {
            live: "/d/shop.db".into(),
            other: "/d/.switchback/shop.db/build_r2/shop.db".into(),
        }]
    }

    fn text(step: &Step, allow_wal: bool) -> String {
        let lines: Vec<_> = effects(step, allow_wal).iter().map(ToString::to_string).collect();
        lines.join("\n").replace("/d/.switchback/shop.db", "~")
    }

    fn verbs(step: &Step, allow_wal: bool) -> Vec<String> {
        let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
        text(step, allow_wal).lines().map(first).collect()
    }

    #[test]
    fn a_clone_is_guarded_first_and_stamped_last() {
        let mut step =
            Step::Clone { pairs: pairs(), release: ReleaseId(2), attempt: 1, from_nothing: false };
        assert_eq!(verbs(&step, false), ["guard", "create", "copy", "access", "sql"]);
        assert_eq!(verbs(&step, true)[..2], ["sql", "guard"]);
        assert!(text(&step, true).starts_with("sql       CHECKPOINT   -- in /d/shop.db\n"));
        if let Step::Clone { from_nothing, .. } = &mut step {
            *from_nothing = true;
        }
        assert_eq!(verbs(&step, true), ["create", "sql"]);
    }

    #[test]
    fn every_cutover_looks_for_logs_right_before() {
        let swap = |displaces| Step::Swap {
            pairs: pairs(),
            publishes: ReleaseId(2),
            displaces,
            damaged: false,
        };
        let back =
            |publishes| Step::SwapBack { pairs: pairs(), publishes, displaces: ReleaseId(2) };
        let one = Some(ReleaseId(1));
        assert_eq!(verbs(&swap(one), false), ["guard", "require", "guard", "exchange"]);
        assert_eq!(verbs(&back(one), false), ["guard", "require", "guard", "exchange"]);
        assert_eq!(verbs(&swap(None), false), ["require", "guard", "place"]);
        assert_eq!(
            text(&swap(None), false).lines().last(),
            Some("place     ~/build_r2/shop.db → /d/shop.db")
        );
        assert_eq!(verbs(&back(None), false), ["guard", "require", "place"]);
    }

    #[test]
    fn damaged_live_is_not_guarded_but_what_comes_in_is() {
        let swap = Step::Swap {
            pairs: pairs(),
            publishes: ReleaseId(2),
            displaces: Some(ReleaseId(3)),
            damaged: true,
        };
        let all = effects(&swap, false);
        let other = pairs()[0].other.clone();
        assert_eq!(all[0], Effect::RefuseWal { slots: vec![other.clone()] });
        assert_eq!(all[1], Effect::Guard { slot: other });
        assert!(matches!(all[2], Effect::Exchange { guarded: false, .. }));
    }

    #[test]
    fn what_was_displaced_is_stamped_only_when_it_is_adopted() {
        let keep = |adopt| Step::Keep {
            kept: vec![Kept {
                live: "/d/shop.db".into(),
                from: "/d/.switchback/shop.db/build_r2/shop.db".into(),
                to: "/d/.switchback/shop.db/r0/shop.db".into(),
            }],
            release: ReleaseId(0),
            adopt,
        };
        assert_eq!(verbs(&keep(Adoption::Ours), false), ["rename"]);
        assert_eq!(verbs(&keep(Adoption::Aside), false), ["rename"]);
        assert_eq!(verbs(&keep(Adoption::Stamp), false), ["sql", "rename"]);
        assert!(text(&keep(Adoption::Stamp), false).contains("'r0', 0, 'sealed', $identity"));
    }

    #[test]
    fn the_other_steps_change_no_content() {
        let drop = Step::Drop {
            role: Role::Build(ReleaseId(2)),
            slots: vec!["/d/.switchback/shop.db/build_r2/shop.db".into()],
        };
        assert!(matches!(
            effects(&drop, false)[..],
            [Effect::RemoveSlot { release: ReleaseId(2), .. }]
        ));
        // A log is met by its own refusal, not as drift.
        assert_eq!(verbs(&Step::Drift { pairs: pairs() }, false), ["require", "guard", "inspect"]);
        assert_eq!(verbs(&Step::SyncGrants { pairs: pairs() }, false), ["access"]);
        assert!(effects(&Step::Check { commands: vec![] }, false).is_empty());
    }
}
