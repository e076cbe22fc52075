//! The dbt project behind the `Dbt` port.
pub mod jinja;
mod spans;
pub mod splice;
