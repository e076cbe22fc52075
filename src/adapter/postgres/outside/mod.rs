//! What outside the swapped schemas is bound to what lies in them. PostgreSQL binds by identity: after
//! the renames such a view, foreign key or function would go on reading what was displaced. It is
//! captured as PostgreSQL prints it before the renames, and made anew inside the swap's transaction,
//! where the same text binds to what is live then.
//!
//! - Views and functions with a parsed body are replaced in place, so that what hangs on them stays;
//!   where their columns or signatures have changed, they and all that reads them are dropped and made
//!   again, with owners, grants, comments and options.
//! - Foreign keys, policies, triggers, rules and defaults are dropped and made again. A foreign key of
//!   a large table is not validated inside the swap but by [`validate`] after it.
//! - Bodies of functions *inside* that were made to name the build name live again.
//! - What cannot be made anew so is named and refused: a column of one of live's types, an index or a
//!   check that calls one of live's functions, a filled materialized view (its query would run while
//!   everybody waits), a partition, a publication.
//!
//! Capturing takes its time where live has thousands of relations; so it is done before readers are
//! kept out, and [`still`] tells in milliseconds whether it is true once they are.
//!
//! May import `adapter::sql`, `failure`, `ports` and its siblings.

mod capture;
mod recreate;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use tokio_postgres::types::Oid;

pub use capture::{capture, still};
pub use recreate::{recreate, refuse, validate};

use super::definitions::{Address, Definitions};

/// What is bound to live from outside.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The live schemas.
    lives: Vec<String>,
    /// The moment that it was captured at.
    since: String,
    dependencies: i64,
    /// Views and functions that are bound to live, and what reads them, with everything on them.
    readers: Definitions,
    /// Those of them that are bound to live themselves.
    direct: BTreeSet<Address>,
    /// Whether replacing them in place cannot do.
    rebuild: bool,
    /// What is dropped and made again in any case.
    parts: Vec<Part>,
    /// Filled materialized views that read a reader: they stay where that is replaced in place.
    filled: Vec<String>,
    /// What cannot be made anew, one sentence each.
    refusals: Vec<String>,
}

/// A part of a relation outside: a foreign key, a policy, a trigger, a rule, a default.
#[derive(Clone, Debug)]
struct Part {
    /// Whether it is bound to live itself, or to a reader.
    direct: bool,
    /// The relation that it is a part of.
    relation: Oid,
    drop: String,
    make: Vec<String>,
    /// Said after the swap.
    validate: Option<String>,
}

impl Outside {
    /// What cannot be made anew, one sentence each; [`recreate`] refuses where there is any.
    #[must_use]
    pub fn refusals(&self) -> &[String] {
        &self.refusals
    }

    /// Whether nothing outside is bound to live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.readers.nodes.is_empty() && self.parts.is_empty() && self.refusals.is_empty()
    }
}
