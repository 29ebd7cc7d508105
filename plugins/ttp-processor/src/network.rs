//! The network a ledger belongs to, and how its events are to be read.

use sha2::{Digest, Sha256};

const PUBNET: &str = "Public Global Stellar Network ; September 2015";
const TESTNET: &str = "Test SDF Network ; September 2015";

/// A Stellar network, told by its passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    passphrase: String,
    id: [u8; 32],
}

/// Where token transfers are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// From operations, results and ledger changes: works on every ledger.
    #[default]
    Derive,
    /// From the events that stellar-core wrote with `EMIT_CLASSIC_EVENTS` and
    /// `BACKFILL_STELLAR_ASSET_EVENTS`: every transaction must have meta version 4.
    Unified,
}

/// A network or mode that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// No passphrase was given.
    #[error("`network` is empty: give `pubnet`, `testnet` or a network passphrase")]
    EmptyNetwork,
    /// The mode has another name.
    #[error("unknown mode `{0}`: give `derive` or `unified`")]
    UnknownMode(String),
}

impl Network {
    /// Takes a network's passphrase, or one of the names `pubnet` and `testnet`.
    ///
    /// # Errors
    ///
    /// [`SettingError::EmptyNetwork`] when it is blank.
    pub fn new(name_or_passphrase: &str) -> Result<Self, SettingError> {
        let passphrase = passphrase(name_or_passphrase);
        if passphrase.trim().is_empty() {
            return Err(SettingError::EmptyNetwork);
        }
        Ok(Self { passphrase: passphrase.to_owned(), id: Sha256::digest(passphrase).into() })
    }

    /// The passphrase.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// Whether that is this network's passphrase or name.
    pub fn is(&self, name_or_passphrase: &str) -> bool {
        passphrase(name_or_passphrase) == self.passphrase
    }

    /// The hash of the passphrase, which signatures and contract ids include.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }
}

fn passphrase(name_or_passphrase: &str) -> &str {
    match name_or_passphrase {
        "pubnet" => PUBNET,
        "testnet" => TESTNET,
        passphrase => passphrase,
    }
}

impl std::str::FromStr for Mode {
    type Err = SettingError;

    fn from_str(name: &str) -> Result<Self, SettingError> {
        match name {
            "derive" => Ok(Self::Derive),
            "unified" => Ok(Self::Unified),
            other => Err(SettingError::UnknownMode(other.to_owned())),
        }
    }
}
