//! Recovery: what to do about an operation that was interrupted, from what is remembered and what
//! is observed. Pure, and never a blind swap: whether the cutover happened is read from stamps.

use super::history::{History, Open};
use super::journal::Ending;
use super::name::{ReleaseId, Role};
use super::plan::{Effect, Pair, Planned, Step};
use super::planner::{Obstacle, effects, holds_only};
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

/// Plans the recovery; `None` if nothing is unfinished. An obstacle where the stamps cannot tell
/// whether the cutover happened: "cannot be read now" is no evidence that it did not.
pub fn recovery(
    history: &History,
    observation: &Observation,
    render: &dyn Fn(&Step) -> Vec<Effect>,
) -> Result<Option<Recovery>, Obstacle> {
    let Some(open) = history.open.clone() else { return Ok(None) };
    let Some(Step::Swap { pairs, publishes, displaces, .. }) = open.began.plan.swap().cloned()
    else {
        return Ok(Some(without_cutover(open, observation)));
    };
    let wanted_back = open.intended.contains("swap-back");
    let was_done = open.done.contains("swap");
    let mut reached = Vec::new();
    for pair in &pairs {
        if has_swapped(&open, observation, pair, publishes, displaces)? {
            reached.push(pair.clone());
        }
    }
    let back = |pairs: Vec<Pair>| {
        let step = Step::SwapBack { pairs, publishes: displaces, displaces: publishes };
        Planned { effects: effects(&step, render), step }
    };
    let swap = if was_done { Vec::new() } else { vec!["swap".to_owned()] };
    let (verdict, observed, remaining, ending) = if reached.is_empty() {
        if was_done && wanted_back {
            let observed = vec!["swap-back".to_owned()];
            (Verdict::TakenBack, observed, Vec::new(), Ending::SwappedBack)
        } else {
            (Verdict::DidNotHappen, Vec::new(), Vec::new(), Ending::Abandoned)
        }
    } else if reached.len() < pairs.len() || wanted_back {
        (Verdict::MustBeTakenBack, swap, vec![back(reached)], Ending::SwappedBack)
    } else {
        let remaining = after_the_swap(&open, observation, render);
        (Verdict::Happened, swap, remaining, Ending::Published)
    };
    Ok(Some(Recovery { open, verdict, observed, remaining, ending }))
}

/// Whether the cutover of one slot happened, on positive evidence only.
fn has_swapped(
    open: &Open,
    observation: &Observation,
    pair: &Pair,
    publishes: ReleaseId,
    displaces: Option<ReleaseId>,
) -> Result<bool, Obstacle> {
    if !open.intended.contains("swap") {
        return Ok(false); // It is written as intended before it acts.
    }
    let is_old = |content: &Content| {
        let adopted = open.began.adopted.get(&pair.live);
        (displaces.is_some() && content.release() == displaces)
            || (adopted.is_some() && content.identity() == adopted)
    };
    let live = observation.content(&pair.live);
    let other = observation.content(&pair.other);
    if live.release() == Some(publishes) || is_old(other) {
        return Ok(true);
    }
    let still_waits = other.own_stamp().is_some_and(|stamp| stamp.release == publishes);
    if is_old(live) || still_waits || (displaces.is_none() && *live == Content::Absent) {
        return Ok(false);
    }
    match live {
        Content::Busy { reason } => {
            Err(Obstacle::Busy { slot: pair.live.clone(), reason: reason.clone() })
        }
        _ => Err(Obstacle::Unclear(pair.live.clone())),
    }
}

/// The plan's steps behind the swap that are not done. Post-deploy checks are not run again: they
/// need dbt, and a recovery must work without it.
fn after_the_swap(
    open: &Open,
    observation: &Observation,
    render: &dyn Fn(&Step) -> Vec<Effect>,
) -> Vec<Planned> {
    open.began
        .plan
        .steps
        .iter()
        .skip_while(|planned| !matches!(planned.step, Step::Swap { .. }))
        .skip(1)
        .filter(|planned| !matches!(planned.step, Step::Check { .. }))
        .filter(|planned| !open.done.contains(&planned.step.key()))
        .filter(|planned| !was_overtaken(&planned.step, observation))
        // Rendered anew: production may have another path by now.
        .map(|planned| Planned {
            step: planned.step.clone(),
            effects: effects(&planned.step, render),
        })
        .collect()
}

/// Whether an archive that was to be dropped holds something else by now.
fn was_overtaken(step: &Step, observation: &Observation) -> bool {
    match step {
        Step::Drop {
            role: Role::Build(release) | Role::Archive(release) | Role::Candidate(release),
            slots,
        } => slots.iter().any(|slot| {
            let content = observation.content(slot);
            *content != Content::Absent && !holds_only(content, *release)
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
