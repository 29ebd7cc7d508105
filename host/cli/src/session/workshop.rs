//! Makes a topology's nodes: plugins with the engine, everything else with the connectors.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use flowctl_connectors::Pipeline;
use flowctl_engine::{Compiler, Engine, EngineConfig, Tenant};
use flowctl_runtime::{DeadLetterSink, PrepareError, Sink, Source, Stage, Workshop};
use flowctl_topology::Node;
use flowctl_types::{Digest, NodeId};

use crate::logs;
use crate::plane::peers::{Peers, is_elsewhere};

/// The first argument of this program as the compiler of one component; no command, so
/// that neither help nor completions show it.
pub(crate) const COMPILE: &str = "__compile";

/// Compiles what it is given, where this process was started for that.
pub(crate) fn compile_child() -> Option<ExitCode> {
    std::env::args_os().nth(1).filter(|first| first == COMPILE)?;
    logs::start();
    Some(flowctl_engine::compile_child_main(std::env::args_os().skip(2)))
}

/// Guest memory that all instances of a run may use together.
pub(crate) const MAX_RUN_MEMORY_BYTES: u64 = 16 << 30;

/// Instances of plugins that one run has at most.
const MAX_RUN_INSTANCES: u32 = 1_000;

/// Compiles plugins that were not before, each a name, a file and the digest of its bytes.
/// Answers how many, and how long that took.
///
/// # Errors
///
/// When one does not compile; the others are.
pub(crate) fn compile<'a>(plugins: impl Iterator<Item = (&'a str, &'a Path, Digest)>) -> Result<(u64, Duration)> {
    let engine = engine(1)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let mut failed = None;
    for (name, path, digest) in plugins {
        if let Err(error) = runtime.block_on(engine.warm(name, path, digest)) {
            failed.get_or_insert(anyhow::Error::new(error).context(format!("cannot compile `{name}`")));
        }
    }
    let stats = engine.stats();
    match failed {
        Some(error) => Err(error),
        None => Ok((stats.n_compiled, stats.compile_time)),
    }
}

/// An engine as one run has it, to try out what it needs. It keeps nothing of what it compiles.
///
/// # Errors
///
/// When the sandbox cannot be set up.
pub(crate) fn trial_engine() -> Result<Engine> {
    start(MAX_RUN_INSTANCES, None)
}

/// An engine that keeps what it compiles.
fn engine(max_instances: u32) -> Result<Engine> {
    start(max_instances, crate::paths::cache().map(|cache| cache.join("compiled")))
}

/// An engine whose plugins a child process compiles.
fn start(max_instances: u32, cache_dir: Option<PathBuf>) -> Result<Engine> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let config = EngineConfig {
        cache_dir,
        compiler: Compiler::Child { program, args: vec![OsString::from(COMPILE)] },
        max_instances,
        ..EngineConfig::default()
    };
    Engine::new(config).context("cannot start the sandbox")
}

/// Starts the engine of a process that has one run.
///
/// # Errors
///
/// As [`start_engine`].
pub(crate) fn start_run_engine() -> Result<Engine> {
    start_engine(MAX_RUN_INSTANCES)
}

/// The workshop of one run in this process.
pub(crate) struct LocalWorkshop {
    engine: Arc<Engine>,
    tenant: Arc<Tenant>,
    pipeline: Pipeline,
    peers: Peers,
}

/// Starts the engine of this process. What the host lacks is warned of on stderr.
///
/// # Errors
///
/// When the sandbox cannot be set up.
pub(crate) fn start_engine(max_instances: u32) -> Result<Engine> {
    let engine = engine(max_instances)?;
    for warning in engine.warnings() {
        crate::status::warn(&warning.to_string());
    }
    Ok(engine)
}

impl LocalWorkshop {
    /// A workshop with an engine of its own.
    pub(crate) fn start(pipeline: Pipeline) -> Result<Self> {
        let engine = Arc::new(start_run_engine()?);
        let tenant = Tenant::new(pipeline.name.as_str(), MAX_RUN_MEMORY_BYTES);
        Ok(Self::new(engine, tenant, pipeline, Peers::new(None)))
    }

    /// A workshop for `pipeline` of `tenant`.
    pub(crate) fn new(engine: Arc<Engine>, tenant: Arc<Tenant>, pipeline: Pipeline, peers: Peers) -> Self {
        Self { engine, tenant, pipeline, peers }
    }

    /// Plugins that had to be compiled, and the time that took.
    pub(crate) fn compiled(&self) -> (u64, Duration) {
        let stats = self.engine.stats();
        (stats.n_compiled, stats.compile_time)
    }
}

#[async_trait]
impl Workshop for LocalWorkshop {
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        if is_elsewhere(node) {
            let peer = self.peers.of(node).await?;
            return flowctl_remote::source(node, peer).map_err(|error| unprepared(node, error));
        }
        flowctl_connectors::source(node, &self.pipeline).map_err(|error| unprepared(node, error))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        if is_elsewhere(node) {
            let peer = self.peers.of(node).await?;
            return flowctl_remote::processor(node, peer).map_err(|error| unprepared(node, error));
        }
        let stage: Arc<dyn Stage> = self.engine.stage(node, &self.tenant).await?;
        Ok(stage)
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        if is_elsewhere(node) {
            let peer = self.peers.of(node).await?;
            return flowctl_remote::sink(node, peer).map_err(|error| unprepared(node, error));
        }
        flowctl_connectors::sink(node, &self.pipeline).map_err(|error| unprepared(node, error))
    }

    async fn dead_letters(&self, node: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        match node {
            Some(node) => {
                flowctl_connectors::dead_letters(node, &self.pipeline).map_err(|error| unprepared(node, error))
            }
            None => Ok(flowctl_connectors::dead_letter_file(crate::paths::dead_letters(&self.pipeline.state_dir))),
        }
    }

    fn waiting(&self, node: &NodeId) -> Option<String> {
        self.peers.waiting(node)
    }
}

fn unprepared(node: &Node, error: impl std::error::Error + Send + Sync + 'static) -> PrepareError {
    PrepareError { node: node.id.to_string(), source: Box::new(error) }
}
