//! Components as servers: a source, a processor and a sink.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use flowctl_proto::v1;
use flowctl_proto::v1::consumer_service_server::{ConsumerService, ConsumerServiceServer};
use flowctl_proto::v1::processor_service_server::{ProcessorService, ProcessorServiceServer};
use flowctl_proto::v1::source_service_server::{SourceService, SourceServiceServer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::{Router, TcpIncoming};
use tonic::{Request, Response, Status, Streaming};

type EventStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

/// A component's server. Dropping it ends that it takes connections.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn new(endpoint: String, task: JoinHandle<()>) -> Self {
        Self { endpoint, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A listener and where it is.
pub(crate) async fn address() -> (TcpListener, String) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    (listener, endpoint)
}

pub(crate) async fn serve_at(listener: TcpListener, router: Router) -> Server {
    let endpoint = listener.local_addr().unwrap().to_string();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let task = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    Server { endpoint, task }
}

/// How a component says it is.
#[derive(Clone, Default)]
pub(crate) struct Health(Arc<Mutex<v1::HealthCheckResponse>>);

impl Health {
    pub(crate) fn set(&self, status: v1::HealthStatus, message: &str) {
        *self.0.lock().unwrap() =
            v1::HealthCheckResponse { status: status.into(), message: message.to_owned(), ..Default::default() };
    }

    fn answer(&self) -> Response<v1::HealthCheckResponse> {
        Response::new(self.0.lock().unwrap().clone())
    }
}

/// How a source goes on behind a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumes {
    /// With the event of the token.
    At,
    /// Behind the event of the token.
    Behind,
    /// It starts over.
    Never,
}

/// A source.
#[derive(Clone)]
pub(crate) struct FakeSource {
    pub(crate) events: Vec<v1::Event>,
    pub(crate) resumes: Resumes,
    /// Breaks each stream in turn after so many events; later ones hold.
    pub(crate) breaks: Vec<usize>,
    /// Where a stream pauses until this is true.
    pub(crate) gate: Option<(usize, tokio::sync::watch::Receiver<bool>)>,
    /// What streams after the first leave out of the events, by index.
    pub(crate) forgets: std::ops::Range<usize>,
    /// What it says of itself.
    pub(crate) info: v1::ComponentInfo,
    pub(crate) requests: Arc<Mutex<Vec<v1::StreamRequest>>>,
    pub(crate) saved: Arc<Mutex<Vec<v1::SaveStateRequest>>>,
    pub(crate) health: Health,
}

impl FakeSource {
    pub(crate) fn new(events: Vec<v1::Event>) -> Self {
        Self {
            events,
            resumes: Resumes::Behind,
            breaks: Vec::new(),
            forgets: 0..0,
            gate: None,
            info: v1::ComponentInfo::default(),
            requests: Arc::default(),
            saved: Arc::default(),
            health: Health::default(),
        }
    }

    pub(crate) async fn serve(&self) -> Server {
        serve_at(address().await.0, self.router()).await
    }

    pub(crate) fn router(&self) -> Router {
        tonic::transport::Server::builder().add_service(SourceServiceServer::new(self.clone()))
    }

    /// The tokens that it was told.
    pub(crate) fn told(&self) -> Vec<Option<String>> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| request.resume.then(|| request.resume_token.clone())).collect()
    }

    fn place(event: &v1::Event) -> Option<(u64, u32)> {
        if let Some(cursor) = &event.stellar_cursor {
            return Some((cursor.ledger_sequence, cursor.index_in_ledger));
        }
        event.metadata.get("ledger_sequence").map(|ledger| (ledger.parse().unwrap(), 0))
    }

    /// The index of the first event of a stream.
    fn first(&self, request: &v1::StreamRequest) -> usize {
        if !request.resume || self.resumes == Resumes::Never {
            return 0;
        }
        let token = &request.resume_token;
        let is_behind = self.resumes == Resumes::Behind;
        if let Some(index) = self.events.iter().position(|event| event.metadata.get("resume_token") == Some(token)) {
            return index + usize::from(is_behind);
        }
        let (ledger, index) = token.split_once('-').unwrap_or((token, "0"));
        let told = Some((ledger.parse().unwrap(), index.parse().unwrap()));
        let is_at = |event: &v1::Event| Self::place(event) > told || (!is_behind && Self::place(event) == told);
        self.events.iter().position(is_at).unwrap_or(self.events.len())
    }
}

#[tonic::async_trait]
impl SourceService for FakeSource {
    async fn get_info(&self, _: Request<()>) -> Result<Response<v1::ComponentInfo>, Status> {
        Ok(Response::new(self.info.clone()))
    }

    async fn health_check(
        &self,
        _: Request<v1::HealthCheckRequest>,
    ) -> Result<Response<v1::HealthCheckResponse>, Status> {
        Ok(self.health.answer())
    }

    type StreamEventsStream = EventStream;

