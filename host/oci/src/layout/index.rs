//! The index of a layout, and the file that says its version.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::annotations::REF_NAME;
use crate::{Descriptor, media};

/// Longest index that is read: 16 MiB, some 50,000 entries.
pub(crate) const MAX_INDEX_BYTES: u64 = 16 << 20;

/// One manifest that an index lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayoutEntry {
    /// The manifest.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// Keys that others wrote, kept as they are.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `index.json`. What others wrote stays, also what is not known here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default)]
    pub(crate) manifests: Vec<LayoutEntry>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: String,
}

impl LayoutEntry {
    pub(crate) fn new(descriptor: Descriptor) -> Self {
        Self { descriptor, rest: Map::new() }
    }

    /// The manifest's tag, where it has one.
    #[must_use]
    pub fn ref_name(&self) -> Option<&str> {
        self.descriptor.annotations.get(REF_NAME).map(String::as_str)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { schema_version: 2, media_type: Some(media::INDEX.to_owned()), manifests: Vec::new(), rest: Map::new() }
    }
}

impl Index {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and what was JSON are JSON")
    }
}

/// Answers with what the version file says, where it is not version 1 of the layout.
pub(super) fn check_version(bytes: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Version>(bytes) {
        Ok(Version { image_layout_version }) if image_layout_version.starts_with("1.") => Ok(()),
        Ok(Version { image_layout_version }) => Err(image_layout_version.chars().take(40).collect()),
        Err(error) => Err(error.to_string()),
    }
}
