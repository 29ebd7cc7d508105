//! cosign's encrypted keys: scrypt makes a key of the password, NaCl's secret box is locked
//! with it, and a JSON object says how.
//!
//! Invariant: only costs that cosign itself has written are accepted, so that a file cannot
//! make its reader spend more than 128 MiB and a second.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::KeyError;
use crate::auth::Secret;

/// Most bytes of the JSON object.
const MAX_BYTES: usize = 64 << 10;
/// The costs that versions of cosign write: log2 of `N` from 2^15 to 2^17, `r` 8, `p` 1.
const LOG_N: std::ops::RangeInclusive<u8> = 15..=17;
const R: u32 = 8;
const P: u32 = 1;
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
const NONCE_BYTES: usize = 24;

#[derive(Deserialize)]
struct Envelope {
    kdf: Kdf,
    cipher: Cipher,
    #[serde(deserialize_with = "base64")]
    ciphertext: Vec<u8>,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    #[serde(deserialize_with = "base64")]
    salt: Vec<u8>,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    #[serde(deserialize_with = "base64")]
    nonce: Vec<u8>,
}

/// Opens what stands in the PEM block of an encrypted key, and returns the PKCS#8 inside.
pub(super) fn open(envelope: &[u8], password: &Secret) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let different = |reason| KeyError::Encryption { reason };
    if envelope.len() > MAX_BYTES {
        return Err(different("it is longer than 64 KiB"));
    }
    let Envelope { kdf, cipher, ciphertext } =
        serde_json::from_slice(envelope).map_err(|_| different("it is not the JSON object that cosign writes"))?;
    if kdf.name != "scrypt" {
        return Err(different("its key is not derived by scrypt"));
    }
    if cipher.name != "nacl/secretbox" {
        return Err(different("its cipher is not nacl/secretbox"));
    }
    let log_n = kdf.params.n.checked_ilog2().and_then(|log| u8::try_from(log).ok()).unwrap_or(0);
    let is_known = kdf.params.n.is_power_of_two() && LOG_N.contains(&log_n) && kdf.params.r == R && kdf.params.p == P;
    if !is_known {
        return Err(different("the costs of its scrypt are others"));
    }
    if !SALT_BYTES.contains(&kdf.salt.len()) {
        return Err(different("its salt has another length"));
    }
    let nonce: [u8; NONCE_BYTES] = cipher.nonce.try_into().map_err(|_| different("its nonce has another length"))?;
    let params = scrypt::Params::new(log_n, R, P).map_err(|_| different("the costs of its scrypt are others"))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password.expose().as_bytes(), &kdf.salt, &params, key.as_mut_slice())
        .map_err(|_| different("the costs of its scrypt are others"))?;
    let secret_box = XSalsa20Poly1305::new((&*key).into());
    secret_box.decrypt(&nonce.into(), ciphertext.as_slice()).map(Zeroizing::new).map_err(|_| KeyError::Password)
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}
