//! The adapter on real files, with a real DuckDB in a real Python.

mod damaged;
mod guards;
mod refusals;
mod stories;
