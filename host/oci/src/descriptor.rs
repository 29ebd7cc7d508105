//! Descriptors: media type, digest and size of something that is kept elsewhere.

use std::collections::BTreeMap;

use flowctl_types::Digest;
use serde::{Deserialize, Deserializer, Serialize};

/// The media types of an artifact's parts, and what belongs to annotations of images.
pub mod media {
    /// The manifest of an artifact, as the image specification has it.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An index of manifests, as the image specification has it.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker's manifest from before there was a specification; it is refused by name.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's list of manifests; it is refused by name.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configuration of a Wasm artifact.
    pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
    /// A component, and a core module too: its first bytes tell.
    pub const WASM: &str = "application/wasm";
}

/// What is known of a blob or a manifest before it is read: chapter `descriptor` of the
/// OCI image specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// The SHA-256 of its bytes. Other algorithms are refused.
    #[serde(deserialize_with = "digest")]
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// What its producer notes about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "or_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Describes `bytes`.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// Reads a map for which other writers put `null`.
pub(crate) fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
