//! Components.

use std::collections::BTreeMap;

use super::HostStore;
use crate::StateError;

/// What a component does in a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComponentRole {
    /// It emits events.
    Source,
    /// It reads events and emits others.
    Processor,
    /// It takes events.
    Sink,
}

/// A component in another process, as it registered. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRecord {
    pub tenant: String,
    pub id: String,
    pub name: String,
    pub description: String,
    pub version: String,
    pub role: ComponentRole,
    pub input_types: Vec<String>,
    pub output_types: Vec<String>,
    pub endpoint: String,
    pub metadata: BTreeMap<String, String>,
    pub node: Option<String>,
    pub registered_at: i64,
    pub last_heartbeat: i64,
    pub status: String,
    pub metrics: BTreeMap<String, String>,
}

/// A sign of life of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    pub tenant: String,
    pub id: String,
    pub at: i64,
    pub status: String,
    pub metrics: BTreeMap<String, String>,
}

impl HostStore {
    pub fn put_component(&self, component: &ComponentRecord) -> Result<(), StateError> {
        todo!()
    }
    pub fn beat(&self, heartbeats: &[Heartbeat]) -> Result<(), StateError> {
        todo!()
    }
    /// Whether there was one.
    pub fn remove_component(&self, tenant: &str, id: &str) -> Result<bool, StateError> {
        todo!()
    }
    pub fn components(&self) -> Result<Vec<ComponentRecord>, StateError> {
        todo!()
    }
}
