//! The processor `ttp-processor-v1`.

use std::sync::Arc;

use flowctl_proto::stellar::{RawLedger, TokenTransferBatch};
use flowctl_proto::v1::processor_service_server::{ProcessorService, ProcessorServiceServer};
use flowctl_proto::v1::{ComponentInfo, Event, HealthCheckRequest, HealthCheckResponse};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use ttp_processor::{Mode, Network, Rules};

use super::environment::{self, ComponentError};
use super::registration::Beats;
use super::server::{self, Itself};
use super::source::{LEDGER_TYPE, PROTOBUF};
use super::{Role, say, transfers};

/// The type of what it emits.
pub(super) const TRANSFER_TYPE: &str = "stellar.token.transfer.v1";

/// Events that may wait for the reader of a stream.
const QUEUE: usize = 16;

/// Serves transfers until the process is told to end.
pub(super) async fn run() -> Result<(), ComponentError> {
    let itself = Arc::new(Itself::new(Role::Processor, &[LEDGER_TYPE], &[TRANSFER_TYPE])?);
    let network = environment::text("NETWORK").unwrap_or_else(|| "pubnet".to_owned());
    let network = Network::new(&network).map_err(|error| ComponentError::Rules(error.to_string()))?;
    let processor = Processor { itself: Arc::clone(&itself), network };
    server::serve(itself, Routes::new(ProcessorServiceServer::new(processor)), Beats::Assigned).await
}

#[derive(Clone)]
struct Processor {
    itself: Arc<Itself>,
    network: Network,
}

impl Processor {
    /// The transfers of a ledger; none where it has none.
    fn transfers(&self, rules: &mut Rules, ledger: &Event) -> Result<Option<Event>, Status> {
        let failed = |error: &dyn std::fmt::Display| Status::internal(format!("`{}`: {error}", ledger.id));
        let raw = RawLedger::decode(ledger.payload.as_slice()).map_err(|error| failed(&error))?;
        let mut batch = TokenTransferBatch::default();
        let outcome = rules.transfers(&raw.ledger_close_meta_xdr, &mut |transfer| {
            batch.events.push(transfers::message(transfer));
        });
        outcome.map_err(|error| failed(&error))?;
        if batch.events.is_empty() {
            return Ok(None);
        }
        let mut metadata = ledger.metadata.clone();
        metadata.insert("events_count".to_owned(), batch.events.len().to_string());
        Ok(Some(Event {
            id: format!("token-transfers-{}", raw.sequence),
            r#type: TRANSFER_TYPE.to_owned(),
            payload: batch.encode_to_vec(),
            metadata,
            timestamp: ledger.timestamp,
            source_component_id: self.itself.info.id.clone(),
            content_type: PROTOBUF.to_owned(),
            stellar_cursor: ledger.stellar_cursor,
        }))
    }

    /// Answers each event when it comes, until there are no more or one cannot be answered.
    async fn answer(
        &self,
        mut events: Streaming<Event>,
        answers: &mpsc::Sender<Result<Event, Status>>,
    ) -> Result<(), Status> {
        let mut rules = Rules::new(self.network.clone(), Mode::Derive);
        while let Some(event) = events.message().await? {
            if event.r#type != LEDGER_TYPE {
                say(&format!("no handler for {}", event.r#type));
                continue;
            }
            self.itself.faults.pass(&event.id)?;
            if let Some(answer) = self.transfers(&mut rules, &event)?
                && answers.send(Ok(answer)).await.is_err()
            {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ProcessorService for Processor {
    async fn get_info(&self, _: Request<()>) -> Result<Response<ComponentInfo>, Status> {
        Ok(Response::new(self.itself.info.clone()))
    }

    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(self.itself.health()))
    }

    type ProcessStream = ReceiverStream<Result<Event, Status>>;

    async fn process(&self, request: Request<Streaming<Event>>) -> Result<Response<Self::ProcessStream>, Status> {
        let (sender, answers) = mpsc::channel(QUEUE);
        let processor = self.clone();
        tokio::spawn(async move {
            if let Err(status) = processor.answer(request.into_inner(), &sender).await {
                // a caller that is gone needs no reason
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}
