//! Stories on real parts: the real binary and real DuckDB files, with a stand-in dbt that does
//! dbt's observable work in milliseconds (`crash`, `lease`, `trouble`), and with real dbt
//! (`real_dbt`). `make test` provides the tools; without them a story says loudly that it was
//! skipped.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a story fails by panicking

mod action;
mod crash;
mod first;
mod lease;
mod loop_;
mod odd;
mod pg;
mod pg_crash;
mod pg_dbt;
mod pg_faults;
mod postgres;
mod real_dbt;
mod runner;
mod trouble;
mod world;

#[path = "../support/http.rs"]
mod http;
