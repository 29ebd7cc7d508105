//! Why a key could not be read, or a signature not be trusted.

use std::error::Error;

use flowctl_types::Digest;

/// What the place where signatures are kept failed with.
pub type StoreError = Box<dyn Error + Send + Sync>;

/// Why a key could not be read. Never holds a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is no PEM.
    #[error("it is no PEM file with a key")]
    Pem,
    /// It is PEM, of something else.
    #[error("it holds a `{label}` where a {expected} is needed")]
    Label {
        /// What it is by its own words.
        label: String,
        /// What is needed.
        expected: &'static str,
    },
    /// The key inside is not encoded as it must be.
    #[error("the key in it is damaged: {reason}")]
    Encoding {
        /// What is wrong.
        reason: &'static str,
    },
    /// The key is of a kind that cannot be used here.
    #[error("its key is {kind}, which cannot be used here: {rule}")]
    Kind {
        /// The kind, as it is called or as its object identifier.
        kind: String,
        /// What can be.
        rule: &'static str,
    },
    /// The key is encrypted and there is no password.
    #[error("the key is encrypted, and there is no password")]
    NoPassword,
    /// The password does not open the key.
    #[error("the password does not open the key, or the key is damaged")]
    Password,
    /// The encryption is not one that cosign makes.
    #[error("the key is encrypted in a way that cosign does not use: {reason}")]
    Encryption {
        /// What is different.
        reason: &'static str,
    },
}

/// Why nothing was signed, or a signature is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no key to check with.
    #[error("there is no key to verify `{digest}` with")]
    NoKeys {
        /// What was to be verified.
        digest: Digest,
    },
    /// Nobody signed it.
    #[error("`{digest}` is not signed: there is no `{tag}`")]
    Unsigned {
        /// What was to be verified.
        digest: Digest,
        /// Where signatures would be.
        tag: String,
    },
    /// There are signatures, and none that is wanted.
    #[error("`{digest}` has no signature by a wanted key: {n_signatures} looked at, {summary}")]
    Untrusted {
        /// What was to be verified.
        digest: Digest,
        /// How many there are.
        n_signatures: usize,
        /// What is wrong with them, in numbers.
        summary: String,
    },
    /// There are more signatures than are looked at.
    #[error("`{tag}` has {n_signatures} signatures, and more than {most} are not looked at")]
    TooMany {
        /// Where signatures are.
        tag: String,
        /// How many there are.
        n_signatures: usize,
        /// How many there may be.
        most: usize,
    },
    /// What lies where signatures lie is something else.
    #[error("`{tag}` is no manifest of signatures: {reason}")]
    Manifest {
        /// Where signatures are.
        tag: String,
        /// What is wrong.
        reason: String,
    },
    /// The key could not sign.
    #[error("the key cannot sign")]
    Sign,
    /// Others signed at the same time, again and again.
    #[error("`{tag}` was changed by others {n_attempts} times while it was signed")]
    Contended {
        /// Where signatures are.
        tag: String,
        /// How often it was tried.
        n_attempts: u32,
    },
    /// The place where signatures are kept failed.
    #[error("cannot {action} `{tag}`")]
    Store {
        /// What was tried.
        action: &'static str,
        /// Where signatures are.
        tag: String,
        /// What went wrong.
        #[source]
        source: StoreError,
    },
}

impl KeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Label { label, .. } if label == "EC PRIVATE KEY" => {
                Some("`openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW` writes it as it must be")
            }
            Self::Label { label, .. } if label == "ENCRYPTED PRIVATE KEY" => {
                Some("`cosign import-key-pair --key KEY` writes it as it must be")
            }
            Self::Pem | Self::Label { .. } | Self::Kind { .. } | Self::Encryption { .. } => {
                Some("`cosign generate-key-pair` makes a pair that can be used")
            }
            Self::NoPassword => Some("set COSIGN_PASSWORD, or run it in a terminal"),
            Self::Encoding { .. } | Self::Password => None,
        }
    }
}

impl SignatureError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoKeys { .. } => Some("give a public key"),
            Self::Unsigned { .. } => Some("sign it with `flowctl push --sign KEY` or `cosign sign --key KEY`"),
            Self::Untrusted { .. } => Some("check that the public key belongs to whoever published it"),
            Self::Contended { .. } => Some("try again when nobody else signs it"),
            _ => None,
        }
    }
}
