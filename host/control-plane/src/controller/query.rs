//! What there is: pipelines, runs and their logs, as one tenant sees them.

use std::sync::Arc;
use std::time::Duration;

use flowctl_store::{EventRow, PipelineQuery, PipelineRow, RunQuery, StateError};
use flowctl_topology::Topology;
use flowctl_types::nearest;
use tokio::sync::watch;

use super::active::ActiveRun;
use super::{ControlError, Controller, RunView};
use crate::tenants::{Demand, Tenant};

impl Controller {
    /// One run.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoRun`] where the tenant has none of that id.
    pub async fn run(&self, tenant: &Tenant, id: &str) -> Result<RunView, ControlError> {
        if let Some(run) = self.inner.active.run(tenant, id) {
            return Ok(run.view.borrow().clone());
        }
        let (of, wanted) = (tenant.to_string(), id.to_owned());
        let found = self.inner.records.call(move |store| store.run(&of, &wanted)).await?;
        match found.and_then(RunView::stored) {
            Some(run) => Ok(run),
            None => Err(self.no_run(tenant, id).await),
        }
    }

    /// A run now and whenever it changes; closes when the run has ended. None where it
    /// does not go on.
    #[must_use]
    pub fn watch_run(&self, tenant: &Tenant, id: &str) -> Option<watch::Receiver<RunView>> {
        self.inner.active.run(tenant, id).map(|run| run.view.subscribe())
    }

