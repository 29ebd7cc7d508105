//! The index of plugins that anyone can host: what is known of plugins that are not here yet.
//!
//! It is an artifact of its own, at a reference such as `ghcr.io/acme/index:latest`: a
//! manifest with `artifactType: application/vnd.flowctl.index.v1+json`, the empty
//! configuration, and one layer of the same type,
//! `{"plugins":[{"reference":"registry/repository:tag","digest":"sha256:…","annotations":{…}}]}`.
//! Each entry names a plugin, the digest of its manifest, and that manifest's annotations,
//! so that it is typed as the plugin itself is. An index of the image specification does
//! not do: registries demand that the manifests it names lie in its own repository, and
//! the market place lists plugins of everybody.
//!
//! Invariants: one entry for each repository and tag; the same entries give the same bytes;
//! whoever hosts an index is not trusted: what is read is bounded, holds nothing that acts
//! on a terminal, and is only a claim until the plugin was pulled by the digest and its
//! bytes were held against its own annotations.
//!
//! Registries know no "replace what I have read". Writers look before and after they write,
//! as [`add`] says.

mod between;
mod entries;
mod error;
mod fetch;
mod json;
mod listed;
mod manifest;
mod search;
mod update;

pub use entries::PluginIndex;
pub use error::{EntryError, FormatError, IndexError};
pub use fetch::fetch;
pub use listed::Listed;
pub use manifest::MEDIA_TYPE;
pub use search::Query;
pub use update::{Change, Updated, add, remove};

/// Longest index that is read or written: 16 MiB.
pub const MAX_BYTES: usize = 16 << 20;
/// Most entries of an index.
pub const MAX_ENTRIES: usize = 50_000;
