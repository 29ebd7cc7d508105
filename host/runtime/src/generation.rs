//! One life of a topology's tasks: from a checkpoint until the end, or until the run
//! goes back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use flowctl_schema::Role;
use flowctl_topology::{Component, Node};
use flowctl_types::NodeId;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument as _;

use crate::checkpoint::Checkpoint;
use crate::edge::{Edge, EdgeBounds, EdgeReceiver, EdgeSender, Finish, MemoryEdge};
use crate::error::{Exit, NodeError, RunError};
use crate::inputs::Inputs;
use crate::letters::{Letters, Postbox};
use crate::metrics::NodeMetrics;
use crate::node::{
    CONTROL_LEN, Control, Crew, Desk, Hands, Partitions, ProcessorNode, Report, Seat, SinkNode, SourceNode, Suspicion,
};
use crate::options::Options;
use crate::outputs::{BatchLimits, Outputs, Way};
use crate::resume::Replay;
use crate::spans::{Sampler, Spans};
use crate::worker::Worker;
use crate::{Bounds, Change, Processor, RunEvent, Sink, Source, Stage, Workshop};

/// What does not change while a run goes.
pub(crate) struct Plan {
    pub(crate) change: Change,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) metrics: HashMap<NodeId, Arc<NodeMetrics>>,
    pub(crate) workshop: Arc<dyn Workshop>,
    pub(crate) options: Arc<Options>,
    pub(crate) activity: Arc<AtomicU64>,
    pub(crate) postbox: Postbox,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) spans: Spans,
}

/// What the tasks of a generation are made of.
pub(crate) struct Parts {
    pub(crate) sources: BTreeMap<NodeId, Box<dyn Source>>,
    pub(crate) stages: BTreeMap<NodeId, Arc<dyn Stage>>,
    pub(crate) instances: BTreeMap<NodeId, Vec<Box<dyn Processor>>>,
    pub(crate) sinks: BTreeMap<NodeId, Box<dyn Sink>>,
}

/// The tasks.
pub(crate) struct Generation {
    tasks: JoinSet<Ended>,
    names: HashMap<Id, NodeId>,
    /// Tasks that may be dropped wherever they are; a sink's may not.
    expendable: Vec<AbortHandle>,
    controls: HashMap<NodeId, mpsc::Sender<Control>>,
    spans: Spans,
    pub(crate) links: Vec<Link>,
}

/// An edge and what it joins.
#[derive(Clone)]
pub(crate) struct Link {
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

impl Plan {
    /// Tells the run's observer.
    pub(crate) fn tell(&self, event: &RunEvent) {
        self.options.observer.observe(event);
    }

    /// Counts and tells that the component of `node` is made anew, for it broke.
    pub(crate) fn restarted(&self, node: NodeId, reason: String) {
        self.node_metrics(&node).restarted();
        self.tell(&RunEvent::NodeRestarted { node, reason });
    }

    pub(crate) fn of_role(&self, role: Role) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().filter(move |node| node.role == role)
    }

