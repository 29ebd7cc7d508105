//! Finding a signature that is wanted among those that are there.

use bytes::Bytes;
use flowctl_types::Digest;

use super::manifest::{Candidate, Manifest};
use super::{PublicKey, SignatureError, SignatureStore, payload, tag_of};

/// Most signatures of one artifact.
pub(super) const MAX_SIGNATURES: usize = 128;

/// A signature that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What is signed.
    pub digest: Digest,
    /// The key whose signature it is.
    pub key: PublicKey,
    /// The repository that the signer names: where it was signed, which a mirror is not.
    pub repository: String,
}

/// What is wrong with signatures, in numbers.
#[derive(Default)]
struct Tally {
    n_unreadable: usize,
    n_by_others: usize,
    n_of_others: usize,
}

/// Verifies that one of `keys` signed `digest`, a manifest in `store`.
///
/// One good signature is enough; those of others do no harm. Costs one request for the
/// manifest of signatures and one for each payload that is looked at.
///
/// # Errors
///
/// [`SignatureError::Unsigned`] when there are no signatures at all, `Untrusted` when there
/// is none by these keys for this digest, `TooMany` when there are more than 128, `Store`
/// when a payload could not be read and no other was good.
pub async fn verify<S: SignatureStore>(
    store: &S,
    digest: Digest,
    keys: &[PublicKey],
) -> Result<Verified, SignatureError> {
    if keys.is_empty() {
        return Err(SignatureError::NoKeys { digest });
    }
    let tag = tag_of(digest);
    match manifest(store, &tag).await? {
        Some(manifest) => search(store, &tag, &manifest, digest, keys).await,
        None => Err(SignatureError::Unsigned { digest, tag }),
    }
}

/// Reads the manifest of signatures at `tag`.
pub(super) async fn manifest<S: SignatureStore>(store: &S, tag: &str) -> Result<Option<Manifest>, SignatureError> {
    let failed = |source| SignatureError::Store { action: "read", tag: tag.to_owned(), source };
    let Some(bytes) = store.manifest(tag).await.map_err(failed)? else { return Ok(None) };
    let manifest = Manifest::read(&bytes).map_err(|reason| SignatureError::Manifest { tag: tag.to_owned(), reason })?;
    if manifest.len() > MAX_SIGNATURES {
        let (tag, n_signatures) = (tag.to_owned(), manifest.len());
        return Err(SignatureError::TooMany { tag, n_signatures, most: MAX_SIGNATURES });
    }
    Ok(Some(manifest))
}

/// Looks for a signature by one of `keys` among those of `manifest`.
pub(super) async fn search<S: SignatureStore>(
    store: &S,
    tag: &str,
    manifest: &Manifest,
    digest: Digest,
    keys: &[PublicKey],
) -> Result<Verified, SignatureError> {
    let candidates = manifest.candidates();
    let mut tally = Tally { n_unreadable: manifest.len() - candidates.len(), ..Tally::default() };
    let mut failure = None;
    // several signatures of the same payload are the rule
    let mut last: Option<(Digest, Bytes)> = None;
    for candidate in &candidates {
        let bytes = match &last {
            Some((digest, bytes)) if *digest == candidate.digest => bytes.clone(),
            _ => match store.blob(candidate.digest, candidate.size).await {
                Ok(bytes) => bytes,
                Err(source) => {
                    failure.get_or_insert(source);
                    continue;
                }
            },
        };
        if Digest::of(&bytes) != candidate.digest {
            tally.n_unreadable += 1;
            continue;
        }
        last = Some((candidate.digest, bytes.clone()));
        if let Some(verified) = tally.judge(candidate, &bytes, digest, keys) {
            return Ok(verified);
        }
    }
    match failure {
        Some(source) => Err(SignatureError::Store { action: "read a signed payload of", tag: tag.to_owned(), source }),
        None => Err(SignatureError::Untrusted { digest, n_signatures: manifest.len(), summary: tally.to_string() }),
    }
}

impl Tally {
    fn judge(&mut self, candidate: &Candidate, bytes: &[u8], digest: Digest, keys: &[PublicKey]) -> Option<Verified> {
        // the signature first: an unsigned payload is not even read
        let Some(key) = keys.iter().find(|key| key.verifies(bytes, &candidate.signature)) else {
            self.n_by_others += 1;
            return None;
        };
        match payload::read(bytes) {
            Some((signed, repository)) if signed == digest => {
                return Some(Verified { digest, key: key.clone(), repository });
            }
            Some(_) => self.n_of_others += 1,
            None => self.n_unreadable += 1,
        }
        None
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { n_unreadable, n_by_others, n_of_others } = self;
        let mut parts = Vec::new();
        if *n_by_others > 0 {
            parts.push(format!("{n_by_others} by another key or altered"));
        }
        if *n_of_others > 0 {
            parts.push(format!("{n_of_others} of another artifact"));
        }
        if *n_unreadable > 0 {
            parts.push(format!("{n_unreadable} not readable"));
        }
        f.write_str(if parts.is_empty() { "none there" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}
