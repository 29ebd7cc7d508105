//! Changes of pipelines that run: planned, checked, prepared, written down, made, and what
//! became of them.
//!
//! Invariants: nothing is written down before everything is prepared, and nothing switches
//! before it is written down; of several changes of one revision one is stored. What is
//! rolled back is a revision of its own, so that the latest is always what runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{ApplyError, Change, ChangeOptions, Changed, ReadyChange, Settled, Trial};
use flowctl_store::{RevisionRecord, RevisionStatus, StateError};
use flowctl_topology::{Topology, diff};
use flowctl_types::Digest;
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, warn};

use super::active::{ActiveRun, Current};
use super::apply::resolved;
use super::{ControlError, Controller, Edit, Edited, Inner, PipelineFile, PlanFailure, PlanFailureKind, Variables};
use crate::records::now;
use crate::tenants::Tenant;
use crate::text::chain;

/// Letters of a plan's hash.
const HASH_LEN: usize = 16;

/// A change of a pipeline that runs.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    /// The pipeline.
    pub pipeline: String,
    /// What it is to be.
    pub target: Target,
    /// Whether the change is only planned.
    pub is_dry_run: bool,
    /// The hash that its plan must have; none for any.
    pub plan_hash: Option<String>,
    /// Whether the state of nodes that get another component may be dropped.
    pub discards_state: bool,
    /// What new components have to stand; none for no trial.
    pub trial: Option<Trial>,
    /// Values of environment variables that it names, beside those of the pipeline.
    pub variables: BTreeMap<String, String>,
}

/// What a pipeline is to be.
#[derive(Debug, Clone)]
pub enum Target {
    /// What it is, edited.
    Edit(Edit),
    /// What a file says.
    File(Box<PipelineFile>),
    /// What it was; none for the revision before.
    Revision(Option<u64>),
}

/// A change that was planned, or made.
#[derive(Debug, Clone)]
pub struct ChangeView {
    /// One line for each thing that changes.
    pub changes: Vec<String>,
    /// The plan's hash.
    pub plan_hash: String,
    /// Whether it takes effect at the barrier of a checkpoint.
    pub is_at_checkpoint: bool,
    /// What runs now, or would run, in one line.
    pub chain: String,
    /// The same as JSON without secrets.
    pub resolved: String,
    /// The run.
    pub run: String,
    /// The pipeline's revision.
    pub revision: u64,
    /// What was measured of it; none where it was not made.
    pub outcome: Option<ChangeFigures>,
}

/// What was measured of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeFigures {
    /// The longest time for which a node was held up, microseconds.
    pub pause_us: u64,
    /// Until every node had switched, microseconds.
    pub took_us: u64,
    /// The epoch at whose barrier it was made; 0 where it had a mark of its own.
    pub epoch: u64,
    /// Batches that were lost.
    pub n_lost: u64,
}

/// A change that was planned.
struct Plan {
    run: Arc<ActiveRun>,
    before: Current,
    next: Current,
    view: ChangeView,
    /// Why it is made, where it is a rollback.
    reason: String,
}

impl Controller {
    /// Changes a pipeline that runs. It answers when every node has taken the change; then
    /// the new components are on trial.
    ///
    /// # Errors
    ///
    /// [`ControlError`] when the pipeline does not run, the change cannot be planned, is not
    /// the one that was looked at, exceeds a quota, or cannot be prepared. The pipeline is
    /// what it was then.
    pub async fn change(&self, tenant: &Tenant, request: ChangeRequest) -> Result<ChangeView, ControlError> {
        let inner = &self.inner;
        inner.check_open()?;
        // what belongs to another tenant is not there
        self.pipeline(tenant, &request.pipeline).await?;
        let mut plan = inner.plan_change(tenant, &request).await?;
        if request.is_dry_run || plan.view.changes.is_empty() {
            return Ok(plan.view);
        }
        let not_running = || ControlError::NotRunning { pipeline: request.pipeline.clone() };
        let handle = plan.run.handle.get().ok_or_else(not_running)?.clone();
        let change = Change::between(&plan.before.planned.topology, &plan.next.planned.topology);
        let options = ChangeOptions { trial: request.trial, discards_state: request.discards_state };
        let ready = handle.prepare(change, options).await.map_err(|error| not_changed(&error))?;
        let quotas = plan.next.plan.policy.quotas.clone();
        plan.next.revision = plan.before.revision + 1;
        inner.active.change(&plan.run, plan.next.clone(), &quotas)?;
        let inner = Arc::clone(inner);
        // in a task, so that a caller who leaves does not leave it half done
        let made = tokio::spawn(async move { inner.make(plan, ready).await }.in_current_span());
        match made.await {
            Ok(made) => made,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(ControlError::Draining),
        }
    }

