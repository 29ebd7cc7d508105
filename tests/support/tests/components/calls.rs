//! What a pipeline asks of components, and ledgers to ask it with.

use std::path::Path;

use flowctl_proto::v1::consumer_service_client::ConsumerServiceClient;
use flowctl_proto::v1::processor_service_client::ProcessorServiceClient;
use flowctl_proto::v1::source_service_client::SourceServiceClient;
use flowctl_proto::v1::{ConsumeResponse, Event, StreamRequest};
use flowctl_test_support::base64;
use flowctl_test_support::components::Component;
use stellar_xdr::{LedgerCloseMeta, LedgerCloseMetaV0, Limits, TimePoint, WriteXdr};
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Writes ledgers without transactions into a file, from `first` on.
pub(crate) fn write_ledgers(path: &Path, first: u32, n: u32) {
    let line = |sequence: u32| {
        let mut meta = LedgerCloseMetaV0::default();
        meta.ledger_header.header.ledger_seq = sequence;
        meta.ledger_header.header.scp_value.close_time = TimePoint(1_000 + u64::from(sequence));
        base64(&LedgerCloseMeta::V0(meta).to_xdr(Limits::none()).unwrap()) + "\n"
    };
    std::fs::write(path, (first..first + n).map(line).collect::<String>()).unwrap();
}

/// The largest message: a batch of a dense ledger is above the default of 4 MiB.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// A connection to a component.
pub(crate) async fn channel(component: &Component) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", component.address())).unwrap();
    endpoint.connect().await.unwrap()
}

/// Opens the stream of a source.
pub(crate) async fn open(source: &Component, token: Option<&str>) -> Result<Streaming<Event>, Status> {
    let mut client = SourceServiceClient::new(channel(source).await);
    let resume_token = token.unwrap_or_default().to_owned();
    let request = StreamRequest { resume: token.is_some(), resume_token, ..StreamRequest::default() };
    Ok(client.stream_events(request).await?.into_inner())
}

/// What a stream brings, and what it ends with.
pub(crate) async fn read(mut stream: Streaming<Event>) -> (Vec<Event>, Result<(), Status>) {
    let mut events = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, Ok(())),
            Err(status) => return (events, Err(status)),
        }
    }
}

/// All events of a source, or those behind a token.
pub(crate) async fn stream(source: &Component, token: Option<&str>) -> (Vec<Event>, Result<(), Status>) {
    match open(source, token).await {
        Ok(stream) => read(stream).await,
        Err(status) => (Vec::new(), Err(status)),
    }
}

/// What a processor answers to events.
pub(crate) async fn process(processor: &Component, events: Vec<Event>) -> (Vec<Event>, Result<(), Status>) {
    let client = ProcessorServiceClient::new(channel(processor).await);
    let mut client = client.max_decoding_message_size(MAX_MESSAGE_BYTES);
    match client.process(tokio_stream::iter(events)).await {
        Ok(answers) => read(answers.into_inner()).await,
        Err(status) => (Vec::new(), Err(status)),
    }
}

/// What a sink answers to events.
pub(crate) async fn consume(sink: &Component, events: Vec<Event>) -> Result<ConsumeResponse, Status> {
    let mut client = ConsumerServiceClient::new(channel(sink).await);
    Ok(client.consume(tokio_stream::iter(events)).await?.into_inner())
}

/// The ids of events.
pub(crate) fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}
