//! Pipelines from memory through plugins to memory, run by the real runtime.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use flowctl_engine::{Engine, EngineConfig, PluginStage, Tenant};
use flowctl_runtime::{
    Change, DeadLetterSink, Options, PrepareError, Processor, Run, Sink, Source, Stage, Status, Workshop,
};
use flowctl_schema::{Contract, Conversion, Role, Schema};
use flowctl_topology::{CallLimits, Component, Edge, Grants, Node, Route, Settings, Topology};
use flowctl_types::{Digest, NodeId};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::measure::{Clock, Elapsed};
use crate::memory::{Feed, Letters, MemorySink, MemorySource, Taken, Use};

/// Guest memory that all instances may use together.
const MAX_MEMORY_BYTES: u64 = 4 << 30;

/// The engine, the folders of components, and the one thread that everything runs on.
pub(crate) struct Sandbox {
    plugins: PathBuf,
    guests: PathBuf,
    flowctl: Option<PathBuf>,
    engine: Engine,
    tenant: Arc<Tenant>,
    runtime: Runtime,
}

/// A plugin that is compiled.
#[derive(Clone)]
pub(crate) struct Plugin {
    node: Node,
    stage: Arc<PluginStage>,
}

/// What flows in and what becomes of it.
#[derive(Clone)]
pub(crate) struct Ends {
    /// The type of what flows in.
    pub(crate) schema: Schema,
    /// Makes the batches.
    pub(crate) feed: Feed,
    /// How many there are.
    pub(crate) n_batches: usize,
    /// What becomes of the events.
    pub(crate) purpose: Use,
}

/// A source, plugins in a row, and a sink.
pub(crate) struct Pipeline<'a> {
    sandbox: &'a Sandbox,
    topology: Topology,
    workshop: Arc<Bench>,
}

struct Bench {
    ends: Ends,
    plugins: Vec<Plugin>,
    taken: Arc<Mutex<Taken>>,
    may_reject: bool,
}

impl Sandbox {
    pub(crate) fn start(plugins: PathBuf, guests: PathBuf, flowctl: Option<PathBuf>) -> Result<Self> {
        let engine = Engine::new(EngineConfig { max_instances: 16, ..EngineConfig::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Ok(Self {
            plugins,
            guests,
            flowctl,
            engine: engine.context("cannot start the sandbox")?,
            tenant: Tenant::new("bench", MAX_MEMORY_BYTES),
            runtime: runtime.context("cannot start a thread's runtime")?,
        })
    }

    /// The program, where one was named.
    pub(crate) fn flowctl(&self) -> Option<&Path> {
        self.flowctl.as_deref()
    }

    /// The folder of the first-party plugins.
    pub(crate) fn plugins(&self) -> &Path {
        &self.plugins
    }

    /// Compiles a first-party plugin.
    pub(crate) fn plugin(&self, name: &str, config: Value) -> Result<Plugin> {
        self.plugin_of(&self.tenant, name, config)
    }

    /// Compiles a first-party plugin for another tenant.
    pub(crate) fn plugin_of(&self, tenant: &Arc<Tenant>, name: &str, config: Value) -> Result<Plugin> {
        self.load(&self.plugins, (name, name), config, tenant)
    }

    /// Compiles a guest of the tests, to run at the node `id`.
    pub(crate) fn guest(&self, name: &str, id: &str) -> Result<Plugin> {
        self.load(&self.guests, (name, id), Value::Null, &self.tenant)
    }

    /// Compiles a guest of the tests for another tenant, to run at the node of its name.
    pub(crate) fn guest_of(&self, tenant: &Arc<Tenant>, name: &str) -> Result<Plugin> {
        self.load(&self.guests, (name, &name.replace('_', "-")), Value::Null, tenant)
    }

    /// Compiles a guest of the tests for another tenant, to run at the node `id`.
    pub(crate) fn guest_at(&self, tenant: &Arc<Tenant>, name: &str, id: &str) -> Result<Plugin> {
        let mut plugin = self.load(&self.guests, (name, id), Value::Null, tenant)?;
        // told apart by what they are called
        if let Component::Plugin { name, .. } = &mut plugin.node.component {
            id.clone_into(name);
        }
        Ok(plugin)
    }

    /// Makes an instance, to call it without a pipeline.
    pub(crate) fn instance(&self, plugin: &Plugin) -> Result<Box<dyn Processor>> {
        Ok(self.wait(plugin.stage.instantiate())?)
    }

    /// Waits on the one thread.
    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    fn load(&self, folder: &Path, (name, id): (&str, &str), config: Value, tenant: &Arc<Tenant>) -> Result<Plugin> {
        let path = folder.join(format!("{name}.wasm"));
        let bytes = std::fs::read(&path)
            .with_context(|| format!("cannot read `{}`: `cargo xtask guests` builds it", path.display()))?;
        let contract = Contract::read(&bytes, name).with_context(|| format!("cannot use `{}`", path.display()))?;
        let config = match &contract.config {
            Some(schema) => match schema.complete(&config) {
                Ok(config) => Value::Object(config),
                Err(faults) => bail!("configuration of `{name}`: {faults:?}"),
            },
            None => config,
        };
        let component = Component::Plugin { name: name.to_owned(), version: None, path, digest: Digest::of(&bytes) };
        let node = Node { config, ..node(id, Role::Processor, component, contract.inputs, contract.outputs)? };
        let stage = self.wait(self.engine.stage(&node, tenant))?;
        Ok(Plugin { node, stage })
    }
}

impl Plugin {
    pub(crate) fn id(&self) -> &NodeId {
        &self.node.id
    }

    /// The node that it runs at.
    pub(crate) fn node(&self) -> Node {
        self.node.clone()
    }

    pub(crate) fn component(&self) -> Component {
        self.node.component.clone()
    }

    pub(crate) fn stage(&self) -> Arc<dyn Stage> {
        Arc::clone(&self.stage) as Arc<dyn Stage>
    }

    /// The type of what it takes.
    pub(crate) fn input(&self) -> Result<Schema> {
        self.node.inputs.first().cloned().with_context(|| format!("`{}` takes no events", self.node.id))
    }

    /// The type of what it emits.
    pub(crate) fn output(&self) -> Result<Schema> {
        self.node.outputs.first().cloned().with_context(|| format!("`{}` emits no events", self.node.id))
    }
}

impl<'a> Pipeline<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox, ends: Ends, plugins: Vec<Plugin>) -> Result<Self> {
        let memory = || Component::Connector { name: "memory".to_owned() };
        let last = plugins.last().context("a pipeline that is measured has a plugin")?.output()?;
        let mut nodes = vec![node("source", Role::Source, memory(), vec![], vec![ends.schema.clone()])?];
        nodes.extend(plugins.iter().map(|plugin| plugin.node.clone()));
        nodes.push(node("sink", Role::Sink, memory(), vec![last], vec![])?);
        let route = || Route { output_kind: 0, input_kind: 0, conversion: Conversion::Same };
        let edge = |pair: &[Node]| Edge { from: pair[0].id.clone(), to: pair[1].id.clone(), routes: vec![route()] };
        let edges = nodes.windows(2).map(edge).collect();
        let topology = Topology { nodes, edges, ..Topology::empty("bench".parse()?) };
        let taken = Arc::default();
        Ok(Self { sandbox, topology, workshop: Arc::new(Bench { ends, plugins, taken, may_reject: false }) })
    }

