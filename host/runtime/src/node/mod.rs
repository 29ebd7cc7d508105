//! The tasks that nodes are.
//!
//! A node owns its component, its edges' ends and a control channel, and reports to the
//! coordinator. It never waits for another node except through its edges.

mod crew;
mod hands;
mod partition;
mod processor;
mod sink;
mod source;
mod suspicion;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowctl_topology::OnFailure;
use flowctl_types::NodeId;
use tokio::sync::mpsc;

pub(crate) use crew::{Crew, Guarded, panicked};
pub(crate) use hands::Hands;
pub(crate) use partition::Partitions;
pub(crate) use processor::{Desk, ProcessorNode};
pub(crate) use sink::SinkNode;
pub(crate) use source::SourceNode;
pub(crate) use suspicion::Suspicion;

use crate::error::Exit;
use crate::letters::Letters;
use crate::metrics::{Counters, NodeMetrics};
use crate::options::{Backoff, Options};
use crate::spans::Sampler;
use crate::{Position, RunEvent, State};

/// Messages that a node's control channel holds. One barrier is under way at a time,
/// so a node is never sent more than an ack, a drain, a barrier and its taking.
pub(crate) const CONTROL_LEN: usize = 8;

/// What the coordinator tells a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Control {
    /// A source sends this barrier.
    Barrier(crate::edge::Barrier),
    /// A sink takes this epoch: it is pending.
    Take(u64),
    /// Every sink took this epoch.
    Ack(u64),
    /// A source emits nothing more.
    Drain,
    /// A source takes this revision of the topology.
    Switch(u64),
}

/// What a node tells the coordinator.
#[derive(Debug)]
pub(crate) enum Report {
    /// The node passed the barrier of `epoch`.
    Passed { node: NodeId, epoch: u64, record: Record, counters: Counters },
    /// The sink took `epoch`.
    Taken { node: NodeId, epoch: u64 },
    /// The dead-letter sink took `epoch`.
    LettersTaken { epoch: u64 },
    /// The source has finished for good.
    Finished { node: NodeId },
    /// The node has taken a revision of the topology, or left with it. `held` is the time
    /// from when the mark held its first input up until it could go on; `n_stranded` batches
    /// waited on edges that ended.
    Switched { node: NodeId, revision: u64, held: Duration, n_stranded: usize },
    /// A component that is on trial failed, and the one before it took its batch.
    FellBack { node: NodeId, reason: String },
}

/// What a checkpoint keeps of a node.
#[derive(Debug)]
pub(crate) enum Record {
    Nothing,
    /// Of a source: where it stands, if it has read anything, and whether it has
    /// finished for good.
    Source {
        position: Option<Position>,
        is_finished: bool,
    },
    State {
        /// What wrote it.
        version: String,
        parts: State,
    },
}

/// Whether a node goes on behind a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switched {
    Stays,
    Left,
}

/// What every node has.
pub(crate) struct Seat {
    pub(crate) node: NodeId,
    pub(crate) metrics: Arc<NodeMetrics>,
    pub(crate) letters: Letters,
    pub(crate) sampler: Sampler,
    pub(crate) reports: mpsc::Sender<Report>,
    /// Counts whatever makes a barrier worth its while.
    pub(crate) activity: Arc<AtomicU64>,
    pub(crate) options: Arc<Options>,
    /// The waits between its calls.
    pub(crate) backoff: Backoff,
    /// What becomes of an event on which every call failed.
    pub(crate) on_failure: OnFailure,
}

impl Seat {
    pub(crate) async fn report(&self, report: Report) -> Result<(), Exit> {
        self.reports.send(report).await.map_err(|_| Exit::Severed)
    }

    pub(crate) async fn passed(&self, epoch: u64, record: Record) -> Result<(), Exit> {
        let counters = self.metrics.counters();
        self.report(Report::Passed { node: self.node.clone(), epoch, record, counters }).await
    }

    /// Tells the run's observer.
    pub(crate) fn tell(&self, event: &RunEvent) {
        self.options.observer.observe(event);
    }

    /// Counts and tells that the component was made anew, for it broke.
    pub(crate) fn restarted(&self, reason: String) {
        self.metrics.restarted();
        self.tell(&RunEvent::NodeRestarted { node: self.node.clone(), reason });
    }

    /// Tells that a call is repeated.
    pub(crate) fn tell_repeated(&self, attempt: u32, reason: String) {
        self.tell(&RunEvent::CallRepeated { node: self.node.clone(), attempt, reason });
    }

    /// Reports that a revision was taken; `since` is when the mark held its first input up.
    pub(crate) async fn switched(&self, revision: u64, since: Instant, n_stranded: usize) -> Result<(), Exit> {
        let held = since.elapsed();
        self.metrics.held(held);
        self.report(Report::Switched { node: self.node.clone(), revision, held, n_stranded }).await
    }

    pub(crate) fn moved(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }
}
