//! The life of one run: started, watched, stopped, and written down at each step.
//!
//! Invariants: every wait has a limit; whatever happens in the run's task, the run ends
//! with a status, is stored, and leaves the active runs.

use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{ApplyError, Change, Run, RunHandle, Status, Stop, Summary};
use flowctl_store::{EventLevel, RunStatus, RunUpdate};
use flowctl_types::Code;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::{Instrument as _, error, error_span, warn};

use super::active::ActiveRun;
use super::observe::RunObserver;
use super::{Figures, Guard, Inner, PlanFailure, PlanRequest, Planned, Planner, PrepareRequest, Start};
use crate::text::{chain, code_name};

/// For a start that was given up to give back what it took.
const LET_GO: Duration = Duration::from_secs(1);

/// A run to lead.
pub(super) struct Job {
    pub(super) plan: PlanRequest,
    pub(super) planned: Planned,
    pub(super) start: Start,
    pub(super) orphans: flowctl_runtime::Orphans,
}

/// How a run ended.
pub(super) struct End {
    pub(super) status: RunStatus,
    pub(super) error: String,
    pub(super) code: Option<Code>,
    pub(super) hint: String,
}

/// What goes on once every node is ready.
struct Going {
    run: Run,
    dead_letters: String,
    /// Given back after the run's tasks are gone.
    guard: Box<dyn Guard>,
}

