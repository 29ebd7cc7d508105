//! The engine of a process: starts wasmtime, loads plugins, keeps what is compiled.
//!
//! Invariant: code comes from this host's compiler only, and a plugin is compiled once
//! however many nodes run it at the same time.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use flowctl_runtime::PrepareError;
use flowctl_schema::{Contract, Role, Schema};
use flowctl_topology::{Component as NodeComponent, Node};
use flowctl_types::Digest;
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;
use tracing::warn;
use wasmtime::component::{Component, Linker};

use crate::aot::{Artifact, Cache};
use crate::compile::compile;
use crate::config::{CodeSettings, EngineConfig, Layout};
use crate::host::{self, State};
use crate::plugin::{self, Plugin};
use crate::stage::PluginStage;
use crate::ticker::Ticker;
use crate::{EngineError, Tenant};

/// Maps of the process's address space that one instance takes: memory, image, guard
/// pages, tables, stack.
const MAPS_PER_INSTANCE: u64 = 6;
/// Maps that the rest of the process takes.
const MAPS_OF_PROCESS: u64 = 5_000;
/// Components that are compiled at the same time.
const MAX_COMPILERS: usize = 2;

/// The sandbox of this process. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

/// What stages and instances share with the engine. It lives as long as one of them
/// does, and the clock with it: a call without a clock could not be stopped.
pub(crate) struct Core {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) ticker: Ticker,
    pub(crate) config: EngineConfig,
    pub(crate) settings: CodeSettings,
    pub(crate) layout: Layout,
    /// Most instances at a time.
    pub(crate) n_slots: u32,
    linker: Linker<State>,
    cache: Option<Cache>,
    warnings: Vec<String>,
    loaded: Mutex<HashMap<Digest, Slot>>,
    compilers: Semaphore,
    counts: Counts,
}

/// Where a plugin is kept while something uses it; locked while it is being loaded.
type Slot = Arc<tokio::sync::Mutex<Weak<Plugin>>>;

#[derive(Default)]
struct Counts {
    n_cache_hits: AtomicU64,
    n_compiled: AtomicU64,
    compile_nanos: AtomicU64,
}

/// What the engine did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineStats {
    /// Plugins whose code was in the cache.
    pub n_cache_hits: u64,
    /// Plugins that were compiled.
    pub n_compiled: u64,
    /// Time spent compiling them.
    pub compile_time: Duration,
}

impl Engine {
    /// Starts the engine. One is enough for a process: it reserves address space for
    /// all instances at once.
    ///
    /// # Errors
    ///
    /// [`EngineError::Start`] when not even the most modest layout of memory works.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let mut warnings = Vec::new();
        let n_slots = n_slots(config.max_instances, &mut warnings);
        let (engine, layout) = start(&config, n_slots, &mut warnings)?;
        let start = |source| EngineError::Start { source };
        let linker = host::linker(&engine).map_err(start)?;
        let cache = match &config.cache_dir {
            Some(dir) => Cache::open(dir, &engine)
                .inspect_err(|error| {
                    let dir = dir.display();
                    warnings.push(format!("compiled plugins are not kept: cannot use `{dir}`: {error}"));
                })
                .ok(),
            None => None,
        };
        let ticker = Ticker::start(&engine).map_err(|error| start(error.into()))?;
        let core = Core {
            settings: CodeSettings::new(layout, config.max_memory_bytes),
            layout,
            n_slots,
            engine,
            ticker,
            config,
            linker,
            cache,
            warnings,
            loaded: Mutex::default(),
            compilers: Semaphore::new(MAX_COMPILERS),
            counts: Counts::default(),
        };
        Ok(Self { core: Arc::new(core) })
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// What the host does not provide as it should, with the remedy. Empty when all is
    /// well.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.core.warnings
    }

    /// What was compiled and what was found compiled.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let counts = &self.core.counts;
        EngineStats {
            n_cache_hits: counts.n_cache_hits.load(Ordering::Relaxed),
            n_compiled: counts.n_compiled.load(Ordering::Relaxed),
            compile_time: Duration::from_nanos(counts.compile_nanos.load(Ordering::Relaxed)),
        }
    }

    /// Compiles the plugin `name` in the file at `path`, unless that was done before, and
    /// keeps what came out for every later start.
    ///
    /// # Errors
    ///
    /// [`EngineError`] when it cannot be read, is another than `digest` says, or does not
    /// compile or link.
    pub async fn warm(&self, name: &str, path: &Path, digest: Digest) -> Result<(), EngineError> {
        self.core.plugin(name, path, digest).await.map(drop)
    }

    /// Loads the plugin of `node` on behalf of `tenant`: reads and verifies its file,
    /// compiles it or finds it compiled, links it.
    ///
    /// # Errors
    ///
    /// [`PrepareError`] with an [`EngineError`]; nothing has changed then.
    pub async fn stage(&self, node: &Node, tenant: &Arc<Tenant>) -> Result<Arc<PluginStage>, PrepareError> {
        match self.core.stage(node, tenant).await {
            Ok(stage) => Ok(Arc::new(stage)),
            Err(error) => Err(PrepareError { node: node.id.to_string(), source: Box::new(error) }),
        }
    }
}

