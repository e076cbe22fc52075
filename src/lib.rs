//! Switchback: production dbt deploys that can be taken back in seconds.
//!
//! The layers, each importing only what stands above it (`tests/layers.rs` reads the imports):
//! `domain`, `failure`, `failpoint`, `config`, `ports`, `engine`, `report`, `adapter`, `verb`,
//! then the front doors `cli`, `action`. `ARCHITECTURE.md` is the map.

pub mod action;
pub mod adapter;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod failpoint;
pub mod failure;
pub mod ports;
pub mod report;
pub mod verb;