/// Ends a task when it is dropped.
pub(super) struct Aborting<T>(pub(super) JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Leads a run to its end, in tasks of its own.
pub(super) fn spawn(inner: Arc<Inner>, run: Arc<ActiveRun>, job: Job) {
    let (id, pipeline, tenant) = {
        let view = run.view.borrow();
        (view.id.to_string(), view.pipeline.to_string(), view.tenant.to_string())
    };
    // of the level of errors, so that no filter takes it from the lines that it lets pass
    let span = error_span!("run", run = id, pipeline, tenant);
    inner.log.open(&id, job.planned.redaction.clone());
    tokio::spawn(
        async move {
            let led = tokio::spawn(lead(Arc::clone(&inner), Arc::clone(&run), job).in_current_span());
            let end = match led.await {
                Ok(end) => end,
                Err(error) => End::failed(format!("the run's own task broke: {error}")),
            };
            finish(&inner, &run, end).await;
        }
        .instrument(span),
    );
}

async fn lead(inner: Arc<Inner>, run: Arc<ActiveRun>, job: Job) -> End {
    let mut stop = run.stop.subscribe();
    let mut starting = Aborting(tokio::spawn(start(Arc::clone(&inner), Arc::clone(&run), job).in_current_span()));
    let started = tokio::select! {
        biased;
        () = told_to_stop(&mut stop) => None,
        started = timeout(inner.settings.start_limit, &mut starting.0) => Some(started),
    };
    let going = match started {
        Some(Ok(Ok(Ok(going)))) => going,
        Some(Ok(Ok(Err(end)))) => return end,
        Some(Ok(Err(error))) => return End::failed(format!("the start broke: {error}")),
        None => {
            give_up(&mut starting).await;
            return End { status: RunStatus::Stopped, ..End::failed(String::new()) };
        }
        Some(Err(_)) => {
            give_up(&mut starting).await;
            let limit = flowctl_types::units::duration_text(inner.settings.start_limit);
            return End::failed(format!("its nodes were not ready within {limit}"));
        }
    };
    let Going { run: going, dead_letters, guard } = going;
    let handle = going.handle();
    // a run starts once
    let _ = run.handle.set(handle.clone());
    run.view.send_modify(|view| {
        view.status = RunStatus::Running;
        view.started_at = Some(Timestamp::now());
        view.dead_letters = dead_letters.into();
    });
    inner.store_view(&run).await;
    let look = |figures: &RunHandle| figures.snapshot().map(|snapshot| run.figures(&snapshot));
    let (end, summary) = Watch { inner: &inner, run: &run, handle: &handle, look: &look }.to_the_end(going, stop).await;
    if let Some(figures) = look(&handle) {
        let figures = summary.iter().fold(figures, |figures, summary| figures.ended(summary));
        run.view.send_modify(|view| view.figures = Arc::new(figures));
    }
    if timeout(inner.settings.drain_limit, guard.release()).await.is_err() {
        warn!("what the run held is not given back in time");
    }
    end
}

/// Makes everything ready, and starts it.
async fn start(inner: Arc<Inner>, run: Arc<ActiveRun>, job: Job) -> Result<Going, End> {
    let id = run.view.borrow().id.to_string();
    let change = Change::from_empty(&job.planned.topology);
    let throttle = inner.active.throttle(&job.plan.tenant, &job.plan.policy.quotas);
    let request = PrepareRequest {
        run: id.clone(),
        plan: job.plan,
        planned: job.planned,
        start: job.start,
        orphans: job.orphans,
        directory: inner.directory.clone(),
        log: inner.log.clone(),
    };
    let prepared = inner.planner.prepare(&request).await.map_err(End::refused)?;
    let mut options = prepared.options;
    options.run_id = Some(id.clone());
    options.observer = Arc::new(RunObserver { run: id, log: inner.log.clone() });
    options.throttle = throttle;
    options.orphans = request.orphans;
    let mut going = Run::new(prepared.workshop, options);
    going.apply(change).await.map_err(|error| End::not_applied(&*inner.planner, &error))?;
    Ok(Going { run: going, dead_letters: prepared.dead_letters, guard: prepared.guard })
}

/// Ends a start, and lets it give back what it took.
async fn give_up<T>(starting: &mut Aborting<T>) {
    starting.0.abort();
    let _ = timeout(LET_GO, &mut starting.0).await;
}

/// Ready when the run was told to stop.
async fn told_to_stop(stop: &mut watch::Receiver<Option<Instant>>) {
    if stop.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Watches a run that goes on.
struct Watch<'a, L> {
    inner: &'a Inner,
    run: &'a ActiveRun,
    handle: &'a RunHandle,
    look: &'a L,
}

impl<L: Fn(&RunHandle) -> Option<Figures>> Watch<'_, L> {
    /// Answers how it ended, and what it came to, where it said so.
    async fn to_the_end(&self, mut going: Run, mut stop: watch::Receiver<Option<Instant>>) -> (End, Option<Summary>) {
        let settings = &self.inner.settings;
        let mut figures = interval(settings.figures_period.max(Duration::from_millis(1)));
        figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stored_at = Instant::now();
        // until the next harder way to stop
        let mut limit: Option<Instant> = None;
        let mut is_stopping_now = false;
        loop {
            tokio::select! {
                summary = going.wait() => return (End::of(&*self.inner.planner, &summary), Some(summary)),
                _ = figures.tick() => {
                    self.show();
                    if stored_at.elapsed() >= settings.store_period {
                        self.inner.store_figures(self.run).await;
                        stored_at = Instant::now();
                    }
                }
                changed = stop.changed(), if !is_stopping_now => {
                    let ordered = *stop.borrow_and_update();
                    if changed.is_ok() && limit.is_none() {
                        self.begin_stop().await;
                    }
                    limit = ordered;
                }
                () = reached(limit) => {
                    if is_stopping_now {
                        // dropping the run ends its tasks
                        return (End::failed("it did not stop: its tasks were dropped".to_owned()), None);
                    }
                    is_stopping_now = true;
                    limit = Some(Instant::now() + settings.stop_limit);
                    self.handle.stop(Stop::Now);
                }
            }
        }
    }

    async fn begin_stop(&self) {
        self.handle.stop(Stop::Drain);
        self.run.view.send_modify(|view| view.status = RunStatus::Stopping);
        let id = self.run.view.borrow().id.to_string();
        self.inner.log.append(&id, EventLevel::Info, "stopping", "", "it was told to stop");
        self.inner.store_view(self.run).await;
    }

    fn show(&self) {
        if let Some(figures) = (self.look)(self.handle) {
            self.run.view.send_modify(|view| view.figures = Arc::new(figures));
        }
    }
}

