//! Progress for people: a live line on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::{Stream, print};
use crate::domain::plan::{Side, Step};
use crate::ports::{Event, Observer};

/// Prints events as they come.
pub struct Progress {
    out: Box<dyn Fn(&str)>,
    terminal: bool,
    colours: bool,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Whether an unfinished line is on the terminal.
    line_open: bool,
    /// Whether dbt's output ended in the middle of a line.
    dbt_open: bool,
    phase: Option<(String, Instant)>,
    /// When a step last said how far it is.
    told: Option<Instant>,
}

/// How often a step says how far it is where there is no live line.
const TOLD_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Progress on this process's standard error.
    #[must_use]
    pub fn to_stderr() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let out = Box::new(|text: &str| print(Stream::Error, text));
        Self { terminal, ..Self::to(out, terminal) }
    }

    /// Progress to anywhere, without live lines.
    #[must_use]
    pub fn to(out: Box<dyn Fn(&str)>, colours: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none();
        let github = std::env::var_os("GITHUB_ACTIONS").is_some();
        Self {
            out,
            terminal: false,
            colours: wanted && (colours || github),
            state: RefCell::new(State::default()),
        }
    }

    /// Ends whatever line is open.
    pub fn finish(&self) {
        self.close_line();
    }

    fn close_line(&self) {
        let mut state = self.state.borrow_mut();
        if state.line_open {
            (self.out)("\r\x1b[K");
            state.line_open = false;
        }
        if state.dbt_open {
            (self.out)("\n");
            state.dbt_open = false;
        }
    }

    fn line(&self, text: &str) {
        self.close_line();
        (self.out)(&format!("{text}\n"));
    }

    /// A line that the next one replaces; left out where there is no terminal.
    fn live(&self, text: &str) {
        if self.terminal {
            self.close_line();
            (self.out)(text);
            self.state.borrow_mut().line_open = true;
        }
    }

    fn copied(&self, done: u64, of: u64) {
        let text = format!("… copied {} of {} MB", done / 1_000_000, of.div_ceil(1_000_000));
        let told = self.state.borrow().told;
        if self.terminal {
            self.live(&text);
        } else if told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            self.state.borrow_mut().told = Some(Instant::now());
            self.line(&text);
        }
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn dbt(&self, bytes: &[u8]) {
        let was_open = self.state.borrow().dbt_open;
        if !was_open {
            self.close_line();
        }
        let text = String::from_utf8_lossy(bytes);
        (self.out)(&text);
        self.state.borrow_mut().dbt_open = !text.ends_with('\n');
    }
}

impl Observer for Progress {
    fn event(&self, event: Event) {
        match event {
            Event::Phase(what) => {
                self.live(&format!("… {what}"));
                self.state.borrow_mut().phase = Some((what, Instant::now()));
            }
            Event::PhaseEnded => {
                let phase = self.state.borrow_mut().phase.take();
                if let Some((what, started)) = phase {
                    let tick = self.painted("32", "✔");
                    self.line(&format!("{tick} {what:<24} {}", seconds(started.elapsed())));
                }
            }
            Event::StepBegan { index, of, step } => {
                self.state.borrow_mut().told = Some(Instant::now());
                let text = format!("{index}/{of} {}", describe(&step));
                if matches!(*step, Step::Build { .. } | Step::Check { .. }) {
                    self.line(&format!("… {text}"));
                } else {
                    self.live(&format!("… {text}"));
                }
            }
            Event::StepEnded { step, took, note } => {
                let tick = self.painted("32", "✔");
                let note = note.map_or_else(String::new, |note| format!("   {note}"));
                self.line(&format!("{tick} {:<24} {}{note}", describe(&step), seconds(took)));
            }
            Event::StepFailed { step } => {
                let cross = self.painted("31", "✘");
                self.line(&format!("{cross} {}", describe(&step)));
            }
            Event::Copied { done, of } => self.copied(done, of),
            Event::DbtOutput(bytes) => self.dbt(&bytes),
            Event::DbtEnded(_) | Event::Judged(..) => {} // the step's own line says it
            Event::Note(text) => self.line(&text),
            Event::Warning(text) => {
                let word = self.painted("33", "warning:");
                self.line(&format!("{word} {text}"));
            }
        }
    }
}

fn seconds(took: Duration) -> String {
    format!("{:>7.2} s", took.as_secs_f64())
}

/// A step in words of ours.
#[must_use]
pub fn describe(step: &Step) -> String {
    match step {
        Step::Drop { .. } => step.key(),
        Step::Clone { from_nothing: true, .. } => "clone (empty)".to_owned(),
        Step::Clone { .. } => "clone production".to_owned(),
        Step::Found { .. } => "make room for new slots".to_owned(),
        Step::Restore { release, .. } => format!("bring {release} back, which was dropped"),
        Step::Recall { release, .. } => format!("bring {release} back from the past"),
        Step::Relink { side: Side::Build, .. } => "relink the build's views".to_owned(),
        Step::Relink { side: Side::Live, .. } => "relink live's views".to_owned(),
        Step::Stage { .. } => "stage the build".to_owned(),
        Step::Unstage { .. } => "remove the staged build".to_owned(),
        Step::HandOver { .. } => "hand over tasks".to_owned(),
        Step::Build { .. } => "build with dbt".to_owned(),
        Step::Verify { .. } => "verify against live".to_owned(),
        Step::Seal { .. } => "seal".to_owned(),
        Step::SyncGrants { .. } => "carry access rules".to_owned(),
        Step::Drift { .. } => "look for drift".to_owned(),
        Step::Swap { publishes, .. } => format!("swap {publishes} in"),
        Step::Check { .. } => "check live with dbt".to_owned(),
        Step::SwapBack { displaces, .. } => format!("swap {displaces} back out"),
        Step::Keep { release, .. } => format!("keep {release}"),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_copy_tells_how_far_it_is_and_where_lines_stay_only_now_and_then() {
        let said = Rc::new(RefCell::new(String::new()));
        let out = Rc::clone(&said);
        let to = Box::new(move |text: &str| out.borrow_mut().push_str(text));
        let progress = Progress::to(to, false);
        for done in [400_000_000, 800_000_000] {
            progress.event(Event::Copied { done, of: 1_047_000_000 });
        }
        assert_eq!(*said.borrow(), "… copied 400 of 1047 MB\n");
        let terminal = Progress { terminal: true, ..progress };
        said.borrow_mut().clear();
        for done in [400_000_000, 800_000_000] {
            terminal.event(Event::Copied { done, of: 1_047_000_000 });
        }
        assert_eq!(*said.borrow(), "… copied 400 of 1047 MB\r\x1b[K… copied 800 of 1047 MB");
    }
}
