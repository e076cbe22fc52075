//! Adapters: one per outside system, each behind a trait of `ports`. Siblings never import each
//! other, except the shared helpers [`process`] and [`sql`].

pub mod checkout;
pub mod dbt;
pub mod duckdb;
pub mod github;
pub mod postgres;
pub mod process;
pub mod snowflake;
pub mod sql;
