//! The manifest of an artifact: chapter `manifest` of the OCI image specification.

use std::collections::BTreeMap;

use flowctl_schema::{Contract, MAX_COMPONENT_BYTES};
use flowctl_types::Digest;
use serde::{Deserialize, Serialize};

use super::ArtifactError;
use super::config::MAX_CONFIG_BYTES;
use crate::descriptor::or_empty;
use crate::{Descriptor, Facts, media};

/// Longest manifest that is read: 4 MiB, which the distribution specification lets
/// registries refuse beyond.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// A manifest that was found to be one of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactManifest {
    /// The digest of the manifest's bytes: what the artifact is pinned by.
    pub digest: Digest,
    /// How many bytes the manifest has.
    pub size: u64,
    /// The configuration.
    pub config: Descriptor,
    /// The component.
    pub layer: Descriptor,
    /// What the manifest notes.
    pub annotations: BTreeMap<String, String>,
    /// What the notes say about the plugin; none where another client pushed it.
    pub facts: Option<Facts>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u32,
    media_type: &'static str,
    config: &'a Descriptor,
    layers: [&'a Descriptor; 1],
    annotations: &'a BTreeMap<String, String>,
}

/// What tells kinds of manifests apart, before the rest is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    schema_version: u32,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "or_empty")]
    annotations: BTreeMap<String, String>,
}

pub(super) fn to_json(config: &Descriptor, layer: &Descriptor, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let written = Written { schema_version: 2, media_type: media::MANIFEST, config, layers: [layer], annotations };
    serde_json::to_vec(&written).expect("texts and numbers are JSON")
}

impl ArtifactManifest {
    /// Reads a manifest, and sees that it is one of a plugin: types, one layer, sizes that
    /// are allowed, annotations that can be read. Its parts are still to be read.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`] that names the first thing that is different.
    pub fn read(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let size = bytes.len() as u64;
        if size > MAX_MANIFEST_BYTES {
            return Err(ArtifactError::TooLarge { what: "manifest", size });
        }
        let json = |source| ArtifactError::Json { what: "manifest", source };
        let kind: Kind = serde_json::from_slice(bytes).map_err(json)?;
        let media_type = kind.media_type.unwrap_or_else(|| {
            let is_index = kind.manifests.is_some();
            (if is_index { media::INDEX } else { media::MANIFEST }).to_owned()
        });
        if [media::INDEX, media::DOCKER_LIST].contains(&media_type.as_str()) {
            return Err(ArtifactError::Index { media_type });
        }
        expect("manifest", &media_type, media::MANIFEST)?;
        let Read { schema_version, config, layers, annotations } = serde_json::from_slice(bytes).map_err(json)?;
        if schema_version != 2 {
            let found = format!("version {schema_version}");
            return Err(ArtifactError::MediaType { part: "manifest", found, wanted: media::MANIFEST });
        }
        expect("config", &config.media_type, media::WASM_CONFIG)?;
        let n_layers = layers.len();
        let [layer] = <[Descriptor; 1]>::try_from(layers).map_err(|_| ArtifactError::Layers { n_layers })?;
        expect("layer", &layer.media_type, media::WASM)?;
        if config.size > MAX_CONFIG_BYTES {
            return Err(ArtifactError::TooLarge { what: "config", size: config.size });
        }
        if layer.size > MAX_COMPONENT_BYTES as u64 {
            return Err(ArtifactError::TooLarge { what: "layer", size: layer.size });
        }
        let facts = Facts::read(&annotations)?;
        Ok(Self { digest: Digest::of(bytes), size, config, layer, annotations, facts })
    }

    /// Reads the plugin that came as the layer, and holds the annotations against it.
    /// `fallback_name` is its name where neither it nor the annotations have one.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`] when it is no plugin, other bytes than the manifest names, or
    /// another than the annotations say.
    pub fn open(&self, component: &[u8], fallback_name: &str) -> Result<Contract, ArtifactError> {
        let name = self.facts.as_ref().map_or(fallback_name, |facts| &facts.name);
        let (wanted, found) = (self.layer.digest, Digest::of(component));
        if found != wanted {
            return Err(ArtifactError::OtherPart { part: "layer", wanted, found });
        }
        let contract = Contract::read(component, name).map_err(|source| ArtifactError::Component { source })?;
        if let Some(facts) = &self.facts {
            facts.check(&contract)?;
        }
        Ok(contract)
    }

    /// How the manifest stands in an index.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: media::MANIFEST.to_owned(),
            digest: self.digest,
            size: self.size,
            annotations: BTreeMap::new(),
        }
    }
}

fn expect(part: &'static str, found: &str, wanted: &'static str) -> Result<(), ArtifactError> {
    if found == wanted {
        return Ok(());
    }
    Err(ArtifactError::MediaType { part, found: found.chars().take(120).collect(), wanted })
}
