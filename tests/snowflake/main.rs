//! Stories on Snowflake: the real binary, the real driver, real dbt-snowflake, and an emulator that
//! is built from Snowflake's documentation in the place of an account.

mod account;
mod faults;
mod loop_;
mod shop;
mod world;