    /// Starts all tasks from `checkpoint`; the next barrier is that of `next_epoch`, which
    /// is repeated where there is a `replay`.
    pub(crate) async fn launch(
        &self,
        mut parts: Parts,
        checkpoint: Option<&Checkpoint>,
        next_epoch: u64,
        replay: Option<&Replay>,
        suspicions: &HashMap<NodeId, Suspicion>,
    ) -> Result<Generation, RunError> {
        let links: Vec<_> = self.change.edges.iter().map(|edge| self.link(&edge.from, &edge.to)).collect();
        let mut ends = Ends::new(&links);
        let mut generation = Generation {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            expendable: Vec::new(),
            controls: HashMap::new(),
            spans: self.spans.clone(),
            links,
        };
        // receivers first: an edge has one before its sender runs
        let mut inputs: HashMap<NodeId, Inputs> = HashMap::new();
        for node in &self.nodes {
            inputs.insert(node.id.clone(), Inputs::new(ends.receivers(&node.id), self.options.idle_after));
        }
        let mut processors = Vec::new();
        for node in self.of_role(Role::Processor) {
            let Some(inputs) = inputs.remove(&node.id) else { continue };
            let (Some(stage), made) = (parts.stages.get(&node.id), parts.instances.remove(&node.id)) else { continue };
            let desk = Desk {
                seat: self.seat(node),
                outputs: self.outputs(node, &mut ends),
                schemas: node.inputs.clone(),
                is_stateful: node.is_stateful,
                suspicion: suspicions.get(&node.id).cloned().unwrap_or_default(),
                epoch: next_epoch,
                n_own_events: 0,
                n_faults: 0,
            };
            let hands = self.hands(node, stage, made.unwrap_or_default());
            let mut processor = ProcessorNode {
                inputs,
                desk,
                hands,
                tick: node.tick,
                has_timer: node.has_timer,
                is_replaying: replay.is_some(),
            };
            if let Some(saved) = checkpoint.and_then(|checkpoint| checkpoint.states.get(&node.id)) {
                let restored = processor.restore(&saved.version, &saved.parts).instrument(self.spans.node(&node.id));
                restored.await.map_err(|source| RunError::Node { node: node.id.clone(), source })?;
            }
            processors.push((node.id.clone(), processor));
        }
        for node in self.of_role(Role::Sink) {
            let (Some(inputs), Some(sink)) = (inputs.remove(&node.id), parts.sinks.remove(&node.id)) else { continue };
            let control = generation.control(&node.id);
            let held = replay.filter(|replay| replay.holders.contains(&node.id)).map(|replay| replay.epoch);
            let task = SinkNode { seat: self.seat(node), sink, schemas: node.inputs.clone(), control, inputs, held };
            let id = node.id.clone();
            generation.spawn(&node.id, async move {
                let (result, sink) = task.run().await;
                Ended { node: id, result, sink: Some(sink) }
            });
        }
        for (id, task) in processors {
            let node = id.clone();
            let handle = generation.spawn(&id, async move { Ended { node, result: task.run().await, sink: None } });
            generation.expendable.push(handle);
        }
        for node in self.of_role(Role::Source) {
            let Some(source) = parts.sources.remove(&node.id) else { continue };
            let settings = &node.settings;
            // a batch of more than a second's events would wait for long, and then come at once
            let throttle = self.options.throttle.as_ref();
            let per_second = throttle.map_or(u64::MAX, |throttle| throttle.events_per_second());
            let task = SourceNode {
                node: Arc::clone(node),
                seat: self.seat(node),
                source,
                workshop: Arc::clone(&self.workshop),
                control: generation.control(&node.id),
                outputs: self.outputs(node, &mut ends),
                bounds: Bounds {
                    max_events: settings.max_events.clamp(1, usize::try_from(per_second).unwrap_or(usize::MAX)),
                    max_bytes: settings.max_bytes.max(1),
                    until: None,
                },
                linger: settings.linger,
                position: checkpoint.and_then(|checkpoint| checkpoint.positions.get(&node.id)).cloned(),
                finish: match checkpoint.is_some_and(|checkpoint| checkpoint.finished.contains(&node.id)) {
                    true => Finish::Again,
                    false => Finish::First,
                },
                target: replay.map(|replay| replay.targets.get(&node.id).cloned().unwrap_or_default()),
            };
            let id = node.id.clone();
            let handle =
                generation.spawn(&node.id, async move { Ended { node: id, result: task.run().await, sink: None } });
            generation.expendable.push(handle);
        }
        Ok(generation)
    }

    /// An edge, bounded as the node that it reaches says.
    fn link(&self, from: &NodeId, to: &NodeId) -> Link {
        let receiver = self.nodes.iter().find(|node| node.id == *to);
        let settings = receiver.map_or(self.change.settings, |node| node.settings);
        let bounds = EdgeBounds { batches: settings.queue_batches, bytes: settings.queue_bytes };
        Link { from: from.clone(), to: to.clone(), bounds, edge: Arc::new(MemoryEdge::new(bounds)) }
    }

    fn seat(&self, node: &Node) -> Seat {
        let metrics = self.node_metrics(&node.id);
        Seat {
            node: node.id.clone(),
            letters: Letters::new(node, self.postbox.clone(), Arc::clone(&metrics)),
            metrics,
            sampler: Sampler::new(self.spans.clone(), node.id.clone(), self.options.trace_every),
            reports: self.reports.clone(),
            activity: Arc::clone(&self.activity),
            options: Arc::clone(&self.options),
            backoff: self.options.backoff(&node.settings.retry, node.id.as_str()),
            on_failure: node.settings.retry.on_failure,
        }
    }

    fn node_metrics(&self, node: &NodeId) -> Arc<NodeMetrics> {
        self.metrics.get(node).cloned().unwrap_or_default()
    }

    fn outputs(&self, node: &Node, ends: &mut Ends) -> Outputs {
        let metrics = self.node_metrics(&node.id);
        let letters = Letters::new(node, self.postbox.clone(), Arc::clone(&metrics));
        let mut routes = vec![Vec::new(); node.outputs.len()];
        let leaving = self.change.edges.iter().filter(|edge| edge.from == node.id);
        for (edge, routed) in leaving.enumerate() {
            for route in &routed.routes {
                let way = Way { edge, input_kind: route.input_kind, conversion: route.conversion.clone() };
                routes[route.output_kind as usize].push(way);
            }
        }
        Outputs::new(ends.senders(&node.id), routes, node.outputs.clone(), self.limits(node), letters, metrics)
    }

