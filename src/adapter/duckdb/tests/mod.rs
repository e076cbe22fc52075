//! The adapter on real files, with a real DuckDB in a real Python.

mod refusals;
mod stories;
