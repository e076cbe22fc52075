//! What the tests of this adapter share: a clock that is set by hand, and the Pythons to try.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::journal::Actor;
use crate::ports::Clock;

/// A clock that stands still until it is moved.
pub(super) struct HandClock(Cell<DateTime<Utc>>);

impl HandClock {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self(Cell::new(
            DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        )))
    }

    pub(super) fn forward(&self, seconds: i64) {
        self.0.set(self.0.get() + TimeDelta::seconds(seconds));
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.get()
    }
}

pub(super) fn actor(name: &str, host: &str) -> Actor {
    Actor {
        name: name.into(),
        run_url: None,
        host: host.into(),
    }
}

/// The Python with duckdb to test with; `None`, said loudly, where none is named.
pub(super) fn python(test: &str) -> Option<PathBuf> {
    match std::env::var_os("SWITCHBACK_TEST_PYTHON") {
        Some(path) => Some(path.into()),
        None if std::env::var_os("SWITCHBACK_TEST_REQUIRE_ALL").is_some() => {
            panic!("{test} needs SWITCHBACK_TEST_PYTHON, a Python that has duckdb")
        }
        None => {
            eprintln!("SKIPPED: {test}: SWITCHBACK_TEST_PYTHON names no Python that has duckdb");
            None
        }
    }
}