    /// What a pipeline was, the latest first, and the number of what it is.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoPipeline`] where the tenant has none of that name.
    pub async fn revisions(&self, tenant: &Tenant, pipeline: &str) -> Result<(Vec<RevisionRecord>, u64), ControlError> {
        self.pipeline(tenant, pipeline).await?;
        let (tenant, pipeline) = (tenant.to_string(), pipeline.to_owned());
        let read = move |store: &flowctl_store::HostStore| {
            let current = store.pipeline(&tenant, &pipeline)?.map_or(0, |pipeline| pipeline.revision);
            Ok((store.revisions(&tenant, &pipeline)?, current))
        };
        Ok(self.inner.records.call(read).await?)
    }

    /// The revision of a pipeline that runs; none where it does not, or is not yet written down.
    #[must_use]
    pub fn revision(&self, tenant: &Tenant, pipeline: &str) -> Option<u64> {
        let revision = self.inner.active.of_pipeline(tenant, pipeline)?.current().revision;
        (revision > 0).then_some(revision)
    }
}

impl ChangeFigures {
    fn of(changed: &Changed) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            pause_us: micros(changed.pause),
            took_us: micros(changed.took),
            epoch: changed.epoch.unwrap_or_default(),
            n_lost: changed.n_stranded as u64,
        }
    }
}

impl Inner {
    async fn plan_change(&self, tenant: &Tenant, request: &ChangeRequest) -> Result<Plan, ControlError> {
        let name = &request.pipeline;
        let not_running = || ControlError::NotRunning { pipeline: name.clone() };
        let run = self.active.of_pipeline(tenant, name).ok_or_else(not_running)?;
        let before = run.current();
        let mut plan = before.plan.clone();
        plan.live = self.directory.live(tenant);
        if plan.file.lock.is_none() && !before.planned.lock.is_empty() {
            // what runs stays what it is
            plan.file.lock = Some(before.planned.lock.clone());
        }
        if let Variables::Given(given) = &mut plan.file.variables {
            given.extend(request.variables.clone());
        }
        let mut reason = String::new();
        let planned = match &request.target {
            Target::Edit(edit) => {
                let Edited { text, planned } = self.planner.edit(&plan, &before.planned.topology, edit).await?;
                plan.file.text = text;
                planned
            }
            Target::File(file) => {
                let mut file = (**file).clone();
                if file.plugins.is_empty() {
                    file.plugins.clone_from(&plan.file.plugins);
                }
                plan.file = file;
                self.planned(&plan).await?
            }
            Target::Revision(number) => {
                let number = number.unwrap_or(before.revision.saturating_sub(1));
                let (of, wanted) = (tenant.to_string(), name.clone());
                let found = self.records.call(move |store| store.revision(&of, &wanted, number)).await?;
                let found = found.ok_or_else(|| ControlError::NoRevision { pipeline: name.clone(), number })?;
                plan.file.text = found.text;
                plan.file.lock = (!found.lock.is_empty()).then_some(found.lock);
                reason = format!("back to revision {number}");
                self.planned(&plan).await?
            }
        };
        let running = &before.planned.topology;
        if planned.topology.name != running.name {
            let message = format!("the file is of pipeline `{}`, not of `{}`", planned.topology.name, running.name);
            return Err(PlanFailure::new(PlanFailureKind::Invalid, message).into());
        }
        let plan_hash = hash(running, &planned.topology);
        if request.plan_hash.as_ref().is_some_and(|wanted| *wanted != plan_hash) {
            return Err(ControlError::PlanMoved { found: plan_hash });
        }
        let is_at_checkpoint =
            Change::is_at_barrier(running, &planned.topology).map_err(|error| not_changed(&error))?;
        let changes = diff(running, &planned.topology).to_string();
        let is_same = running.digest() == planned.topology.digest();
        let view = ChangeView {
            changes: changes.lines().filter(|_| !is_same).map(ToOwned::to_owned).collect(),
            plan_hash,
            is_at_checkpoint,
            chain: planned.chain.clone(),
            resolved: resolved(&planned.topology),
            run: run.view.borrow().id.to_string(),
            revision: before.revision,
            outcome: None,
        };
        // what the client sent with it is known too, from now on
        let next = Current { plan, planned, revision: before.revision };
        Ok(Plan { run, before, next, view, reason })
    }

    /// Writes a change down and makes it.
    async fn make(self: Arc<Self>, plan: Plan, ready: ReadyChange) -> Result<ChangeView, ControlError> {
        let Plan { run, before, next, mut view, reason } = plan;
        let record = record(&view, &next, &run, RevisionStatus::Switching, &reason);
        match self.records.call(move |store| store.put_revision(&record)).await {
            Ok(true) => {}
            stored => {
                run.set(before);
                return Err(stored.map_or_else(ControlError::Store, |_| not_changed(&ApplyError::Moved)));
            }
        }
        self.log.hide(&view.run, next.planned.redaction.clone());
        let changed = match ready.switch().await {
            Ok(changed) => changed,
            Err(error) => {
                let error = not_changed(&error);
                self.take_back(&run, &before, &next, &view, &error.to_string()).await;
                return Err(error);
            }
        };
        let figures = ChangeFigures::of(&changed);
        view.revision = next.revision;
        view.outcome = Some(figures);
        let outcome = serde_json::to_string(&figures).unwrap_or_default();
        self.settle(&run, next.revision, RevisionStatus::OnTrial, "", &outcome).await;
        self.show(&run, &view).await;
        let shown = view.clone();
        tokio::spawn(
            async move {
                let mut changed = changed;
                match changed.outcome.wait().await {
                    Settled::Kept => self.settle(&run, next.revision, RevisionStatus::Kept, "", "").await,
                    Settled::Ended => {
                        // it is what the pipeline starts as the next time
                        let reason = "the run ended before its trial did";
                        self.settle(&run, next.revision, RevisionStatus::Kept, reason, "").await;
                    }
                    Settled::RolledBack { reason } => self.take_back(&run, &before, &next, &shown, &reason).await,
                }
                self.changed();
            }
            .in_current_span(),
        );
        Ok(view)
    }

