//! Applying a pipeline: planned, checked against the quotas, written down, started.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowctl_runtime::Orphans;
use flowctl_store::{
    HostStore, PipelineRecord, RevisionRecord, RevisionStatus, RunQuery, RunRecord, RunStatus, StateError,
};
use flowctl_topology::{Component, Topology, render};
use ring::rand::SecureRandom as _;
use tracing::{Instrument as _, error};

use super::active::{ActiveRun, Current};
use super::lead::{self, Aborting, Job};
use super::{
    ControlError, Controller, Figures, Inner, Locking, PipelineFile, PlanFailure, PlanFailureKind, PlanRequest,
    Planned, RunView, Start,
};
use crate::records::{moment, now};
use crate::tenants::{Demand, Tenant};

/// A pipeline to apply.
#[derive(Debug, Clone)]
pub struct Apply {
    /// What was submitted.
    pub file: PipelineFile,
    /// How the lock counts.
    pub locking: Locking,
    /// Where it starts.
    pub start: Start,
    /// What becomes of positions and states whose nodes are gone.
    pub orphans: Orphans,
    /// What it is applied for.
    pub intention: Intention,
}

/// What a pipeline is applied for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intention {
    /// To see what comes of it: nothing is stored or started.
    Plan,
    /// To run until its command ends: it is not started again with the host.
    Attached,
    /// To run, and again after the host restarts.
    Wanted,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The pipeline's name.
    pub pipeline: String,
    /// Its run; none where it was only planned.
    pub run: Option<RunView>,
    /// The chain in one line.
    pub chain: String,
    /// What the lock file is to say.
    pub lock: String,
    /// What is worth knowing and no fault.
    pub warnings: Vec<String>,
}

impl Controller {
    /// Plans a pipeline and starts it. The run starts in a task of its own: it goes on
    /// when the caller is gone, and is [`RunStatus::Starting`] when this returns.
    ///
    /// # Errors
    ///
    /// [`ControlError`] when it cannot be planned, runs already, or exceeds a quota.
    pub async fn apply(&self, tenant: &Tenant, apply: Apply) -> Result<Applied, ControlError> {
        let inner = &self.inner;
        inner.check_open()?;
        let Apply { file, locking, start, orphans, intention } = apply;
        let plan = inner.plan_request(tenant, file, locking);
        let planned = inner.planned(&plan).await?;
        let mut applied = Applied {
            pipeline: planned.topology.name.to_string(),
            run: None,
            chain: planned.chain.clone(),
            lock: planned.lock.clone(),
            warnings: planned.warnings.clone(),
        };
        if intention != Intention::Plan {
            let job = Job { plan, planned, start, orphans };
            applied.run = Some(inner.launch(job, intention).await?);
        }
        Ok(applied)
    }
}

impl Inner {
    pub(super) fn check_open(&self) -> Result<(), ControlError> {
        if self.is_draining.load(Ordering::SeqCst) { Err(ControlError::Draining) } else { Ok(()) }
    }

    /// Plans in a task of its own, so that a planner that breaks breaks nothing else. A
    /// tenant has a few plans at once; others of it wait.
    pub(super) async fn planned(&self, plan: &PlanRequest) -> Result<Planned, PlanFailure> {
        let places = self.active.places(&plan.tenant);
        let _place = places.acquire().await;
        let (planner, request) = (Arc::clone(&self.planner), plan.clone());
        let mut planning = Aborting(tokio::spawn(async move { planner.plan(&request).await }.in_current_span()));
        (&mut planning.0).await.unwrap_or_else(|error| {
            error!(%error, "the planner broke");
            Err(PlanFailure::new(PlanFailureKind::Unavailable, "the plan broke off: the host's log says why"))
        })
    }

    pub(super) fn plan_request(&self, tenant: &Tenant, file: PipelineFile, locking: Locking) -> PlanRequest {
        let policy = self.policies.of(tenant);
        PlanRequest { tenant: tenant.clone(), policy, file, locking, live: self.directory.live(tenant) }
    }