impl Core {
    async fn stage(self: &Arc<Self>, node: &Node, tenant: &Arc<Tenant>) -> Result<PluginStage, EngineError> {
        let (name, path, digest) = match &node.component {
            NodeComponent::Plugin { name, path, digest, .. } => (name, path, digest),
            other => {
                return Err(EngineError::NotAPlugin { node: node.id.to_string(), connector: other.name().to_owned() });
            }
        };
        let plugin = self.plugin(name, path, *digest).await?;
        check_planned(name, node, &plugin.contract)?;
        PluginStage::new(Arc::clone(self), plugin, name, node, tenant)
    }

    /// The plugin in the file at `path`, loaded once however many want it.
    async fn plugin(&self, name: &str, path: &Path, digest: Digest) -> Result<Arc<Plugin>, EngineError> {
        let slot = self.slot(digest);
        let mut loaded = slot.lock().await;
        if let Some(plugin) = loaded.upgrade() {
            return Ok(plugin);
        }
        let file = path.to_owned();
        let read = tokio::task::spawn_blocking(move || plugin::read(&file, &digest)).await;
        let unread = |error: tokio::task::JoinError| EngineError::Read { path: path.to_owned(), source: error.into() };
        let plugin = Arc::new(self.load(name, digest, read.map_err(unread)??).await?);
        *loaded = Arc::downgrade(&plugin);
        Ok(plugin)
    }

    async fn load(&self, name: &str, digest: Digest, bytes: Vec<u8>) -> Result<Plugin, EngineError> {
        let contract = Contract::read(&bytes, name);
        let contract =
            contract.map_err(|source| EngineError::Contract { plugin: name.to_owned(), source: Box::new(source) })?;
        let component = match self.cached(&digest) {
            Some(component) => component,
            None => self.compile(name, &digest, bytes).await?,
        };
        Plugin::link(name, contract, &component, &self.linker)
    }

    fn cached(&self, digest: &Digest) -> Option<Component> {
        let cache = self.cache.as_ref()?;
        match cache.get(digest)?.load(&self.engine) {
            Ok(component) => {
                self.counts.n_cache_hits.fetch_add(1, Ordering::Relaxed);
                Some(component)
            }
            Err(error) => {
                warn!(%digest, error = %format!("{error:#}"), "compiled code does not fit, compiling again");
                cache.remove(digest);
                None
            }
        }
    }

