//! Stories on Snowflake: the real binary, the real driver, real dbt-snowflake, and an emulator that
//! is built from Snowflake's documentation in the place of an account.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // a story fails by panicking

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
