//! The dbt project behind the `Dbt` port.
pub mod jinja;
pub mod locate;
mod spans;
pub mod splice;
