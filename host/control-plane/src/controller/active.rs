//! The runs that go on.
//!
//! Invariant: at most one run of a pipeline is here; a run that is here has a task that
//! will take it out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flowctl_runtime::{RunHandle, Throttle};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::apply::demand;
use super::{ControlError, Figures, PlanRequest, Planned, RunView};
use crate::Redaction;
use crate::tenants::{Demand, Quotas, Tenant};

/// Plans of one tenant that are made at once.
const PLANS_AT_ONCE: usize = 4;

/// The runs that go on.
#[derive(Default)]
pub(super) struct Active {
    runs: Mutex<BTreeMap<(Tenant, String), Arc<ActiveRun>>>,
    throttles: Mutex<BTreeMap<Tenant, Arc<Throttle>>>,
    places: Mutex<BTreeMap<Tenant, Arc<Semaphore>>>,
}

/// A run that goes on.
pub(super) struct ActiveRun {
    current: Mutex<Current>,
    /// When what is under way must have flowed to the sinks; none before it is to stop.
    pub(super) stop: watch::Sender<Option<Instant>>,
    pub(super) view: watch::Sender<RunView>,
    /// From when its nodes are ready.
    pub(super) handle: OnceLock<RunHandle>,
}

/// What a run was planned from, and to.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) plan: PlanRequest,
    pub(super) planned: Planned,
    /// The pipeline's revision.
    pub(super) revision: u64,
}

impl Active {
    /// Puts a run here.
    ///
    /// # Errors
    ///
    /// [`ControlError::RunsAlready`] or [`ControlError::Quota`].
    pub(super) fn reserve(&self, run: ActiveRun, quotas: &Quotas) -> Result<Arc<ActiveRun>, ControlError> {
        let (tenant, pipeline) = {
            let view = run.view.borrow();
            (view.tenant.clone(), view.pipeline.to_string())
        };
        let mut runs = self.runs();
        let key = (tenant.clone(), pipeline);
        if let Some(other) = runs.get(&key) {
            let run = other.view.borrow().id.to_string();
            return Err(ControlError::RunsAlready { pipeline: key.1, run });
        }
        let of_tenant = runs.iter().filter(|((owner, _), _)| *owner == tenant);
        let used = of_tenant.map(|(_, run)| run.demand()).fold(Demand::default(), Demand::plus);
        quotas
            .check(used, run.demand())
            .map_err(|reason| ControlError::Quota { tenant: tenant.to_string(), reason })?;
        let run = Arc::new(run);
        runs.insert(key, Arc::clone(&run));
        Ok(run)
    }

    /// Has a run be what `next` says, where the quotas allow it.
    ///
    /// # Errors
    ///
    /// [`ControlError::Quota`].
    pub(super) fn change(&self, run: &ActiveRun, next: Current, quotas: &Quotas) -> Result<(), ControlError> {
        let (tenant, id) = {
            let view = run.view.borrow();
            (view.tenant.clone(), view.id.to_string())
        };
        let runs = self.runs();
        let others = runs.iter().filter(|((owner, _), other)| *owner == tenant && *other.view.borrow().id != *id);
        let used = others.map(|(_, run)| run.demand()).fold(Demand::default(), Demand::plus);
        let more = demand(&next.planned.topology);
        quotas.check(used, more).map_err(|reason| ControlError::Quota { tenant: tenant.to_string(), reason })?;
        run.set(next);
        Ok(())
    }

    /// Takes a run out.
    pub(super) fn release(&self, run: &ActiveRun) {
        let view = run.view.borrow().clone();
        let key = (view.tenant, view.pipeline.to_string());
        let mut runs = self.runs();
        if runs.get(&key).is_some_and(|found| found.view.borrow().id == view.id) {
            runs.remove(&key);
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<ActiveRun>> {
        self.runs().values().cloned().collect()
    }

    pub(super) fn of_tenant(&self, tenant: &Tenant) -> Vec<Arc<ActiveRun>> {
        let runs = self.runs();
        runs.iter().filter(|((owner, _), _)| owner == tenant).map(|(_, run)| Arc::clone(run)).collect()
    }

    pub(super) fn of_pipeline(&self, tenant: &Tenant, pipeline: &str) -> Option<Arc<ActiveRun>> {
        self.runs().get(&(tenant.clone(), pipeline.to_owned())).cloned()
    }

    pub(super) fn run(&self, tenant: &Tenant, id: &str) -> Option<Arc<ActiveRun>> {
        self.of_tenant(tenant).into_iter().find(|run| *run.view.borrow().id == *id)
    }

    /// What holds the tenant's sources back, all runs together.
    pub(super) fn throttle(&self, tenant: &Tenant, quotas: &Quotas) -> Option<Arc<Throttle>> {
        let events_per_second = quotas.events_per_second?;
        let mut throttles = self.throttles.lock().unwrap_or_else(PoisonError::into_inner);
        let throttle = throttles.entry(tenant.clone()).or_insert_with(|| Arc::new(Throttle::new(events_per_second)));
        Some(Arc::clone(throttle))
    }

    /// Where the tenant's plans wait for their turn.
    pub(super) fn places(&self, tenant: &Tenant) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(PLANS_AT_ONCE))))
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<(Tenant, String), Arc<ActiveRun>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActiveRun {
    pub(super) fn new(current: Current, view: RunView) -> Self {
        Self {
            current: Mutex::new(current),
            stop: watch::channel(None).0,
            view: watch::channel(view).0,
            handle: OnceLock::new(),
        }
    }

    /// What it was planned from and to.
    pub(super) fn current(&self) -> Current {
        self.lock().clone()
    }

    pub(super) fn set(&self, next: Current) {
        *self.lock() = next;
    }

    pub(super) fn set_revision(&self, revision: u64) {
        self.lock().revision = revision;
    }

    pub(super) fn demand(&self) -> Demand {
        demand(&self.lock().planned.topology)
    }

    /// What is not told of it.
    pub(super) fn redaction(&self) -> Redaction {
        self.lock().planned.redaction.clone()
    }

    /// How it is shown: its figures by what its nodes are now.
    pub(super) fn figures(&self, snapshot: &flowctl_runtime::Snapshot) -> Figures {
        let current = self.lock();
        Figures::of(snapshot, &current.planned.chain, &current.planned.origins)
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        // no code that can panic runs while the lock is held
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the run to stop; the earliest limit holds.
    pub(super) fn order_stop(&self, drain_timeout: Duration) {
        let until = Instant::now() + drain_timeout;
        self.stop.send_modify(|limit| *limit = Some(limit.map_or(until, |limit| limit.min(until))));
    }
}
