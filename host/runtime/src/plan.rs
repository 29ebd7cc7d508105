//! What a run does at the moment: its topology, and the tasks that it is made of.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowctl_schema::Role;
use flowctl_topology::{Component, Node, Topology};
use flowctl_types::NodeId;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::checkpoint::Checkpoint;
use crate::edge::{EdgeBounds, EdgeReceiver, EdgeSender, Finish, MemoryEdge};
use crate::error::{NodeError, RunError};
use crate::generation::{Ended, Ends, Generation, Link, Parts};
use crate::inputs::Inputs;
use crate::letters::{Letters, Postbox};
use crate::metrics::NodeMetrics;
use crate::node::{Crew, Desk, Hands, Partitions, ProcessorNode, Report, Seat, SinkNode, SourceNode, Suspicion};
use crate::options::Options;
use crate::outputs::{BatchLimits, Outputs, OutputsOrder, Way};
use crate::resume::Replay;
use crate::spans::{Sampler, Spans};
use crate::switch::Trying;
use crate::worker::Worker;
use crate::{Bounds, Processor, RunEvent, Sink, Source, Stage, Workshop};

/// What a run does at the moment. All but the topology and what belongs to its nodes stays
/// the same while it goes.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) topology: Arc<Topology>,
    /// Counts the changes that were made, the start included.
    pub(crate) revision: u64,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) stages: BTreeMap<NodeId, Arc<dyn Stage>>,
    pub(crate) metrics: HashMap<NodeId, Arc<NodeMetrics>>,
    pub(crate) workshop: Arc<dyn Workshop>,
    pub(crate) options: Arc<Options>,
    pub(crate) activity: Arc<AtomicU64>,
    pub(crate) postbox: Postbox,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) spans: Spans,
    /// The number of the next edge.
    pub(crate) next_link: Arc<AtomicU64>,
}

