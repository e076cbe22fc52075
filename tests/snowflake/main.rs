//! Stories on Snowflake: the real binary, the real driver, real dbt-snowflake, and an emulator that
//! is built from Snowflake's documentation in the place of an account.

mod account;
mod loop_;
mod world;
