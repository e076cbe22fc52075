//! The dbt project behind the `Dbt` port.
pub mod fingerprint;
pub mod jinja;
pub mod locate;
pub mod manifest;
pub mod mapped;
pub mod requirement;
pub mod results;
mod spans;
pub mod splice;
pub mod version;
