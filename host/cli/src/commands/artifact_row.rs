//! A plugin that is an artifact, as lists show it.

use flowctl_oci::Facts;
use flowctl_registry::Entry;
use flowctl_types::EventType;
use serde::Serialize;

/// What every list of artifacts has of one; each adds what is its own.
#[derive(Debug, Serialize)]
pub(super) struct ArtifactRow {
    pub(super) reference: String,
    /// Of the manifest.
    pub(super) digest: String,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) role: String,
    pub(super) input_types: Vec<EventType>,
    pub(super) output_types: Vec<EventType>,
}

impl ArtifactRow {
    /// Of what annotations or bytes say.
    pub(super) fn new(reference: String, digest: String, facts: Facts) -> Self {
        Self {
            reference,
            digest,
            name: facts.name,
            version: facts.version,
            role: facts.role.to_string(),
            input_types: facts.inputs,
            output_types: facts.outputs,
        }
    }

    /// Of a plugin's bytes; none of what is no plugin.
    pub(super) fn of_entry(reference: String, digest: String, entry: &Entry) -> Option<Self> {
        Some(Self::new(reference, digest, Facts::of(entry.contract()?)))
    }
}

/// Event types in one cell.
pub(super) fn types(types: &[EventType]) -> String {
    let names: Vec<&str> = types.iter().map(EventType::as_str).collect();
    super::processors::cell(&names)
}
