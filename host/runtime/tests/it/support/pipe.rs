//! Builds a topology together with what its nodes do.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;
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
    sources: HashMap<NodeId, SourceSpec>,
    processors: HashMap<NodeId, Rule>,
    sinks: HashMap<NodeId, SinkSpec>,
    databases: HashMap<NodeId, Database>,
    broken: Vec<NodeId>,
}

pub(crate) fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

impl Pipe {
    pub(crate) fn new() -> Self {
        let settings =
            Settings { linger: Duration::ZERO, checkpoint_interval: Duration::from_secs(1), ..Settings::default() };
        let topology = Topology { name: id("test"), nodes: Vec::new(), edges: Vec::new(), settings, dead_letter: None };
        Self {
            topology,
            options: options(),
            letters: Letters::default(),
            waiting: None,
            sources: HashMap::new(),
            processors: HashMap::new(),
            sinks: HashMap::new(),
            databases: HashMap::new(),
            broken: Vec::new(),
        }
    }

    /// Source `s`, processor `p`, sink `out`.
    pub(crate) fn line(source: SourceSpec, rule: Rule, sink: &SinkSpec) -> Self {
        Self::new().source("s", source).processor("p", rule, &["s"]).sink("out", sink, &["p"])
    }

    pub(crate) fn source(mut self, name: &str, spec: SourceSpec) -> Self {
        self.sources.insert(id(name), spec);
        self.node(name, Role::Source, &[])
    }

    pub(crate) fn processor(mut self, name: &str, rule: Rule, inputs: &[&str]) -> Self {
        let is_stateful = rule.is_sum;
        let has_timer = rule.own.is_some();
        let brings_keys = rule.gives.is_some();
        self.processors.insert(id(name), rule);
        let mut pipe = self.node(name, Role::Processor, inputs);
        pipe.change(name, |node| {
            node.is_stateful = is_stateful;
            node.has_timer = has_timer;
            node.brings_keys = brings_keys;
        });
        pipe
    }

    pub(crate) fn sink(mut self, name: &str, spec: &SinkSpec, inputs: &[&str]) -> Self {
        self.sinks.insert(id(name), spec.clone());
        self.node(name, Role::Sink, inputs)
    }

    pub(crate) fn database(mut self, name: &str, database: &Database, inputs: &[&str]) -> Self {
        self.databases.insert(id(name), database.clone());
        self.node(name, Role::Sink, inputs)
    }

    /// Makes a node that cannot be prepared.
    pub(crate) fn broken(mut self, name: &str) -> Self {
        self.broken.push(id(name));
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
        if self.broken.contains(&node.id) {
            return Err(PrepareError { node: node.id.to_string(), source: "no such file".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl Workshop for Pipe {
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        self.check(node)?;
        Ok(self.sources[&node.id].make(node.id.as_str()))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        self.check(node)?;
        Ok(Arc::new(self.processors[&node.id].clone()))
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        self.check(node)?;
        Ok(match self.databases.get(&node.id) {
            Some(database) => database.make(),
            None => self.sinks[&node.id].make(),
        })
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(Box::new(self.letters.clone()))
    }

    fn waiting(&self, node: &NodeId) -> Option<String> {
        self.waiting.as_ref().filter(|(waiting, _)| waiting == node).map(|(_, reason)| reason.clone())
    }
}
