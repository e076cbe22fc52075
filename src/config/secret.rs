//! A value that must not be seen: it is written as `***` wherever it is formatted or serialized,
//! and read only where [`Secret::expose`] says so.
//!
//! May import nothing of this crate.

use std::fmt;

use serde::{Serialize, Serializer};

/// A password, token or key.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text with the value taken out, for words of others that may quote it.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_written() {
        let secret = Secret::new("hunter2");
        let json = serde_json::to_string(&secret).unwrap();
        let all = format!("{secret} {secret:?} {secret:#?} {json}");
        assert!(!all.contains("hunter2"), "{all}");
        assert_eq!(secret.scrub("no hunter2!"), "no ***!");
        assert_eq!(secret.expose(), "hunter2");
    }
}
