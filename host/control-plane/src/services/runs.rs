//! Runs: shown, watched, stopped.

use std::time::Duration;

use flowctl_proto::admin::run_service_server::RunService;
use flowctl_proto::admin::{
    GetRunRequest, ListRunEventsRequest, ListRunEventsResponse, ListRunsRequest, ListRunsResponse, Run, RunEvent,
    StopRunRequest, WatchRunEventsRequest, WatchRunRequest,
};
use flowctl_store::RunQuery;
use tonic::{Request, Response, Status};

use super::{Feed, Services, Streamed, caller, convert, fault, page};
use crate::controller::Controller;
use crate::tenants::Tenant;

const RUNS: &str = "runs";
const EVENTS: &str = "events";
/// Events that are read at once.
const N_EVENTS: u32 = 256;
/// Between two messages of a run that goes on.
const PERIOD: Duration = Duration::from_millis(250);

#[tonic::async_trait]
impl RunService for Services {
    async fn get_run(&self, request: Request<GetRunRequest>) -> Result<Response<Run>, Status> {
        let tenant = caller(&request)?.tenant;
        let run = self.plane.controller.run(&tenant, &request.get_ref().id).await?;
        Ok(Response::new(convert::run(&run)))
    }

    async fn list_runs(&self, request: Request<ListRunsRequest>) -> Result<Response<ListRunsResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let wanted = request.into_inner();
        let limit = page::size(wanted.page_size);
        let before = page::number(RUNS, &wanted.page_token)?;
        let pipeline = (!wanted.pipeline.is_empty()).then_some(wanted.pipeline);
        let query = RunQuery { tenant: tenant.to_string(), pipeline, is_active: wanted.is_active, before, limit };
        let runs = self.plane.controller.runs(query).await?;
        let next = runs.last().filter(|_| runs.len() >= limit as usize);
        Ok(Response::new(ListRunsResponse {
            next_page_token: next.map(|(number, _)| page::token(RUNS, &number.to_string())).unwrap_or_default(),
            runs: runs.iter().map(|(_, run)| convert::run(run)).collect(),
        }))
    }

    type WatchRunStream = Streamed<Run>;

    async fn watch_run(&self, request: Request<WatchRunRequest>) -> Result<Response<Self::WatchRunStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let id = request.into_inner().id;
        let controller = self.plane.controller.clone();
        let watched = controller.watch_run(&tenant, &id);
        let first = controller.run(&tenant, &id).await?;
        Ok(Response::new(self.stream(move |feed| async move {
            let Some(mut watched) = watched else {
                let _ = feed.send(convert::run(&first)).await;
                return Ok(());
            };
            loop {
                let view = watched.borrow_and_update().clone();
                let is_over = feed.send(convert::run(&view)).await.is_err() || view.status.is_ended();
                if is_over || watched.changed().await.is_err() {
                    return Ok(());
                }
                // what changes at once is one message; the end is not waited for
                if !watched.borrow().status.is_ended() {
                    let _ = tokio::time::timeout(PERIOD, watched.wait_for(|view| view.status.is_ended())).await;
                }
            }
        })))
    }

    async fn stop_run(&self, request: Request<StopRunRequest>) -> Result<Response<Run>, Status> {
        let tenant = caller(&request)?.tenant;
        let StopRunRequest { id, drain_timeout } = request.into_inner();
        let drain_timeout = drain_timeout
            .map(|timeout| {
                convert::duration(timeout).ok_or_else(|| fault::invalid("drain_timeout", "is negative or too long"))
            })
            .transpose()?;
        let run = self.plane.controller.stop(&tenant, &id, drain_timeout).await?;
        Ok(Response::new(convert::run(&run)))
    }

    async fn list_run_events(
        &self,
        request: Request<ListRunEventsRequest>,
    ) -> Result<Response<ListRunEventsResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let wanted = request.into_inner();
        let limit = page::size(wanted.page_size);
        let after = page::number(EVENTS, &wanted.page_token)?.unwrap_or_default();
        let node = (!wanted.node.is_empty()).then_some(wanted.node.as_str());
        let rows = self.plane.controller.events(&tenant, &wanted.id, (after, limit), node).await?;
        let next = rows.last().filter(|_| rows.len() >= limit as usize);
        Ok(Response::new(ListRunEventsResponse {
            next_page_token: next.map(|row| page::token(EVENTS, &row.number.to_string())).unwrap_or_default(),
            events: rows.into_iter().map(convert::event).collect(),
        }))
    }

    type WatchRunEventsStream = Streamed<RunEvent>;

    async fn watch_run_events(
        &self,
        request: Request<WatchRunEventsRequest>,
    ) -> Result<Response<Self::WatchRunEventsStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let wanted = request.into_inner();
        let controller = self.plane.controller.clone();
        controller.run(&tenant, &wanted.id).await?;
        Ok(Response::new(self.stream(move |feed| follow(controller, tenant, wanted, feed))))
    }
}

/// Sends a run's events as the store gets them. Who reads slowly reads from the store.
async fn follow(
    controller: Controller,
    tenant: Tenant,
    wanted: WatchRunEventsRequest,
    feed: Feed<RunEvent>,
) -> Result<(), Status> {
    let node = (!wanted.node.is_empty()).then_some(wanted.node.as_str());
    let mut after = wanted.after;
    let mut written = controller.log().watch(&wanted.id);
    loop {
        if let Some(written) = &mut written {
            written.borrow_and_update();
        }
        loop {
            let rows = controller.events(&tenant, &wanted.id, (after, N_EVENTS), node).await?;
            let Some(last) = rows.last() else { break };
            after = last.number;
            for row in rows {
                if feed.send(convert::event(row)).await.is_err() {
                    return Ok(());
                }
            }
        }
        let Some(signal) = &mut written else { return Ok(()) };
        if signal.changed().await.is_err() {
            // the run is over: what was written last is still to be read
            written = None;
        }
    }
}
