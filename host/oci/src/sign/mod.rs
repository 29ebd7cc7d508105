//! Signatures as cosign makes them with a key, and takes them.
//!
//! What is signed is a *payload*, a JSON object that names the digest of a manifest. The
//! payloads of all signatures of an artifact are the layers of one manifest, which lies in
//! the artifact's repository at the tag `sha256-HEX.sig`; a signature is an annotation of
//! its layer: cosign's signature specification, chapters `Storage` and `Payloads`.
//!
//! Invariants: nothing of a payload is believed before its signature was verified over its
//! very bytes by a key that the caller named. What others wrote there is bounded, and a
//! signature of somebody else's never stands in the way of a good one. Keys are never shown.
//!
//! Leaves out certificates and the transparency log: who holds the public key needs
//! neither. Leaves out the making of keys: `cosign generate-key-pair` and `openssl` do it.

mod encrypted;
mod error;
mod manifest;
mod payload;
mod private_key;
mod public_key;
mod push;
mod repository;
mod store;
mod verify;

pub use error::{KeyError, SignatureError, StoreError};
pub use private_key::SigningKey;
pub use public_key::PublicKey;
pub use push::{Signed, push};
pub use repository::Repository;
pub use store::SignatureStore;
pub use verify::{Verified, verify};

use flowctl_types::Digest;

/// The tag of the manifest that holds the signatures of `digest`: `sha256-HEX.sig`.
#[must_use]
pub fn tag_of(digest: Digest) -> String {
    format!("sha256-{}.sig", digest.to_hex())
}
