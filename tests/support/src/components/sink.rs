//! The sink `postgres-sink-v1`, whose table is a file.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use flowctl_proto::v1::consumer_service_server::{ConsumerService, ConsumerServiceServer};
use flowctl_proto::v1::{ComponentInfo, ConsumeResponse, Event, HealthCheckRequest, HealthCheckResponse};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::environment::{self, ComponentError};
use super::processor::TRANSFER_TYPE;
use super::received::Received;
use super::registration::Beats;
use super::server::{self, Itself};
use super::{Role, say};

/// Takes events until the process is told to end.
pub(super) async fn run() -> Result<(), ComponentError> {
    let more = environment::text("INPUT_TYPES").unwrap_or_default();
    let mut inputs = vec![TRANSFER_TYPE];
    inputs.extend(more.split(',').map(str::trim).filter(|name| !name.is_empty()));
    let itself = Arc::new(Itself::new(Role::Sink, &inputs, &[])?);
    let path = environment::needed("OUTPUT")?;
    let output = OpenOptions::new().create(true).append(true).open(&path);
    let output = output.map_err(|source| ComponentError::File { path, source })?;
    let sink = Sink { itself: Arc::clone(&itself), output: output.into() };
    server::serve(itself, Routes::new(ConsumerServiceServer::new(sink)), Beats::Bare).await
}

struct Sink {
    itself: Arc<Itself>,
    output: Mutex<File>,
}

impl Sink {
    fn with_output(&self, act: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Status> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut output).map_err(|error| Status::internal(format!("cannot write: {error}")))
    }
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
            let mut line =
                serde_json::to_vec(&Received::new(event)).map_err(|error| Status::internal(error.to_string()))?;
            line.push(b'\n');
            self.with_output(|output| output.write_all(&line))?;
            answer.events_consumed += 1;
        }
        self.with_output(|output| output.sync_data())?;
        if answer.events_consumed > 0 && self.itself.faults.miscounts() {
            answer.events_consumed -= 1;
            say("counted one event too few");
        }
        Ok(Response::new(answer))
    }
}
