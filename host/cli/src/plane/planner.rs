//! Plans what is submitted to this process's control plane, and makes plans ready: files,
//! plugins, connectors and the sandbox are known here and not there.

use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Result;
use async_trait::async_trait;
use flowctl_control_plane::controller::{
    CatalogueEntry, Edit, Edited, FileFault, Guard, Locking, PlanFailure, PlanFailureKind, PlanRequest, Planned,
    PrepareRequest, Prepared, Start, Variables,
};
use flowctl_control_plane::tenants::{Policy, Quotas, Tenant};
use flowctl_control_plane::{Planner, Redaction};
use flowctl_engine::{Engine, TenantLimits};
use flowctl_intent::{Faults, Place};
use flowctl_registry::{Declarations, Entry};
use flowctl_runtime::Options;
use flowctl_schema::Role;
use flowctl_store::PipelineState;
use flowctl_topology::{Component, Node, Topology, render};
use flowctl_types::{Code, did_you_mean};

use super::children::{Children, Running};
use super::edits;
use super::peers::Peers;
use super::reach;
use crate::artifacts::Artifacts;
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::catalog::{self, Shown};
use crate::pipeline::choice::Undecided;
use crate::pipeline::lockfile::LockFile;
use crate::pipeline::supply::{self, Reach, Supply};
use crate::pipeline::{Environment, Recorder, Submitted, away, plan_submitted, terminal_use};
use crate::report::{self, Hinted};
use crate::session::{LocalWorkshop, MAX_RUN_MEMORY_BYTES};
use crate::{paths, state, traces};

/// The planner of `flowctl serve`.
#[derive(Clone)]
pub(crate) struct HostPlanner(Arc<Inner>);

struct Inner {
    /// Folders of plugins that every tenant may use.
    folders: Vec<PathBuf>,
    state_dir: PathBuf,
    engine: Arc<Engine>,
    tenants: Mutex<HashMap<Tenant, Arc<flowctl_engine::Tenant>>>,
    /// Where components find the control plane, once it listens.
    endpoint: OnceLock<String>,
    /// Whether the process has no terminal that pipelines may use.
    is_away: bool,
}

/// What a run holds until it has ended.
struct Held {
    _state: PipelineState,
    running: Arc<Running>,
}

#[async_trait]
impl Guard for Held {
    async fn release(self: Box<Self>) {
        self.running.stop().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let running = Arc::clone(&self.running);
        // in order, and with time to end; without a runtime they are killed
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { running.stop().await });
        }
    }
}

/// What planning hands to preparing.
struct Carried {
    /// Relative paths of the pipeline start there.
    base_dir: PathBuf,
}

impl HostPlanner {
    /// A planner that knows the plugins in `folders` and keeps pipelines' state below
    /// `state_dir`.
    pub(crate) fn new(folders: Vec<PathBuf>, state_dir: PathBuf, engine: Engine) -> Self {
        Self::made(folders, state_dir, engine, false)
    }

    /// The same for a process whose terminal is none of those who submit pipelines.
    pub(crate) fn away(folders: Vec<PathBuf>, state_dir: PathBuf, engine: Engine) -> Self {
        Self::made(folders, state_dir, engine, true)
    }

    fn made(folders: Vec<PathBuf>, state_dir: PathBuf, engine: Engine, is_away: bool) -> Self {
        Self(Arc::new(Inner {
            folders,
            state_dir,
            engine: Arc::new(engine),
            tenants: Mutex::default(),
            endpoint: OnceLock::new(),
            is_away,
        }))
    }

    /// The sandbox.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.0.engine)
    }

    /// Says where components find the control plane.
    pub(crate) fn serves_at(&self, endpoint: String) {
        // it listens once
        let _ = self.0.endpoint.set(endpoint);
    }
}

#[async_trait]
impl Planner for HostPlanner {
    async fn plan(&self, request: &PlanRequest) -> Result<Planned, PlanFailure> {
        let (this, request) = (self.clone(), request.clone());
        let planned = tokio::task::spawn_blocking(move || this.0.plan(&request)).await;
        planned.unwrap_or_else(|error| Err(broke_off(&error)))
    }

