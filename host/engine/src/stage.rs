//! A plugin at a node: makes instances of it, configured and ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Fault, PrepareError, Processor, Stage};
use flowctl_topology::{CallLimits, Node};
use wasmtime::{Store, UpdateDeadline};

use crate::crash::Call;
use crate::engine::Core;
use crate::host::State;
use crate::instance::{Instance, Live, begin_call, end_call};
use crate::limits::Usage;
use crate::logs::NodeLog;
use crate::meter::Meter;
use crate::outcome::Terms;
use crate::plugin::Plugin;
use crate::{EngineError, Tenant, values, wasi};

/// Host memory that one output event takes beside its payload: timestamp, ends, origin.
const EVENT_OVERHEAD_BYTES: usize = 8 + 4 + 4 + 4;
/// Host memory that one answer may take for batches, reasons and attributes.
const ANSWER_OVERHEAD_BYTES: usize = 16 << 20;

/// A plugin that is loaded for a node.
pub struct PluginStage {
    plugin: Arc<Plugin>,
    node: Node,
    hosts: wasi::Hosts,
    log: Arc<NodeLog>,
    shared: Arc<Shared>,
}

/// What all instances of a stage know.
pub(crate) struct Shared {
    core: Arc<Core>,
    pub(crate) plugin: String,
    pub(crate) node: String,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) limits: CallLimits,
    pub(crate) terms: Terms,
    /// Host memory that one answer may take, in bytes.
    pub(crate) answer_bytes: usize,
}

impl PluginStage {
    pub(crate) fn new(
        core: Arc<Core>,
        plugin: Arc<Plugin>,
        name: &str,
        node: &Node,
        tenant: &Arc<Tenant>,
    ) -> Result<Self, EngineError> {
        let outcome = core.config.outcome;
        let shared = Shared {
            core,
            plugin: name.to_owned(),
            node: node.id.to_string(),
            tenant: Arc::clone(tenant),
            limits: node.limits,
            terms: Terms { n_kinds: u32::try_from(plugin.contract.outputs.len()).unwrap_or(u32::MAX), limits: outcome },
            answer_bytes: outcome.max_bytes + outcome.max_events * EVENT_OVERHEAD_BYTES + ANSWER_OVERHEAD_BYTES,
        };
        Ok(Self {
            hosts: wasi::hosts(node)?,
            log: NodeLog::new(),
            node: node.clone(),
            shared: Arc::new(shared),
            plugin,
        })
    }

    /// The lines that the node's instances wrote, oldest first. 64 KiB are kept.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The node's counters by name, summed over its instances.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.log.counters()
    }

    async fn make(&self) -> Result<Instance, EngineError> {
        let shared = &self.shared;
        let log = self.log.instance();
        let wasi = wasi::context(&self.node, &self.hosts, &log)?;
        let max_memory_bytes = shared.core.config.max_memory_bytes;
        let meter = Meter::new(shared.core.ticker.clock());
        let tenant = Arc::clone(&shared.tenant);
        let usage = Usage::new(tenant, shared.limits.memory_bytes, max_memory_bytes, meter.clone());
        let mut store = Store::new(&shared.core.engine, State::new(usage, log, Arc::clone(&self.hosts), wasi));
        store.limiter(|state| &mut state.usage);
        store.epoch_deadline_callback(|mut store| {
            let usage = &mut store.data_mut().usage;
            Ok(if usage.charge() { UpdateDeadline::YieldCustom(1, usage.pause()) } else { UpdateDeadline::Interrupt })
        });
        shared.tenant.admit(&meter).await;
        begin_call(&mut store, shared, shared.answer_bytes);
        let called = meter.run_within(shared.limits.timeout, self.plugin.instantiate(&mut store)).await;
        let functions = end_call(&mut store, shared, Call::Instantiate, called).map_err(crashed)?;

        let configure = functions.configure;
        let argument = configure.map(|configure| {
            let ty = configure.ty(&store).params().next().map(|(_, ty)| ty);
            let ty = ty.ok_or_else(|| "the component's `configure` takes nothing".to_owned());
            ty.and_then(|ty| values::config(&ty, &self.node.config))
        });
        let mut instance = Instance::new(Arc::clone(shared), meter, Live { store, functions });
        if let (Some(configure), Some(argument)) = (configure, argument) {
            let node = || shared.node.clone();
            let argument = argument.map_err(|reason| EngineError::Config { node: node(), reason })?;
            let refused = |reason| EngineError::Refused { plugin: shared.plugin.clone(), node: node(), reason };
            instance.configure(configure, argument).await.map_err(crashed)?.map_err(refused)?;
        }
        Ok(instance)
    }
}

#[async_trait]
impl Stage for PluginStage {
    async fn instantiate(&self) -> Result<Box<dyn Processor>, PrepareError> {
        match self.make().await {
            Ok(instance) => Ok(Box::new(instance)),
            Err(error) => Err(PrepareError { node: self.shared.node.clone(), source: Box::new(error) }),
        }
    }
}

fn crashed(fault: Fault) -> EngineError {
    match fault {
        Fault::Crashed { reason, log_tail } => EngineError::Crashed { reason, log_tail },
        Fault::Retry(reason) | Fault::Fatal(reason) | Fault::Lost(reason) => {
            EngineError::Crashed { reason, log_tail: String::new() }
        }
    }
}
