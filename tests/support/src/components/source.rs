//! The source `stellar-live-source`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowctl_proto::stellar::RawLedger;
use flowctl_proto::v1::source_service_server::{SourceService, SourceServiceServer};
use flowctl_proto::v1::{
    ComponentInfo, Event, HealthCheckRequest, HealthCheckResponse, SaveStateRequest, StateRequest, StateResponse,
    StellarCursor, StreamRequest,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::environment::{self, ComponentError};
use super::ledgers::{self, Ledger};
use super::registration::Beats;
use super::server::{self, Itself};
use super::{Role, say};

/// The type of what it emits.
pub(super) const LEDGER_TYPE: &str = "stellar.ledger.v1";
/// How its payloads are to be read.
pub(super) const PROTOBUF: &str = "application/protobuf";

/// Events that may wait for the reader of a stream.
const QUEUE: usize = 16;

/// Between two looks at whether it may go on.
const PAUSE: Duration = Duration::from_millis(20);

/// Serves ledgers until the process is told to end.
pub(super) async fn run() -> Result<(), ComponentError> {
    let itself = Arc::new(Itself::new(Role::Source, &[], &[LEDGER_TYPE])?);
    let source = Source {
        ledgers: ledgers::read(Path::new(&environment::needed("LEDGERS")?))?.into(),
        network: environment::text("NETWORK").unwrap_or_else(|| "pubnet".to_owned()),
        stays: environment::is_set("STAY"),
        go_file: environment::text("GO_FILE").map(PathBuf::from),
        is_streaming: Arc::default(),
        itself: Arc::clone(&itself),
    };
    server::serve(itself, Routes::new(SourceServiceServer::new(source)), Beats::Assigned).await
}

#[derive(Clone)]
struct Source {
    itself: Arc<Itself>,
    ledgers: Arc<[Ledger]>,
    network: String,
    /// Whether a stream stays open behind its last event.
    stays: bool,
    /// What it waits for in the middle of the ledgers, if it is to.
    go_file: Option<PathBuf>,
    is_streaming: Arc<AtomicBool>,
}

/// One stream at a time: this is the one, until it is dropped.
struct Turn(Arc<AtomicBool>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Source {
    /// Waits until the ledger of this number may come.
    async fn may_come(&self, number: usize) {
        let is_in_the_middle = number >= self.ledgers.len() / 2;
        while is_in_the_middle && self.go_file.as_ref().is_some_and(|file| !file.exists()) {
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn event(&self, ledger: &Ledger) -> Event {
        let payload = RawLedger {
            sequence: ledger.sequence,
            ledger_close_meta_xdr: ledger.xdr.clone(),
            network: self.network.clone(),
            closed_at: i64::try_from(ledger.closed_at).unwrap_or(i64::MAX),
        };
        let metadata = [("ledger_sequence", ledger.sequence.to_string()), ("xdr_size", ledger.xdr.len().to_string())];
        Event {
            id: format!("stellar-ledger-{}", ledger.sequence),
            r#type: LEDGER_TYPE.to_owned(),
            metadata: metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            timestamp: Some(prost_types::Timestamp { seconds: payload.closed_at, nanos: 0 }),
            payload: payload.encode_to_vec(),
            source_component_id: self.itself.info.id.clone(),
            content_type: PROTOBUF.to_owned(),
            stellar_cursor: Some(StellarCursor { ledger_sequence: ledger.sequence.into(), index_in_ledger: 0 }),
        }
    }
}

#[tonic::async_trait]
impl SourceService for Source {
    async fn get_info(&self, _: Request<()>) -> Result<Response<ComponentInfo>, Status> {
        Ok(Response::new(self.itself.info.clone()))
    }

    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(self.itself.health()))
    }

    type StreamEventsStream = ReceiverStream<Result<Event, Status>>;

    async fn stream_events(
        &self,
        request: Request<StreamRequest>,
    ) -> Result<Response<Self::StreamEventsStream>, Status> {
        if self.is_streaming.swap(true, Ordering::Acquire) {
            return Err(Status::unknown("already streaming events"));
        }
        let turn = Turn(Arc::clone(&self.is_streaming));
        let StreamRequest { resume, resume_token, .. } = request.into_inner();
        let token = Some(resume_token).filter(|token| resume && !token.is_empty());
        let first = match &token {
            None => 0,
            Some(token) => {
                let left = ledgers::behind(&self.ledgers, token);
                let left = left.ok_or_else(|| Status::invalid_argument(format!("no resume token: `{token}`")))?;
                self.ledgers.len() - left.len()
            }
        };
        say(&format!("streaming behind `{}`", token.as_deref().unwrap_or_default()));
        let (sender, events) = mpsc::channel(QUEUE);
        let source = self.clone();
        tokio::spawn(async move {
            let _turn = turn;
            for (number, ledger) in source.ledgers.iter().enumerate().skip(first) {
                tokio::select! {
                    () = source.may_come(number) => {}
                    () = sender.closed() => return,
                }
                let event = source.event(ledger);
                let event = source.itself.faults.pass(&event.id).map(|()| event);
                let is_last = event.is_err();
                // nobody reads any more
                if sender.send(event).await.is_err() || is_last {
                    return;
                }
            }
            if source.stays {
                sender.closed().await;
            }
        });
        Ok(Response::new(ReceiverStream::new(events)))
    }

    async fn get_state(&self, _: Request<StateRequest>) -> Result<Response<StateResponse>, Status> {
        Ok(Response::new(StateResponse::default()))
    }

    async fn save_state(&self, _: Request<SaveStateRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(()))
    }
}
