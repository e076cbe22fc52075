//! The overlay with a real dbt.