    async fn edit(&self, request: &PlanRequest, running: &Topology, edit: &Edit) -> Result<Edited, PlanFailure> {
        let (this, request, running, edit) = (self.clone(), request.clone(), running.clone(), edit.clone());
        let edited = tokio::task::spawn_blocking(move || edits::edited(&this, &request, &running, &edit)).await;
        edited.unwrap_or_else(|error| Err(broke_off(&error)))
    }

    fn advice(&self, error: &(dyn Error + 'static)) -> (Option<Code>, Option<String>) {
        (report::code_in(error), report::hint_in(error))
    }

    async fn prepare(&self, request: &PrepareRequest) -> Result<Prepared, PlanFailure> {
        let inner = Arc::clone(&self.0);
        let (tenant, policy, start) = (request.plan.tenant.clone(), Arc::clone(&request.plan.policy), request.start);
        let topology = &request.planned.topology;
        let (name, kept) = (topology.name.clone(), topology.settings.checkpoints_kept);
        let carried = request.planned.carried.downcast_ref::<Carried>();
        let base_dir = carried.map(|carried| carried.base_dir.clone());
        let of_letters = topology.dead_letter.is_none();
        let opened = blocking(move || {
            let mut state = inner.open_state(&tenant, &name)?;
            if start == Start::Fresh {
                state.start_over().map_err(state::unusable)?;
            }
            let mut pipeline = state::pipeline(&name, &state)?;
            pipeline.base_dir = base_dir;
            Ok((inner.engine_tenant(&tenant, &policy.quotas), state, pipeline))
        });
        let (tenant, state, pipeline) = opened.await?;
        let dead_letters = paths::dead_letters(state.dir()).display().to_string();
        let options = Options {
            store: Arc::new(state.checkpoints(kept)),
            orphans: request.orphans,
            trace_every: traces::every(),
            ..Options::default()
        };
        let running = Arc::new(Running::default());
        let children = Children {
            tenant: request.plan.tenant.clone(),
            policy: Arc::clone(&request.plan.policy),
            run: request.run.clone(),
            endpoint: self.0.endpoint.get().cloned().unwrap_or_default(),
            base_dir: pipeline.base_dir.clone(),
            directory: request.directory.clone(),
            log: request.log.clone(),
            running: Arc::clone(&running),
        };
        let peers = Peers::new(Some(Arc::new(children)));
        let workshop = LocalWorkshop::new(Arc::clone(&self.0.engine), tenant, pipeline, peers);
        Ok(Prepared {
            workshop: Arc::new(workshop),
            options,
            dead_letters: if of_letters { dead_letters } else { String::new() },
            guard: Box::new(Held { _state: state, running }),
        })
    }

    async fn catalogue(&self, _: &Tenant, policy: &Policy) -> Vec<CatalogueEntry> {
        let (this, policy) = (self.clone(), policy.clone());
        let found = blocking(move || this.0.catalogue(&policy)).await;
        found.unwrap_or_else(|failure| {
            tracing::warn!(error = %failure, "plugins cannot be listed");
            Vec::new()
        })
    }
}

impl HostPlanner {
    /// Plans on the thread of the caller, which it may block.
    pub(super) fn plan_here(&self, request: &PlanRequest) -> Result<Planned, PlanFailure> {
        self.0.plan(request)
    }

    /// What a pipeline of this tenant finds by `name`, and where that stands in a pipeline.
    pub(super) fn place_of(&self, request: &PlanRequest, name: &str) -> Option<Place> {
        let place = |role| match role {
            Role::Source => Place::Source,
            Role::Processor => Place::Processor,
            Role::Sink => Place::Sink,
        };
        let live = request.live.iter().find(|live| live.id == name || live.name == name).map(|live| live.role);
        let entries = self.0.catalogue(&request.policy).unwrap_or_default();
        // what is added between others is looked for first
        let of_role = |role: Role| entries.iter().any(|entry| entry.name == name && entry.role == role.to_string());
        let known = [Role::Processor, Role::Sink, Role::Source].into_iter().find(|role| of_role(*role));
        live.or(known).map(place)
    }

