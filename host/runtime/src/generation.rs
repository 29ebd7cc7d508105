//! One life of a topology's tasks: from a checkpoint until the end, or until the run
//! goes back. Changes of the topology happen within one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flowctl_types::NodeId;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument as _;

use crate::edge::{Edge, EdgeBounds, EdgeReceiver, EdgeSender};
use crate::error::Exit;
use crate::node::{CONTROL_LEN, Control};
use crate::spans::Spans;
use crate::switch::{Slot, Slots};
use crate::{Processor, Sink, Source};

/// What the tasks of a generation are made of.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) sources: BTreeMap<NodeId, Box<dyn Source>>,
    pub(crate) instances: BTreeMap<NodeId, Vec<Box<dyn Processor>>>,
    pub(crate) sinks: BTreeMap<NodeId, Box<dyn Sink>>,
}

/// The tasks.
pub(crate) struct Generation {
    tasks: JoinSet<Ended>,
    names: HashMap<Id, NodeId>,
    /// Tasks that may be dropped wherever they are; a sink's may not.
    expendable: HashMap<Id, AbortHandle>,
    controls: HashMap<NodeId, mpsc::Sender<Control>>,
    slots: Slots,
    spans: Spans,
    pub(crate) links: Vec<Link>,
}

/// An edge and what it joins.
#[derive(Clone)]
pub(crate) struct Link {
    /// Its number, which no other edge of the run has.
    pub(crate) id: u64,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) bounds: EdgeBounds,
    pub(crate) edge: Arc<dyn Edge>,
}

/// What a task leaves.
pub(crate) struct Ended {
    pub(crate) node: NodeId,
    pub(crate) result: Result<(), Exit>,
    pub(crate) sink: Option<Box<dyn Sink>>,
}

impl Generation {
    /// No task yet, and these edges.
    pub(crate) fn new(spans: Spans, links: Vec<Link>) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            expendable: HashMap::new(),
            controls: HashMap::new(),
            slots: Slots::new(),
            spans,
            links,
        }
    }

    /// Waits for a task to end; none when all have. Cancel-safe.
    pub(crate) async fn join(&mut self) -> Option<Ended> {
        let joined = self.tasks.join_next_with_id().await?;
        let (id, ended) = match joined {
            Ok((id, ended)) => (id, ended),
            Err(error) => (error.id(), self.broken(error)),
        };
        self.names.remove(&id);
        self.expendable.remove(&id);
        Some(ended)
    }

    /// Tells a node something. One that is gone has said so, or will.
    pub(crate) fn tell(&self, node: &NodeId, control: Control) {
        if let Some(channel) = self.controls.get(node) {
            let _ = channel.try_send(control);
        }
    }

    /// Closes all edges and control channels, and drops what may be dropped. Sinks
    /// finish their calls.
    pub(crate) fn sever(&mut self) {
        self.controls.clear();
        for link in &self.links {
            link.edge.close();
        }
        self.expendable.values().for_each(AbortHandle::abort);
    }

    /// Drops all tasks wherever they are, and waits until they are gone.
    pub(crate) async fn abort(mut self) {
        self.tasks.shutdown().await;
    }

    /// Where a node finds its orders.
    pub(crate) fn slot(&mut self, node: &NodeId) -> Slot {
        self.slots.entry(node.clone()).or_default().clone()
    }

    /// Forgets a node that has left.
    pub(crate) fn forget(&mut self, node: &NodeId) {
        self.slots.remove(node);
        self.controls.remove(node);
    }

    pub(crate) fn control(&mut self, node: &NodeId) -> mpsc::Receiver<Control> {
        let (sender, receiver) = mpsc::channel(CONTROL_LEN);
        self.controls.insert(node.clone(), sender);
        receiver
    }

    /// Starts a task that finishes its call when the run goes back.
    pub(crate) fn spawn(&mut self, node: &NodeId, task: impl Future<Output = Ended> + Send + 'static) -> AbortHandle {
        let handle = self.tasks.spawn(task.instrument(self.spans.node(node)));
        self.names.insert(handle.id(), node.clone());
        handle
    }

    /// Starts a task that may be dropped wherever it is.
    pub(crate) fn spawn_expendable(&mut self, node: &NodeId, task: impl Future<Output = Ended> + Send + 'static) {
        let handle = self.spawn(node, task);
        self.expendable.insert(handle.id(), handle);
    }

    fn broken(&self, error: JoinError) -> Ended {
        let node = self.names.get(&error.id()).expect("every task was named when it was spawned").clone();
        let result =
            if error.is_panic() { Err(Exit::Failed(crate::node::panicked(error))) } else { Err(Exit::Severed) };
        Ended { node, result, sink: None }
    }
}

/// Ends of edges that no node has taken yet.
pub(crate) struct Ends {
    senders: Vec<(NodeId, u64, EdgeSender)>,
    receivers: Vec<(NodeId, u64, EdgeReceiver)>,
}

impl Ends {
    /// Both ends of each: from now on every edge has a receiver.
    pub(crate) fn new<'a>(links: impl Iterator<Item = &'a Link> + Clone) -> Self {
        let sender = |link: &Link| (link.from.clone(), link.id, EdgeSender::new(Arc::clone(&link.edge)));
        let receiver = |link: &Link| (link.to.clone(), link.id, EdgeReceiver::new(Arc::clone(&link.edge)));
        Self { senders: links.clone().map(sender).collect(), receivers: links.map(receiver).collect() }
    }

    /// Those at which `node` sends.
    pub(crate) fn senders(&mut self, node: &NodeId) -> Vec<(u64, EdgeSender)> {
        self.senders.extract_if(.., |(from, ..)| from == node).map(|(_, id, end)| (id, end)).collect()
    }

    /// Those at which `node` receives.
    pub(crate) fn receivers(&mut self, node: &NodeId) -> Vec<(u64, EdgeReceiver)> {
        self.receivers.extract_if(.., |(to, ..)| to == node).map(|(_, id, end)| (id, end)).collect()
    }
}
