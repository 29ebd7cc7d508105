//! What can be wrong with a layout.

use std::io;
use std::path::PathBuf;

use flowctl_types::{Code, Digest};

use crate::ArtifactError;

/// Why a layout on disk cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The folder is no layout.
    #[error("`{path}` is no OCI image layout")]
    NoLayout {
        /// The folder.
        path: PathBuf,
    },
    /// It is a layout of another version.
    #[error("`{path}` is an OCI image layout of version `{found}`, and not of 1")]
    Version {
        /// The folder.
        path: PathBuf,
        /// What its version file says.
        found: String,
    },
    /// The folder holds something else.
    #[error("`{path}` holds other files: an OCI image layout needs a folder of its own")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The index is not of its form.
    #[error("`{path}` is no index of an OCI image layout")]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// There is not exactly one of what is wanted.
    #[error("layout `{path}` has {n_found} of {wanted}; its tags: {}", shown(tags))]
    NotOne {
        /// The layout.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// How many there are.
        n_found: usize,
        /// The tags that there are.
        tags: Vec<String>,
    },
    /// A blob that a manifest names is missing.
    #[error("layout `{path}` lacks the blob `{digest}`")]
    NoBlob {
        /// The layout.
        path: PathBuf,
        /// The blob.
        digest: Digest,
    },
    /// A blob is longer or shorter than its descriptor says.
    #[error("blob `{path}` does not have the {size} bytes that it must have")]
    Size {
        /// The file.
        path: PathBuf,
        /// What its descriptor says.
        size: u64,
    },
    /// A blob has other bytes than its name says.
    #[error("blob `{path}` was changed: its digest is {found}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest of its bytes.
        found: Digest,
    },
    /// A manifest is none of a plugin.
    #[error("`{digest}` in layout `{path}` is no plugin")]
    Artifact {
        /// The layout.
        path: PathBuf,
        /// The manifest.
        digest: Digest,
        /// Why.
        #[source]
        source: Box<ArtifactError>,
    },
}

impl LayoutError {
    /// Its code, where it has one.
    #[must_use]
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::NoLayout { .. } | Self::NotOne { .. } => Some(Code::PluginNotFound),
            Self::NoBlob { .. } | Self::Size { .. } | Self::Digest { .. } => Some(Code::PluginDamaged),
            Self::Artifact { .. } => Some(Code::NotAPlugin),
            _ => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoLayout { .. } => Some("a layout is a folder with `oci-layout` and `index.json`".to_owned()),
            Self::NotOne { .. } => Some("write `oci-layout:PATH:TAG`, or `oci-layout:PATH@sha256:…`".to_owned()),
            Self::NoBlob { .. } | Self::Size { .. } | Self::Digest { .. } => {
                Some("copy the layout again, or pull what is missing".to_owned())
            }
            Self::Artifact { source, .. } => source.hint(),
            _ => None,
        }
    }
}

fn shown(tags: &[String]) -> String {
    const MOST: usize = 10;
    match tags {
        [] => "none".to_owned(),
        tags if tags.len() > MOST => format!("{}, …", tags[..MOST].join(", ")),
        tags => tags.join(", "),
    }
}
