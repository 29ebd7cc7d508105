//! The manifest of an index, and what it names.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::index::{FormatError, MAX_BYTES};
use crate::{Descriptor, annotations, media};

/// What an index is: the type of its manifest's artifact, and of its layer.
pub const MEDIA_TYPE: &str = "application/vnd.flowctl.index.v1+json";

/// The configuration of artifacts that have none: chapter `manifest` of the image
/// specification, guidance for artifacts.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Its bytes.
pub(super) const EMPTY_BYTES: &[u8] = b"{}";
/// The file that other clients write the layer to.
const TITLE: &str = "index.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u32,
    media_type: &'static str,
    artifact_type: &'static str,
    config: Descriptor,
    layers: [&'a Descriptor; 1],
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    artifact_type: Option<String>,
}

#[derive(Deserialize)]
struct Read {
    layers: Vec<Descriptor>,
}

/// The manifest of an index with this layer.
pub(super) fn write(layer: &[u8]) -> Bytes {
    let mut descriptor = Descriptor::of(MEDIA_TYPE, layer);
    descriptor.annotations = BTreeMap::from([(annotations::TITLE.to_owned(), TITLE.to_owned())]);
    let written = Written {
        schema_version: 2,
        media_type: media::MANIFEST,
        artifact_type: MEDIA_TYPE,
        config: Descriptor::of(EMPTY, EMPTY_BYTES),
        layers: [&descriptor],
    };
    serde_json::to_vec(&written).expect("texts and numbers are JSON").into()
}

/// The layer of an index whose manifest this is. Of its configuration nothing is asked.
pub(super) fn read(bytes: &[u8]) -> Result<Descriptor, FormatError> {
    let json = |source| FormatError::Json { source };
    let Kind { media_type, artifact_type } = serde_json::from_slice(bytes).map_err(json)?;
    expect("manifest", media_type.as_deref().unwrap_or(media::MANIFEST), media::MANIFEST)?;
    expect("artifact type", artifact_type.as_deref().unwrap_or("none"), MEDIA_TYPE)?;
    let Read { layers } = serde_json::from_slice(bytes).map_err(json)?;
    let n_layers = layers.len();
    let Ok([layer]) = <[Descriptor; 1]>::try_from(layers) else {
        return Err(FormatError::Kind { part: "number of layers", found: n_layers.to_string(), wanted: "1" });
    };
    expect("layer", &layer.media_type, MEDIA_TYPE)?;
    if layer.size > MAX_BYTES as u64 {
        return Err(FormatError::TooLarge { n_bytes: layer.size });
    }
    Ok(layer)
}

fn expect(part: &'static str, found: &str, wanted: &'static str) -> Result<(), FormatError> {
    if found == wanted {
        return Ok(());
    }
    let found = found.chars().filter(|c| !c.is_control()).take(120).collect();
    Err(FormatError::Kind { part, found, wanted })
}
