//! Texts that are never shown.
//!
//! Invariant: nothing prints a [`Secret`]: it has no `Display`, no serialisation, and a
//! `Debug` that is the same for all. Its memory is wiped when it is dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A text that is never shown: a password, a token, the passphrase of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text as a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: for a request, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_secret_tells_nothing_of_it() {
        let shown = format!("{:?} {:#?}", Secret::new("hunter2".to_owned()), Secret::new(String::new()));
        assert_eq!(shown, "Secret(…) Secret(…)");
    }
}
