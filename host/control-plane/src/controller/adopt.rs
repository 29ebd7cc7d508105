//! Runs that a command drives itself: shown, stopped and written down as any other.

use std::sync::Arc;

use flowctl_runtime::{Observer, Orphans, RunHandle, Stop, Summary};
use flowctl_store::{EventLevel, RunStatus};
use flowctl_types::Code;
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::active::ActiveRun;
use super::apply::{active_run, pipeline_record, store_started};
use super::lead::{End, Job, finish};
use super::observe::RunObserver;
use super::{ControlError, Controller, Inner, Intention, PlanRequest, Planned, Start};

/// A run that a command drives. Where it is dropped without an end, the next start of a
/// host finds that it crashed.
pub struct Adopted {
    inner: Arc<Inner>,
    run: Arc<ActiveRun>,
    id: String,
    shown: Option<JoinHandle<()>>,
}

impl Controller {
    /// Writes down that a run of `planned` starts, which the caller drives itself.
    ///
    /// # Errors
    ///
    /// [`ControlError`] when the pipeline runs already, or the store fails.
    pub async fn adopt(&self, plan: PlanRequest, planned: Planned) -> Result<Adopted, ControlError> {
        let inner = Arc::clone(&self.inner);
        inner.check_open()?;
        let job = Job { plan, planned: planned.clone(), start: Start::Resume, orphans: Orphans::Refuse };
        let (run, record) = active_run(&job, inner.records.host_id());
        let run = inner.active.reserve(run, &job.plan.policy.quotas)?;
        let id = record.id.clone();
        let pipeline = pipeline_record(&job, Intention::Attached);
        let chain = planned.chain.clone();
        let stored = inner.records.call(move |store| store_started(store, &pipeline, &record, &chain));
        match stored.await {
            Ok(revision) => run.set_revision(revision),
            Err(error) => {
                inner.active.release(&run);
                return Err(ControlError::Store(error));
            }
        }
        inner.log.open(&id, planned.redaction.clone());
        inner.changed();
        Ok(Adopted { inner, run, id, shown: None })
    }
}

impl Adopted {
    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What writes down what happens in the run.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(RunObserver { run: self.id.clone(), log: self.inner.log.clone() })
    }

    /// Says that every node is ready: from now on it is shown, and stopped by whoever may.
    pub async fn started(&mut self, handle: RunHandle, dead_letters: String) {
        // it starts once
        let _ = self.run.handle.set(handle.clone());
        self.run.view.send_modify(|view| {
            view.status = RunStatus::Running;
            view.started_at = Some(Timestamp::now());
            view.dead_letters = dead_letters.into();
        });
        self.inner.store_view(&self.run).await;
        self.shown = Some(tokio::spawn(show(Arc::clone(&self.inner), Arc::clone(&self.run), handle)));
    }

    /// Writes down how it ended.
    pub async fn ended(self, summary: &Summary) {
        let figures = self.run.handle.get().and_then(RunHandle::snapshot);
        if let Some(snapshot) = figures {
            let figures = self.run.figures(&snapshot).ended(summary);
            self.run.view.send_modify(|view| view.figures = Arc::new(figures));
        }
        let end = End::of(&*self.inner.planner, summary);
        self.close(end).await;
    }

    /// Writes down that it could not start.
    pub async fn failed(self, error: String, code: Option<Code>, hint: String) {
        self.close(End { code, hint, ..End::failed(error) }).await;
    }

    async fn close(mut self, end: End) {
        if let Some(shown) = self.shown.take() {
            shown.abort();
            // what it was writing is written
            let _ = shown.await;
        }
        finish(&self.inner, &self.run, end).await;
    }
}

/// Shows the figures of a run, and passes orders to stop on.
async fn show(inner: Arc<Inner>, run: Arc<ActiveRun>, handle: RunHandle) {
    let mut stop = run.stop.subscribe();
    let mut figures = interval(inner.settings.figures_period);
    figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stored_at = tokio::time::Instant::now();
    let mut limit = None;
    loop {
        tokio::select! {
            _ = figures.tick() => {
                if let Some(snapshot) = handle.snapshot() {
                    let figures = run.figures(&snapshot);
                    run.view.send_modify(|view| view.figures = Arc::new(figures));
                }
                if stored_at.elapsed() >= inner.settings.store_period {
                    inner.store_figures(&run).await;
                    stored_at = tokio::time::Instant::now();
                }
            }
            changed = stop.changed() => {
                if changed.is_err() {
                    return;
                }
                if limit.is_none() {
                    handle.stop(Stop::Drain);
                    run.view.send_modify(|view| view.status = RunStatus::Stopping);
                    let id = run.view.borrow().id.to_string();
                    inner.log.append(&id, EventLevel::Info, "stopping", "", "it was told to stop");
                    inner.store_view(&run).await;
                }
                limit = *stop.borrow_and_update();
            }
            () = super::lead::reached(limit) => {
                limit = None;
                handle.stop(Stop::Now);
            }
        }
    }
}
