//! Where the source of ledgers stands.

use flowctl_runtime::{Fault, Position};
use serde::{Deserialize, Serialize};

/// A place between two ledgers. It names its file, so that it holds when files are
/// added before or behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The file, as the configured path found it; empty before the first file.
    pub(crate) file: String,
    /// Bytes of it that were read, decompressed.
    pub(crate) offset: u64,
    /// Ledgers still to come of the batch that is being read; 0 in other formats.
    pub(crate) left: u32,
    /// Whether the file has nothing more.
    pub(crate) is_read: bool,
}

impl Place {
    pub(crate) fn encode(&self) -> Position {
        serde_json::to_vec(self).expect("a place has text keys and plain values")
    }

    /// Whether both lie between the same two ledgers.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (&self.file, self.offset, self.left) == (&other.file, other.offset, other.left)
    }

    pub(crate) fn decode(position: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(position)
            .map_err(|error| Fault::Fatal(format!("`stellar-ledgers` cannot read its stored position: {error}")))
    }
}
