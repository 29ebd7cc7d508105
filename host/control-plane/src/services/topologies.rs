//! Topologies, and the events that pass through them.

use flowctl_proto::admin::topology_service_server::TopologyService;
use flowctl_proto::admin::{GetTopologyRequest, TapNodeRequest, TappedEvent, Topology, WatchTopologyRequest};
use tonic::{Request, Response, Status};

use super::{Services, Streamed, caller};
use crate::controller::{ControlError, RunView};
use crate::tenants::Tenant;

#[tonic::async_trait]
impl TopologyService for Services {
    async fn get_topology(&self, request: Request<GetTopologyRequest>) -> Result<Response<Topology>, Status> {
        let tenant = caller(&request)?.tenant;
        let run = self.last_run(&tenant, &request.get_ref().pipeline).await?;
        Ok(Response::new(topology(&run)))
    }

    type WatchTopologyStream = Streamed<Topology>;

    async fn watch_topology(
        &self,
        request: Request<WatchTopologyRequest>,
    ) -> Result<Response<Self::WatchTopologyStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let pipeline = request.into_inner().pipeline;
        let going = self.plane.controller.topology(&tenant, &pipeline);
        let run = self.last_run(&tenant, &pipeline).await?;
        Ok(Response::new(self.stream(move |feed| async move {
            if feed.send(topology(&run)).await.is_ok()
                && let Some((_, mut views)) = going
            {
                let _ = views.wait_for(|view| view.status.is_ended()).await;
            }
            Ok(())
        })))
    }

    type TapNodeStream = Streamed<TappedEvent>;

    async fn tap_node(&self, request: Request<TapNodeRequest>) -> Result<Response<Self::TapNodeStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let TapNodeRequest { pipeline, node, limit } = request.into_inner();
        // of another tenant's pipeline nothing is said, not even that it does not run
        self.plane.controller.pipeline(&tenant, &pipeline).await?;
        let mut events = self.plane.controller.tap(&tenant, &pipeline, &node)?;
        Ok(Response::new(self.stream(move |feed| async move {
            let mut n_sent = 0;
            while let Some(event) = events.next().await {
                if feed.send(tapped(event)).await.is_err() {
                    break;
                }
                n_sent += 1;
                if n_sent == limit {
                    break;
                }
            }
            Ok(())
        })))
    }
}

impl Services {
    /// The run of a pipeline that goes on, else its last one, with all that is known of it.
    async fn last_run(&self, tenant: &Tenant, pipeline: &str) -> Result<RunView, Status> {
        let (_, run) = self.plane.controller.pipeline(tenant, pipeline).await?;
        let run = run.ok_or_else(|| ControlError::NotRunning { pipeline: pipeline.to_owned() })?;
        Ok(self.plane.controller.run(tenant, &run.id).await?)
    }
}

fn topology(run: &RunView) -> Topology {
    Topology {
        pipeline: run.pipeline.to_string(),
        run_id: run.id.to_string(),
        revision: 1,
        json: run.resolved.to_string(),
        line: run.figures.chain.clone(),
    }
}

fn tapped(event: crate::controller::TappedEvent) -> TappedEvent {
    let nanos_of_second = event.timestamp % 1_000_000_000;
    TappedEvent {
        id: event.id,
        r#type: event.event_type,
        time: Some(prost_types::Timestamp {
            seconds: i64::try_from(event.timestamp / 1_000_000_000).unwrap_or_default(),
            nanos: i32::try_from(nanos_of_second).unwrap_or_default(),
        }),
        json: event.json,
        n_skipped: event.n_skipped,
    }
}
