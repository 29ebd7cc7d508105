//! What runs on this host: pipelines, their runs, and what becomes of each.
//!
//! Invariants: a pipeline has one run at a time; every change of a run's status is in
//! the store before it is shown; starting and stopping have limits, so that no run stays
//! in a state; a panic in one run ends that run alone.

mod active;
mod adopt;
mod apply;
mod change;
mod error;
mod lead;
mod log;
mod log_layer;
mod observe;
mod planner;
mod query;
mod record;
mod restart;
mod settings;
mod tap;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowctl_store::{HostStore, StateError};
use tokio::sync::watch;
use tokio::time::timeout;

pub use adopt::Adopted;
pub use apply::{Applied, Apply, Intention};
pub use change::{ChangeFigures, ChangeRequest, ChangeView, Target};
pub use error::ControlError;
pub use log::RunLog;
pub use log_layer::LogLayer;
pub use planner::{
    CatalogueEntry, Edit, Edited, FileFault, Guard, Locking, PipelineFile, PlanFailure, PlanFailureKind, PlanRequest,
    Planned, Planner, PrepareRequest, Prepared, Start, Variables,
};
pub use record::{EdgeFigures, Figures, NodeFigures, RunView};
pub use settings::ControllerSettings;
pub use tap::{TappedEvent, TappedEvents};

use crate::directory::Directory;
use crate::records::Records;
use crate::tenants::{Policies, Tenant};
use active::Active;

/// Why a run failed whose host is gone.
const LOST: &str = "the host ended while it ran: it crashed, was killed, or lost power";

/// The pipelines and runs of this process. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    inner: Arc<Inner>,
}

struct Inner {
    planner: Arc<dyn Planner>,
    records: Records,
    directory: Directory,
    policies: Policies,
    settings: ControllerSettings,
    log: RunLog,
    active: Active,
    is_draining: AtomicBool,
    /// Counts changes of pipelines and of the statuses of runs.
    changes: watch::Sender<u64>,
}

impl Controller {
    /// A controller that keeps what it does in `store`. Runs that an earlier process left
    /// behind are marked as failed; none is started.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the store fails.
    pub async fn open(
        store: HostStore,
        planner: Arc<dyn Planner>,
        directory: Directory,
        policies: Policies,
        settings: ControllerSettings,
    ) -> Result<Self, StateError> {
        let records = Records::new(store);
        records.call(|store| store.fail_orphans(LOST)).await?;
        let inner = Arc::new(Inner {
            planner,
            log: RunLog::start(records.clone()),
            records,
            directory,
            policies,
            settings,
            active: Active::default(),
            is_draining: AtomicBool::new(false),
            changes: watch::channel(0).0,
        });
        tokio::spawn(restart::forget_old(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// The logs of the runs.
    #[must_use]
    pub fn log(&self) -> RunLog {
        self.inner.log.clone()
    }

    /// Is told whenever a pipeline or the status of a run changes, of whatever tenant.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// What the tenant can use as nodes, live components aside.
    pub async fn catalogue(&self, tenant: &Tenant) -> Vec<CatalogueEntry> {
        self.inner.planner.catalogue(tenant, &self.inner.policies.of(tenant)).await
    }

    /// Whether the host is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.is_draining.load(Ordering::SeqCst)
    }

    /// Stops all runs at once, each with `drain_timeout` for what is under way, and waits
    /// for their ends. Pipelines that are wanted stay so. Nothing can be applied any more.
    pub async fn drain(&self, drain_timeout: Duration) {
        let inner = &self.inner;
        inner.is_draining.store(true, Ordering::SeqCst);
        let mut changes = self.watch();
        for run in inner.active.all() {
            run.order_stop(drain_timeout);
        }
        let ended = async {
            while !inner.active.all().is_empty() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        // every run ends by itself within its own limits; this is for what they forgot
        let _ = timeout(drain_timeout + inner.settings.stop_limit * 2, ended).await;
        inner.log.flush().await;
        inner.directory.flush().await;
    }
}

impl Inner {
    fn changed(&self) {
        self.changes.send_modify(|n_changes| *n_changes += 1);
    }
}
