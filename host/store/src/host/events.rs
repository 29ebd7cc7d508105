//! Events of runs.

use super::HostStore;
use crate::StateError;

/// The most events that stay of a run.
pub const MAX_EVENTS: u64 = 10_000;
/// The most bytes of events that stay of a run.
pub const MAX_EVENT_BYTES: u64 = 4 * 1024 * 1024;
/// Where a message is cut.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventLevel {
    Info,
    Warn,
    Error,
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    pub at: i64,
    pub level: EventLevel,
    pub kind: String,
    pub node: Option<String>,
    pub message: String,
}

/// An event with its number within the run, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    pub number: u64,
    pub event: EventRecord,
}

impl HostStore {
    /// The number of the first.
    pub fn append_events(&self, run_id: &str, events: &[EventRecord]) -> Result<u64, StateError> {
        todo!()
    }
    pub fn events(
        &self,
        run_id: &str,
        after: u64,
        node: Option<&str>,
        limit: u32,
    ) -> Result<Vec<EventRow>, StateError> {
        todo!()
    }
}
