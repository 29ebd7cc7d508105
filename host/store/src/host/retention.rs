//! Retention.

use std::time::Duration;

use super::HostStore;
use crate::StateError;

/// What stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub max_age: Duration,
    pub max_runs_per_pipeline: u32,
    /// Milliseconds since the Unix epoch.
    pub now: i64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    pub runs: u64,
    pub events: u64,
}

impl HostStore {
    pub fn retain(&self, retention: &Retention) -> Result<Removed, StateError> {
        todo!()
    }
}
