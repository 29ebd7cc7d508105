//! Runs pipelines whose nodes are components behind gRPC.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowctl_remote::{Peer, PeerSettings};
use flowctl_runtime::{
    Change, DeadLetter, DeadLetterSink, Fault, Options, PrepareError, Run, Sink, Source, Stage, Summary, Workshop,
};
use flowctl_schema::{Conversion, Role, Schema};
use flowctl_topology::{CallLimits, Component, Edge, Grants, Node, Route, Settings, Topology};
use flowctl_types::NodeId;

use super::{Server, id};

/// A line of components: each reads from the one before it.
pub(crate) struct Pipeline {
    topology: Topology,
    peers: HashMap<NodeId, Arc<Peer>>,
    pub(crate) letters: Letters,
}

impl Pipeline {
    pub(crate) fn new() -> Self {
        let mut settings =
            Settings { linger: Duration::ZERO, checkpoint_interval: Duration::from_secs(1), ..Settings::default() };
        settings.retry.first_wait = Duration::from_millis(1);
        settings.retry.longest_wait = Duration::from_millis(20);
        let mut topology = Topology::empty(id("test"));
        topology.settings = settings;
        Self { topology, peers: HashMap::new(), letters: Letters::default() }
    }

    pub(crate) fn source(self, server: &Server, emits: &Schema) -> Self {
        self.node("s", Role::Source, &server.endpoint, None, Some(emits))
    }

    pub(crate) fn processor(self, server: &Server, reads: &Schema, emits: &Schema) -> Self {
        self.node("p", Role::Processor, &server.endpoint, Some(reads), Some(emits))
    }

    pub(crate) fn sink(self, server: &Server, reads: &Schema) -> Self {
        self.sink_at(&server.endpoint, reads)
    }

    pub(crate) fn sink_at(self, endpoint: &str, reads: &Schema) -> Self {
        self.node("out", Role::Sink, endpoint, Some(reads), None)
    }

    pub(crate) fn settings(mut self, change: impl Fn(&mut Settings)) -> Self {
        change(&mut self.topology.settings);
        self.topology.nodes.iter_mut().for_each(|node| change(&mut node.settings));
        self
    }

    pub(crate) fn topology_node(&self, name: &str) -> &Node {
        self.topology.node(&id(name)).unwrap()
    }

    pub(crate) fn peer(&self, name: &str) -> Arc<Peer> {
        Arc::clone(&self.peers[&id(name)])
    }

    pub(crate) async fn start(&self) -> Run {
        let workshop = Workbench { peers: self.peers.clone(), letters: self.letters.clone() };
        let mut run = Run::new(Arc::new(workshop), Options { seed: 1, ..Options::default() });
        run.apply(Change::from_empty(&self.topology)).await.unwrap();
        run
    }

    /// Runs to the end.
    pub(crate) async fn run(&self) -> Summary {
        let mut run = self.start().await;
        tokio::time::timeout(Duration::from_secs(60), run.wait()).await.expect("the run ends")
    }

    fn node(mut self, name: &str, role: Role, endpoint: &str, reads: Option<&Schema>, emits: Option<&Schema>) -> Self {
        let node = Node {
            id: id(name),
            role,
            component: Component::Connector { name: name.to_owned() },
            is_available: true,
            inputs: reads.cloned().into_iter().collect(),
            outputs: emits.cloned().into_iter().collect(),
            config: serde_json::json!({}),
            shown_config: serde_json::json!({}),
            grants: Grants::default(),
            parallelism: NonZeroU16::MIN,
            key: None,
            brings_keys: false,
            is_stateful: false,
            has_timer: false,
            tick: None,
            limits: CallLimits::default(),
            settings: self.topology.settings,
        };
        let settings = PeerSettings { health_interval: Duration::from_millis(10), ..PeerSettings::of(&node, endpoint) };
        self.peers.insert(id(name), Peer::connect(settings).unwrap());
        if let Some(before) = self.topology.nodes.last() {
            let route = Route { output_kind: 0, input_kind: 0, conversion: Conversion::Same };
            self.topology.edges.push(Edge { from: before.id.clone(), to: id(name), routes: vec![route] });
        }
        self.topology.nodes.push(node);
        self
    }
}

struct Workbench {
    peers: HashMap<NodeId, Arc<Peer>>,
    letters: Letters,
}

fn prepared<T>(node: &Node, made: Result<T, flowctl_remote::RemoteError>) -> Result<T, PrepareError> {
    made.map_err(|error| PrepareError { node: node.id.to_string(), source: Box::new(error) })
}

#[async_trait]
impl Workshop for Workbench {
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        prepared(node, flowctl_remote::source(node, Arc::clone(&self.peers[&node.id])))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        prepared(node, flowctl_remote::processor(node, Arc::clone(&self.peers[&node.id])))
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        prepared(node, flowctl_remote::sink(node, Arc::clone(&self.peers[&node.id])))
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(Box::new(self.letters.clone()))
    }
}

/// Dead letters, kept.
#[derive(Clone, Default)]
pub(crate) struct Letters(Arc<Mutex<Vec<DeadLetter>>>);

impl Letters {
    /// Event and reason of each.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().iter().map(|letter| (letter.event_id.clone(), letter.reason.clone())).collect()
    }
}

#[async_trait]
impl DeadLetterSink for Letters {
    async fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        self.0.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}
