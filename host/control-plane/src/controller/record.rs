//! Runs and pipelines as they are shown: from the store, or from what goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowctl_runtime::{LatencyFigures, Snapshot, Summary};
use flowctl_schema::Role;
use flowctl_store::{RunRecord, RunRow, RunStatus};
use flowctl_types::Code;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::records::moment;
use crate::tenants::Tenant;

/// A run at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunView {
    /// Its id.
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
    /// Why it failed, with causes; empty where it did not.
    pub error: Arc<str>,
    /// The error's code, where it has one.
    pub error_code: Option<Code>,
    /// What to do about it; empty where that is not known.
    pub hint: Arc<str>,
    /// The file as submitted.
    pub config: Arc<str>,
    /// What it became, as JSON without secrets.
    pub resolved: Arc<str>,
    /// Where rejected events go, as a path; empty where a sink takes them.
    pub dead_letters: Arc<str>,
    /// What its nodes did.
    pub figures: Arc<Figures>,
}

/// What the nodes of a run did, and what waits between them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// The chain in one line.
    pub chain: String,
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
    /// Nanoseconds for which changes of the topology held it up.
    pub held_ns: u64,
    /// Why it waits; empty where it does not.
    pub waiting: String,
    /// How long its batches took. Not stored.
    #[serde(skip)]
    pub latency: LatencyFigures,
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

impl RunView {
    /// A run that the store has; none where it names a tenant that is none.
    pub(crate) fn stored(record: RunRecord) -> Option<Self> {
        let mut figures: Figures = serde_json::from_str(&record.figures).unwrap_or_default();
        figures.epoch = record.epoch;
        figures.events_in = record.events_in;
        figures.events_out = record.events_out;
        figures.rejected = record.rejected;
        Some(Self {
            id: record.id.into(),
            tenant: record.tenant.parse().ok()?,
            pipeline: record.pipeline.into(),
            status: record.status,
            created_at: moment(record.created_at),
            started_at: record.started_at.map(moment),
            ended_at: record.ended_at.map(moment),
            error: record.error.into(),
            error_code: Code::from_name(&record.error_code),
            hint: record.hint.into(),
            config: record.config.into(),
            resolved: record.resolved.into(),
            dead_letters: record.dead_letters.into(),
            figures: Arc::new(figures),
        })
    }

    /// The run of a list: without its file, topology and nodes.
    pub(crate) fn listed(row: RunRow) -> Option<Self> {
        let RunRow { id, tenant, pipeline, host_id, status, created_at, started_at, ended_at, .. } = row;
        let RunRow { error, error_code, hint, epoch, events_in, events_out, rejected, dead_letters, .. } = row;
        let (config, resolved, figures) = Default::default();
        Self::stored(RunRecord {
            id,
            tenant,
            pipeline,
            host_id,
            status,
            created_at,
            started_at,
            ended_at,
            error,
            error_code,
            hint,
            config,
            resolved,
            figures,
            epoch,
            events_in,
            events_out,
            rejected,
            dead_letters,
        })
    }

    /// The same without what lists leave out.
    pub(crate) fn brief(&self) -> Self {
        let figures = Figures { nodes: Vec::new(), edges: Vec::new(), ..(*self.figures).clone() };
        Self { config: "".into(), resolved: "".into(), figures: Arc::new(figures), ..self.clone() }
    }
}

impl Figures {
    /// What `snapshot` shows; `origins` says where the nodes' components come from.
    pub(crate) fn of(snapshot: &Snapshot, chain: &str, origins: &BTreeMap<String, String>) -> Self {
        let nodes: Vec<_> = snapshot.nodes.iter().map(|(id, figures)| node(id.as_str(), figures, origins)).collect();
        let of = |role: &'static str| nodes.iter().filter(move |node| node.role == role);
        Self {
            chain: chain.to_owned(),
            elapsed_ms: u64::try_from(snapshot.elapsed.as_millis()).unwrap_or(u64::MAX),
            epoch: snapshot.epoch,
            events_in: of("source").map(|node| node.events_in).sum(),
            events_out: of("sink").map(|node| node.events_out).sum(),
            rejected: nodes.iter().map(|node| node.rejected).sum(),
            edges: snapshot.edges.iter().map(edge).collect(),
            nodes,
        }
    }

    /// The same once the run has ended: with what its sinks durably took in place of what they
    /// were given.
    pub(crate) fn ended(mut self, summary: &Summary) -> Self {
        (self.events_in, self.events_out) = (summary.events_in, summary.events_out);
        (self.rejected, self.epoch) = (summary.rejected, summary.epoch);
        for node in &mut self.nodes {
            let found = summary.per_node.iter().find(|(id, _)| id.as_str() == node.node);
            node.events_out = found.map_or(node.events_out, |(_, figures)| figures.counters.events_out);
        }
        self
    }
}

fn node(id: &str, figures: &flowctl_runtime::NodeFigures, origins: &BTreeMap<String, String>) -> NodeFigures {
    let counters = figures.counters;
    NodeFigures {
        node: id.to_owned(),
        role: role_text(figures.role).to_owned(),
        origin: origins.get(id).cloned().unwrap_or_default(),
        events_in: counters.events_in,
        events_out: counters.events_out,
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
        batches_in: counters.batches_in,
        batches_out: counters.batches_out,
        rejected: counters.rejected,
        busy_ns: counters.busy_ns,
        restarts: figures.restarts,
        memory_bytes: figures.memory_bytes,
        cpu_ns: figures.cpu_ns,
        held_ns: figures.held_ns,
        waiting: figures.waiting.clone().unwrap_or_default(),
        latency: figures.latency.clone(),
    }
}

fn edge(figures: &flowctl_runtime::EdgeFigures) -> EdgeFigures {
    EdgeFigures {
        from: figures.from.to_string(),
        to: figures.to.to_string(),
        batches: figures.pending.batches as u64,
        bytes: figures.pending.bytes as u64,
        max_batches: figures.max_batches as u64,
        max_bytes: figures.max_bytes as u64,
    }
}

/// A role as text.
pub(crate) const fn role_text(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Processor => "processor",
        Role::Sink => "sink",
    }
}
