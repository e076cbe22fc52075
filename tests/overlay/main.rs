//! The overlay with a real dbt: projects of many shapes, parsed as production and as the build, and
//! some of them run. DuckDB stands for any warehouse with schemas; a dbt with another adapter can be
//! named in `SWITCHBACK_TEST_POSTGRES_DBT` and `SWITCHBACK_TEST_SNOWFLAKE_DBT` (a parse needs no
//! server).
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod places;
mod runs;
mod shape;
mod snapshots;
mod variants;
