//! What the nodes of a run are told to do at a mark: how one revision of the topology
//! becomes the next.
//!
//! A mark travels in band, as a barrier does, or is one: a node that has it on all inputs
//! has processed everything before it and nothing behind. It passes the mark on along the
//! edges that it had, takes its [`Order`], and goes on. So an event takes either the old
//! paths or the new ones, and what took the old ones reaches every node first.
//!
//! A change waits for a barrier of a checkpoint where sinks or sources change, for these
//! have something to hand back, and where several sinks keep epochs: then one may hold an
//! epoch that another has to be given again. All others have a mark of their own, at which
//! nothing is flushed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowctl_schema::Schema;
use flowctl_topology::Node;
use flowctl_types::NodeId;

use crate::inputs::InputsOrder;
use crate::node::{Hands, Seat};
use crate::outputs::OutputsOrder;
use crate::{Bounds, Sink, Source};

/// What one node does at a mark.
pub(crate) struct Order {
    pub(crate) revision: u64,
    pub(crate) seat: Seat,
    pub(crate) inputs: InputsOrder,
    pub(crate) outputs: OutputsOrder,
    pub(crate) part: Becomes,
}

/// What becomes of a node's component.
pub(crate) enum Becomes {
    /// It stays as it is.
    Stay,
    /// The node leaves.
    Leave,
    /// A processor gets other instances.
    Exchange(Box<Exchange>),
    /// A source fills its batches differently, and is another where there is one, which is
    /// opened where the old one stood.
    Source { node: Arc<Node>, bounds: Bounds, linger: Duration, source: Option<Box<dyn Source>> },
    /// A sink is another where there is one, which is opened when the old one is gone.
    Sink { schemas: Vec<Schema>, sink: Option<Box<dyn Sink>> },
}

/// The new instances of a processor.
pub(crate) struct Exchange {
    pub(crate) hands: Hands,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) version: String,
    pub(crate) is_stateful: bool,
    pub(crate) tick: Option<Duration>,
    pub(crate) has_timer: bool,
    /// Whether the new instances are given the state of the old ones.
    pub(crate) hands_over: bool,
    /// Whether the old ones are kept until the trial is over, to take a batch that the new
    /// ones fail on.
    pub(crate) keeps_old: bool,
    pub(crate) trial: Trying,
}

/// Whether a change is on trial: what fails meanwhile takes the run back. Shared by those on
/// trial and whoever ends it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trying(Arc<AtomicBool>);

/// Where a node finds its order.
#[derive(Clone, Default)]
pub(crate) struct Slot(Arc<Mutex<Option<Box<Order>>>>);

impl Trying {
    pub(crate) fn begun() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn is_going(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Slot {
    pub(crate) fn put(&self, order: Order) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(order));
    }

    /// The order for `revision`.
    pub(crate) fn take(&self, revision: u64) -> Option<Box<Order>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take_if(|order| order.revision == revision)
    }
}

/// The slots of all nodes.
pub(crate) type Slots = BTreeMap<NodeId, Slot>;
