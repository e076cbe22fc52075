//! The PostgreSQL adapter: an environment is one or more schemas of one database; builds and
//! archives are schemas beside them.
//!
//! ```text
//! analytics, analytics_marts                                  live
//! analytics__build_r2, analytics__build_r2_marts              a build
//! analytics__r1, analytics_marts__r1                          an archive
//! switchback.journal, switchback.leases                       the ledger, the leases
//! analytics.switchback_stamp                                  a stamp, in each of them
//! ```
//!
//! Invariants: every transaction that changes something tests the lease and keeps it from being
//! taken until it ends; live is changed by renames alone, in one transaction, with everybody kept
//! out; nothing is dropped that neither our stamp nor our comment proves ours.
//! May import `domain`, `failpoint`, `config`, `failure`, `ports` and `adapter::sql`.

mod access;
pub mod clone;
pub mod connect;
mod contents;
mod cutover;
pub mod definitions;
mod drift;
#[cfg(test)]
mod drift_tests;
mod exclusive;
mod guard;
mod lease;
mod ledger;
mod observe;
pub mod outside;
mod perform;
mod preflight;
pub mod profile;
mod render;
mod session;
mod sql;
mod stamp;
#[cfg(test)]
mod swaps_tests;
#[cfg(test)]
pub mod testing;
mod tls;
#[cfg(test)]
mod tls_tests;
mod warehouse;
pub mod words;

pub use ledger::SchemaLedger;
pub use profile::Settings;
pub use warehouse::Postgres;