    /// Of what a pipeline of this tenant may name, what is near to `name`.
    pub(super) fn near(&self, request: &PlanRequest, name: &str) -> Option<String> {
        let entries = self.0.catalogue(&request.policy).unwrap_or_default();
        let live = request.live.iter().map(|live| live.name.as_str());
        did_you_mean(name, entries.iter().map(|entry| entry.name.as_str()).chain(live))
    }
}

impl Inner {
    /// Plans, and keeps what the environment holds out of what is said of faults.
    fn plan(&self, request: &PlanRequest) -> Result<Planned, PlanFailure> {
        let environment = |name: &str| match &request.file.variables {
            Variables::Given(given) => given.get(name).cloned(),
            Variables::Host if reach::allows_variable(&request.policy, name) => std::env::var(name).ok(),
            Variables::Host => None,
        };
        let environment = Recorder::new(&environment);
        let planned = self.planned(request, &|name| environment.get(name));
        let redaction = environment.redaction();
        match planned {
            Ok(planned) => Ok(Planned { redaction, ..planned }),
            Err(error) => Err(redacted(failure(&error), &redaction)),
        }
    }

    fn planned(&self, request: &PlanRequest, environment: Environment<'_>) -> Result<Planned> {
        let file = &request.file;
        let artifacts = Artifacts::new(RegistryArgs::default())?.with_indexes(IndexArgs::default());
        if let (Some(document), _) = flowctl_intent::read(&file.name, &file.text, environment) {
            // before anything that it names is read or pulled
            reach::check_written(&request.policy, &document, file, &artifacts)?;
            if let Some(name) = terminal_use(&document.intent).filter(|_| self.is_away) {
                return Err(away(name));
            }
        }
        let folders: Vec<PathBuf> = file.plugins.iter().chain(&self.folders).cloned().collect();
        let supply = Supply {
            folders: &folders,
            artifacts: &artifacts,
            reach: Reach::Network,
            locking: match request.locking {
                Locking::Follow => supply::Locking::Prefer,
                Locking::Demand => supply::Locking::Strict,
            },
            is_quiet: true,
            base_dir: Some(&file.base_dir),
            live: &request.live,
        };
        let locked = file.lock.as_deref().map(LockFile::submitted).transpose()?;
        if locked.is_none() && request.locking == Locking::Demand {
            return Err(supply::unlocked(Path::new(&file.name)));
        }
        let submitted = Submitted { name: &file.name, text: &file.text, locked, environment };
        let mut planned = plan_submitted(submitted, &supply)?;
        crate::session::check_available(&planned.topology)?;
        planned.topology = planned.topology.with_dirs_below(&file.base_dir);
        reach::check_planned(&request.policy, &planned.topology, &file.base_dir)?;
        reach::check_lock(&request.policy, &planned.lock)?;
        let topology = planned.topology;
        Ok(Planned {
            chain: render::line(&topology),
            lock: planned.lock.text()?,
            warnings: Vec::new(),
            origins: topology.nodes.iter().map(|node| (node.id.to_string(), origin(node))).collect(),
            topology,
            redaction: Redaction::default(),
            carried: Arc::new(Carried { base_dir: file.base_dir.clone() }),
        })
    }

    /// The state of a pipeline. Those of the tenant without a name lie where `flowctl run`
    /// has them.
    fn open_state(&self, tenant: &Tenant, name: &flowctl_types::NodeId) -> Result<PipelineState> {
        let of_tenant = match tenant == &Tenant::unnamed() {
            true => self.state_dir.clone(),
            false => self.state_dir.join("tenants").join(tenant.as_str()),
        };
        PipelineState::open(&of_tenant.join(name.as_str()), name).map_err(state::unusable)
    }

    /// What all runs of a tenant share in the sandbox. The policies are read once, so that
    /// those of its first run hold.
    fn engine_tenant(&self, tenant: &Tenant, quotas: &Quotas) -> Arc<flowctl_engine::Tenant> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || flowctl_engine::Tenant::with_limits(tenant.as_str(), limits(quotas));
        Arc::clone(tenants.entry(tenant.clone()).or_insert_with(made))
    }

    fn catalogue(&self, policy: &Policy) -> Result<Vec<CatalogueEntry>> {
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let registry = catalog::load(&self.folders, &artifacts, &[], Declarations::default())?;
        Ok(registry.entries().filter(|entry| reach::allows_entry(policy, entry)).map(catalogue_entry).collect())
    }
}