    async fn stream_events(&self, request: Request<v1::StreamRequest>) -> Result<Response<EventStream>, Status> {
        let request = request.into_inner();
        let first = self.first(&request);
        let n_streams = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request);
            requests.len()
        };
        let forgotten = if n_streams > 1 { self.forgets.clone() } else { 0..0 };
        let events = self.events.iter().enumerate().skip(first).filter(|(index, _)| !forgotten.contains(index));
        let mut answers: Vec<_> = events.map(|(_, event)| Ok(event.clone())).collect();
        if let Some(n_events) = self.breaks.get(n_streams - 1) {
            answers.truncate(*n_events);
            answers.push(Err(Status::unavailable("it broke")));
        }
        let gate = self.gate.clone();
        let answers = tokio_stream::iter(answers.into_iter().enumerate()).then(move |(index, answer)| {
            let gate = gate.clone().filter(|(at, _)| first + index == *at);
            async move {
                if let Some((_, mut gate)) = gate {
                    gate.wait_for(|is_open| *is_open).await.unwrap();
                }
                answer
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_state(&self, _: Request<v1::StateRequest>) -> Result<Response<v1::StateResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn save_state(&self, request: Request<v1::SaveStateRequest>) -> Result<Response<()>, Status> {
        self.saved.lock().unwrap().push(request.into_inner());
        Ok(Response::new(()))
    }
}

/// What a processor does with an event.
pub(crate) enum Answer {
    Events(Vec<v1::Event>),
    /// It breaks the stream.
    Error(Status),
    /// It says nothing, and reads no further.
    Silence,
}

type Judge = dyn Fn(&v1::Event) -> Answer + Send + Sync;

/// A processor.
#[derive(Clone)]
pub(crate) struct FakeProcessor {
    judge: Arc<Judge>,
    pub(crate) info: v1::ComponentInfo,
    pub(crate) health: Health,
    /// Sizes of the streams that it read.
    pub(crate) streams: Arc<Mutex<Vec<usize>>>,
}

impl FakeProcessor {
    pub(crate) fn new(judge: impl Fn(&v1::Event) -> Answer + Send + Sync + 'static) -> Self {
        let (info, health, streams) = Default::default();
        Self { judge: Arc::new(judge), info, health, streams }
    }

    pub(crate) async fn serve(&self) -> Server {
        serve_at(address().await.0, self.router()).await
    }

    pub(crate) fn router(&self) -> Router {
        tonic::transport::Server::builder().add_service(ProcessorServiceServer::new(self.clone()))
    }
}

#[tonic::async_trait]
impl ProcessorService for FakeProcessor {
    async fn get_info(&self, _: Request<()>) -> Result<Response<v1::ComponentInfo>, Status> {
        Ok(Response::new(self.info.clone()))
    }

    async fn health_check(
        &self,
        _: Request<v1::HealthCheckRequest>,
    ) -> Result<Response<v1::HealthCheckResponse>, Status> {
        Ok(self.health.answer())
    }

    type ProcessStream = EventStream;

    async fn process(&self, request: Request<Streaming<v1::Event>>) -> Result<Response<EventStream>, Status> {
        let judge = Arc::clone(&self.judge);
        let streams = Arc::clone(&self.streams);
        let index = {
            let mut streams = streams.lock().unwrap();
            streams.push(0);
            streams.len() - 1
        };
        let (sender, answers) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move {
            let mut events = request.into_inner();
            while let Some(Ok(event)) = events.next().await {
                streams.lock().unwrap()[index] += 1;
                match judge(&event) {
                    Answer::Events(events) => {
                        for event in events {
                            let _ = sender.send(Ok(event)).await;
                        }
                    }
                    Answer::Silence => sender.closed().await,
                    Answer::Error(status) => {
                        let _ = sender.send(Err(status)).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(answers))))
    }
}

/// A sink.
#[derive(Clone, Default)]
pub(crate) struct FakeSink {
    /// What it answers in place of the truth, stream by stream.
    pub(crate) answers: Arc<Mutex<Vec<Result<v1::ConsumeResponse, Status>>>>,
    pub(crate) info: v1::ComponentInfo,
    pub(crate) health: Health,
    /// All that came in.
    pub(crate) received: Arc<Mutex<Vec<v1::Event>>>,
    /// What came in on streams that it answered truly.
    pub(crate) taken: Arc<Mutex<Vec<v1::Event>>>,
}

impl FakeSink {
    pub(crate) fn answering(answers: Vec<Result<v1::ConsumeResponse, Status>>) -> Self {
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    pub(crate) async fn serve(&self) -> Server {
        serve_at(address().await.0, self.router()).await
    }

    pub(crate) fn router(&self) -> Router {
        tonic::transport::Server::builder().add_service(ConsumerServiceServer::new(self.clone()))
    }

    pub(crate) fn taken(&self) -> Vec<v1::Event> {
        self.taken.lock().unwrap().clone()
    }
}

#[tonic::async_trait]
impl ConsumerService for FakeSink {
    async fn get_info(&self, _: Request<()>) -> Result<Response<v1::ComponentInfo>, Status> {
        Ok(Response::new(self.info.clone()))
    }

    async fn health_check(
        &self,
        _: Request<v1::HealthCheckRequest>,
    ) -> Result<Response<v1::HealthCheckResponse>, Status> {
        Ok(self.health.answer())
    }

    async fn consume(&self, request: Request<Streaming<v1::Event>>) -> Result<Response<v1::ConsumeResponse>, Status> {
        let mut events = request.into_inner();
        let mut stream = Vec::new();
        while let Some(event) = events.message().await? {
            self.received.lock().unwrap().push(event.clone());
            stream.push(event);
        }
        let mut answers = self.answers.lock().unwrap();
        if !answers.is_empty() {
            return answers.remove(0).map(Response::new);
        }
        let events_consumed = i64::try_from(stream.len()).unwrap();
        self.taken.lock().unwrap().extend(stream);
        Ok(Response::new(v1::ConsumeResponse { events_consumed, ..Default::default() }))
    }
}
