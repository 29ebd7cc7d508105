//! Why bytes are no artifact with a plugin.

use flowctl_schema::{ContractError, MAX_COMPONENT_BYTES};
use flowctl_types::Digest;

/// Why an artifact cannot be made, or is none with a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The manifest or the configuration is not JSON of its form.
    #[error("the {what} cannot be read")]
    Json {
        /// Which of both.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It is a list of manifests.
    #[error("it is an index of several manifests (`{media_type}`), and not one artifact")]
    Index {
        /// Its media type.
        media_type: String,
    },
    /// It is a manifest of another kind.
    #[error("its {part} is of type `{found}`, where a plugin has `{wanted}`")]
    MediaType {
        /// Manifest, config or layer.
        part: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A plugin has one layer.
    #[error("it has {n_layers} layers, where a plugin has one")]
    Layers {
        /// How many it has.
        n_layers: usize,
    },
    /// It is larger than what is read.
    #[error("its {what} has {size} bytes, the limit is {}", limit(what))]
    TooLarge {
        /// Manifest, config or layer.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
    },
    /// The configuration says something that a plugin's does not.
    #[error("its config says `{key}: {found}`, where `{wanted}` is due")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        wanted: String,
    },
    /// Some annotations of flowctl are there, but not this one.
    #[error("its annotation `{key}` is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// An annotation's value is not of its form.
    #[error("its annotation `{key}` cannot be read: `{value}`")]
    Unreadable {
        /// The key.
        key: &'static str,
        /// The beginning of its value.
        value: String,
    },
    /// An annotation says something else than the component.
    #[error("its annotation `{key}` says `{said}`, but the component says `{found}`")]
    Contradiction {
        /// The key.
        key: String,
        /// What the annotation says.
        said: String,
        /// What the component says.
        found: String,
    },
    /// The layer is no plugin.
    #[error("its layer is no plugin")]
    Component {
        /// Why.
        #[source]
        source: ContractError,
    },
    /// The contract was read of other bytes.
    #[error("the component has digest {given}, its contract was read of {read}")]
    OtherComponent {
        /// The digest of the bytes.
        given: Digest,
        /// The digest in the contract.
        read: Digest,
    },
    /// A part is not the one that the manifest names.
    #[error("its {part} has digest {found}, the manifest names {wanted}")]
    OtherPart {
        /// Config or layer.
        part: &'static str,
        /// What the manifest says.
        wanted: Digest,
        /// What was given.
        found: Digest,
    },
    /// The time is out of what can be written.
    #[error("{seconds} seconds since 1970 are no time that can be written")]
    Time {
        /// The seconds.
        seconds: i64,
    },
}

impl ArtifactError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Component { source } => source.hint(),
            Self::Index { .. } => Some("name one manifest of it by digest".to_owned()),
            Self::MediaType { .. } | Self::Layers { .. } => {
                Some("`flowctl push` and `wkg oci push` lay plugins out as they must be".to_owned())
            }
            Self::Missing { .. } | Self::Unreadable { .. } | Self::Contradiction { .. } => {
                Some("push it again with `flowctl push`, which writes them as the component has it".to_owned())
            }
            _ => None,
        }
    }
}

fn limit(what: &str) -> u64 {
    match what {
        "layer" => MAX_COMPONENT_BYTES as u64,
        "config" => super::config::MAX_CONFIG_BYTES,
        _ => super::manifest::MAX_MANIFEST_BYTES,
    }
}
