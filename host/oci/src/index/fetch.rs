//! From a registry into memory.

use flowctl_types::Digest;

use crate::index::{IndexError, MAX_BYTES, PluginIndex, manifest};
use crate::{Client, RegistryRef};

/// Fetches an index, with the digest of its manifest; none where there is no index yet.
///
/// # Errors
///
/// [`IndexError::Fetch`] when the registry does not give it, [`IndexError::Format`] when
/// something else is there.
pub async fn fetch(client: &Client, index: &RegistryRef) -> Result<Option<(PluginIndex, Digest)>, IndexError> {
    let fetch = |source| IndexError::Fetch { index: index.to_string(), source };
    let format = |source| IndexError::Format { index: index.to_string(), source };
    let (bytes, digest) = match client.manifest(index).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(fetch(error)),
    };
    let layer = manifest::read(&bytes).map_err(format)?;
    let bytes = client.small_blob(index, &layer, MAX_BYTES as u64).await.map_err(fetch)?;
    Ok(Some((PluginIndex::read(&bytes).map_err(format)?, digest)))
}
