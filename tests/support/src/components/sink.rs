//! The sink `postgres-sink-v1`.

use std::sync::Arc;

use flowctl_proto::v1::consumer_service_server::{ConsumerService, ConsumerServiceServer};
use flowctl_proto::v1::{ComponentInfo, ConsumeResponse, Event, HealthCheckRequest, HealthCheckResponse};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::environment::{self, ComponentError};
use super::processor::TRANSFER_TYPE;
use super::received::Received;
use super::registration::Beats;
use super::server::{self, Itself};
use super::table::Table;
use super::{Role, say};

/// Takes events until the process is told to end.
pub(super) async fn run() -> Result<(), ComponentError> {
    let more = environment::text("INPUT_TYPES").unwrap_or_default();
    let mut inputs = vec![TRANSFER_TYPE];
    inputs.extend(more.split(',').map(str::trim).filter(|name| !name.is_empty()));
    let itself = Arc::new(Itself::new(Role::Sink, &inputs, &[])?);
    let sink = Sink { itself: Arc::clone(&itself), table: Table::open().await? };
    server::serve(itself, Routes::new(ConsumerServiceServer::new(sink)), Beats::Bare).await
}

struct Sink {
    itself: Arc<Itself>,
    table: Table,
}

#[tonic::async_trait]
impl ConsumerService for Sink {
    async fn get_info(&self, _: Request<()>) -> Result<Response<ComponentInfo>, Status> {
        Ok(Response::new(self.itself.info.clone()))
    }

    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(self.itself.health()))
    }

    async fn consume(&self, request: Request<Streaming<Event>>) -> Result<Response<ConsumeResponse>, Status> {
        let mut events = request.into_inner();
        let mut answer = ConsumeResponse::default();
        while let Some(event) = events.message().await? {
            if !self.itself.info.input_event_types.contains(&event.r#type) {
                say(&format!("skipped an event of type {}", event.r#type));
                continue;
            }
            self.itself.faults.pass(&event.id)?;
            self.table.append(&Received::new(event)).await?;
            answer.events_consumed += 1;
        }
        self.table.sync()?;
        if answer.events_consumed > 0 && self.itself.faults.miscounts() {
            answer.events_consumed -= 1;
            say("counted one event too few");
        }
        Ok(Response::new(answer))
    }
}