/// Where the tasks of a generation begin.
pub(crate) struct Beginning<'a> {
    pub(crate) checkpoint: Option<&'a Checkpoint>,
    /// The epoch of the next barrier, which is repeated where there is a replay.
    pub(crate) next_epoch: u64,
    pub(crate) replay: Option<&'a Replay>,
    pub(crate) suspicions: &'a HashMap<NodeId, Suspicion>,
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

    pub(crate) fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// Starts all tasks.
    pub(crate) async fn launch(&self, mut parts: Parts, from: Beginning<'_>) -> Result<Generation, RunError> {
        let links: Vec<_> = self.topology.edges.iter().map(|edge| self.link(&edge.from, &edge.to)).collect();
        let mut ends = Ends::new(links.iter());
        let mut generation = Generation::new(self.spans.clone(), links);
        // receivers first: an edge has one before its sender runs
        let mut inputs: HashMap<_, _> =
            self.nodes.iter().map(|node| (node.id.clone(), ends.receivers(&node.id))).collect();
        let mut processors = Vec::new();
        for node in self.of_role(Role::Processor) {
            let Some(hands) = self.hands(node, parts.instances.remove(&node.id).unwrap_or_default()) else { continue };
            let receivers = inputs.remove(&node.id).unwrap_or_default();
            let senders = ends.senders(&node.id);
            let mut processor = self.processor(node, receivers, senders, hands, &from, &mut generation);
            if let Some(saved) = from.checkpoint.and_then(|checkpoint| checkpoint.states.get(&node.id)) {
                let restored = processor.hands.restore(&saved.version, &saved.parts);
                let restored = restored.instrument(self.spans.node(&node.id)).await;
                restored.map_err(|source| failed(&node.id, source))?;
            }
            processors.push(processor);
        }
        for node in self.of_role(Role::Sink) {
            let Some(sink) = parts.sinks.remove(&node.id) else { continue };
            let held = from.replay.filter(|replay| replay.holders.contains(&node.id)).map(|replay| replay.epoch);
            self.spawn_sink(node, inputs.remove(&node.id).unwrap_or_default(), sink, held, &mut generation);
        }
        processors.into_iter().for_each(|processor| spawn_processor(processor, &mut generation));
        for node in self.of_role(Role::Source) {
            let Some(source) = parts.sources.remove(&node.id) else { continue };
            self.spawn_source(node, ends.senders(&node.id), source, &from, &mut generation);
        }
        Ok(generation)
    }

    /// A processor's task, which has not begun.
    pub(crate) fn processor(
        &self,
        node: &Node,
        receivers: Vec<(u64, EdgeReceiver)>,
        senders: Vec<(u64, EdgeSender)>,
        hands: Hands,
        from: &Beginning<'_>,
        generation: &mut Generation,
    ) -> ProcessorNode {
        let desk = Desk {
            seat: self.seat(node),
            outputs: self.outputs(node, senders),
            schemas: node.inputs.clone(),
            is_stateful: node.is_stateful,
            version: version(node),
            trial: Trying::default(),
            suspicion: from.suspicions.get(&node.id).cloned().unwrap_or_default(),
            epoch: from.next_epoch,
            n_own_events: 0,
            n_faults: 0,
        };
        ProcessorNode {
            inputs: Inputs::new(receivers, self.options.idle_after),
            desk,
            hands,
            tick: node.tick,
            has_timer: node.has_timer,
            was_told_end: false,
            is_replaying: from.replay.is_some(),
            slot: generation.slot(&node.id),
            before: None,
        }
    }

    pub(crate) fn spawn_sink(
        &self,
        node: &Node,
        receivers: Vec<(u64, EdgeReceiver)>,
        sink: Box<dyn Sink>,
        held: Option<u64>,
        generation: &mut Generation,
    ) {
        let task = SinkNode {
            seat: self.seat(node),
            sink,
            schemas: node.inputs.clone(),
            control: generation.control(&node.id),
            inputs: Inputs::new(receivers, self.options.idle_after),
            held,
            slot: generation.slot(&node.id),
        };
        let id = node.id.clone();
        generation.spawn(&node.id, async move {
            let (result, sink) = task.run().await;
            Ended { node: id, result, sink: Some(sink) }
        });
    }

    pub(crate) fn spawn_source(
        &self,
        node: &Arc<Node>,
        senders: Vec<(u64, EdgeSender)>,
        source: Box<dyn Source>,
        from: &Beginning<'_>,
        generation: &mut Generation,
    ) {
        let checkpoint = from.checkpoint;
        let task = SourceNode {
            node: Arc::clone(node),
            seat: self.seat(node),
            source,
            workshop: Arc::clone(&self.workshop),
            control: generation.control(&node.id),
            outputs: self.outputs(node, senders),
            bounds: self.bounds(node),
            linger: node.settings.linger,
            position: checkpoint.and_then(|checkpoint| checkpoint.positions.get(&node.id)).cloned(),
            finish: match checkpoint.is_some_and(|checkpoint| checkpoint.finished.contains(&node.id)) {
                true => Finish::Again,
                false => Finish::First,
            },
            target: from.replay.map(|replay| replay.targets.get(&node.id).cloned().unwrap_or_default()),
            slot: generation.slot(&node.id),
        };
        let id = node.id.clone();
        generation.spawn_expendable(&node.id, async move { Ended { node: id, result: task.run().await, sink: None } });
    }

    /// An edge, bounded as the node that it reaches says.
    pub(crate) fn link(&self, from: &NodeId, to: &NodeId) -> Link {
        let bounds = self.edge_bounds(to);
        let id = self.next_link.fetch_add(1, Ordering::Relaxed);
        Link { id, from: from.clone(), to: to.clone(), bounds, edge: Arc::new(MemoryEdge::new(bounds)) }
    }

    pub(crate) fn edge_bounds(&self, to: &NodeId) -> EdgeBounds {
        let settings = self.node(to).map_or(self.topology.settings, |node| node.settings);
        EdgeBounds { batches: settings.queue_batches, bytes: settings.queue_bytes }
    }

    /// How a source fills its batches.
    pub(crate) fn bounds(&self, node: &Node) -> Bounds {
        // a batch of more than a second's events would wait for long, and then come at once
        let throttle = self.options.throttle.as_ref();
        let per_second = throttle.map_or(u64::MAX, |throttle| throttle.events_per_second());
        let most = usize::try_from(per_second).unwrap_or(usize::MAX);
        let settings = &node.settings;
        Bounds { max_events: settings.max_events.clamp(1, most), max_bytes: settings.max_bytes.max(1), until: None }
    }

    pub(crate) fn seat(&self, node: &Node) -> Seat {
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

    pub(crate) fn node_metrics(&self, node: &NodeId) -> Arc<NodeMetrics> {
        self.metrics.get(node).cloned().unwrap_or_default()
    }

    fn outputs(&self, node: &Node, senders: Vec<(u64, EdgeSender)>) -> Outputs {
        let metrics = self.node_metrics(&node.id);
        let letters = Letters::new(node, self.postbox.clone(), Arc::clone(&metrics));
        Outputs::new(senders, self.routes(node), node.outputs.clone(), self.limits(node), letters, metrics)
    }

    /// What leaves `node` over `links`, of which `senders` begin.
    pub(crate) fn outputs_order(
        &self,
        node: &Node,
        links: &[Link],
        mut senders: Vec<(u64, EdgeSender)>,
    ) -> OutputsOrder {
        let of_node = links.iter().filter(|link| link.from == node.id);
        let edges = of_node.map(|link| {
            let begun = senders.iter().position(|(id, _)| *id == link.id);
            (link.id, begun.map(|at| senders.swap_remove(at).1))
        });
        OutputsOrder {
            edges: edges.collect(),
            routes: self.routes(node),
            schemas: node.outputs.clone(),
            limits: self.limits(node),
            letters: Letters::new(node, self.postbox.clone(), self.node_metrics(&node.id)),
        }
    }

    /// For each kind of output the edges that take it, by their place among those of `node`.
    fn routes(&self, node: &Node) -> Vec<Vec<Way>> {
        let mut routes = vec![Vec::new(); node.outputs.len()];
        let leaving = self.topology.edges.iter().filter(|edge| edge.from == node.id);
        for (edge, routed) in leaving.enumerate() {
            for route in &routed.routes {
                let way = Way { edge, input_kind: route.input_kind, conversion: route.conversion.clone() };
                routes[route.output_kind as usize].push(way);
            }
        }
        routes
    }

    /// What a batch that `node` emits may hold: what every node that it reaches takes.
    fn limits(&self, node: &Node) -> BatchLimits {
        let reached = self.topology.edges.iter().filter(|edge| edge.from == node.id);
        let settings = reached.filter_map(|edge| self.node(&edge.to)).map(|node| node.settings);
        let whole = BatchLimits { max_events: usize::MAX, max_bytes: usize::MAX };
        settings.fold(whole, |limits, settings| BatchLimits {
            max_events: limits.max_events.min(settings.max_events),
            max_bytes: limits.max_bytes.min(settings.max_bytes),
        })
    }

    /// The instances of a node: those that were made, and room for others; none where its
    /// component was not loaded.
    pub(crate) fn hands(&self, node: &Node, made: Vec<Box<dyn Processor>>) -> Option<Hands> {
        let stage = self.stages.get(&node.id)?;
        let metrics = self.node_metrics(&node.id);
        let mut made = made.into_iter();
        let mut worker =
            || Worker::new(node, Arc::clone(stage), made.next(), Arc::clone(&self.options), Arc::clone(&metrics));
        Some(match node.parallelism.get() {
            1 => Hands::One(worker()),
            n if node.is_stateful => {
                Hands::Partitions(Partitions::new((0..n).map(|_| worker()).collect(), node.key.as_deref()))
            }
            n => Hands::Crew(Crew::new((0..n).map(|_| worker()).collect())),
        })
    }
}

/// Starts a processor's task.
pub(crate) fn spawn_processor(processor: ProcessorNode, generation: &mut Generation) {
    let node = processor.desk.seat.node.clone();
    let id = node.clone();
    generation.spawn_expendable(&id, async move { Ended { node, result: processor.run().await, sink: None } });
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
