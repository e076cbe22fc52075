//! The Snowflake adapter.
//!
//! Nobody on this project has an account: what the code leans on is named where it is used, by
//! documentation page (all below `docs.snowflake.com/en`), and what the documentation leaves open
//! is observed or refused.
//!
//! Invariants: a name is one thing (an [`ident::Ident`], verbatim) whatever it was read from, and
//! is quoted wherever it is written; a view's text is changed at identifier tokens only, and a
//! view whose text cannot be told is refused, never guessed; a statement that changes something is
//! sent once. May import `config`, `domain`, `failure`, `ports` and the shared `adapter::sql`.

mod carry;
mod choice;
mod connect;
mod contents;
mod digest;
mod doctor;
pub mod doubt;
mod edit;
pub mod grants;
pub mod ident;
mod key;
mod ledger;
mod look;
mod mention;
mod past;
mod perform;
mod pinned;
mod place;
pub mod probe;
pub mod profile;
pub mod relink;
mod relinking;
mod render;
pub mod replay;
mod rows;
mod scan;
pub mod session;
mod stamp;
#[cfg(test)]
mod testing;
pub mod tokens;
mod unit;
pub mod view;
mod warehouse;
mod words;

pub use carry::{Kind, Policy};
pub use choice::{Opening, open};
pub use pinned::PinnedLedger;
pub use warehouse::{Settings, Snowflake};