pub(super) async fn reached(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

impl End {
    pub(super) fn failed(error: String) -> Self {
        Self { status: RunStatus::Failed, error, code: None, hint: String::new() }
    }

    pub(super) fn refused(failure: PlanFailure) -> Self {
        Self { code: failure.code, hint: failure.hint.unwrap_or_default(), ..Self::failed(failure.message) }
    }

    fn not_applied(planner: &dyn Planner, error: &ApplyError) -> Self {
        match error {
            ApplyError::Prepare(faults) => {
                let texts: Vec<_> = faults.iter().map(|fault| chain(fault)).collect();
                let (codes, hints): (Vec<_>, Vec<_>) = faults.iter().map(|fault| planner.advice(fault)).unzip();
                let hint = hints.into_iter().flatten().next().unwrap_or_default();
                Self { code: codes.into_iter().flatten().next(), hint, ..Self::failed(texts.join("; ")) }
            }
            ApplyError::Orphans(_) => {
                let hint = "apply it with `--discard-state` to drop what they had reached".to_owned();
                Self { code: Some(Code::OrphanedState), hint, ..Self::failed(chain(error)) }
            }
            other => Self { code: planner.advice(other).0, ..Self::failed(chain(other)) },
        }
    }

    pub(super) fn of(planner: &dyn Planner, summary: &Summary) -> Self {
        let status = match summary.status {
            Status::Completed => RunStatus::Completed,
            Status::Stopped => RunStatus::Stopped,
            Status::Failed => RunStatus::Failed,
        };
        let error = summary.error.clone().unwrap_or_default();
        let (code, hint) = summary.fault.as_ref().map(|fault| planner.advice(fault)).unwrap_or_default();
        Self { status, error, code, hint: hint.unwrap_or_default() }
    }
}

/// Writes the end down, shows it, and takes the run out of the active ones.
pub(super) async fn finish(inner: &Inner, run: &ActiveRun, end: End) {
    let redaction = run.redaction();
    let end = End { error: redaction.of(&end.error).into_owned(), hint: redaction.of(&end.hint).into_owned(), ..end };
    let (id, tenant, pipeline) = {
        let view = run.view.borrow();
        (view.id.to_string(), view.tenant.to_string(), view.pipeline.to_string())
    };
    let (level, kind) = match end.status {
        RunStatus::Failed => (EventLevel::Error, "failed"),
        RunStatus::Completed => (EventLevel::Info, "completed"),
        _ => (EventLevel::Info, "stopped"),
    };
    let message = if end.error.is_empty() { "the run has ended" } else { &end.error };
    inner.log.append(&id, level, kind, "", message);
    inner.log.flush().await;
    let mut view = run.view.borrow().clone();
    view.status = end.status;
    view.error = end.error.into();
    view.error_code = end.code;
    view.hint = end.hint.into();
    view.ended_at = Some(Timestamp::now());
    let is_completed = end.status == RunStatus::Completed;
    let update = update(&view);
    let stored = inner.records.call(move |store| {
        store.update_run(&update)?;
        if is_completed {
            // it has nothing more to do, after a restart neither
            store.set_wanted(&tenant, &pipeline, false)?;
        }
        Ok(())
    });
    if let Err(error) = stored.await {
        error!(error = %chain(&error), "the end of a run cannot be stored");
    }
    run.view.send_replace(view);
    inner.active.release(run);
    inner.log.close(&id).await;
    inner.changed();
}

impl Inner {
    /// Stores what a run is now, and tells who watches.
    pub(super) async fn store_view(&self, run: &ActiveRun) {
        self.store_figures(run).await;
        self.changed();
    }

    pub(super) async fn store_figures(&self, run: &ActiveRun) {
        let update = update(&run.view.borrow());
        if let Err(error) = self.records.call(move |store| store.update_run(&update)).await {
            error!(error = %chain(&error), "a run cannot be stored");
        }
    }
}

/// Everything of a run that changes.
fn update(view: &super::RunView) -> RunUpdate {
    let figures = &view.figures;
    RunUpdate {
        id: view.id.to_string(),
        status: Some(view.status),
        started_at: view.started_at.map(Timestamp::as_millisecond),
        ended_at: view.ended_at.map(Timestamp::as_millisecond),
        error: Some(view.error.to_string()),
        error_code: Some(code_name(view.error_code)),
        hint: Some(view.hint.to_string()),
        resolved: None,
        figures: Some(serde_json::to_string(&**figures).unwrap_or_default()),
        epoch: Some(figures.epoch),
        events_in: Some(figures.events_in),
        events_out: Some(figures.events_out),
        rejected: Some(figures.rejected),
        dead_letters: Some(view.dead_letters.to_string()),
    }
}
