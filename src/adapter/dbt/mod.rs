//! The dbt project behind the `Dbt` port.
pub mod jinja;
