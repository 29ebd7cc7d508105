//! Names of networks.

/// The passphrase that a network's name stands for: `pubnet`, `testnet`, or the
/// passphrase itself.
pub(crate) fn passphrase(name: &str) -> &str {
    match name {
        "pubnet" => "Public Global Stellar Network ; September 2015",
        "testnet" => "Test SDF Network ; September 2015",
        passphrase => passphrase,
    }
}
