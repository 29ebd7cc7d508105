//! Builds a topology together with what its nodes do.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowctl_runtime::{
    ApplyError, Change, DeadLetterSink, Options, PrepareError, Run, Sink, Source, Stage, Summary, Workshop,
};
use flowctl_schema::{Conversion, Role};
use flowctl_topology::{CallLimits, Component, Edge, Grants, Node, Route, Settings, Topology};
use flowctl_types::NodeId;

use super::{Database, Letters, Rule, SinkSpec, SourceSpec, number, options};

/// A topology under construction, and what its nodes do.
#[derive(Clone)]
pub(crate) struct Pipe {
    pub(crate) topology: Topology,
    pub(crate) options: Options,
    pub(crate) letters: Letters,
    /// A node that waits, and for what.
    pub(crate) waiting: Option<(NodeId, String)>,
    known: Arc<Mutex<Known>>,
}

/// What components there are, by name. Shared by all clones, so that components can come
/// while a run goes.
#[derive(Default)]
struct Known {
    sources: HashMap<String, SourceSpec>,
    processors: HashMap<String, Rule>,
    sinks: HashMap<String, SinkSpec>,
    databases: HashMap<String, Database>,
    broken: Vec<String>,
}

pub(crate) fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

impl Pipe {
    pub(crate) fn new() -> Self {
        let settings =
            Settings { linger: Duration::ZERO, checkpoint_interval: Duration::from_secs(1), ..Settings::default() };
        let topology = Topology { name: id("test"), nodes: Vec::new(), edges: Vec::new(), settings, dead_letter: None };
        Self { topology, options: options(), letters: Letters::default(), waiting: None, known: Arc::default() }
    }

    /// Source `s`, processor `p`, sink `out`.
    pub(crate) fn line(source: SourceSpec, rule: Rule, sink: &SinkSpec) -> Self {
        Self::new().source("s", source).processor("p", rule, &["s"]).sink("out", sink, &["p"])
    }

    pub(crate) fn source(self, name: &str, spec: SourceSpec) -> Self {
        self.known().sources.insert(name.to_owned(), spec);
        self.node(name, Role::Source, &[])
    }

    pub(crate) fn processor(self, name: &str, rule: Rule, inputs: &[&str]) -> Self {
        let described = rule.clone();
        self.knows(name, rule);
        let mut pipe = self.node(name, Role::Processor, inputs);
        pipe.change(name, |node| describe(node, &described));
        pipe
    }

    /// Has a processor that no node is yet.
    pub(crate) fn knows(&self, name: &str, rule: Rule) {
        self.known().processors.insert(name.to_owned(), rule);
    }

    /// Has a sink that no node is yet.
    pub(crate) fn knows_sink(&self, name: &str, spec: &SinkSpec) {
        self.known().sinks.insert(name.to_owned(), spec.clone());
    }

    /// Has a database that no node is yet.
    pub(crate) fn knows_database(&self, name: &str, database: &Database) {
        self.known().databases.insert(name.to_owned(), database.clone());
    }

    /// Another topology of the same components.
    pub(crate) fn of(&self, topology: Topology) -> Self {
        Self { topology, ..self.clone() }
    }

    /// The topology with another processor at a node.
    pub(crate) fn exchanged(&self, topology: &Topology, name: &str, component: &str) -> Topology {
        let mut topology = topology.clone();
        let node = topology.nodes.iter_mut().find(|node| node.id == id(name)).unwrap();
        node.component = Component::Connector { name: component.to_owned() };
        if let Some(rule) = self.known().processors.get(component) {
            describe(node, rule);
        }
        topology
    }

    /// The topology with a node between two others.
    pub(crate) fn inserted(&self, topology: &Topology, name: &str, after: &str, before: &str) -> Topology {
        let mut pipe = self.of(topology.clone()).node(name, Role::Processor, &[after]);
        if let Some(rule) = self.known().processors.get(name) {
            let rule = rule.clone();
            pipe.change(name, |node| describe(node, &rule));
        }
        let mut topology = pipe.topology;
        let edge = topology.edges.iter_mut().find(|edge| edge.from == id(after) && edge.to == id(before)).unwrap();
        edge.from = id(name);
        in_order(topology)
    }

    /// The topology without a processor: what it read goes to those that read it.
    pub(crate) fn without(topology: &Topology, name: &str) -> Topology {
        let mut topology = topology.clone();
        topology.nodes.retain(|node| node.id != id(name));
        let (of_node, mut edges): (Vec<_>, Vec<_>) =
            topology.edges.into_iter().partition(|edge| edge.from == id(name) || edge.to == id(name));
        for into in of_node.iter().filter(|edge| edge.to == id(name)) {
            let out = of_node.iter().filter(|edge| edge.from == id(name));
            edges.extend(out.map(|out| Edge { from: into.from.clone(), ..out.clone() }));
        }
        topology.edges = edges;
        in_order(topology)
    }

