//! The configuration of a Wasm artifact, `application/vnd.wasm.config.v0+json`.

use std::fmt;

use flowctl_schema::Listing;
use flowctl_types::Digest;
use serde::{Deserialize, Serialize};

use super::{ArtifactError, ArtifactManifest};

/// Longest configuration that is read: 1 MiB.
pub(crate) const MAX_CONFIG_BYTES: u64 = 1 << 20;

const ARCHITECTURE: &str = "wasm";
const OS: &str = "wasip2";

/// When an artifact says that it was made: a constant, so that the same bytes make the
/// same artifact, or what the caller took from `SOURCE_DATE_EPOCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Created(jiff::Timestamp);

/// What the configuration says, with the keys in the order that it is written in. Both
/// optional keys are written as `null`, which is what the reference implementation does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WasmConfig {
    /// When the artifact was made, as RFC 3339 has it.
    pub created: String,
    /// Who made it.
    pub author: Option<String>,
    /// Always `wasm`.
    pub architecture: String,
    /// `wasip2` for components.
    pub os: String,
    /// The digests of the layers, in order.
    pub layer_digests: Vec<String>,
    /// What the component lists. There for components.
    pub component: Option<ComponentLists>,
}

/// What a component imports and exports. Not held against the bytes when it is read,
/// since nothing here is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentLists {
    /// The names of its exports, in its order.
    pub exports: Vec<String>,
    /// The names of its imports, in its order.
    pub imports: Vec<String>,
    /// The world that it is for, where somebody says so.
    pub target: Option<String>,
}

impl Created {
    /// So many seconds after 1970 began, in UTC.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Time`] for times that no calendar here has.
    pub fn from_unix_seconds(seconds: i64) -> Result<Self, ArtifactError> {
        jiff::Timestamp::from_second(seconds).map(Self).map_err(|_| ArtifactError::Time { seconds })
    }
}

impl fmt::Display for Created {
    /// As RFC 3339 has it, `1970-01-01T00:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl WasmConfig {
    pub(super) fn of(listing: &Listing, layer: Digest, created: Created) -> Self {
        Self {
            created: created.to_string(),
            author: listing.notes.authors.clone(),
            architecture: ARCHITECTURE.to_owned(),
            os: OS.to_owned(),
            layer_digests: vec![layer.to_string()],
            component: Some(ComponentLists {
                exports: listing.exports.clone(),
                imports: listing.imports.clone(),
                target: None,
            }),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and lists of texts are JSON")
    }

    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`] when it is too long or not of its form.
    pub fn read(bytes: &[u8]) -> Result<Self, ArtifactError> {
        if bytes.len() as u64 > MAX_CONFIG_BYTES {
            return Err(ArtifactError::TooLarge { what: "config", size: bytes.len() as u64 });
        }
        serde_json::from_slice(bytes).map_err(|source| ArtifactError::Json { what: "config", source })
    }

    /// Holds it against the manifest that names it.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Config`] when it is not that of a component in that layer.
    pub fn check(&self, manifest: &ArtifactManifest) -> Result<(), ArtifactError> {
        let layers = self.layer_digests.join(",");
        let due = [
            ("architecture", &self.architecture, ARCHITECTURE.to_owned()),
            ("os", &self.os, OS.to_owned()),
            ("layerDigests", &layers, manifest.layer.digest.to_string()),
        ];
        for (key, found, wanted) in due {
            if *found != wanted {
                return Err(ArtifactError::Config { key, found: found.chars().take(80).collect(), wanted });
            }
        }
        Ok(())
    }
}
