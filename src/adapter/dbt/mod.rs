//! The dbt project behind the `Dbt` port.
