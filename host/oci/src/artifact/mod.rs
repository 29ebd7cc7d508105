//! A component as an OCI artifact: the CNCF's layout for Wasm.
//!
//! A manifest with a configuration of type `application/vnd.wasm.config.v0+json`, exactly
//! one layer of type `application/wasm`, and annotations that repeat what the component
//! says about itself. Invariant: packing is a function of the component, the name that it
//! has without a manifest section, and the time it is given: the same three make the same
//! bytes, and so the same digest.

mod config;
mod error;
mod manifest;

use std::collections::BTreeMap;

use bytes::Bytes;
use flowctl_schema::{Contract, Listing, MAX_COMPONENT_BYTES};
use flowctl_types::Digest;

use crate::annotations::{self, Facts, TITLE};
use crate::{Descriptor, media};

pub(crate) use config::MAX_CONFIG_BYTES;
pub use config::{ComponentLists, Created, WasmConfig};
pub use error::ArtifactError;
pub use manifest::ArtifactManifest;
pub(crate) use manifest::MAX_MANIFEST_BYTES;

/// An artifact in memory: everything that a push sends.
#[derive(Debug, Clone)]
pub struct Artifact {
    component: Bytes,
    config: Bytes,
    manifest: Bytes,
    parsed: ArtifactManifest,
}

impl Artifact {
    /// Lays a component out as an artifact. `contract` is what was read of the same bytes,
    /// `created` what the artifact says about when it was made.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`] when the component is too large, `contract` was read of other
    /// bytes, or what the component lists cannot be written down.
    pub fn pack(component: Bytes, contract: &Contract, created: Created) -> Result<Self, ArtifactError> {
        if component.len() > MAX_COMPONENT_BYTES {
            return Err(ArtifactError::TooLarge { what: "layer", size: component.len() as u64 });
        }
        let mut layer = Descriptor::of(media::WASM, &component);
        if layer.digest != contract.digest {
            return Err(ArtifactError::OtherComponent { given: layer.digest, read: contract.digest });
        }
        layer.annotations = [(TITLE.to_owned(), format!("{}.wasm", file_stem(&contract.name)))].into();
        let listing = Listing::read(&component).map_err(|source| ArtifactError::Component { source })?;
        let config = Bytes::from(WasmConfig::of(&listing, layer.digest, created).to_json());
        let annotations = annotations::of_manifest(&Facts::of(contract), &listing, &created.to_string());
        let config_descriptor = Descriptor::of(media::WASM_CONFIG, &config);
        let manifest = Bytes::from(manifest::to_json(&config_descriptor, &layer, &annotations));
        let parsed = ArtifactManifest::read(&manifest)?;
        Ok(Self { component, config, manifest, parsed })
    }

    /// Puts together what was read elsewhere.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`] when the parts do not belong together.
    pub fn assemble(manifest: Bytes, config: Bytes, component: Bytes) -> Result<Self, ArtifactError> {
        let parsed = ArtifactManifest::read(&manifest)?;
        for (part, descriptor, bytes) in [("config", &parsed.config, &config), ("layer", &parsed.layer, &component)] {
            let found = Digest::of(bytes);
            if found != descriptor.digest || bytes.len() as u64 != descriptor.size {
                return Err(ArtifactError::OtherPart { part, wanted: descriptor.digest, found });
            }
        }
        WasmConfig::read(&config)?.check(&parsed)?;
        Ok(Self { component, config, manifest, parsed })
    }

    /// The digest of the manifest: what the artifact is pinned by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.parsed.digest
    }

    /// The manifest, parsed.
    #[must_use]
    pub fn parsed(&self) -> &ArtifactManifest {
        &self.parsed
    }

    /// The manifest's bytes.
    #[must_use]
    pub fn manifest(&self) -> &Bytes {
        &self.manifest
    }

    /// The configuration's bytes.
    #[must_use]
    pub fn config(&self) -> &Bytes {
        &self.config
    }

    /// The component's bytes.
    #[must_use]
    pub fn component(&self) -> &Bytes {
        &self.component
    }

    /// The manifest's annotations.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.parsed.annotations
    }
}

/// A plugin's name as the stem of a file's name: clients write layers to where the title
/// says, so that it must not leave their folder.
fn file_stem(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = name.chars().take(63).map(|c| if is_plain(c) { c } else { '-' }).collect();
    match plain.trim_start_matches('.') {
        "" => "plugin".to_owned(),
        stem => stem.to_owned(),
    }
}
