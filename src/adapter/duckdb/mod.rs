//! The DuckDB adapter: an environment is one file, its builds and archives are files of the same
//! name in directories of their own under `.switchback/<file>/` beside it.
//!
//! ```text
//! /data/shop.duckdb                                    live
//! /data/.switchback/shop.duckdb/ledger.jsonl           the journal
//!                               lease.json, alive.<n>  the lease, and the proof its holder lives
//!                               lock                   the kernel lock around every cutover
//!                               build_r2/shop.duckdb   a build   (+ slot.json, its marker)
//!                               r1/shop.duckdb         an archive
//! ```
//!
//! Invariants: SQL runs in children of the dbt environment's own Python, never in this process;
//! files are exchanged, never directories; nothing is removed that neither our stamp nor our
//! marker proves ours. May import `domain`, `failure`, `ports` and `adapter::sql`.

mod access;
mod child;
mod contents;
mod copy;
mod critical;
mod files;
mod guard;
mod home;
mod journal;
mod lease;
mod ledger;
mod moves;
mod observe;
mod path;
mod perform;
mod probe;
mod render;
mod slots;
mod stamp;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod warehouse;
mod words;

pub use ledger::FileLedger;
pub use path::{LiveFile, resolve};
pub use warehouse::{DuckDb, Settings};
