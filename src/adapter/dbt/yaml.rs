//! YAML with its merge keys applied, as dbt's reader sees it.
//!
//! May import nothing of this crate.

use serde_yaml::Value;

/// How deep outputs may inherit from each other.
const DEPTH: usize = 32;

/// Parses a text and applies `<<` wherever it stands.
pub fn load(text: &str) -> Result<Value, String> {
    let mut value: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    // One pass copies the merge key of what it merges in, so a chain takes one pass per link.
    for _ in 0..DEPTH {
        let before = value.clone();
        value.apply_merge().map_err(|error| error.to_string())?;
        if value == before {
            return Ok(value);
        }
    }
    Err(format!("merge keys are nested more than {DEPTH} deep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_merges_is_followed_and_the_nearest_value_wins() {
        let text = "a: &a {x: 1, y: 1, z: 1}\nb: &b\n  <<: *a\n  y: 2\nc:\n  <<: *b\n  z: 3\n";
        let value = load(text).unwrap();
        let wanted: Value = serde_yaml::from_str("{x: 1, y: 2, z: 3}").unwrap();
        assert_eq!(value["c"], wanted);
    }
}
