//! What a component lists at its edge, and what its makers noted in it.
//!
//! Read without following any type: names of imports and exports in their order, and the
//! custom sections that tools such as `wasm-tools metadata` write. Invariant: what is read
//! is bounded by the bytes; a note that is not text, or too long, counts as none.

use wasmparser::{Parser, Payload};

use crate::ContractError;

/// Longest note that is read: 4 KiB.
const MAX_NOTE_BYTES: usize = 4 << 10;

/// The edge of a component.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The names of its imports, in its order.
    pub imports: Vec<String>,
    /// The names of its exports, in its order.
    pub exports: Vec<String>,
    /// What its makers noted.
    pub notes: Notes,
}

/// What the makers of a component noted in it, each in a custom section of the key's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// Who made it.
    pub authors: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Where one reads more of it.
    pub homepage: Option<String>,
    /// Under which licenses it may be used, as an SPDX expression.
    pub licenses: Option<String>,
    /// Which revision of its source it was made of.
    pub revision: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

impl Listing {
    /// Reads the edge of a component. The bytes need not be valid further inside.
    ///
    /// # Errors
    ///
    /// [`ContractError::Invalid`] when they are not even laid out as a component.
    pub fn read(bytes: &[u8]) -> Result<Self, ContractError> {
        Self::parse(bytes).map_err(|source| ContractError::Invalid { offset: source.offset(), source })
    }

    fn parse(bytes: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut listing = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        listing.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        listing.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if depth == 1 => listing.notes.take(section.name(), section.data()),
                _ => {}
            }
        }
        Ok(listing)
    }
}

impl Notes {
    fn take(&mut self, name: &str, bytes: &[u8]) {
        let place = match name {
            "authors" => &mut self.authors,
            "description" => &mut self.description,
            "homepage" => &mut self.homepage,
            "licenses" => &mut self.licenses,
            "revision" => &mut self.revision,
            "source" => &mut self.source,
            "version" => &mut self.version,
            _ => return,
        };
        let text = std::str::from_utf8(bytes).map(str::trim).unwrap_or_default();
        if bytes.len() <= MAX_NOTE_BYTES && !text.is_empty() && !text.contains(char::is_control) {
            *place = Some(text.to_owned());
        }
    }
}
