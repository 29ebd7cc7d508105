//! From memory to a registry or a layout.

use flowctl_types::Digest;

use crate::{Artifact, Client, Layout, LayoutError, OciError, Progress, RegistryRef, media};

/// Why an artifact is not where it was to be.
#[derive(Debug, thiserror::Error)]
#[error("cannot push to `{reference}`")]
pub struct PushError {
    /// Where it was to be.
    pub reference: String,
    /// Why.
    #[source]
    pub source: OciError,
}

impl PushError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.source.hint()
    }
}

/// Puts an artifact into a registry: blobs that are not there, then the manifest, under
/// the reference's tag, or `latest` where it has neither tag nor digest. Answers with the
/// manifest's digest.
///
/// # Errors
///
/// [`PushError`]; then the tag stands for what it stood for.
pub async fn push(
    client: &Client,
    artifact: &Artifact,
    reference: &RegistryRef,
    progress: &dyn Progress,
) -> Result<Digest, PushError> {
    let send = async {
        for bytes in [artifact.config(), artifact.component()] {
            client.push_blob(reference, bytes.clone(), progress).await?;
        }
        client.push_manifest(reference, media::MANIFEST, artifact.manifest().clone()).await
    };
    send.await.map_err(|source| PushError { reference: reference.to_string(), source })
}

/// Puts an artifact into a layout, which is made where there is none. It blocks the thread
/// while it writes.
///
/// # Errors
///
/// [`LayoutError`]; then the layout lists what it listed.
pub fn push_to_layout(artifact: &Artifact, layout: &Layout, tag: Option<&str>) -> Result<Digest, LayoutError> {
    layout.put(artifact, tag)?;
    Ok(artifact.digest())
}