/// What the sandbox holds the plugins of a tenant to.
fn limits(quotas: &Quotas) -> TenantLimits {
    TenantLimits { memory_bytes: quotas.memory.unwrap_or(MAX_RUN_MEMORY_BYTES), cpu_share: quotas.cpu_share }
}

/// Where a node's component comes from, for people.
pub(super) fn origin(node: &Node) -> String {
    match &node.component {
        Component::Plugin { digest, .. } => format!("wasm {}", digest.short()),
        Component::Connector { .. } => "built-in".to_owned(),
        Component::Remote { endpoint, .. } => format!("remote {endpoint}"),
        Component::Command { shown_argv, .. } => format!("command {}", shown_argv.join(" ")),
    }
}

fn catalogue_entry(entry: &Entry) -> CatalogueEntry {
    let Shown { input_types, output_types, status, origin } = Shown::of(entry);
    CatalogueEntry {
        id: entry.name.clone(),
        name: entry.name.clone(),
        role: entry.role.to_string(),
        input_types,
        output_types,
        status,
        version: entry.version().unwrap_or_default().to_owned(),
        origin,
        metadata: entry.metadata.clone(),
        description: entry.description().unwrap_or_default().to_owned(),
    }
}

/// Does what blocks on a thread that may, and says of an error what kind it is.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T, PlanFailure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failure(&error)),
        Err(error) => Err(broke_off(&error)),
    }
}

fn broke_off(error: &tokio::task::JoinError) -> PlanFailure {
    PlanFailure::new(PlanFailureKind::Unavailable, format!("planning broke off: {error}"))
}

fn redacted(failure: PlanFailure, redaction: &Redaction) -> PlanFailure {
    let plain = |text: String| redaction.of(&text).into_owned();
    PlanFailure {
        message: plain(failure.message),
        hint: failure.hint.map(plain),
        faults: failure.faults.into_iter().map(|fault| FileFault { message: plain(fault.message), ..fault }).collect(),
        ..failure
    }
}

/// What an error of the command says to a client.
fn failure(error: &anyhow::Error) -> PlanFailure {
    let code = report::code(error);
    if let Some(faults) = error.downcast_ref::<Faults>() {
        let fault = |fault: &flowctl_intent::Fault| FileFault {
            place: format!("{}:{}:{}", fault.file, fault.line, fault.column),
            message: fault.to_string(),
        };
        let message = "the pipeline file has faults".to_owned();
        let faults = faults.iter().map(fault).collect();
        let tie = error.downcast_ref::<Undecided>().map(|undecided| Box::new(undecided.tie.clone()));
        return PlanFailure { kind: PlanFailureKind::Invalid, code, message, hint: None, faults, tie };
    }
    if let Some(denied) = error.downcast_ref::<reach::Denied>() {
        let message = denied.to_string();
        let hint = Some(denied.hint());
        return PlanFailure { code, hint, ..PlanFailure::new(PlanFailureKind::Denied, message) };
    }
    let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.clone());
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.ends_with(&cause) {
            message.push_str(&format!(": {cause}"));
        }
    }
    PlanFailure { code, hint, ..PlanFailure::new(PlanFailureKind::Unavailable, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_tenant_share_what_its_policy_says() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(flowctl_engine::EngineConfig::default()).unwrap();
        let planner = HostPlanner::new(Vec::new(), folder.path().to_owned(), engine);
        let quotas = Quotas { memory: Some(1 << 20), cpu_share: Some(0.5), ..Quotas::default() };
        let acme: Tenant = "acme".parse().unwrap();
        let first = planner.0.engine_tenant(&acme, &quotas);
        assert!(Arc::ptr_eq(&first, &planner.0.engine_tenant(&acme, &quotas)));
        assert_eq!(first.limits(), TenantLimits { memory_bytes: 1 << 20, cpu_share: Some(0.5) });
        let other = planner.0.engine_tenant(&Tenant::unnamed(), &Quotas::default());
        assert_eq!(other.limits(), TenantLimits { memory_bytes: MAX_RUN_MEMORY_BYTES, cpu_share: None });
    }
}
