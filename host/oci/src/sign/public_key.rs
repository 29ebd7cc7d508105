//! Public keys: read from PEM, and verified with.

use std::fmt;

use flowctl_types::Digest;
use pkcs8::ObjectIdentifier;
use pkcs8::der::asn1::BitStringRef;
use pkcs8::der::{Encode, pem};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::KeyError;

/// Elliptic curves: RFC 5480.
pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// The curve P-256, also called prime256v1.
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED_25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What is said of keys that cannot be used.
const RULE: &str = "public keys are ECDSA on P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits";
/// Bytes of an RSA key in ASN.1 with 2048 bits, and with 8192.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 266..=1100;
/// Most keys in one file.
const MAX_KEYS: usize = 64;

const BEGIN: &str = "-----BEGIN ";

/// A public key that verifies signatures.
///
/// On P-384 the hash may be SHA-256, as cosign's specification has it, or SHA-384, which
/// newer versions take. Ed25519 is the one without a prehash.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    scheme: Scheme,
    /// The key as *ring* takes it.
    point: Vec<u8>,
    fingerprint: Digest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    P256,
    P384,
    Ed25519,
    Rsa,
}

impl PublicKey {
    /// Reads the one public key of a PEM file.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it is no PEM, or its key cannot be used.
    pub fn from_pem(file: &[u8]) -> Result<Self, KeyError> {
        let (label, der) = pem::decode_vec(file).map_err(|_| KeyError::Pem)?;
        if label != "PUBLIC KEY" {
            return Err(KeyError::Label { label: shown(label), expected: "`PUBLIC KEY`" });
        }
        Self::from_spki(&der)
    }

    /// Reads all public keys of a PEM file that has some one after the other: at least one,
    /// at most 64.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for the first that cannot be used.
    pub fn all_from_pem(file: &str) -> Result<Vec<Self>, KeyError> {
        let starts: Vec<usize> = file.match_indices(BEGIN).map(|(at, _)| at).take(MAX_KEYS + 1).collect();
        if starts.is_empty() || starts.len() > MAX_KEYS {
            return Err(KeyError::Pem);
        }
        let ends = starts.iter().skip(1).copied().chain([file.len()]);
        starts.iter().zip(ends).map(|(start, end)| Self::from_pem(block(&file[*start..end]).as_bytes())).collect()
    }

    /// SHA-256 of the key as it stands in a PEM file, decoded (DER of
    /// `SubjectPublicKeyInfo`): what `openssl pkey -pubin -outform DER | sha256sum` tells.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        self.fingerprint
    }

    /// Takes a point on P-256, uncompressed.
    pub(super) fn p256(point: &[u8]) -> Self {
        let algorithm = AlgorithmIdentifierRef { oid: EC, parameters: Some((&P256).into()) };
        let subject_public_key = BitStringRef::from_bytes(point).expect("a point is no gigabyte");
        let spki = SubjectPublicKeyInfoRef { algorithm, subject_public_key };
        let der = spki.to_der().expect("a point and two identifiers can be encoded");
        Self { scheme: Scheme::P256, point: point.to_vec(), fingerprint: Digest::of(&der) }
    }

    fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let damaged = |reason| KeyError::Encoding { reason };
        let spki = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| damaged("it is no SubjectPublicKeyInfo"))?;
        let curve = spki.algorithm.parameters.and_then(|curve| ObjectIdentifier::try_from(curve).ok());
        let other = || KeyError::Kind { kind: kind(spki.algorithm.oid, curve), rule: RULE };
        let point = spki.subject_public_key.as_bytes().ok_or(damaged("it does not end at a byte"))?;
        let is_uncompressed = |n_bytes| point.first() == Some(&4) && point.len() == n_bytes;
        let (scheme, is_whole) = match (spki.algorithm.oid, curve) {
            (EC, Some(P256)) => (Scheme::P256, is_uncompressed(65)),
            (EC, Some(P384)) => (Scheme::P384, is_uncompressed(97)),
            (ED_25519, None) => (Scheme::Ed25519, point.len() == 32),
            (RSA, _) if !RSA_BYTES.contains(&point.len()) => {
                return Err(KeyError::Kind { kind: "RSA of another size".to_owned(), rule: RULE });
            }
            (RSA, _) => (Scheme::Rsa, true),
            _ => return Err(other()),
        };
        if !is_whole {
            return Err(damaged("its length is not that of an uncompressed key"));
        }
        Ok(Self { scheme, point: point.to_vec(), fingerprint: Digest::of(der) })
    }

    /// Whether `signature` over `message` was made with the private key of this one.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let schemes: &[&'static dyn VerificationAlgorithm] = match self.scheme {
            Scheme::P256 => &[&ECDSA_P256_SHA256_ASN1],
            Scheme::P384 => &[&ECDSA_P384_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1],
            Scheme::Ed25519 => &[&ED25519],
            Scheme::Rsa => &[&RSA_PKCS1_2048_8192_SHA256],
        };
        schemes.iter().any(|scheme| UnparsedPublicKey::new(*scheme, &self.point).verify(message, signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::P256 => "ECDSA P-256",
            Scheme::P384 => "ECDSA P-384",
            Scheme::Ed25519 => "Ed25519",
            Scheme::Rsa => "RSA",
        };
        write!(f, "{scheme} {}", self.fingerprint)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// What a key of this algorithm, on this curve, is called.
pub(super) fn kind(algorithm: ObjectIdentifier, curve: Option<ObjectIdentifier>) -> String {
    match (algorithm, curve) {
        (EC, Some(P256)) => "ECDSA on P-256".to_owned(),
        (EC, Some(P384)) => "ECDSA on P-384".to_owned(),
        (EC, Some(P521)) => "ECDSA on P-521".to_owned(),
        (EC, Some(curve)) => format!("ECDSA on the curve {curve}"),
        (RSA, _) => "RSA".to_owned(),
        (ED_25519, _) => "Ed25519".to_owned(),
        (other, _) => format!("of the algorithm {other}"),
    }
}

/// A label as far as it can be repeated: it may come from any file.
pub(super) fn shown(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// The block itself: what stands between blocks is no part of one.
fn block(text: &str) -> &str {
    let end = text.find("-----END ").and_then(|at| text[at + 9..].find("-----").map(|more| at + 9 + more + 5));
    end.map_or(text, |end| &text[..end])
}
