//! A WebAssembly artifact made by hand, right or wrong.

use serde_json::{Value, json};

use super::digest;

/// The media type of an OCI image manifest.
pub const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of a WebAssembly artifact's configuration.
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the one layer of a WebAssembly artifact.
pub const COMPONENT_MEDIA_TYPE: &str = "application/wasm";

/// The parts of an artifact. What a test wants wrong, it changes.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The manifest's own media type, and the one that it is uploaded as.
    pub media_type: String,
    /// Media type and bytes of the configuration.
    pub config: (String, Vec<u8>),
    /// Media type and bytes of each layer.
    pub layers: Vec<(String, Vec<u8>)>,
    /// The manifest's annotations.
    pub annotations: Vec<(String, String)>,
    /// The annotations of each layer.
    pub layer_annotations: Vec<(String, String)>,
}

impl Artifact {
    /// An artifact of one layer that holds `component`, laid out as it should be, but
    /// for the annotations of flowctl: it has none.
    #[must_use]
    pub fn of(component: impl Into<Vec<u8>>) -> Self {
        let component = component.into();
        let config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [digest(&component)],
            "component": {"exports": [], "imports": []},
        });
        Self {
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            config: (CONFIG_MEDIA_TYPE.to_owned(), config.to_string().into_bytes()),
            layers: vec![(COMPONENT_MEDIA_TYPE.to_owned(), component)],
            annotations: Vec::new(),
            layer_annotations: vec![("org.opencontainers.image.title".to_owned(), "plugin.wasm".to_owned())],
        }
    }

    /// The bytes of its manifest.
    #[must_use]
    pub fn manifest(&self) -> Vec<u8> {
        let annotations = |of: &[(String, String)]| {
            of.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect::<Value>()
        };
        let descriptor = |(media_type, bytes): &(String, Vec<u8>)| json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        let layers = self.layers.iter().map(|layer| {
            let mut descriptor = descriptor(layer);
            if !self.layer_annotations.is_empty() {
                descriptor["annotations"] = annotations(&self.layer_annotations);
            }
            descriptor
        });
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": descriptor(&self.config),
            "layers": layers.collect::<Vec<_>>(),
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = annotations(&self.annotations);
        }
        manifest.to_string().into_bytes()
    }

    /// What its manifest names: the configuration and the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.config).chain(&self.layers).map(|(_, bytes)| &**bytes)
    }
}