    /// The topology with a sink more.
    pub(crate) fn branched(&self, topology: &Topology, name: &str, after: &str) -> Topology {
        self.of(topology.clone()).node(name, Role::Sink, &[after]).topology
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    pub(crate) fn sink(self, name: &str, spec: &SinkSpec, inputs: &[&str]) -> Self {
        self.knows_sink(name, spec);
        self.node(name, Role::Sink, inputs)
    }

    pub(crate) fn database(self, name: &str, database: &Database, inputs: &[&str]) -> Self {
        self.known().databases.insert(name.to_owned(), database.clone());
        self.node(name, Role::Sink, inputs)
    }

    /// Makes a node that cannot be prepared.
    pub(crate) fn broken(self, name: &str) -> Self {
        self.known().broken.push(name.to_owned());
        self
    }

    pub(crate) fn parallel(mut self, name: &str, n_instances: u16) -> Self {
        self.change(name, |node| node.parallelism = NonZeroU16::new(n_instances).unwrap());
        self
    }

    pub(crate) fn settings(mut self, change: impl Fn(&mut Settings)) -> Self {
        change(&mut self.topology.settings);
        self.topology.nodes.iter_mut().for_each(|node| change(&mut node.settings));
        self
    }

    pub(crate) fn change(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        change(self.topology.nodes.iter_mut().find(|node| node.id == id(name)).unwrap());
    }

    /// Starts a run.
    pub(crate) async fn start(&self) -> Result<Run, ApplyError> {
        let mut run = Run::new(Arc::new(self.clone()), self.options.clone());
        run.apply(Change::from_empty(&self.topology)).await?;
        Ok(run)
    }

    /// Runs to the end.
    pub(crate) async fn run(&self) -> Summary {
        self.start().await.unwrap().wait().await
    }

    fn node(mut self, name: &str, role: Role, inputs: &[&str]) -> Self {
        let schemas = |is_there: bool| if is_there { vec![number()] } else { Vec::new() };
        self.topology.nodes.push(Node {
            id: id(name),
            role,
            component: Component::Connector { name: name.to_owned() },
            is_available: true,
            inputs: schemas(role != Role::Source),
            outputs: schemas(role != Role::Sink),
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
        });
        let route = Route { output_kind: 0, input_kind: 0, conversion: Conversion::Same };
        let edge = |from: &&str| Edge { from: id(from), to: id(name), routes: vec![route.clone()] };
        self.topology.edges.extend(inputs.iter().map(edge));
        self
    }

    fn check(&self, node: &Node) -> Result<(), PrepareError> {
        if self.known().broken.iter().any(|broken| broken == node.component.name()) {
            return Err(PrepareError { node: node.id.to_string(), source: "no such file".into() });
        }
        Ok(())
    }
}

/// What a contract would say of a processor.
fn describe(node: &mut Node, rule: &Rule) {
    node.is_stateful = rule.is_sum || rule.keeps;
    node.has_timer = rule.own.is_some();
    node.brings_keys = rule.gives.is_some();
}

/// Each node after those that it reads from, and the edges in that order too.
fn in_order(mut topology: Topology) -> Topology {
    let mut nodes: Vec<Node> = Vec::new();
    while !topology.nodes.is_empty() {
        let is_ready = |node: &Node| {
            let mut inputs = topology.edges.iter().filter(|edge| edge.to == node.id);
            inputs.all(|edge| nodes.iter().any(|done| done.id == edge.from))
        };
        let next = topology.nodes.iter().position(is_ready).unwrap();
        nodes.push(topology.nodes.remove(next));
    }
    let place = |id: &NodeId| nodes.iter().position(|node| node.id == *id);
    topology.edges.sort_by_key(|edge| place(&edge.from));
    Topology { nodes, ..topology }
}

#[async_trait]
impl Workshop for Pipe {
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        self.check(node)?;
        Ok(self.known().sources[node.component.name()].make(node.id.as_str()))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        self.check(node)?;
        Ok(Arc::new(self.known().processors[node.component.name()].clone()))
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        self.check(node)?;
        let known = self.known();
        Ok(match known.databases.get(node.component.name()) {
            Some(database) => database.make(),
            None => known.sinks[node.component.name()].make(),
        })
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(Box::new(self.letters.clone()))
    }

    fn waiting(&self, node: &NodeId) -> Option<String> {
        self.waiting.as_ref().filter(|(waiting, _)| waiting == node).map(|(_, reason)| reason.clone())
    }
}
