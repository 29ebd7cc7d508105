//! The custom section `flowctl:manifest`, which the SDK writes into the core module:
//! what the binary's types cannot say, such as names, docs and defaults.
//!
//! One JSON object. Every key may be missing and unknown keys are passed over, so
//! that an older host reads what a newer SDK wrote.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::component::Origin;
use super::{ContractError, MAX_MANIFEST_BYTES};

/// The section's name.
pub(super) const SECTION: &str = "flowctl:manifest";

/// What the section says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    #[serde(deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) version: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(super) description: Option<String>,
    pub(super) brings_keys: bool,
    pub(super) metadata: BTreeMap<String, String>,
    /// The record `config`.
    pub(super) config: ConfigNotes,
    /// By interface, such as `stellar:token-transfer/event@1.0.0`, and type; the types
    /// that the record `config` is made of under the interface `config`.
    types: BTreeMap<String, BTreeMap<String, TypeNotes>>,
}

/// What is said of the configuration record.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigNotes {
    #[serde(deserialize_with = "text")]
    docs: Option<String>,
    /// By the field's name in WIT.
    fields: BTreeMap<String, FieldNotes>,
}

/// What is said of one field of the configuration record.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldNotes {
    #[serde(deserialize_with = "text")]
    docs: Option<String>,
    /// What holds where the field is left out, in the JSON form of payloads.
    default: Option<serde_json::Value>,
}

/// What is said of one type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TypeNotes {
    #[serde(deserialize_with = "text")]
    docs: Option<String>,
    /// Docs of fields or cases, by their name in WIT.
    members: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the section, if there is one.
    pub(super) fn read(sections: &[&[u8]]) -> Result<Self, ContractError> {
        let bounds = |fault: String| Err(ContractError::ManifestBounds { fault });
        match sections {
            [] => Ok(Self::default()),
            [section] if section.len() <= MAX_MANIFEST_BYTES => {
                serde_json::from_slice(section).map_err(|source| ContractError::Manifest { source })
            }
            [section] => bounds(format!("has {} bytes", section.len())),
            several => bounds(format!("stands {} times", several.len())),
        }
    }

    /// The defaults of the configuration record's fields, by their name in WIT.
    pub(super) fn defaults(&self) -> BTreeMap<String, serde_json::Value> {
        let fields = self.config.fields.iter();
        fields.filter_map(|(name, notes)| Some((name.clone(), notes.default.clone()?))).collect()
    }

    /// The docs of a type, or of its member where a name is given.
    pub(super) fn docs(&self, origin: &Origin, member: &str) -> Option<String> {
        if origin.interface == "config" && origin.name == "config" {
            let config = &self.config;
            return if member.is_empty() { config.docs.clone() } else { config.fields.get(member)?.docs.clone() };
        }
        let notes = self.types.get(&origin.interface)?.get(&origin.name)?;
        if member.is_empty() { notes.docs.clone() } else { notes.members.get(member).cloned() }
    }
}

/// Empty text counts as none.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}