    /// Runs, the latest first, each with its number for the next page. What lists leave
    /// out is empty.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn runs(&self, query: RunQuery) -> Result<Vec<(u64, RunView)>, ControlError> {
        let rows = self.inner.records.call(move |store| store.runs(&query)).await?;
        let runs = rows.into_iter().filter_map(|row| Some((row.number, RunView::listed(row)?)));
        Ok(runs.map(|(number, view)| (number, self.fresh(view))).collect())
    }

    /// The runs of a tenant that go on.
    #[must_use]
    pub fn active(&self, tenant: &Tenant) -> Vec<RunView> {
        self.inner.active.of_tenant(tenant).iter().map(|run| run.view.borrow().clone()).collect()
    }

    /// What the runs of a tenant take of its quotas.
    #[must_use]
    pub fn used(&self, tenant: &Tenant) -> Demand {
        self.inner.active.of_tenant(tenant).iter().map(|run| run.demand()).fold(Demand::default(), Demand::plus)
    }

    /// One pipeline, with its last run.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoPipeline`] where the tenant has none of that name.
    pub async fn pipeline(&self, tenant: &Tenant, name: &str) -> Result<(PipelineRow, Option<RunView>), ControlError> {
        let (of, wanted) = (tenant.to_string(), name.to_owned());
        let found = self.inner.records.call(move |store| store.pipeline_row(&of, &wanted)).await?;
        match found {
            Some(row) => Ok(self.with_run(row)),
            None => Err(self.no_pipeline(tenant, name).await),
        }
    }

    /// Pipelines by name, each with its last run.
    ///
    /// # Errors
    ///
    /// [`ControlError::Store`].
    pub async fn pipelines(&self, query: PipelineQuery) -> Result<Vec<(PipelineRow, Option<RunView>)>, ControlError> {
        let rows = self.inner.records.call(move |store| store.pipelines(&query)).await?;
        Ok(rows.into_iter().map(|row| self.with_run(row)).collect())
    }

    /// Tells a run to stop, with `drain_timeout` for what is under way; without one the
    /// limit of the settings holds. Its pipeline is wanted no more. It is no error that
    /// the run has ended.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoRun`] where the tenant has none of that id.
    pub async fn stop(
        &self,
        tenant: &Tenant,
        id: &str,
        drain_timeout: Option<Duration>,
    ) -> Result<RunView, ControlError> {
        let inner = &self.inner;
        let Some(run) = inner.active.run(tenant, id) else { return self.run(tenant, id).await };
        let (of, pipeline) = (tenant.to_string(), run.view.borrow().pipeline.to_string());
        inner.records.call(move |store| store.set_wanted(&of, &pipeline, false)).await?;
        run.order_stop(drain_timeout.unwrap_or(inner.settings.drain_limit).min(MAX_DRAIN));
        inner.changed();
        let view = run.view.borrow().clone();
        Ok(view)
    }

    /// Forgets a pipeline and its runs.
    ///
    /// # Errors
    ///
    /// [`ControlError::RunsAlready`] where it runs, [`ControlError::NoPipeline`] where the
    /// tenant has none of that name.
    pub async fn delete(&self, tenant: &Tenant, name: &str) -> Result<(), ControlError> {
        if let Some(run) = self.inner.active.of_pipeline(tenant, name) {
            let run = run.view.borrow().id.to_string();
            return Err(ControlError::RunsAlready { pipeline: name.to_owned(), run });
        }
        let (of, wanted) = (tenant.to_string(), name.to_owned());
        let deleted = self.inner.records.call(move |store| store.delete_pipeline(&of, &wanted)).await;
        let was_there = deleted.map_err(|error| match error {
            StateError::Runs { .. } => ControlError::RunsElsewhere { pipeline: name.to_owned() },
            error => ControlError::Store(error),
        })?;
        self.inner.changed();
        if was_there { Ok(()) } else { Err(self.no_pipeline(tenant, name).await) }
    }

    /// Events of a run's log behind number `after`, of one node or of all.
    ///
    /// # Errors
    ///
    /// [`ControlError::NoRun`] where the tenant has no such run.
    pub async fn events(
        &self,
        tenant: &Tenant,
        id: &str,
        (after, limit): (u64, u32),
        node: Option<&str>,
    ) -> Result<Vec<EventRow>, ControlError> {
        self.run(tenant, id).await?;
        if self.inner.active.run(tenant, id).is_some() {
            self.inner.log.flush().await;
        }
        let (id, node) = (id.to_owned(), node.map(ToOwned::to_owned));
        Ok(self.inner.records.call(move |store| store.events(&id, after, node.as_deref(), limit)).await?)
    }

    /// The topology of a pipeline's run that goes on, and the run.
    #[must_use]
    pub fn topology(&self, tenant: &Tenant, pipeline: &str) -> Option<(Arc<Topology>, watch::Receiver<RunView>)> {
        let run = self.inner.active.of_pipeline(tenant, pipeline)?;
        Some((Arc::new(run.current().planned.topology), run.view.subscribe()))
    }

    /// That the tenant has no pipeline of this name, with the names that are near.
    async fn no_pipeline(&self, tenant: &Tenant, name: &str) -> ControlError {
        let query = PipelineQuery { limit: MAX_COMPARED, ..PipelineQuery::of(tenant.as_str()) };
        match self.inner.records.call(move |store| store.pipelines(&query)).await {
            Ok(rows) => {
                let near = nearest(name, rows.iter().map(|row| row.name.as_str()));
                ControlError::NoPipeline {
                    name: name.to_owned(),
                    nearest: near.into_iter().map(str::to_owned).collect(),
                }
            }
            Err(error) => ControlError::Store(error),
        }
    }

    /// That the tenant has no run of this id, with the ids of late runs that are near.
    async fn no_run(&self, tenant: &Tenant, id: &str) -> ControlError {
        let query = RunQuery { limit: MAX_COMPARED, ..RunQuery::of(tenant.as_str()) };
        match self.inner.records.call(move |store| store.runs(&query)).await {
            Ok(rows) => {
                let near = nearest(id, rows.iter().map(|row| row.id.as_str()));
                ControlError::NoRun { id: id.to_owned(), nearest: near.into_iter().map(str::to_owned).collect() }
            }
            Err(error) => ControlError::Store(error),
        }
    }

    /// The same run as it is now, where it goes on.
    fn fresh(&self, view: RunView) -> RunView {
        match self.inner.active.run(&view.tenant, &view.id) {
            Some(run) => run.view.borrow().brief(),
            None => view,
        }
    }

    fn with_run(&self, mut row: PipelineRow) -> (PipelineRow, Option<RunView>) {
        let last = row.last_run.take().and_then(RunView::listed);
        let active: Option<Arc<ActiveRun>> =
            row.tenant.parse::<Tenant>().ok().and_then(|tenant| self.inner.active.of_pipeline(&tenant, &row.name));
        let run = match active {
            Some(run) => Some(run.view.borrow().brief()),
            None => last,
        };
        (row, run)
    }
}

/// Names that an unknown one is compared with.
const MAX_COMPARED: u32 = 1_000;

/// Nobody waits longer than that for a drain.
const MAX_DRAIN: Duration = Duration::from_secs(24 * 60 * 60);
