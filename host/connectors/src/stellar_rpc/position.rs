//! Where the source stands.

use flowctl_runtime::{Fault, Position};
use serde::{Deserialize, Serialize};

use super::NAME;

/// A place between two ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Sequence number of the ledger behind it. One more than there are numbers, behind
    /// the last.
    pub(super) next: u64,
    /// Hash of the ledger before it, in hex; none where none was read.
    pub(super) previous_hash: Option<String>,
}

impl Place {
    pub(super) fn encode(&self) -> Position {
        serde_json::to_vec(self).expect("a place has text keys and plain values")
    }

    pub(super) fn decode(position: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(position)
            .map_err(|error| Fault::Fatal(format!("`{NAME}` cannot read its stored position: {error}")))
    }
}

/// `bytes` in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash that `text` is in hex.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_survive_text() {
        let hash = std::array::from_fn(|index| index as u8 * 8);
        assert_eq!(unhex(&hex(&hash)), Some(hash));
        for bad in ["", "00", &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(unhex(bad), None);
        }
    }
}
