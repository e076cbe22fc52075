//! The PostgreSQL adapter: an environment is one or more schemas of one database; builds and
//! archives are schemas beside them.

pub mod connect;
pub mod profile;
mod tls;
pub mod words;
