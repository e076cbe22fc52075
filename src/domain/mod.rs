//! The pure core: what there is (names, slots, stamps), what happened (the history, a fold of the
//! journal), what should happen (plans) and what is acceptable (gates, containment, loss).
//!
//! Invariants: no I/O, no clock, no randomness; everything here is a value or a function of
//! values. May import nothing of this crate.

pub mod containment;
mod cutover;
pub mod effect;
pub mod ground;
pub mod history;
pub mod inventory;
pub mod journal;
pub mod name;
pub mod obstacle;
pub mod plan;
pub mod planner;
pub mod project;
pub mod recovery;
pub mod relocate;
pub mod slot;
pub mod target;
pub mod verify;

#[cfg(test)]
mod model;
