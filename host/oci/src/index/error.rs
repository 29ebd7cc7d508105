//! Why an index cannot be read or changed.

use crate::index::{MAX_BYTES, MAX_ENTRIES};
use crate::{ArtifactError, OciError, RegistryRefError};

/// Why something cannot be an entry of an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// It is not of the form of an entry.
    #[error("it is no JSON of an entry")]
    Json {
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Its reference breaks the grammar.
    #[error("its reference cannot be read")]
    Reference {
        /// What is wrong.
        #[source]
        source: RegistryRefError,
    },
    /// Its reference has a digest beside the entry's own.
    #[error("its reference has a digest, where a tag is due")]
    Pinned,
    /// Nothing says what the plugin takes and gives.
    #[error("its manifest has no annotations of a plugin (`io.flowctl.*`)")]
    NoFacts,
    /// Its annotations cannot be read, or its manifest is none of a plugin.
    #[error(transparent)]
    Annotations {
        /// What is wrong.
        source: Box<ArtifactError>,
    },
    /// It has too many annotations.
    #[error("it has more than {limit} annotations")]
    TooMany {
        /// How many it may have.
        limit: usize,
    },
    /// An annotation is too long.
    #[error("its annotation `{key}` has more than {limit_bytes} bytes")]
    TooLong {
        /// The beginning of the key.
        key: String,
        /// How long key or value may be.
        limit_bytes: usize,
    },
    /// An annotation holds characters that act on a terminal.
    #[error("its annotation `{key}` holds control characters")]
    Control {
        /// The key, without such characters.
        key: String,
    },
}

/// Why bytes are no index of plugins.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// There are more bytes than are read.
    #[error("it has {n_bytes} bytes, the limit is {MAX_BYTES}")]
    TooLarge {
        /// How many there are.
        n_bytes: u64,
    },
    /// There are more entries than are read.
    #[error("it has more than {MAX_ENTRIES} entries")]
    TooMany,
    /// It is not of the form of an index.
    #[error("it is not of the form of an index")]
    Json {
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// An entry is wrong.
    #[error("entry {number} (`{reference}`) is wrong")]
    Entry {
        /// Which entry, counted from 1.
        number: usize,
        /// The beginning of its reference.
        reference: String,
        /// What is wrong.
        #[source]
        source: EntryError,
    },
    /// A repository and tag stand there twice.
    #[error("it lists `{reference}` twice")]
    Twice {
        /// Which.
        reference: String,
    },
    /// The manifest is one of something else.
    #[error("its {part} is `{found}`, where an index of plugins has `{wanted}`")]
    Kind {
        /// Which part of the manifest.
        part: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
}

/// Why an index could not be fetched or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The index could not be fetched.
    #[error("cannot fetch the index `{index}`")]
    Fetch {
        /// The index.
        index: String,
        /// Why.
        #[source]
        source: OciError,
    },
    /// What is there is no index of plugins.
    #[error("`{index}` is no index of plugins")]
    Format {
        /// What was named as an index.
        index: String,
        /// What is wrong.
        #[source]
        source: FormatError,
    },
    /// The index could not be written.
    #[error("cannot write the index `{index}`")]
    Push {
        /// The index.
        index: String,
        /// Why.
        #[source]
        source: OciError,
    },
    /// The index would be larger than may be read.
    #[error("the index `{index}` cannot take that much")]
    Full {
        /// The index.
        index: String,
        /// Which limit.
        #[source]
        source: FormatError,
    },
    /// An index that is named by digest never changes.
    #[error("the index `{index}` is named by digest, and cannot change")]
    Pinned {
        /// The index.
        index: String,
    },
    /// Other writers were faster each time.
    #[error("others go on writing the index `{index}`: gave up after {n_attempts} attempts")]
    Contended {
        /// The index.
        index: String,
        /// How often it was tried.
        n_attempts: u32,
    },
    /// A plugin is named by digest alone, and an entry needs a tag.
    #[error("`{plugin}` has no tag to be listed under")]
    Untagged {
        /// The plugin.
        plugin: String,
    },
    /// A plugin's manifest could not be fetched.
    #[error("cannot fetch the manifest of `{plugin}`")]
    Plugin {
        /// The plugin.
        plugin: String,
        /// Why.
        #[source]
        source: OciError,
    },
    /// A plugin cannot be listed.
    #[error("`{plugin}` cannot be listed")]
    Entry {
        /// The plugin.
        plugin: String,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// The index does not list what is to be taken away.
    #[error("the index `{index}` does not list `{plugin}`")]
    NotListed {
        /// The index.
        index: String,
        /// What was to be taken away.
        plugin: String,
    },
}

impl EntryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Reference { source } => source.hint().map(str::to_owned),
            Self::Annotations { source } => source.hint(),
            Self::NoFacts => {
                Some("push it again with `flowctl push`, which writes them as the component has it".to_owned())
            }
            _ => None,
        }
    }
}

impl IndexError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch { source, .. } | Self::Push { source, .. } | Self::Plugin { source, .. } => source.hint(),
            Self::Entry { source, .. } => source.hint(),
            Self::Format { source: FormatError::Kind { .. }, .. } => {
                Some("`flowctl index add` makes an index at a reference that is not taken".to_owned())
            }
            Self::Format { .. } => Some("tell who hosts it; an earlier one may still be there by digest".to_owned()),
            Self::Full { .. } => Some("remove versions that nobody needs, or keep a second index".to_owned()),
            Self::Pinned { .. } => Some("name it by tag".to_owned()),
            Self::Contended { .. } => Some("it may pass: try again later".to_owned()),
            Self::Untagged { .. } => Some("write `registry/repository:tag@sha256:…`".to_owned()),
            Self::NotListed { .. } => Some("`flowctl search` shows what it lists".to_owned()),
        }
    }
}
