//! Who one is to a registry.
//!
//! Invariant: a secret is never shown: [`Secret`] prints nothing of itself.

use std::fmt;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// How a client shows a registry who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    Anonymous,
    /// By name and password, which also buy a token where the registry wants one.
    Basic {
        /// The user.
        username: String,
        /// The password, or a token that stands for it.
        password: Secret,
    },
    /// By a token that was made elsewhere and is sent as it is.
    Bearer(Secret),
    /// By a refresh token, which buys access tokens.
    Identity(Secret),
}

impl Secret {
    /// Takes a text as a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
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
