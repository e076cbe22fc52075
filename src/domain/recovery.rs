//! Recovery: what to do about an operation that was interrupted, from what is remembered and what
//! is observed. Pure, and never a blind swap: whether the cutover happened is read from stamps.

use super::history::{History, Open};
use super::journal::Ending;
use super::plan::{Effect, Pair, Planned, Step};
use super::planner::effects;
use super::slot::{Content, Observation};

/// What recovery found out about the cutover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The cutover happened: its release is live, and the rest is finished.
    Happened,
    /// It did not happen: production is what it was, and the attempt is given up.
    DidNotHappen,
    /// It happened, was to be taken back, and was.
    TakenBack,
    /// It has to be taken back (again or in part).
    MustBeTakenBack,
    /// The operation had no cutover.
    None,
}

/// What recovery does.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    /// The interrupted operation.
    pub open: Open,
    /// What was found out.
    pub verdict: Verdict,
    /// Steps found done that the journal does not have as done, in order.
    pub observed: Vec<String>,
    /// Steps still to do, in order.
    pub remaining: Vec<Planned>,
    /// How the operation then ends.
    pub ending: Ending,
}

/// Plans the recovery; `None` if nothing is unfinished.
#[must_use]
pub fn recovery(
    history: &History,
    observation: &Observation,
    render: &dyn Fn(&Step) -> Vec<Effect>,
) -> Option<Recovery> {
    let open = history.open.clone()?;
    let Some(Step::Swap { pairs, publishes, displaces }) = open.began.plan.swap().cloned() else {
        return Some(without_cutover(open, observation));
    };
    let at_target = |pair: &Pair| observation.content(&pair.live).release() == Some(publishes);
    let reached: Vec<Pair> = pairs.iter().filter(|pair| at_target(pair)).cloned().collect();
    let wanted_back = open.intended.contains("swap-back");
    let was_done = open.done.contains("swap");
    let back = |pairs: Vec<Pair>| {
        let step = Step::SwapBack { pairs, publishes: displaces, displaces: publishes };
        Planned { effects: effects(&step, render), step }
    };
    let done = |key: &str| {
        if was_done { Vec::new() } else { vec![key.to_owned()] }
    };
    Some(if reached.is_empty() {
        if was_done && wanted_back {
            Recovery {
                verdict: Verdict::TakenBack,
                observed: vec!["swap-back".to_owned()],
                remaining: Vec::new(),
                ending: Ending::SwappedBack,
                open,
            }
        } else {
            Recovery {
                verdict: Verdict::DidNotHappen,
                observed: Vec::new(),
                remaining: Vec::new(),
                ending: Ending::Abandoned,
                open,
            }
        }
    } else if reached.len() < pairs.len() || wanted_back {
        Recovery {
            verdict: Verdict::MustBeTakenBack,
            observed: done("swap"),
            remaining: vec![back(reached)],
            ending: Ending::SwappedBack,
            open,
        }
    } else {
        Recovery {
            verdict: Verdict::Happened,
            observed: done("swap"),
            remaining: after_the_swap(&open, observation),
            ending: Ending::Published,
            open,
        }
    })
}

/// The plan's steps behind the swap that are not done. Post-deploy checks are not run again: they
/// need dbt, and a recovery must work without it.
fn after_the_swap(open: &Open, observation: &Observation) -> Vec<Planned> {
    open.began
        .plan
        .steps
        .iter()
        .skip_while(|planned| !matches!(planned.step, Step::Swap { .. }))
        .skip(1)
        .filter(|planned| !matches!(planned.step, Step::Check { .. }))
        .filter(|planned| !open.done.contains(&planned.step.key()))
        .filter(|planned| !was_overtaken(&planned.step, observation))
        .cloned()
        .collect()
}

/// Whether an archive that was to be dropped holds something else by now.
fn was_overtaken(step: &Step, observation: &Observation) -> bool {
    match step {
        Step::Drop { slots, .. } => slots.iter().any(|slot| {
            let content = observation.content(slot);
            *content != Content::Absent && !content.is_ours()
        }),
        _ => false,
    }
}

fn without_cutover(open: Open, observation: &Observation) -> Recovery {
    let seal = open
        .began
        .plan
        .steps
        .iter()
        .map(|planned| &planned.step)
        .find(|step| matches!(step, Step::Seal { .. }));
    let (observed, ending) = match seal {
        None => (Vec::new(), Ending::Finished),
        Some(seal) if open.done.contains(&seal.key()) => (Vec::new(), Ending::Built),
        Some(seal) if seal.holds_in(observation) == Some(true) => (vec![seal.key()], Ending::Built),
        Some(_) => (Vec::new(), Ending::Abandoned),
    };
    Recovery { open, verdict: Verdict::None, observed, remaining: Vec::new(), ending }
}
