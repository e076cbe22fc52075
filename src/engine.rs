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
use crate::ports::{Dbt, Draft, Event, Halt, Ledger, Observer, PortError, Token, Warehouse};

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
}

impl Engine<'_> {
    /// Runs an operation from its beginning to its end.
    ///
    /// On failure before the cutover, production is untouched and the operation is closed; after
    /// it, either it is swapped back (`SwappedBack`) or left for `recover` (`Unfinished`).
    pub async fn run(&mut self, began: Began) -> Outcome<()> {
        let plan = began.plan.clone();
        self.append(Entry::Began(Box::new(began))).await?;
        let mut published = false;
        for (index, planned) in plan.steps.iter().enumerate() {
            match self.watched(&plan, index, planned, published).await {
                Ok(()) => published |= matches!(planned.step, Step::Swap { .. }),
                Err(failure) if published && matches!(planned.step, Step::Drop { .. }) => {
                    // Space is not worth a deploy: the archive goes with a later prune.
                    self.observer.event(Event::Warning(format!(
                        "{} was not done: {failure}",
                        planned.step.key()
                    )));
                }
                Err(failure) if published => {
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
        self.append(Entry::Ended { ending, message: None }).await
    }

    /// Finishes what [`crate::domain::recovery`] planned. The engine's operation must be the
    /// interrupted one's.
    pub async fn recover(&mut self, recovery: &Recovery) -> Outcome<()> {
        for key in &recovery.observed {
            let evidence = Evidence::Observed;
            self.append(Entry::Done { step: key.clone(), evidence }).await?;
        }
        let plan = Plan { steps: recovery.remaining.clone(), ..recovery.open.began.plan.clone() };
        for (index, planned) in plan.steps.iter().enumerate() {
            let seen = self.warehouse.observe().await.map_err(Failure::from)?;
            if planned.step.holds_in(&seen) == Some(true) {
                let step = planned.step.key();
                self.append(Entry::Done { step, evidence: Evidence::Observed }).await?;
            } else {
                self.watched(&plan, index, planned, true).await?;
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

    async fn watched(
        &mut self,
        plan: &Plan,
        index: usize,
        planned: &Planned,
        published: bool,
    ) -> Outcome<()> {
        let step = Box::new(planned.step.clone());
        if !published && let Some(halt) = self.halt.borrow().clone() {
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
        let effects = planned.effects.clone();
        self.append(Entry::Intended { step: key.clone(), effects }).await?;
        let mut result = match failpoint::hit(&key, "intended") {
            Action::None => self.perform(planned).await,
            Action::Unknown => Err(unknown("before it was performed")),
        };
        if failpoint::hit(&key, "performed") == Action::Unknown && result.is_ok() {
            result = Err(unknown("after it was performed"));
        }
        let evidence = match result {
            Ok(evidence) => {
                self.confirm(&planned.step).await?;
                evidence
            }
            Err(PortError::Refused(failure)) => return Err(failure),
            Err(PortError::Unknown(error)) => self.settle(&planned.step, error).await?,
        };
        self.append(Entry::Done { step: key.clone(), evidence: evidence.clone() }).await?;
        let _ = failpoint::hit(&key, "recorded"); // it is over: there is nothing left to be unknown
        Ok(evidence)
    }

    /// A cutover counts only once the stamps in live say so.
    async fn confirm(&self, step: &Step) -> Outcome<()> {
        if !matches!(step, Step::Swap { .. } | Step::SwapBack { .. }) {
            return Ok(());
        }
        let seen = self.warehouse.observe().await.map_err(|error| unfinished(&error.into()))?;
        match step.holds_in(&seen) {
            Some(true) => Ok(()),
            _ => Err(unfinished(&Failure::new(
                Kind::Unexpected,
                "the swap reported success, but the stamps in live do not say so",
            ))),
        }
    }

    /// Settles an outcome that is not known by reading stamps.
    async fn settle(&self, step: &Step, error: anyhow::Error) -> Outcome<Evidence> {
        let seen = match self.warehouse.observe().await {
            Ok(seen) => seen,
            Err(second) => {
                let failure = Failure::new(Kind::Unexpected, format!("{error:#}; then {second}"));
                return Err(match step {
                    Step::Swap { .. } | Step::SwapBack { .. } => unfinished(&failure),
                    _ => failure,
                });
            }
        };
        match (step.holds_in(&seen), step) {
            (Some(true), _) => {
                self.observer.event(Event::Note(format!(
                    "{} was cut off ({error:#}), but the stamps show that it was done",
                    step.key()
                )));
                Ok(Evidence::Observed)
            }
            (_, Step::Swap { pairs, publishes, .. })
                if pairs.iter().any(|p| seen.content(&p.live).release() == Some(*publishes)) =>
            {
                Err(unfinished(&error.into()))
            }
            _ => Err(Failure::stopped(format!("{} was cut off", step.key())).because(error)),
        }
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
        let failure = failure.production(match plan.displaces {
            Some(live) => format!("production is untouched: {live} is live"),
            None => "production is untouched: nothing is live yet".to_owned(),
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
        if failure.kind == Kind::Locked {
            return failure.production(format!("{} was published before that", plan.release));
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
        if let Err(failure) = self.watched(&alone, 0, &planned, true).await {
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

    async fn append(&self, entry: Entry) -> Outcome<()> {
        let draft = Draft {
            operation: self.operation.clone(),
            token: Some(self.token),
            by: self.actor.clone(),
            entry,
        };
        self.ledger.append(draft).await.map(drop).map_err(Failure::from)
    }
}

fn unknown(when: &str) -> PortError {
    PortError::Unknown(anyhow::anyhow!("the connection was lost {when}"))
}

fn unfinished(cause: &Failure) -> Failure {
    Failure::new(Kind::Unfinished, format!("whether the swap happened is not known yet: {cause}"))
        .production("production is whole, but which release is live must be read from its stamp")
        .next("switchback recover")
}

/// The failure that a reason to end early amounts to.
#[must_use]
pub fn halted(halt: &Halt) -> Failure {
    match halt {
        Halt::Interrupt => Failure::new(Kind::Interrupted, "interrupted (SIGINT)"),
        Halt::Terminate => Failure::new(Kind::Terminated, "terminated (SIGTERM)"),
        Halt::LeaseLost(who) => {
            Failure::new(Kind::Locked, format!("the lease was taken over by {who}"))
                .next("switchback status")
        }
    }
}
