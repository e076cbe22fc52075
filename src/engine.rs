//! The engine runs a plan. It alone calls the methods of ports that mutate.
//!
//! Per step: append `Intended`, failpoint `<step>:intended`, perform, failpoint `<step>:performed`,
//! append `Done`, failpoint `<step>:recorded`. One place, three points a step, so the crash matrix
//! is complete by construction. An error of unknown outcome is settled by reading stamps; a swap is
//! never tried twice.
//!
//! May import `domain`, `failure`, `failpoint` and `ports`.

mod judge;
mod lease;
mod steps;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::domain::history::{History, Hold};
use crate::domain::inventory::Change;
use crate::domain::journal::{Actor, Baseline, Began, Ending, Entry, Evidence, HoldKind};
use crate::domain::name::{Fingerprint, RunId};
use crate::domain::plan::{Pair, Plan, Planned, Step, Verb};
use crate::domain::planner::effects;
use crate::domain::project::DbtSummary;
use crate::domain::recovery::{Recovery, Verdict};
use crate::domain::verify::{Finding, Gates};
use crate::failpoint::{self, Action};
use crate::failure::{Failure, Kind, Outcome};
use crate::ports::{
    Dbt, Draft, Event, Halt, Ledger, Observer, PortError, Redirect, Token, Under, Warehouse,
    halted as until_halted,
};

pub use judge::held;

/// What the engine must know to judge a build.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The gates.
    pub gates: Gates,
    /// Relations whose loss the gates accept.
    pub allowed_relations: BTreeSet<String>,
    /// Whether drift is accepted.
    pub allow_drift: bool,
    /// What live looked like when it was cloned or looked at, for plans without a clone.
    pub baseline: Option<Baseline>,
    /// What would be published, for the hold to judge.
    pub fingerprint: Option<Fingerprint>,
    /// How dbt is moved to the build, for plans that build.
    pub redirect: Option<Redirect>,
}

/// What a run found out, for its report.
#[derive(Clone, Debug, Default)]
pub struct Tale {
    /// Every relation that differs from what was live.
    pub changes: Vec<Change>,
    /// What the gates found.
    pub findings: Vec<Finding>,
    /// What dbt did.
    pub dbt: Option<DbtSummary>,
    /// What was written to live meanwhile, if that was accepted.
    pub drift: Vec<String>,
    /// What the warehouse had to say.
    pub notes: Vec<String>,
}

/// One operation under one lease.
pub struct Engine<'a> {
    /// The environment.
    pub warehouse: &'a dyn Warehouse,
    /// Its journal.
    pub ledger: &'a dyn Ledger,
    /// The project; not needed by plans without dbt steps.
    pub dbt: Option<&'a dyn Dbt>,
    /// Whoever watches.
    pub observer: Rc<dyn Observer>,
    /// Who acts.
    pub actor: Actor,
    /// The operation that is journalled.
    pub operation: RunId,
    /// The lease's token.
    pub token: Token,
    /// The lease's length.
    pub ttl: Duration,
    /// Where reasons to end early arrive, and where a lost lease is announced.
    pub halt: Rc<watch::Sender<Option<Halt>>>,
    /// How builds are judged.
    pub rules: Rules,
    /// What was found out so far.
    pub tale: Tale,
    /// Whether the operation's release is live, or may be: from then on nothing is given up.
    pub cut_over: bool,
}

