//! The manifest that holds the signatures of one artifact.
//!
//! Invariant: what others put there (layers, their annotations, fields that we do not know)
//! is kept as it is when a signature is added.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowctl_types::Digest;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::payload;

/// The annotation of a layer that holds its signature, in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The media type of the manifest.
pub(super) const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What cosign writes instead with `COSIGN_DOCKER_MEDIA_TYPES`.
const DOCKER_MEDIA_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// When a signature was made is nobody's business: cosign's own zero.
const CREATED: &str = "0001-01-01T00:00:00Z";
/// Most bytes of a signature; one of RSA with 8192 bits has 1024.
const MAX_SIGNATURE_BYTES: usize = 2048;

/// Signatures, as they lie in a registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    config: Option<Part>,
    layers: Vec<Part>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    media_type: String,
    size: u64,
    #[serde(deserialize_with = "digest")]
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annotations: Option<Map<String, Value>>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Where one payload is, and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The digest of the payload's bytes.
    pub(super) digest: Digest,
    /// How many bytes it has, at most [`payload::MAX_BYTES`].
    pub(super) size: u64,
    /// The signature over these bytes.
    pub(super) signature: Vec<u8>,
}

impl Manifest {
    /// A manifest with no signatures.
    pub(super) fn empty() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MEDIA_TYPE.to_owned()),
            config: None,
            layers: Vec::new(),
            others: Map::new(),
        }
    }

    /// Reads a manifest; the error says what is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| {
            // serde quotes what it read, and anybody may have written it
            error.to_string().chars().filter(|c| !c.is_control()).take(200).collect::<String>()
        })?;
        let is_known = [MEDIA_TYPE, DOCKER_MEDIA_TYPE].contains(&manifest.media_type());
        if manifest.schema_version != 2 || !is_known {
            return Err("it is not an image manifest".to_owned());
        }
        Ok(manifest)
    }

    /// The media type under which it is stored.
    pub(super) fn media_type(&self) -> &str {
        self.media_type.as_deref().unwrap_or(MEDIA_TYPE)
    }

    /// How many layers there are, whatever they hold.
    pub(super) fn len(&self) -> usize {
        self.layers.len()
    }

    /// The layers that can be signatures, in their order.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        self.layers.iter().filter_map(Part::candidate).collect()
    }

    /// Whether a layer holds exactly this signature.
    pub(super) fn holds(&self, signature: &[u8]) -> bool {
        self.candidates().iter().any(|candidate| candidate.signature == signature)
    }

    /// Adds a signature over `payload`, behind those that are there. Returns the bytes of
    /// the new configuration, which must be stored before the manifest.
    pub(super) fn add(&mut self, payload: &[u8], signature: &[u8]) -> Vec<u8> {
        let mut annotations = Map::new();
        annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(signature).into());
        let layer = Part::of(payload::MEDIA_TYPE.to_owned(), payload);
        self.layers.push(Part { annotations: Some(annotations), ..layer });
        let config = self.config_bytes();
        let media_type = self.config_media_type().to_owned();
        self.config = Some(Part::of(media_type, &config));
        config
    }

    /// The media type of its configuration.
    pub(super) fn config_media_type(&self) -> &str {
        self.config.as_ref().map_or(CONFIG_MEDIA_TYPE, |config| &config.media_type)
    }

    /// The manifest's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    /// The configuration of an image that has these layers, in the bytes that cosign writes.
    fn config_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Config {
            architecture: &'static str,
            created: &'static str,
            history: Vec<History>,
            os: &'static str,
            rootfs: Rootfs,
            config: Map<String, Value>,
        }
        #[derive(Serialize)]
        struct History {
            created: &'static str,
        }
        #[derive(Serialize)]
        struct Rootfs {
            #[serde(rename = "type")]
            kind: &'static str,
            diff_ids: Vec<Digest>,
        }
        let config = Config {
            architecture: "",
            created: CREATED,
            history: self.layers.iter().map(|_| History { created: CREATED }).collect(),
            os: "",
            rootfs: Rootfs { kind: "layers", diff_ids: self.layers.iter().map(|layer| layer.digest).collect() },
            config: Map::new(),
        };
        serde_json::to_vec(&config).expect("texts are JSON")
    }
}

impl Part {
    fn of(media_type: String, bytes: &[u8]) -> Self {
        let (size, digest) = (bytes.len() as u64, Digest::of(bytes));
        Self { media_type, size, digest, annotations: None, others: Map::new() }
    }

    fn candidate(&self) -> Option<Candidate> {
        let text = self.annotations.as_ref()?.get(SIGNATURE)?.as_str()?;
        if self.media_type != payload::MEDIA_TYPE || self.size > payload::MAX_BYTES {
            return None;
        }
        if text.len() > MAX_SIGNATURE_BYTES / 3 * 4 + 4 {
            return None;
        }
        let signature = STANDARD.decode(text).ok()?;
        Some(Candidate { digest: self.digest, size: self.size, signature })
    }
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}
