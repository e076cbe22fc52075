//! Stories on Snowflake: the real binary, the real driver, real dbt-snowflake, and an emulator that
//! is built from Snowflake's documentation in the place of an account.

#![cfg_attr(not(feature = "failpoints"), allow(dead_code))] // the crash matrix needs them
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)] // a story fails by panicking

mod access;
mod account;
mod drift;
mod faults;
mod growth;
mod loop_;
mod marks;
mod refusals;
mod relinks;
mod shop;
mod switches;
mod world;
