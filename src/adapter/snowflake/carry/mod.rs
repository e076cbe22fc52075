//! What has to be carried from one container to another around a clone and a swap: grants, owners,
//! settings, the state of tasks and alerts, and the proof that a clone left nothing out.
//!
//! A swap takes each container along with everything on it (`/sql-reference/sql/alter-database`,
//! `alter-schema`), so what live has must be on the candidate *before* the swap. Everywhere: read
//! both sides in few statements, write only the differences, read again and compare; what still
//! differs is refused by name. Nothing here writes to live except [`tasks`], which runs after the
//! swap. An error while writing is no verdict: the second reading is. So all of it can be run again.
//!
//! What decides is pure (`privileges`, `differences`, `settings`, `graph`, `kinds`); the rest reads
//! and writes. May import `failure`, `ports` and its siblings.

mod alter;
mod compare;
mod differences;
mod graph;
mod kinds;
mod privileges;
mod replaying;
mod seen;
mod settings;
mod standing;
mod table;
mod tasks;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use alter::settings;
pub use compare::{at_risk, objects};
pub use kinds::Kind;
pub use replaying::grants;
pub use tasks::tasks;

use super::ident::ObjectPath;

/// What the operator has allowed, and what the project declares.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Grants to shares may be left behind.
    pub leave_shares: bool,
    /// Going on although there may be grants that this role cannot see.
    pub allow_unseen_grants: bool,
    /// Kinds of objects that a clone may lose or change.
    pub allowed_kinds: BTreeSet<Kind>,
    /// Relations whose grants dbt declares (`grants:`), in either container: what roles may do with
    /// them is dbt's result. dbt does not manage grants to database roles, users and shares.
    pub declared: BTreeSet<ObjectPath>,
    /// Whether the candidate is a release of the past: what only it has may have been revoked
    /// since, also on objects that live does not have any more.
    pub past: bool,
}
