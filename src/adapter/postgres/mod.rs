//! PostgreSQL: schemas are cloned, built in and swapped by renames.

#[cfg(test)]
pub mod testing;