    async fn compile(&self, name: &str, digest: &Digest, bytes: Vec<u8>) -> Result<Component, EngineError> {
        let _permit = self.compilers.acquire().await.expect("the semaphore is never closed");
        let start = Instant::now();
        let config = &self.config;
        let artifact: Artifact =
            compile(&self.engine, self.settings, &config.compiler, config.compile, name, bytes).await?;
        let component = artifact.load(&self.engine);
        let refused = |error| EngineError::Compile { plugin: name.to_owned(), reason: format!("{error:#}") };
        let component = component.map_err(refused)?;
        self.counts.n_compiled.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counts.compile_nanos.fetch_add(nanos, Ordering::Relaxed);
        if let Some(cache) = &self.cache
            && let Err(error) = cache.put(digest, &artifact)
        {
            warn!(plugin = name, %error, "compiled code cannot be kept");
        }
        Ok(component)
    }

    fn slot(&self, digest: Digest) -> Slot {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // slots that nobody holds and whose plugin is gone are of no use
        loaded.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|plugin| plugin.strong_count() > 0)
        });
        Arc::clone(loaded.entry(digest).or_default())
    }
}

/// Checks what the component's own bytes say against what the topology was planned
/// with.
fn check_planned(name: &str, node: &Node, contract: &Contract) -> Result<(), EngineError> {
    if contract.role != Role::Processor {
        return Err(EngineError::Role {
            plugin: name.to_owned(),
            node: node.id.to_string(),
            found: contract.role,
            wanted: Role::Processor,
        });
    }
    for (direction, found, planned) in
        [("input", &contract.inputs, &node.inputs), ("output", &contract.outputs, &node.outputs)]
    {
        if found != planned {
            return Err(EngineError::Types {
                plugin: name.to_owned(),
                node: node.id.to_string(),
                direction,
                found: names(found),
                planned: names(planned),
            });
        }
    }
    Ok(())
}

fn names(schemas: &[Schema]) -> String {
    let names = schemas.iter().map(|schema| format!("`{}` ({})", schema.event_type(), schema.digest().short()));
    let names = names.collect::<Vec<_>>().join(", ");
    if names.is_empty() { "nothing".to_owned() } else { names }
}

/// Starts wasmtime with the best layout of memory that this host gives.
fn start(
    config: &EngineConfig,
    n_slots: u32,
    warnings: &mut Vec<String>,
) -> Result<(wasmtime::Engine, Layout), EngineError> {
    let layouts = [Layout::WidePool, Layout::TightPool];
    for layout in layouts {
        if let Ok(engine) = wasmtime::Engine::new(&layout.to_wasmtime(config.max_memory_bytes, n_slots)) {
            return Ok((engine, layout));
        }
    }
    let limit = getrlimit(Resource::As).current;
    let limit = limit.map_or_else(|| "none".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
    warnings.push(format!(
        "no address space for {n_slots} instances of {} MiB (`ulimit -v`: {limit}), memory is taken as it is needed: \
         instances start slower",
        config.max_memory_bytes >> 20
    ));
    let engine = wasmtime::Engine::new(&Layout::OnDemand.to_wasmtime(config.max_memory_bytes, n_slots));
    engine.map(|engine| (engine, Layout::OnDemand)).map_err(|source| EngineError::Start { source })
}

/// How many instances the system's limit on maps leaves room for.
fn n_slots(wanted: u32, warnings: &mut Vec<String>) -> u32 {
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse::<u64>().ok());
    let Some(limit) = limit else { return wanted };
    let fit = limit.saturating_sub(MAPS_OF_PROCESS) / MAPS_PER_INSTANCE;
    if fit >= u64::from(wanted) {
        return wanted;
    }
    let needed = u64::from(wanted) * MAPS_PER_INSTANCE + MAPS_OF_PROCESS;
    warnings.push(format!(
        "`vm.max_map_count` is {limit}, which is enough for {fit} instances instead of {wanted}: \
         `sysctl -w vm.max_map_count={needed}` raises it"
    ));
    u32::try_from(fit).unwrap_or(wanted).max(1)
}