    /// The same, with a checkpoint as often as this.
    pub(crate) fn with_checkpoints_each(mut self, interval: Duration) -> Self {
        self.topology.settings.checkpoint_interval = interval;
        self
    }

    /// The same, in which plugins may fail on events.
    pub(crate) fn with_rejections(self) -> Self {
        let Bench { ends, plugins, .. } = &*self.workshop;
        let bench = Bench { ends: ends.clone(), plugins: plugins.clone(), taken: Arc::default(), may_reject: true };
        Self { workshop: Arc::new(bench), ..self }
    }

    /// Runs it to its end. The time is taken from when all is ready.
    pub(crate) fn run(&self) -> Result<Elapsed> {
        self.run_with(Options::default())
    }

    /// As [`Self::run`], with options of the runtime.
    pub(crate) fn run_with(&self, options: Options) -> Result<Elapsed> {
        self.sandbox.wait(self.measured(options))
    }

    /// Starts it, and leaves it running.
    pub(crate) async fn start(&self, options: Options) -> Result<Run> {
        *self.workshop.taken() = Taken::default();
        let workshop: Arc<dyn Workshop> = Arc::clone(&self.workshop) as Arc<dyn Workshop>;
        let mut run = Run::new(workshop, options);
        run.apply(Change::from_empty(&self.topology)).await?;
        Ok(run)
    }

    /// Runs it to its end, on the runtime that this is called on.
    pub(crate) async fn measured(&self, options: Options) -> Result<Elapsed> {
        let mut run = self.start(options).await?;
        let clock = Clock::start();
        let summary = run.wait().await;
        let elapsed = clock.stop();
        if summary.status != Status::Completed || summary.rejected > 0 {
            bail!("the run ended with {:?}: {}", summary.status, summary.error.unwrap_or_default());
        }
        Ok(elapsed)
    }

    /// What came out of the last run.
    pub(crate) fn taken(&self) -> Taken {
        self.workshop.taken().clone()
    }
}

impl Bench {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Workshop for Bench {
    async fn source(&self, _node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        Ok(Box::new(MemorySource::new(Arc::clone(&self.ends.feed), self.ends.n_batches)))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        match self.plugins.iter().find(|plugin| plugin.node.id == node.id) {
            Some(plugin) => Ok(Arc::clone(&plugin.stage) as Arc<dyn Stage>),
            None => Err(PrepareError { node: node.id.to_string(), source: "no such plugin".into() }),
        }
    }

    async fn sink(&self, _node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        Ok(Box::new(MemorySink { purpose: self.ends.purpose.clone(), taken: Arc::clone(&self.taken) }))
    }

    async fn dead_letters(&self, _node: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(Box::new(Letters { are_refused: !self.may_reject }))
    }
}

pub(crate) fn node(
    id: &str,
    role: Role,
    component: Component,
    inputs: Vec<Schema>,
    outputs: Vec<Schema>,
) -> Result<Node> {
    let id: NodeId = id.parse()?;
    Ok(Node {
        id,
        role,
        component,
        is_available: true,
        inputs,
        outputs,
        config: Value::Null,
        shown_config: Value::Null,
        grants: Grants::default(),
        parallelism: NonZeroU16::MIN,
        key: None,
        brings_keys: false,
        is_stateful: false,
        has_timer: false,
        tick: None,
        limits: CallLimits::default(),
        settings: Settings::default(),
    })
}
