//! Runs and pipelines as they are shown: from the store, or from what goes on.

use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::Snapshot;
use flowctl_store::{RunRecord, RunStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::tenants::Tenant;

/// A run at one moment.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Its id. Later runs have larger ones.
    pub id: Arc<str>,
    /// Whose it is.
    pub tenant: Tenant,
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// How it is.
    pub status: RunStatus,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When every node was ready.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed, with causes.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The file as submitted.
    pub config: Arc<str>,
    /// What it became, as JSON without secrets.
    pub resolved: Arc<str>,
    /// Where rejected events go, as a path; empty where a sink takes them.
    pub dead_letters: String,
    /// What its nodes did.
    pub figures: Arc<Figures>,
}

/// What the nodes of a run did, and what waits between them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Time since the first node started, milliseconds.
    pub elapsed_ms: u64,
    /// The last epoch that every sink took; 0 where there is none.
    pub epoch: u64,
    /// Events that sources read.
    pub events_in: u64,
    /// Events that sinks took.
    pub events_out: u64,
    /// Events that were set aside.
    pub rejected: u64,
    /// In the topology's order.
    pub nodes: Vec<NodeFigures>,
    /// In the topology's order.
    pub edges: Vec<EdgeFigures>,
}

/// What one node did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFigures {
    /// The node.
    pub node: String,
    /// `source`, `processor` or `sink`.
    pub role: String,
    /// Where its component comes from.
    pub origin: String,
    /// Events it received.
    pub events_in: u64,
    /// Events it emitted; for a sink, what it took.
    pub events_out: u64,
    /// Bytes it received.
    pub bytes_in: u64,
    /// Bytes it emitted.
    pub bytes_out: u64,
    /// Batches it received.
    pub batches_in: u64,
    /// Batches it emitted.
    pub batches_out: u64,
    /// Events that went to the dead letters.
    pub rejected: u64,
    /// Nanoseconds in its component's calls.
    pub busy_ns: u64,
    /// Times that its component was made anew.
    pub restarts: u64,
    /// Memory of its instances; 0 where that is not known.
    pub memory_bytes: u64,
    /// Nanoseconds that its instances executed; 0 where that is not known.
    pub cpu_ns: u64,
    /// Why it waits; empty where it does not.
    pub waiting: String,
    /// How long its batches took, for the histogram: `(upper bound in seconds, batches up to it)`.
    #[serde(skip)]
    pub batch_seconds: Vec<(f64, u64)>,
}

/// What waits on one edge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EdgeFigures {
    /// The node that emits.
    pub from: String,
    /// The node that receives.
    pub to: String,
    /// Batches that wait.
    pub batches: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Most batches that may wait.
    pub max_batches: u64,
    /// Most bytes that may wait.
    pub max_bytes: u64,
}
