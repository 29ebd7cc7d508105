//! What is known of one generation while it runs, and of the barrier that is under way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering;

use flowctl_schema::Role;
use flowctl_types::NodeId;
use tokio::time::Instant;

use crate::Sink;
use crate::checkpoint::Checkpoint;
use crate::edge::Barrier;
use crate::error::{Exit, RunError, Setback};
use crate::generation::Ended;
use crate::metrics::Counters;
use crate::plan::{Plan, failed};

/// What is known of a generation.
pub(crate) struct Progress {
    /// Sources that have not finished.
    pub(crate) unfinished: HashSet<NodeId>,
    pub(crate) is_draining: bool,
    pub(crate) under_way: Option<UnderWay>,
    pub(crate) is_last_committed: bool,
    pub(crate) setback: Option<Setback>,
    /// What had moved when the last barrier started.
    pub(crate) activity: u64,
    /// Sinks that their tasks handed back.
    pub(crate) sinks: BTreeMap<NodeId, Box<dyn Sink>>,
}

/// A barrier that is not committed.
pub(crate) struct UnderWay {
    pub(crate) barrier: Barrier,
    pub(crate) started: Instant,
    /// Those that it was started at, and that hear of its end.
    pub(crate) sources: Vec<NodeId>,
    pub(crate) passing: HashSet<NodeId>,
    pub(crate) taking: HashSet<NodeId>,
    pub(crate) is_pending: bool,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) counters: HashMap<NodeId, Counters>,
}

impl Progress {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            unfinished: plan.of_role(Role::Source).map(|node| node.id.clone()).collect(),
            is_draining: false,
            under_way: None,
            is_last_committed: false,
            setback: None,
            activity: plan.activity.load(Ordering::Relaxed),
            sinks: BTreeMap::new(),
        }
    }

    /// Whether a barrier may start.
    pub(crate) fn is_free(&self) -> bool {
        self.under_way.is_none() && self.setback.is_none() && !self.is_last_committed
    }

    pub(crate) fn awaits_last(&self) -> bool {
        self.is_free() && (self.is_draining || self.unfinished.is_empty())
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.under_way.as_ref().is_some_and(|under_way| under_way.is_pending)
    }

    /// Takes note of a task's end.
    pub(crate) fn settle(&mut self, ended: Ended) -> Result<(), RunError> {
        let Ended { node, result, sink } = ended;
        if let Some(sink) = sink {
            self.sinks.insert(node.clone(), sink);
        }
        match result {
            // whoever severed it ends too, and says why
            Ok(()) | Err(Exit::Severed) => Ok(()),
            Err(Exit::Failed(error)) => Err(failed(&node, error)),
            Err(Exit::Setback(setback)) => {
                self.setback.get_or_insert(setback);
                Ok(())
            }
        }
    }
}

impl UnderWay {
    pub(crate) fn is_taken(&self) -> bool {
        self.is_pending && self.taking.is_empty()
    }
}
