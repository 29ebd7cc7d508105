//! Private keys: read from what cosign and openssl write, and signed with.

use std::fmt;

use pkcs8::der::pem;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use super::public_key::{self, PublicKey};
use super::{KeyError, encrypted};
use crate::auth::Secret;

/// How the PEM blocks of encrypted keys are called; the second was used before cosign 2.
const ENCRYPTED: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];
const PLAIN: &str = "PRIVATE KEY";

/// A private key that signs: ECDSA on P-256 with SHA-256, which is what cosign makes and
/// every verifier of its signatures must know.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Whether reading this file takes a password.
    #[must_use]
    pub fn is_encrypted(file: &[u8]) -> bool {
        pem::decode_label(file).is_ok_and(|label| ENCRYPTED.contains(&label))
    }

    /// Reads a private key: one that cosign encrypted, or plain PKCS#8. The password is
    /// not looked at where the key is not encrypted. Takes up to a second and 128 MiB.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it is no such key, or the password does not open it.
    pub fn from_pem(file: &[u8], password: Option<&Secret>) -> Result<Self, KeyError> {
        let (label, content) = pem::decode_vec(file).map_err(|_| KeyError::Pem)?;
        let content = Zeroizing::new(content);
        let pkcs8 = match label {
            PLAIN => content,
            label if ENCRYPTED.contains(&label) => encrypted::open(&content, password.ok_or(KeyError::NoPassword)?)?,
            label => {
                let label = public_key::shown(label);
                return Err(KeyError::Label { label, expected: "private key of PKCS#8 or of cosign" });
            }
        };
        Self::from_pkcs8(&pkcs8)
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let damaged = |reason| KeyError::Encoding { reason };
        let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| damaged("it is not of PKCS#8"))?;
        let curve = info.algorithm.parameters.and_then(|curve| ObjectIdentifier::try_from(curve).ok());
        if info.algorithm.oid != public_key::EC || curve != Some(public_key::P256) {
            let kind = public_key::kind(info.algorithm.oid, curve);
            return Err(KeyError::Kind { kind, rule: "keys that sign are ECDSA on P-256" });
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &SystemRandom::new())
            .map_err(|_| damaged("it must hold its public key too, and both must belong together"))?;
        let public = PublicKey::p256(pair.public_key().as_ref());
        Ok(Self { pair, public })
    }

    /// The public key that verifies what this one signs.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`; the signature is ASN.1, and another one each time. `None` where the
    /// system has no randomness.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.pair.sign(&SystemRandom::new(), message).ok().map(|signature| signature.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}
