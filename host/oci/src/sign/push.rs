//! Signing an artifact, beside those who signed it before.

use bytes::Bytes;
use flowctl_types::Digest;

use super::manifest::Manifest;
use super::verify::{self, MAX_SIGNATURES};
use super::{SignatureError, SignatureStore, SigningKey, payload, tag_of};

/// How often signing is tried while others change the same manifest.
const MAX_ATTEMPTS: u32 = 4;

/// What came of signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// A signature was added at this tag.
    Added {
        /// Where signatures are.
        tag: String,
    },
    /// This key had signed it before; nothing was changed.
    Before {
        /// Where signatures are.
        tag: String,
    },
}

/// Signs `digest`, a manifest in `store`, and puts the signature where cosign looks for it.
///
/// Signatures of others stay. Registries cannot compare and set: a signature that somebody
/// overwrites within the moment of writing is noticed and written again.
///
/// # Errors
///
/// [`SignatureError`] when the store fails, what is there is no manifest of signatures, has
/// 128 already, or others keep on changing it. What was there is still there then.
pub async fn push<S: SignatureStore>(store: &S, digest: Digest, key: &SigningKey) -> Result<Signed, SignatureError> {
    let tag = tag_of(digest);
    let payload = Bytes::from(payload::write(&store.repository(), digest));
    let failed = |action| {
        let tag = tag.clone();
        move |source| SignatureError::Store { action, tag, source }
    };
    let mut manifest = verify::manifest(store, &tag).await?.unwrap_or_else(Manifest::empty);
    let ours = std::slice::from_ref(key.public_key());
    if verify::search(store, &tag, &manifest, digest, ours).await.is_ok() {
        return Ok(Signed::Before { tag });
    }
    let signature = key.sign(&payload).ok_or(SignatureError::Sign)?;
    store.put_blob(payload::MEDIA_TYPE, payload.clone()).await.map_err(failed("write the signed payload of"))?;
    for _ in 0..MAX_ATTEMPTS {
        if manifest.len() >= MAX_SIGNATURES {
            return Err(SignatureError::TooMany { tag, n_signatures: manifest.len() + 1, most: MAX_SIGNATURES });
        }
        let config = manifest.add(&payload, &signature);
        let media_type = manifest.config_media_type().to_owned();
        store.put_blob(&media_type, config.into()).await.map_err(failed("write the configuration of"))?;
        let bytes = manifest.to_bytes().into();
        store.put_manifest(&tag, manifest.media_type(), bytes).await.map_err(failed("write"))?;
        let found = verify::manifest(store, &tag).await?.unwrap_or_else(Manifest::empty);
        if found.holds(&signature) {
            return Ok(Signed::Added { tag });
        }
        manifest = found;
    }
    Err(SignatureError::Contended { tag, n_attempts: MAX_ATTEMPTS })
}
