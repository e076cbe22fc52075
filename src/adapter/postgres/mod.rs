//! The PostgreSQL adapter: an environment is one or more schemas of one database; builds and
//! archives are schemas beside them.

pub mod clone;
pub mod connect;
pub mod definitions;
pub mod outside;
pub mod profile;
#[cfg(test)]
pub mod testing;
mod tls;
pub mod words;
