//! The control plane's database.
#![allow(clippy::todo, unused_variables, dead_code, missing_docs)]

mod components;
mod credentials;
mod events;
mod hosts;
mod pipelines;
mod retention;
mod runs;

use std::path::Path;
use std::sync::Arc;

pub use components::{ComponentRecord, ComponentRole, Heartbeat};
pub use credentials::{CredentialKind, CredentialRecord};
pub use events::{EventLevel, EventRecord, EventRow, MAX_EVENT_BYTES, MAX_EVENTS, MAX_MESSAGE_BYTES};
pub use pipelines::{PipelineQuery, PipelineRecord, PipelineRow};
pub use retention::{Removed, Retention};
pub use runs::{RunQuery, RunRecord, RunRow, RunStatus, RunUpdate};

use crate::StateError;

/// The control plane's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostStore {
    inner: Arc<String>,
}

impl HostStore {
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        todo!()
    }
}
