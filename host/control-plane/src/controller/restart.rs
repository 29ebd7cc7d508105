//! After a start of the host: the pipelines that are wanted run again; and what is too
//! old is forgotten while it goes on.

use std::sync::{Arc, Weak};
use std::time::Duration;

use flowctl_runtime::Orphans;
use flowctl_store::{PipelineRecord, Retention, RevisionStatus, RunStatus};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::apply::run_record;
use super::lead::Job;
use super::{
    ControlError, Controller, Inner, Intention, Locking, PipelineFile, PlanFailure, PlanRequest, Planned, Start,
    Variables,
};
use crate::records::now;
use crate::tenants::Tenant;
use crate::text::{chain, code_name};

/// How long a plan is tried again while components that it may need have not yet beaten.
const PATIENCE: Duration = Duration::from_secs(75);

impl Controller {
    /// Starts every pipeline that is wanted, each in a task of its own. One that cannot
    /// start gets a failed run that says why.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`] when they cannot be read; none was started then.
    pub async fn restart_wanted(&self) -> Result<(), ControlError> {
        let wanted = self.inner.records.call(flowctl_store::HostStore::wanted).await?;
        for pipeline in wanted {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move { again(&inner, pipeline).await });
        }
        Ok(())
    }
}

async fn again(inner: &Arc<Inner>, pipeline: PipelineRecord) {
    let name = pipeline.name.clone();
    let Ok(tenant) = pipeline.tenant.parse::<Tenant>() else {
        warn!(pipeline = name, tenant = pipeline.tenant, "a wanted pipeline has no tenant that is one");
        return;
    };
    let orphans = orphans(inner, &pipeline).await;
    let (file, locking) = file(pipeline);
    let plan = inner.plan_request(&tenant, file, locking);
    let started = match planned(inner, plan.clone()).await {
        Ok((plan, planned)) => {
            let job = Job { plan, planned, start: Start::Resume, orphans };
            inner.launch(job, Intention::Wanted).await.map(drop)
        }
        Err(failure) => Err(ControlError::Plan(failure)),
    };
    match started {
        Ok(()) => info!(pipeline = name, %tenant, "the pipeline runs again"),
        // somebody was faster
        Err(ControlError::RunsAlready { .. } | ControlError::Draining) => {}
        Err(error) => {
            warn!(pipeline = name, %tenant, error = %chain(&error), "the pipeline cannot run again");
            write_down(inner, &plan, &name, &error).await;
        }
    }
}

/// What becomes of the state of nodes that the pipeline does not have: where it was changed
/// while it ran, the last checkpoint may be of the nodes before.
async fn orphans(inner: &Inner, pipeline: &PipelineRecord) -> Orphans {
    let (tenant, name, number) = (pipeline.tenant.clone(), pipeline.name.clone(), pipeline.revision);
    match inner.records.call(move |store| store.revision(&tenant, &name, number)).await {
        Ok(Some(revision)) if revision.status != RevisionStatus::Started => Orphans::Discard,
        _ => Orphans::Refuse,
    }
}

/// Plans a pipeline. While components of the tenant are registered and have not beaten,
/// a plan that fails is tried again: they did not know that the host was away.
async fn planned(inner: &Inner, mut plan: PlanRequest) -> Result<(PlanRequest, Planned), PlanFailure> {
    let until = Instant::now() + PATIENCE;
    let mut changes = inner.directory.watch();
    loop {
        changes.mark_unchanged();
        plan.live = inner.directory.live(&plan.tenant);
        let failure = match inner.planned(&plan).await {
            Ok(planned) => return Ok((plan, planned)),
            Err(failure) => failure,
        };
        let components = inner.directory.list(&plan.tenant);
        // one that came while it was planned is well by now, and the plan did not have it
        let is_news = changes.has_changed().unwrap_or(false);
        let is_worth_it = is_news || components.iter().any(|component| !component.health.is_well());
        if !is_worth_it || Instant::now() >= until || timeout_at(until, changes.changed()).await.is_err() {
            return Err(failure);
        }
    }
}

fn file(pipeline: PipelineRecord) -> (PipelineFile, Locking) {
    let options: serde_json::Value = serde_json::from_str(&pipeline.options).unwrap_or_default();
    let is_locked = options.get("is_locked").and_then(serde_json::Value::as_bool).unwrap_or_default();
    let file = PipelineFile {
        name: pipeline.file_name,
        text: pipeline.text,
        variables: Variables::Host,
        base_dir: pipeline.base_dir.into(),
        plugins: pipeline.plugins.into_iter().map(Into::into).collect(),
        lock: (!pipeline.lock.is_empty()).then_some(pipeline.lock),
    };
    (file, if is_locked { Locking::Demand } else { Locking::Follow })
}

/// Gives a pipeline that cannot start a run that says why.
async fn write_down(inner: &Inner, plan: &PlanRequest, pipeline: &str, error: &ControlError) {
    let mut record = run_record(plan, pipeline, inner.records.host_id(), "");
    record.status = RunStatus::Failed;
    record.ended_at = Some(record.created_at);
    record.error = chain(error);
    if let ControlError::Plan(failure) = error {
        record.error_code = code_name(failure.code);
        record.hint = failure.hint.clone().unwrap_or_default();
        // nobody waits for an answer that would list them
        failure.faults.iter().for_each(|fault| record.error += &format!("\n{}", fault.message.trim_end()));
    }
    if let Err(error) = inner.records.call(move |store| store.create_run(&record)).await {
        warn!(pipeline, error = %chain(&error), "the failed run cannot be stored");
    }
    inner.changed();
}

/// Forgets runs that are too old or too many until the controller is gone.
pub(super) async fn forget_old(inner: Weak<Inner>) {
    loop {
        let Some(settings) = inner.upgrade().map(|inner| inner.settings) else { return };
        tokio::time::sleep(settings.retention_period).await;
        let Some(inner) = inner.upgrade() else { return };
        let retention = Retention { max_age: settings.keep_for, max_runs_per_pipeline: settings.n_kept, now: now() };
        match inner.records.call(move |store| store.retain(&retention)).await {
            Ok(removed) if removed.runs > 0 => info!(n_runs = removed.runs, "old runs were forgotten"),
            Ok(_) => {}
            Err(error) => warn!(error = %chain(&error), "old runs cannot be forgotten"),
        }
    }
}
