//! Runs.

use super::HostStore;
use crate::StateError;

/// How far a run is. It moves forward only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    Starting,
    Running,
    Stopping,
    Completed,
    Failed,
    Stopped,
}

impl RunStatus {
    /// Whether the run has ended.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped)
    }
}

/// A start of a pipeline. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    pub id: String,
    pub tenant: String,
    pub pipeline: String,
    pub host_id: String,
    pub status: RunStatus,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Empty where there is none, as are `hint`, `resolved`, `figures` and `dead_letters`.
    pub error: String,
    pub hint: String,
    pub config: String,
    pub resolved: String,
    pub figures: String,
    pub epoch: u64,
    pub events_in: u64,
    pub events_out: u64,
    pub rejected: u64,
    pub dead_letters: String,
}

/// A run in a list: without `config`, `resolved` and `figures`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its position in lists.
    pub number: u64,
    pub id: String,
    pub tenant: String,
    pub pipeline: String,
    pub host_id: String,
    pub status: RunStatus,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub error: String,
    pub hint: String,
    pub epoch: u64,
    pub events_in: u64,
    pub events_out: u64,
    pub rejected: u64,
    pub dead_letters: String,
}

/// What changes of a run; none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUpdate {
    pub id: String,
    pub status: Option<RunStatus>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub error: Option<String>,
    pub hint: Option<String>,
    pub resolved: Option<String>,
    pub figures: Option<String>,
    pub epoch: Option<u64>,
    pub events_in: Option<u64>,
    pub events_out: Option<u64>,
    pub rejected: Option<u64>,
    pub dead_letters: Option<String>,
}

/// Which runs are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQuery {
    pub tenant: String,
    pub pipeline: Option<String>,
    pub is_active: bool,
    /// Only runs behind this one: its [`RunRow::number`].
    pub before: Option<u64>,
    pub limit: u32,
}

impl RunQuery {
    /// The latest 100 of `tenant`.
    #[must_use]
    pub fn of(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), pipeline: None, is_active: false, before: None, limit: 100 }
    }
}

impl HostStore {
    pub fn create_run(&self, run: &RunRecord) -> Result<(), StateError> {
        todo!()
    }
    /// The status after it; none where there is no such run.
    pub fn update_run(&self, update: &RunUpdate) -> Result<Option<RunStatus>, StateError> {
        todo!()
    }
    pub fn run(&self, tenant: &str, id: &str) -> Result<Option<RunRecord>, StateError> {
        todo!()
    }
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>, StateError> {
        todo!()
    }
}
