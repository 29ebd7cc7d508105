//! Why a run could not start, or could not go on.

use std::sync::Arc;

use flowctl_types::NodeId;

use crate::checkpoint::StoreError;
use crate::{Fault, PrepareError};

/// Why a change was not made. Nothing has changed, and nothing ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Some nodes could not be made ready.
    #[error("{} of the nodes cannot be prepared", .0.len())]
    Prepare(Vec<PrepareError>),
    /// The change is one from the empty topology, and the run has started; or the run has
    /// another topology by now than the change was made of.
    #[error("the pipeline has another topology by now: the change was planned for one that it had before")]
    Moved,
    /// Something that cannot change while a run goes.
    #[error("{0}")]
    Fixed(&'static str),
    /// The run has not started, or it ends.
    #[error("the run does not go on: its topology cannot change any more")]
    Over,
    /// A node could not take the change: the topology before it runs again.
    #[error("the change was rolled back: {reason}")]
    RolledBack {
        /// Why.
        reason: String,
    },
    /// The last checkpoint has the state or the position of nodes that the topology
    /// does not have.
    #[error("the last checkpoint keeps what {} of `{}` had reached, and the pipeline has no such node any more", if .0.len() == 1 { "the node" } else { "the nodes" }, .0.iter().map(NodeId::as_str).collect::<Vec<_>>().join("`, `"))]
    Orphans(Vec<NodeId>),
    /// The checkpoints of an earlier run could not be read.
    #[error("cannot read the last checkpoint")]
    Store(#[source] StoreError),
}

/// Why a run failed. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A node cannot go on.
    #[error("node `{node}` failed")]
    Node {
        /// The node.
        node: NodeId,
        /// What happened there.
        #[source]
        source: NodeError,
    },
    /// Refused events cannot be kept, so the run must not go on.
    #[error("dead letters cannot be written")]
    DeadLetters(#[source] Fault),
    /// A checkpoint cannot be kept.
    #[error("checkpoint {epoch} cannot be kept")]
    Checkpoint {
        /// Its epoch.
        epoch: u64,
        /// Why.
        #[source]
        source: Arc<StoreError>,
    },
    /// The runtime itself broke its rules; events since the last barrier were not taken.
    #[error("internal fault: {0}")]
    Internal(String),
}

/// What made a node fail.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A call failed, and trying again would not help.
    #[error("cannot {doing}")]
    Call {
        /// What was called for: `write`, `read`, …
        doing: &'static str,
        /// The component's answer.
        #[source]
        source: Fault,
    },
    /// A call asked to be repeated until there was no point.
    #[error("cannot {doing}, tried {attempts} times")]
    Exhausted {
        /// What was called for.
        doing: &'static str,
        /// How often.
        attempts: u32,
        /// The component's last answer.
        #[source]
        source: Fault,
    },
    /// An event fails at every attempt, and is not to become a dead letter.
    #[error("cannot get past event `{event}`, and `on_failure` is `stop`")]
    Poison {
        /// The event's id.
        event: String,
        /// The last failure.
        #[source]
        source: Fault,
    },
    /// Call after call fails, and no event gets through.
    #[error("{n_faults} calls failed in a row, no event got through")]
    Hopeless {
        /// How many.
        n_faults: u32,
        /// The last failure.
        #[source]
        source: Fault,
    },
    /// The run went back again and again, and the node failed each time.
    #[error("failed again after the run went back to the last barrier {n_rewinds} times")]
    Rewinds {
        /// How often.
        n_rewinds: u32,
        /// The last failure.
        #[source]
        source: Fault,
    },
    /// The run would have to go back to the last barrier, and cannot.
    #[error("cannot go back to the last barrier: source `{blocker}` cannot repeat its events")]
    NotReplayable {
        /// The source.
        blocker: NodeId,
        /// What made it necessary.
        #[source]
        source: Fault,
    },
    /// No new instance could be made in place of one that is gone.
    #[error("cannot make a new instance")]
    Instantiate(#[source] Arc<PrepareError>),
    /// A batch has a kind that the node does not declare.
    #[error("emitted a batch of kind {kind}, but declares {n_kinds} event types")]
    Kind {
        /// What the batch says.
        kind: u32,
        /// How many types the node declares.
        n_kinds: usize,
    },
    /// An event was refused that was not there.
    #[error("refused event {index} of a batch of {n_events}")]
    Rejection {
        /// The index it named.
        index: u32,
        /// Events of the batch.
        n_events: usize,
    },
    /// An epoch cannot be replayed: the source ended before the position at which that
    /// epoch ended.
    #[error("ended before the place that it had reached when the last run died: what it reads has changed since")]
    Shrunk,
    /// It holds an epoch that the checkpoints do not know.
    #[error("{0}")]
    Ahead(String),
    /// It panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// It did not finish its call when it was told to stop.
    #[error("does not stop")]
    Stuck,
}

/// How a node's task ends other than as planned.
#[derive(Debug)]
pub(crate) enum Exit {
    /// An edge or the coordinator is gone: somebody else knows why.
    Severed,
    /// The node cannot go on.
    Failed(NodeError),
    /// The run must go back to the last barrier.
    Setback(Setback),
}

/// A fault of an instance that keeps state, or of a sink that lost what it had taken.
#[derive(Debug, Clone)]
pub(crate) struct Setback {
    pub(crate) node: NodeId,
    /// What it answered.
    pub(crate) fault: Fault,
    /// The one event that it was called with, where it was one.
    pub(crate) culprit: Option<String>,
}

impl Setback {
    /// Whether a sink lost what it had taken; no event is to blame then.
    pub(crate) fn is_loss(&self) -> bool {
        matches!(self.fault, Fault::Lost(_))
    }
}

impl From<crate::edge::Closed> for Exit {
    fn from(_: crate::edge::Closed) -> Self {
        Self::Severed
    }
}

impl From<NodeError> for Exit {
    fn from(error: NodeError) -> Self {
        Self::Failed(error)
    }
}

impl RunError {
    /// The node at which it happened, where it is one.
    #[must_use]
    pub fn node(&self) -> Option<&NodeId> {
        match self {
            Self::Node { node, .. } => Some(node),
            _ => None,
        }
    }

    /// The error and its causes; what crashed in full, with the last lines of its log.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.downcast_ref().map_or_else(|| error.to_string(), Fault::in_full));
            cause = error.source();
        }
        text
    }
}