    /// Writes a run down and starts it.
    pub(super) async fn launch(self: &Arc<Self>, job: Job, intention: Intention) -> Result<RunView, ControlError> {
        let (run, record) = active_run(&job, self.records.host_id());
        let view = run.view.borrow().clone();
        let run = self.active.reserve(run, &job.plan.policy.quotas)?;
        let inner = Arc::clone(self);
        let pipeline = pipeline_record(&job, intention);
        // in a task, so that a caller who leaves does not leave a run without one
        let launched = tokio::spawn(async move {
            let name = pipeline.name.clone();
            let chain = job.planned.chain.clone();
            let stored = inner.records.call(move |store| store_run(store, &pipeline, &record, &chain));
            let refused = match stored.await {
                Ok(Stored::Yes { revision }) => {
                    run.set_revision(revision);
                    None
                }
                Ok(Stored::RunsElsewhere) => Some(ControlError::RunsElsewhere { pipeline: name }),
                Err(error) => Some(ControlError::Store(error)),
            };
            if let Some(error) = refused {
                inner.active.release(&run);
                return Err(error);
            }
            inner.changed();
            // a drain that began meanwhile did not see the run
            if inner.is_draining.load(Ordering::SeqCst) {
                run.order_stop(std::time::Duration::ZERO);
            }
            lead::spawn(inner, run, job);
            Ok(())
        });
        match launched.await {
            Ok(launched) => launched.map(|()| view),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ControlError::Draining),
        }
    }
}

/// Whether a run was stored.
enum Stored {
    Yes { revision: u64 },
    RunsElsewhere,
}

/// Stores a pipeline and its new run, unless another host of this store runs it.
fn store_run(store: &HostStore, pipeline: &PipelineRecord, run: &RunRecord, chain: &str) -> Result<Stored, StateError> {
    let active =
        RunQuery { pipeline: Some(pipeline.name.clone()), is_active: true, ..RunQuery::of(pipeline.tenant.as_str()) };
    // hosts that died since this one started have left theirs
    if !store.runs(&active)?.is_empty() {
        store.fail_orphans(super::LOST)?;
        if !store.runs(&active)?.is_empty() {
            return Ok(Stored::RunsElsewhere);
        }
    }
    let revision = store_started(store, pipeline, run, chain)?;
    Ok(Stored::Yes { revision })
}

/// Stores a pipeline and its new run; answers the pipeline's revision, which is another where
/// the file or its lock is.
pub(super) fn store_started(
    store: &HostStore,
    pipeline: &PipelineRecord,
    run: &RunRecord,
    chain: &str,
) -> Result<u64, StateError> {
    let (tenant, name) = (&pipeline.tenant, &pipeline.name);
    store.put_pipeline(pipeline)?;
    store.create_run(run)?;
    let last = store.pipeline(tenant, name)?.map_or(0, |pipeline| pipeline.revision);
    let before = store.revision(tenant, name, last)?;
    if before.is_some_and(|before| before.text == pipeline.text && before.lock == pipeline.lock) {
        return Ok(last);
    }
    store.put_revision(&RevisionRecord {
        tenant: tenant.clone(),
        pipeline: name.clone(),
        number: last + 1,
        run: run.id.clone(),
        at: now(),
        status: RevisionStatus::Started,
        reason: String::new(),
        changes: "[]".to_owned(),
        outcome: "{}".to_owned(),
        chain: chain.to_owned(),
        text: pipeline.text.clone(),
        lock: pipeline.lock.clone(),
    })?;
    Ok(last + 1)
}

