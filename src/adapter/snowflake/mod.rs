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

pub mod carry;
mod connect;
pub mod doubt;
mod edit;
pub mod grants;
pub mod ident;
mod key;
mod mention;
pub mod profile;
pub mod relink;
pub mod replay;
mod rows;
mod scan;
pub mod session;
#[cfg(test)]
mod testing;
pub mod tokens;
pub mod view;
mod words;