    /// What a batch that `node` emits may hold: what every node that it reaches takes.
    fn limits(&self, node: &Node) -> BatchLimits {
        let reached = self.change.edges.iter().filter(|edge| edge.from == node.id);
        let settings = reached.filter_map(|edge| self.nodes.iter().find(|node| node.id == edge.to));
        let whole = BatchLimits { max_events: usize::MAX, max_bytes: usize::MAX };
        settings.map(|node| node.settings).fold(whole, |limits, settings| BatchLimits {
            max_events: limits.max_events.min(settings.max_events),
            max_bytes: limits.max_bytes.min(settings.max_bytes),
        })
    }

    fn hands(&self, node: &Node, stage: &Arc<dyn Stage>, made: Vec<Box<dyn Processor>>) -> Hands {
        let metrics = self.node_metrics(&node.id);
        let mut made = made.into_iter();
        let mut worker =
            || Worker::new(node, Arc::clone(stage), made.next(), Arc::clone(&self.options), Arc::clone(&metrics));
        match node.parallelism.get() {
            1 => Hands::One(worker()),
            n if node.is_stateful => {
                Hands::Partitions(Partitions::new((0..n).map(|_| worker()).collect(), node.key.as_deref()))
            }
            n => Hands::Crew(Crew::new((0..n).map(|_| worker()).collect())),
        }
    }
}

impl Generation {
    /// Waits for a task to end; none when all have. Cancel-safe.
    pub(crate) async fn join(&mut self) -> Option<Ended> {
        let joined = self.tasks.join_next_with_id().await?;
        Some(match joined {
            Ok((_, ended)) => ended,
            Err(error) => self.broken(error),
        })
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
        for task in &self.expendable {
            task.abort();
        }
    }

    /// Drops all tasks wherever they are, and waits until they are gone.
    pub(crate) async fn abort(mut self) {
        self.tasks.shutdown().await;
    }

    fn control(&mut self, node: &NodeId) -> mpsc::Receiver<Control> {
        let (sender, receiver) = mpsc::channel(CONTROL_LEN);
        self.controls.insert(node.clone(), sender);
        receiver
    }

    fn spawn(&mut self, node: &NodeId, task: impl Future<Output = Ended> + Send + 'static) -> AbortHandle {
        let handle = self.tasks.spawn(task.instrument(self.spans.node(node)));
        self.names.insert(handle.id(), node.clone());
        handle
    }

    fn broken(&self, error: JoinError) -> Ended {
        let node = self.names.get(&error.id()).expect("every task was named when it was spawned").clone();
        let result =
            if error.is_panic() { Err(Exit::Failed(crate::node::panicked(error))) } else { Err(Exit::Severed) };
        Ended { node, result, sink: None }
    }
}

/// Ends of edges that no node has taken yet.
struct Ends {
    senders: Vec<(NodeId, Option<EdgeSender>)>,
    receivers: Vec<(NodeId, Option<EdgeReceiver>)>,
}

impl Ends {
    fn new(links: &[Link]) -> Self {
        let sender = |link: &Link| (link.from.clone(), Some(EdgeSender::new(Arc::clone(&link.edge))));
        let receiver = |link: &Link| (link.to.clone(), Some(EdgeReceiver::new(Arc::clone(&link.edge))));
        Self { senders: links.iter().map(sender).collect(), receivers: links.iter().map(receiver).collect() }
    }

    fn senders(&mut self, node: &NodeId) -> Vec<EdgeSender> {
        self.senders.iter_mut().filter(|(from, _)| from == node).filter_map(|(_, end)| end.take()).collect()
    }

    fn receivers(&mut self, node: &NodeId) -> Vec<EdgeReceiver> {
        self.receivers.iter_mut().filter(|(to, _)| to == node).filter_map(|(_, end)| end.take()).collect()
    }
}

/// The version that a node's component says it has.
pub(crate) fn version(node: &Node) -> String {
    match &node.component {
        Component::Plugin { version, .. } => version.clone().unwrap_or_default(),
        Component::Connector { .. } | Component::Remote { .. } | Component::Command { .. } => String::new(),
    }
}

/// A failure of `node`.
pub(crate) fn failed(node: &NodeId, source: NodeError) -> RunError {
    RunError::Node { node: node.clone(), source }
}
