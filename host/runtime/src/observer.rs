//! What happens to a run, told to whoever looks after it.
//!
//! Invariant: an event is told when it has happened, once, by the task that it happened
//! in. So an [`Observer`] must neither block nor panic; what takes longer belongs behind
//! a bounded queue of its own.

use std::time::Duration;

use flowctl_types::NodeId;

/// Hears what happens to a run.
pub trait Observer: Send + Sync {
    /// Takes note of `event`. It is called within the run's own tasks.
    fn observe(&self, event: &RunEvent);
}

/// Something that happened to a run: what comes once an epoch, and what is no part of the
/// flow of events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEvent {
    /// Every node runs. Once a run.
    Started {
        /// How many there are.
        n_nodes: usize,
    },
    /// The component of a node broke, and was made anew.
    NodeRestarted {
        /// The node.
        node: NodeId,
        /// What it broke of.
        reason: String,
    },
    /// A call of a component asked to be repeated, and is.
    CallRepeated {
        /// The node.
        node: NodeId,
        /// Calls that were made, and failed.
        attempt: u32,
        /// What the component said.
        reason: String,
    },
    /// A batch failed as a whole, and its events are processed one by one.
    BatchTakenApart {
        /// The node.
        node: NodeId,
        /// Events of the batch.
        n_events: usize,
        /// What the component said.
        reason: String,
    },
    /// The run goes back to a barrier: what came behind it comes again.
    WentBack {
        /// The epoch that the barrier ended; 0 for the run's start.
        epoch: u64,
        /// The node at which it became necessary, where it is one.
        node: Option<NodeId>,
        /// Why.
        reason: String,
    },
    /// An epoch is repeated exactly, for some sinks hold it and others do not.
    Replayed {
        /// The epoch.
        epoch: u64,
    },
    /// Every sink took an epoch, and the run goes on from it after a crash.
    Committed {
        /// The epoch.
        epoch: u64,
        /// From the start of its barrier.
        took: Duration,
    },
    /// An epoch was not committed; the run went back or failed.
    CheckpointFailed {
        /// The epoch.
        epoch: u64,
        /// Why.
        reason: String,
    },
    /// Letters became durable.
    LettersWritten {
        /// The epoch that they were flushed with.
        epoch: u64,
        /// How many.
        n_letters: u64,
    },
    /// Every node took a change of the topology.
    TopologyChanged {
        /// The revision that runs now.
        revision: u64,
        /// The longest time for which a node was held up by it.
        pause: Duration,
    },
    /// A change of the topology was taken back: the one before it runs again.
    ChangeRolledBack {
        /// The revision that runs now.
        revision: u64,
        /// Why.
        reason: String,
    },
    /// A change of the topology is kept: a checkpoint of it is committed.
    ChangeKept {
        /// The revision.
        revision: u64,
    },
    /// A source has finished for good; told again where the run went back since.
    Finished {
        /// The source.
        source: NodeId,
    },
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _: &RunEvent) {}
}
