//! What a run shows while it goes, and what it says in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use flowctl_schema::Role;
use flowctl_types::NodeId;
use serde::Serialize;

use crate::edge::Pending;
use crate::error::RunError;
use crate::latency::LatencyFigures;
use crate::metrics::Counters;

/// What a run did. Every figure was measured in it.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: Status,
    /// From the start of the first node to the end of the last, milliseconds.
    pub duration_ms: u64,
    /// Events that the sources read, those they could not make an event of included.
    pub events_in: u64,
    /// Events that the sinks durably took: those before the last committed barrier.
    pub events_out: u64,
    /// Events that went to the dead-letter sink.
    pub rejected: u64,
    /// The last epoch that every sink took; 0 where there is none.
    pub epoch: u64,
    /// Each node's figures.
    pub per_node: BTreeMap<NodeId, NodeFigures>,
    /// What went wrong, with its causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same, for a program.
    #[serde(skip)]
    pub fault: Option<RunError>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every source finished for good, and the sinks took everything.
    Completed,
    /// It was told to stop.
    Stopped,
    /// It could not go on.
    Failed,
}

/// One node's figures. What it counted goes back with the run; all else stays.
#[derive(Debug, Clone, Serialize)]
pub struct NodeFigures {
    /// What it does.
    pub role: Role,
    /// What it counted.
    #[serde(flatten)]
    pub counters: Counters,
    /// Times that its component was made anew because it broke.
    pub restarts: u64,
    /// Time of its component's calls with a batch, repetitions included: processing it,
    /// writing it, or reading it.
    pub latency: LatencyFigures,
    /// Bytes that its instances hold now; 0 where that is not known.
    pub memory_bytes: u64,
    /// Nanoseconds that its instances executed, those that are gone included; 0 where that
    /// is not known.
    pub cpu_ns: u64,
    /// Nanoseconds for which changes of the topology held it up, all together.
    pub held_ns: u64,
    /// What it waits for, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

/// What a run looks like at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Time since the start.
    pub elapsed: Duration,
    /// The last epoch that every sink took; 0 where there is none.
    pub epoch: u64,
    /// The number of changes that made the topology, the start included.
    pub revision: u64,
    /// Each node's figures, in the topology's order.
    pub nodes: Vec<(NodeId, NodeFigures)>,
    /// Each edge's queue, in the topology's order.
    pub edges: Vec<EdgeFigures>,
}

/// What waits on one edge.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeFigures {
    /// The node that emits.
    pub from: NodeId,
    /// The node that receives.
    pub to: NodeId,
    /// What waits.
    #[serde(flatten)]
    pub pending: Pending,
    /// Most batches that may wait.
    pub max_batches: usize,
    /// Most bytes that may wait.
    pub max_bytes: usize,
}
