//! The tasks that nodes are.
//!
//! A node owns its component, its edges' ends and a control channel, and reports to the
//! coordinator. It never waits for another node except through its edges.

mod crew;
mod partition;
mod processor;
mod sink;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowctl_topology::OnFailure;
use flowctl_types::NodeId;
use tokio::sync::mpsc;

pub(crate) use crew::{Crew, Guarded, panicked};
pub(crate) use partition::Partitions;
pub(crate) use processor::{Desk, Hands, ProcessorNode, Suspicion};
pub(crate) use sink::SinkNode;
pub(crate) use source::SourceNode;

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
    State(State),
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

    pub(crate) fn moved(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }
}
