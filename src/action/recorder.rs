//! Watches a run for the action: passes its events on to the console, folds dbt's output away into
//! groups, and keeps the run's course for the reports.
//!
//! May import `domain`, `ports`, `report` and `cli`.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::console::{Command, Console};
use crate::cli::{Progress, describe};
use crate::domain::plan::Step;
use crate::ports::{Event, Observer};
use crate::report::course::{Course, Cutover, Fate, Passed};

/// How many warnings are kept.
const WARNINGS: usize = 200;

/// The observer.
pub struct Recorder {
    console: Console,
    progress: Progress,
    started: Instant,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    course: Course,
    /// What has begun and not ended.
    open: Option<(String, Duration)>,
    in_group: bool,
}

impl Recorder {
    /// A recorder that prints to the console.
    #[must_use]
    pub fn new(console: Console) -> Self {
        let out = console.clone();
        let progress = Progress::to(Box::new(move |text| out.text(text)), false);
        Self { console, progress, started: Instant::now(), state: RefCell::default() }
    }

    /// The run's course. What has not ended by now failed.
    #[must_use]
    pub fn course(&self) -> Course {
        self.ended(Fate::Failed);
        self.close_group();
        self.progress.finish();
        self.state.borrow().course.clone()
    }

    fn began(&self, what: String) {
        self.ended(Fate::Failed);
        self.state.borrow_mut().open = Some((what, self.started.elapsed()));
    }

    fn ended(&self, fate: Fate) {
        let mut state = self.state.borrow_mut();
        if let Some((what, began)) = state.open.take() {
            let took = self.started.elapsed().saturating_sub(began);
            state.course.passed.push(Passed { what, began, took, fate });
        }
    }

    fn open_group(&self, title: &str) {
        self.progress.finish();
        self.state.borrow_mut().in_group = true;
        self.console.commands(&[Command::new("group", title)]);
    }

    fn close_group(&self) {
        let was_open = std::mem::take(&mut self.state.borrow_mut().in_group);
        if was_open {
            self.progress.finish();
            self.console.commands(&[Command::new("endgroup", "")]);
        }
    }
}

impl Observer for Recorder {
    fn event(&self, event: Event) {
        match &event {
            Event::Phase(what) => self.began(what.clone()),
            Event::PhaseEnded => self.ended(Fate::Done),
            Event::StepBegan { step, .. } => {
                self.began(describe(step));
                if let Step::Swap { publishes, displaces, .. } = **step {
                    let cutover = Cutover { publishes, displaces };
                    self.state.borrow_mut().course.cutover = Some(cutover);
                }
            }
            Event::StepEnded { .. } => {
                self.close_group();
                self.ended(Fate::Done);
            }
            Event::StepFailed { .. } => {
                self.close_group();
                self.ended(Fate::Failed);
            }
            Event::DbtEnded(summary) => {
                self.state.borrow_mut().course.dbt = Some((**summary).clone());
            }
            Event::Judged(changes, findings) => {
                let course = &mut self.state.borrow_mut().course;
                course.changes.clone_from(changes);
                course.findings.clone_from(findings);
            }
            Event::Warning(text) => {
                let course = &mut self.state.borrow_mut().course;
                if course.warnings.len() < WARNINGS {
                    course.warnings.push(text.clone());
                }
            }
            Event::DbtOutput(_) | Event::Note(_) | Event::Copied { .. } => {}
        }
        let group = match &event {
            Event::StepBegan { step, .. }
                if matches!(**step, Step::Build { .. } | Step::Check { .. }) =>
            {
                Some(describe(step))
            }
            _ => None,
        };
        self.progress.event(event);
        if let Some(title) = group {
            self.open_group(&title);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::console::tests::{Shared, obeyed};
    use super::*;

    #[test]
    fn dbts_output_is_folded_and_what_was_cut_short_counts_as_failed() {
        let out = Shared::default();
        let recorder = Recorder::new(Console::new(Box::new(out.clone())));
        let step = Box::new(Step::Build { pairs: Vec::new(), commands: Vec::new() });
        recorder.event(Event::Phase("reading the dbt project".into()));
        recorder.event(Event::PhaseEnded);
        recorder.event(Event::StepBegan { index: 1, of: 2, step });
        recorder.event(Event::DbtOutput(b"::error::pwned\n::endgroup::".to_vec()));
        let course = recorder.course();
        assert_eq!(obeyed(&out.read()), ["::group::build with dbt", "::endgroup::"]);
        let fates: Vec<Fate> = course.passed.iter().map(|one| one.fate).collect();
        assert_eq!(fates, [Fate::Done, Fate::Failed]);
        assert!(course.cutover.is_none());
    }
}