impl Engine<'_> {
    /// Runs an operation from its beginning to its end.
    ///
    /// On failure before the cutover, production is untouched and the operation is closed; after
    /// it, either it is swapped back (`SwappedBack`) or left for `recover` (`Unfinished`).
    pub async fn run(&mut self, began: Began) -> Outcome<()> {
        let plan = began.plan.clone();
        self.append(Entry::Began(Box::new(began))).await.map_err(|error| unbegun(&plan, error))?;
        for (index, planned) in plan.steps.iter().enumerate() {
            match self.watched(&plan, index, planned).await {
                Ok(()) => {}
                Err(failure)
                    if self.cut_over
                        && matches!(planned.step, Step::Drop { .. } | Step::Unstage { .. }) =>
                {
                    // Space is not worth a deploy: the archive goes with a later prune.
                    self.observer.event(Event::Warning(format!(
                        "{} was not done: {failure}",
                        planned.step.key()
                    )));
                }
                Err(failure) if self.cut_over => {
                    return Err(self.after_the_cutover(&plan, planned, failure).await);
                }
                Err(failure) => return Err(self.give_up(&plan, planned, failure).await),
            }
        }
        let ending = match plan.verb {
            Verb::Build => Ending::Built,
            Verb::Prune => Ending::Finished,
            Verb::Deploy | Verb::Promote | Verb::Rollback => Ending::Published,
        };
        let ended = self.append(Entry::Ended { ending, message: None }).await;
        ended.map_err(|failure| if self.cut_over { unrecorded(&plan, &failure) } else { failure })
    }

    /// Finishes what [`crate::domain::recovery`] planned. The engine's operation must be the
    /// interrupted one's.
    pub async fn recover(&mut self, recovery: &Recovery) -> Outcome<()> {
        for key in &recovery.observed {
            let evidence = Evidence::Observed;
            self.append(Entry::Done { step: key.clone(), evidence }).await?;
        }
        let plan = Plan { steps: recovery.remaining.clone(), ..recovery.open.began.plan.clone() };
        self.cut_over = true; // Whatever it was, it is not given up any more.
        for (index, planned) in plan.steps.iter().enumerate() {
            let seen = self.warehouse.observe().await.map_err(Failure::from)?;
            if planned.step.holds_in(&seen) == Some(true) {
                let step = planned.step.key();
                self.append(Entry::Done { step, evidence: Evidence::Observed }).await?;
            } else {
                self.watched(&plan, index, planned).await?;
            }
        }
        let message = match recovery.verdict {
            Verdict::Happened => "recovered: the cutover had happened; the rest was finished",
            Verdict::DidNotHappen => {
                "recovered: the cutover had not happened; the attempt is given up"
            }
            Verdict::TakenBack => "recovered: the cutover had been taken back",
            Verdict::MustBeTakenBack => "recovered: the cutover was taken back",
            Verdict::None => "recovered",
        };
        let ending = recovery.ending;
        self.append(Entry::Ended { ending, message: Some(message.to_owned()) }).await
    }

    async fn watched(&mut self, plan: &Plan, index: usize, planned: &Planned) -> Outcome<()> {
        let step = Box::new(planned.step.clone());
        if !self.cut_over
            && let Some(halt) = self.halt.borrow().clone()
        {
            return Err(halted(&halt));
        }
        let of = plan.steps.len();
        self.observer.event(Event::StepBegan { index: index + 1, of, step: step.clone() });
        let started = Instant::now();
        match self.step(plan, planned).await {
            Ok(evidence) => {
                let note = self.keep(&evidence);
                self.observer.event(Event::StepEnded { step, took: started.elapsed(), note });
                Ok(())
            }
            Err(failure) => {
                self.observer.event(Event::StepFailed { step });
                Err(failure)
            }
        }
    }

    async fn step(&mut self, plan: &Plan, planned: &Planned) -> Outcome<Evidence> {
        let key = planned.step.key();
        self.expect(plan, &planned.step).await?;
        let intended = Entry::Intended { step: key.clone(), effects: planned.effects.clone() };
        let under = self.under(plan, &planned.step);
        let (intended, ()) = tokio::join!(self.append(intended), self.warehouse.enter(&under));
        intended?;
        let mut result = match failpoint::hit(&key, "intended") {
            Action::None => self.guarded(plan, planned).await,
            Action::Unknown => Err(unknown("before it was performed")),
        };
        if failpoint::hit(&key, "performed") == Action::Unknown && result.is_ok() {
            result = Err(unknown("after it was performed"));
        }
        // From here on a swap may have happened: no failure may be taken for "it did not".
        let swaps = matches!(planned.step, Step::Swap { .. } | Step::SwapBack { .. });
        let doubt = |failure: Failure| if swaps { unfinished(plan, &failure) } else { failure };
        let evidence = match result {
            Ok(evidence) => {
                self.cut_over |= swaps;
                self.confirm(&planned.step).await.map_err(doubt)?;
                evidence
            }
            Err(PortError::Refused(failure)) => return Err(failure),
            Err(PortError::Unknown(error)) => {
                let evidence = self.settle(plan, &planned.step, error).await?;
                self.cut_over |= swaps;
                evidence
            }
        };
        let done = self.append(Entry::Done { step: key.clone(), evidence: evidence.clone() }).await;
        done.map_err(|failure| if swaps { unnoted(plan, &failure) } else { failure })?;
        let _ = failpoint::hit(&key, "recorded"); // it is over: there is nothing left to be unknown
        Ok(evidence)
    }

    /// Performs a step, keeping the lease meanwhile; before the cutover a reason to halt ends it at
    /// once (dbt is ended by its own port, which has a process tree to bring down).
    async fn guarded(&mut self, plan: &Plan, planned: &Planned) -> Result<Evidence, PortError> {
        let keeper = self.keeper();
        let may_halt = !self.cut_over
            && !matches!(planned.step, Step::Swap { .. } | Step::Build { .. } | Step::Check { .. });
        let mut halt = self.halt.subscribe();
        let work = self.perform(plan, planned);
        let work = keeper.keeping_the_lease(work);
        if !may_halt {
            return work.await;
        }
        tokio::select! {
            biased;
            result = work => result,
            reason = until_halted(&mut halt) => Err(PortError::Refused(halted(&reason))),
        }
    }

    /// A cutover counts only once the stamps in live say so.
    async fn confirm(&self, step: &Step) -> Outcome<()> {
        if !matches!(step, Step::Swap { .. } | Step::SwapBack { .. }) {
            return Ok(());
        }
        let seen = self.warehouse.observe().await.map_err(Failure::from)?;
        match step.holds_in(&seen) {
            Some(true) => Ok(()),
            _ => Err(Failure::new(
                Kind::Unexpected,
                "the swap reported success, but the stamps in live do not say so",
            )),
        }
    }

    /// Settles an outcome that is not known by reading stamps.
    async fn settle(&self, plan: &Plan, step: &Step, error: anyhow::Error) -> Outcome<Evidence> {
        let swaps = matches!(step, Step::Swap { .. } | Step::SwapBack { .. });
        let seen = match self.warehouse.observe().await {
            Ok(seen) => seen,
            Err(second) => {
                let failure = Failure::new(Kind::Unexpected, format!("{error:#}; then {second}"));
                return Err(if swaps { unfinished(plan, &failure) } else { failure });
            }
        };
        if step.holds_in(&seen) == Some(true) {
            self.observer.event(Event::Note(format!(
                "{} was cut off ({error:#}), but the stamps show that it was done",
                step.key()
            )));
            return Ok(match (step, &self.rules.baseline) {
                (Step::Clone { .. }, Some(baseline)) => {
                    Evidence::Cloned(self.warehouse.counted(baseline.clone()))
                }
                _ => Evidence::Observed,
            });
        }
        let did_not_happen = match step {
            Step::Swap { pairs, publishes, .. } => {
                pairs.iter().all(|pair| seen.content(&pair.other).release() == Some(*publishes))
            }
            Step::SwapBack { .. } => false,
            _ => true,
        };
        if did_not_happen {
            let told = error.downcast_ref::<Failure>().and_then(|failure| failure.next.clone());
            let next = told.unwrap_or_else(|| "run it again".to_owned());
            let failure = Failure::stopped(format!("{} was cut off", step.key()));
            return Err(failure.next(next).because(error));
        }
        Err(unfinished(plan, &error.into()))
    }

    /// Before the cutover: production is untouched, and the operation is closed.
    async fn give_up(&mut self, plan: &Plan, at: &Planned, failure: Failure) -> Failure {
        if failure.kind == Kind::Unfinished {
            return failure;
        }
        let message = failure.to_string();
        let step = at.step.key();
        let closing = async {
            self.append(Entry::Failed { step, message: message.clone() }).await?;
            let ending =
                if plan.verb == Verb::Prune { Ending::Finished } else { Ending::Abandoned };
            self.append(Entry::Ended { ending, message: Some(message) }).await
        };
        let closed = closing.await;
        // Who took the lease may have changed what is live; nobody else can have.
        let taken = self.has_lost_its_lease().await;
        let failure = failure.production(if taken {
            "this run published nothing; `switchback status` says what is live".to_owned()
        } else {
            untouched(plan)
        });
        match closed {
            Err(error) if failure.kind != Kind::Locked && error.kind != Kind::Locked => failure
                .next(format!("switchback recover   (the ledger could not be closed: {error})")),
            _ => failure,
        }
    }

    /// After the cutover: a failed check is answered by swapping back, anything else is left for
    /// `recover`, which will find the cutover done.
    async fn after_the_cutover(&mut self, plan: &Plan, at: &Planned, failure: Failure) -> Failure {
        if failure.kind == Kind::Unfinished {
            return failure;
        }
        if self.has_lost_its_lease().await {
            return failure
                .production(format!("{} was published before that", plan.release))
                .next("switchback status");
        }
        let step = at.step.key();
        let told = self.append(Entry::Failed { step, message: failure.to_string() }).await;
        let interrupted = matches!(failure.kind, Kind::Interrupted | Kind::Terminated);
        if let (Step::Check { .. }, Some(Step::Swap { pairs, .. }), false, Ok(())) =
            (&at.step, plan.swap(), interrupted, told)
        {
            return self.swap_back(plan, pairs, failure).await;
        }
        let live = format!("{} is live; what follows the swap is not finished", plan.release);
        let kind = if interrupted { failure.kind } else { Kind::Unfinished };
        Failure { kind, ..failure }.production(live).next("switchback recover")
    }

    async fn swap_back(&mut self, plan: &Plan, pairs: &[Pair], cause: Failure) -> Failure {
        let step = Step::SwapBack {
            pairs: pairs.to_vec(),
            publishes: plan.displaces,
            displaces: plan.release,
        };
        let warehouse = self.warehouse;
        let planned = Planned { effects: effects(&step, &|step| warehouse.render(step)), step };
        let alone = Plan { steps: vec![planned.clone()], ..plan.clone() };
        let release = plan.release;
        if let Err(failure) = self.watched(&alone, 0, &planned).await {
            return Failure::new(
                Kind::Unfinished,
                format!("{cause}; and swapping back failed too: {failure}"),
            )
            .production(format!("{release} may still be live although its checks failed"))
            .next("switchback recover");
        }
        let message = Some(cause.to_string());
        let closed = self.append(Entry::Ended { ending: Ending::SwappedBack, message }).await;
        let back = plan.displaces.map_or_else(
            || "production is empty again".to_owned(),
            |old| format!("{old} is live again"),
        );
        let failure = Failure::new(Kind::SwappedBack, cause.message.clone())
            .production(format!("{release} was live while its checks ran; {back}"));
        match closed {
            Ok(()) => failure.next("correct the project and deploy again"),
            Err(_) => failure.next("switchback recover"),
        }
    }

    async fn has_lost_its_lease(&self) -> bool {
        let renewed = self.ledger.renew(self.token, self.ttl).await;
        matches!(renewed, Err(PortError::Refused(failure)) if failure.kind == Kind::Locked)
    }

    async fn append(&self, entry: Entry) -> Outcome<()> {
        let draft = Draft {
            operation: self.operation.clone(),
            token: Some(self.token),
            by: self.actor.clone(),
            entry,
        };
        self.ledger.append(draft).await.map_err(Failure::from)
    }
}

