//! Names of nodes and of pipelines.

use std::fmt;
use std::str::FromStr;

/// The id of a node within its topology: `[a-z0-9-]{1,63}`. Pipelines and tenants
/// are named by the same rule.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(std::sync::Arc<str>);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: use 1 to 63 of `a-z`, `0-9` and `-`")]
pub struct NameError {
    /// What was read.
    pub text: String,
}

impl NodeId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a name out of any text: other characters become `-`, upper case
    /// becomes lower case, and what is too long is cut.
    ///
    /// # Errors
    ///
    /// [`NameError`] when no letter or digit is left.
    pub fn from_any(text: &str) -> Result<Self, NameError> {
        let replaced: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .take(63)
            .collect();
        let trimmed = replaced.trim_matches('-');
        trimmed.parse().map_err(|_| NameError { text: text.to_owned() })
    }
}

impl FromStr for NodeId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if text.is_empty() || text.len() > 63 || !text.bytes().all(is_allowed) {
            return Err(NameError { text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_letters_digits_and_dashes() {
        assert!("ttp-processor-2".parse::<NodeId>().is_ok());
        for bad in ["", "Ttp", "a.b", "a_b", &"x".repeat(64)] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn any_text_with_a_letter_becomes_a_name() {
        assert_eq!(NodeId::from_any("My_Pipeline.yaml").unwrap().as_str(), "my-pipeline-yaml");
        assert!(NodeId::from_any("…").is_err());
    }
}