    /// What ran before a change is what the pipeline is. That it was taken back is told last: who
    /// waits for it may change the pipeline at once.
    async fn take_back(&self, run: &ActiveRun, before: &Current, next: &Current, view: &ChangeView, reason: &str) {
        let reason = before.planned.redaction.of(reason).into_owned();
        let back = Current { revision: next.revision + 1, ..before.clone() };
        let changes = diff(&next.planned.topology, &before.planned.topology).to_string();
        let view = ChangeView {
            changes: changes.lines().map(ToOwned::to_owned).collect(),
            chain: before.planned.chain.clone(),
            resolved: resolved(&before.planned.topology),
            ..view.clone()
        };
        let why = format!("revision {} was rolled back", next.revision);
        let record = record(&view, &back, run, RevisionStatus::Kept, &why);
        run.set(back);
        match self.records.call(move |store| store.put_revision(&record)).await {
            Ok(true) => {}
            Ok(false) => warn!("another process changed the pipeline: what runs is not its latest revision"),
            Err(error) => warn!(error = %chain(&error), "that a change was rolled back cannot be stored"),
        }
        self.show(run, &view).await;
        self.settle(run, next.revision, RevisionStatus::RolledBack, &reason, "").await;
        self.changed();
    }

    /// Shows what the run is now, and stores it.
    async fn show(&self, run: &ActiveRun, view: &ChangeView) {
        run.view.send_modify(|shown| {
            shown.resolved = view.resolved.as_str().into();
            if let Some(snapshot) = run.handle.get().and_then(flowctl_runtime::RunHandle::snapshot) {
                shown.figures = Arc::new(run.figures(&snapshot));
            }
        });
        let update = flowctl_store::RunUpdate {
            id: view.run.clone(),
            resolved: Some(view.resolved.clone()),
            ..flowctl_store::RunUpdate::default()
        };
        if let Err(error) = self.records.call(move |store| store.update_run(&update)).await {
            warn!(error = %chain(&error), "what a run is now cannot be stored");
        }
        self.store_view(run).await;
    }

    async fn settle(&self, run: &ActiveRun, number: u64, status: RevisionStatus, reason: &str, outcome: &str) {
        let (tenant, pipeline) = {
            let view = run.view.borrow();
            (view.tenant.to_string(), view.pipeline.to_string())
        };
        let (reason, outcome) = (reason.to_owned(), outcome.to_owned());
        let settle = move |store: &flowctl_store::HostStore| -> Result<(), StateError> {
            store.settle_revision((&tenant, &pipeline, number), status, &reason, &outcome)
        };
        if let Err(error) = self.records.call(settle).await {
            warn!(error = %chain(&error), "what became of a change cannot be stored");
        }
    }
}

fn record(
    view: &ChangeView,
    current: &Current,
    run: &ActiveRun,
    status: RevisionStatus,
    reason: &str,
) -> RevisionRecord {
    let shown = run.view.borrow();
    let file = &current.plan.file;
    let lock = match current.planned.lock.is_empty() {
        true => file.lock.clone().unwrap_or_default(),
        false => current.planned.lock.clone(),
    };
    RevisionRecord {
        tenant: shown.tenant.to_string(),
        pipeline: shown.pipeline.to_string(),
        number: current.revision,
        run: view.run.clone(),
        at: now(),
        status,
        reason: reason.to_owned(),
        changes: serde_json::to_string(&view.changes).unwrap_or_default(),
        outcome: "{}".to_owned(),
        chain: view.chain.clone(),
        text: file.text.clone(),
        lock,
    }
}

/// A change's hash: of what runs and of what is to run.
fn hash(old: &Topology, new: &Topology) -> String {
    let digest = Digest::of(format!("{} {}", old.digest(), new.digest()).as_bytes()).to_string();
    let hex = digest.rsplit(':').next().unwrap_or_default();
    hex.chars().take(HASH_LEN).collect()
}

fn not_changed(error: &ApplyError) -> ControlError {
    let reason = match error {
        ApplyError::Prepare(faults) => faults.iter().map(|fault| chain(fault)).collect::<Vec<_>>().join("; "),
        ApplyError::RolledBack { reason } => reason.clone(),
        other => chain(other),
    };
    ControlError::NotChanged { reason }
}