fn unknown(when: &str) -> PortError {
    PortError::Unknown(anyhow::anyhow!("the connection was lost {when}"))
}

/// The beginning could not be recorded, or that is not known.
fn unbegun(plan: &Plan, failure: Failure) -> Failure {
    if failure.kind == Kind::Locked {
        return failure; // who took the lease may have changed what is live
    }
    let failure = failure.production(untouched(plan));
    if failure.next.is_some() { failure } else { failure.next("switchback recover") }
}

fn untouched(plan: &Plan) -> String {
    match plan.displaces {
        Some(live) => format!("production is untouched: {live} is live"),
        None => "production is untouched: nothing is live yet".to_owned(),
    }
}

fn unfinished(plan: &Plan, cause: &Failure) -> Failure {
    Failure::new(Kind::Unfinished, format!("the swap could not be confirmed and recorded: {cause}"))
        .production(match plan.displaces {
            Some(old) => format!("one whole release is live, {} or {old}", plan.release),
            None => format!("{} may be live", plan.release),
        })
        .next("switchback recover")
}

/// The stamps say that the swap is done, and the ledger does not.
fn unnoted(plan: &Plan, cause: &Failure) -> Failure {
    Failure::new(Kind::Unfinished, format!("the swap is done and could not be recorded: {cause}"))
        .production(match cause.kind {
            // Who took the lease may have changed what is live.
            Kind::Locked => format!("{} was published before that", plan.release),
            _ => format!("{} is live", plan.release),
        })
        .next("switchback recover")
}

fn unrecorded(plan: &Plan, cause: &Failure) -> Failure {
    Failure::new(Kind::Unfinished, format!("the end of this run could not be recorded: {cause}"))
        .production(format!("{} is live", plan.release))
        .next("switchback recover")
}

/// The failure that a reason to end early amounts to.
#[must_use]
pub fn halted(halt: &Halt) -> Failure {
    match halt {
        Halt::Interrupt => Failure::new(Kind::Interrupted, "interrupted (SIGINT)"),
        Halt::Terminate => Failure::new(Kind::Terminated, "terminated (SIGTERM)"),
        Halt::LeaseLost(why) => Failure::new(Kind::Locked, why.clone()).next("switchback status"),
    }
}