/// A run of `job`, as it goes on and as it is stored.
pub(super) fn active_run(job: &Job, host_id: &str) -> (ActiveRun, RunRecord) {
    let topology = &job.planned.topology;
    let record = run_record(&job.plan, &topology.name.to_string(), host_id, &resolved(topology));
    let figures = planned_figures(topology, &job.planned);
    let view = RunView {
        id: record.id.as_str().into(),
        tenant: job.plan.tenant.clone(),
        pipeline: record.pipeline.as_str().into(),
        status: record.status,
        created_at: moment(record.created_at),
        started_at: None,
        ended_at: None,
        error: "".into(),
        error_code: None,
        hint: "".into(),
        config: record.config.as_str().into(),
        resolved: record.resolved.as_str().into(),
        dead_letters: "".into(),
        figures: Arc::new(figures),
    };
    let current = Current { plan: job.plan.clone(), planned: job.planned.clone(), revision: 0 };
    (ActiveRun::new(current, view), record)
}

/// A run that is about to start, as the store has it.
pub(super) fn run_record(plan: &PlanRequest, pipeline: &str, host_id: &str, resolved: &str) -> RunRecord {
    RunRecord {
        id: new_id(),
        tenant: plan.tenant.to_string(),
        pipeline: pipeline.to_owned(),
        host_id: host_id.to_owned(),
        status: RunStatus::Starting,
        created_at: now(),
        started_at: None,
        ended_at: None,
        error: String::new(),
        error_code: String::new(),
        hint: String::new(),
        config: plan.file.text.clone(),
        resolved: resolved.to_owned(),
        figures: String::new(),
        epoch: 0,
        events_in: 0,
        events_out: 0,
        rejected: 0,
        dead_letters: String::new(),
    }
}

pub(super) fn pipeline_record(job: &Job, intention: Intention) -> PipelineRecord {
    let file = &job.plan.file;
    let options = serde_json::json!({ "is_locked": job.plan.locking == Locking::Demand });
    PipelineRecord {
        tenant: job.plan.tenant.to_string(),
        name: job.planned.topology.name.to_string(),
        text: file.text.clone(),
        file_name: file.name.clone(),
        base_dir: file.base_dir.display().to_string(),
        plugins: file.plugins.iter().map(|path| path.display().to_string()).collect(),
        lock: if job.planned.lock.is_empty() {
            file.lock.clone().unwrap_or_default()
        } else {
            job.planned.lock.clone()
        },
        options: options.to_string(),
        is_wanted: intention == Intention::Wanted,
        created_at: now(),
        changed_at: now(),
        revision: 0,
    }
}

/// The topology as JSON without secrets.
pub(super) fn resolved(topology: &Topology) -> String {
    render::json(topology).to_string()
}

/// What the nodes did so far: nothing.
fn planned_figures(topology: &Topology, planned: &Planned) -> Figures {
    let node = |node: &flowctl_topology::Node| super::NodeFigures {
        node: node.id.to_string(),
        role: super::record::role_text(node.role).to_owned(),
        origin: planned.origins.get(node.id.as_str()).cloned().unwrap_or_default(),
        ..super::NodeFigures::default()
    };
    Figures { chain: planned.chain.clone(), nodes: topology.nodes.iter().map(node).collect(), ..Figures::default() }
}

/// What a run takes of the tenant's quotas.
pub(super) fn demand(topology: &Topology) -> Demand {
    let nodes = || topology.nodes.iter().chain(&topology.dead_letter);
    let memory = nodes().filter(|node| matches!(node.component, Component::Plugin { .. }));
    let memory = memory.map(|node| node.limits.memory_bytes.saturating_mul(u64::from(node.parallelism.get())));
    Demand {
        pipelines: 1,
        instances: nodes().map(|node| u64::from(node.parallelism.get())).sum(),
        memory_bytes: memory.fold(0, u64::saturating_add),
    }
}

/// An id that sorts behind those of earlier runs, and that nobody guesses.
fn new_id() -> String {
    let mut random = [0; 8];
    // without it ids of the same millisecond could meet; the store refuses the second
    let _ = ring::rand::SystemRandom::new().fill(&mut random);
    format!("{:012x}{:016x}", now(), u64::from_be_bytes(random))
}
