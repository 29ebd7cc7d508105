//! Pipelines.

use super::{HostStore, RunRow};
use crate::StateError;

/// A pipeline as it was submitted. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRecord {
    pub tenant: String,
    pub name: String,
    pub text: String,
    pub file_name: String,
    pub base_dir: String,
    pub plugins: Vec<String>,
    /// Empty where there is none.
    pub lock: String,
    /// JSON.
    pub options: String,
    pub is_wanted: bool,
    pub created_at: i64,
    pub changed_at: i64,
}

/// A pipeline in a list: without its text and lock, with its last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRow {
    pub tenant: String,
    pub name: String,
    pub file_name: String,
    pub base_dir: String,
    pub plugins: Vec<String>,
    pub options: String,
    pub is_wanted: bool,
    pub created_at: i64,
    pub changed_at: i64,
    pub last_run: Option<RunRow>,
    pub n_runs: u64,
}

/// Which pipelines are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineQuery {
    pub tenant: String,
    pub after: Option<String>,
    pub is_active: bool,
    pub limit: u32,
}

impl PipelineQuery {
    /// The first 100 of `tenant`.
    #[must_use]
    pub fn of(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), after: None, is_active: false, limit: 100 }
    }
}

impl HostStore {
    pub fn put_pipeline(&self, pipeline: &PipelineRecord) -> Result<(), StateError> {
        todo!()
    }
    /// Whether there is one.
    pub fn set_wanted(&self, tenant: &str, name: &str, is_wanted: bool) -> Result<bool, StateError> {
        todo!()
    }
    pub fn pipeline(&self, tenant: &str, name: &str) -> Result<Option<PipelineRecord>, StateError> {
        todo!()
    }
    pub fn pipeline_row(&self, tenant: &str, name: &str) -> Result<Option<PipelineRow>, StateError> {
        todo!()
    }
    pub fn pipelines(&self, query: &PipelineQuery) -> Result<Vec<PipelineRow>, StateError> {
        todo!()
    }
    pub fn wanted(&self) -> Result<Vec<PipelineRecord>, StateError> {
        todo!()
    }
    /// Whether there was one; an error when it runs.
    pub fn delete_pipeline(&self, tenant: &str, name: &str) -> Result<bool, StateError> {
        todo!()
    }
}
