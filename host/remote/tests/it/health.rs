//! Components that are unwell or away: their nodes wait.

use flowctl_proto::v1::HealthStatus;
use flowctl_runtime::Status;
use tokio::net::TcpSocket;

use crate::support::{
    Answer, FakeProcessor, FakeSink, FakeSource, Pipeline, json_of, number_schema, numbers, serve_at, until,
};

#[tokio::test]
async fn a_component_that_is_unwell_pauses_its_node_and_the_node_says_why() {
    let processor = FakeProcessor::new(|event| Answer::Events(vec![event.clone()]));
    processor.health.set(HealthStatus::Unhealthy, "disk is full");
    let (source, sink) = (FakeSource::new(numbers(0..30)), FakeSink::default());
    let (from, through, to) = (source.serve().await, processor.serve().await, sink.serve().await);
    let number = number_schema();
    let pipeline = Pipeline::new().source(&from, &number).processor(&through, &number, &number).sink(&to, &number);
    let peer = pipeline.peer("p");
    let mut run = pipeline.start().await;
    let is_unwell = || peer.waiting().as_deref() == Some("component is unhealthy: disk is full");
    until("the node says why it waits", is_unwell).await;
    let handle = run.handle();
    let has_read = || handle.snapshot().unwrap().nodes.iter().any(|(_, figures)| figures.counters.events_in == 30);
    until("the source has read", has_read).await;
    assert!(processor.streams.lock().unwrap().is_empty());
    processor.health.set(HealthStatus::Degraded, "");
    assert_eq!(run.wait().await.status, Status::Completed);
    assert_eq!(peer.waiting(), None);
    assert_eq!(sink.taken().len(), 30);
}

#[tokio::test]
async fn an_unknown_status_is_well_and_stopping_is_not() {
    let sink = FakeSink::default();
    let to = sink.serve().await;
    let pipeline = Pipeline::new().sink(&to, &number_schema());
    let peer = pipeline.peer("out");
    peer.healthy().await.unwrap();
    sink.health.set(HealthStatus::Stopping, "");
    until("it is stopping", || peer.waiting().as_deref() == Some("component is stopping")).await;
}

#[tokio::test]
async fn a_component_that_is_away_is_waited_for_and_then_gets_everything() {
    let source = FakeSource::new(numbers(0..10));
    let from = source.serve().await;
    // nobody answers there, and nobody else is given the port
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let endpoint = socket.local_addr().unwrap().to_string();
    let pipeline = Pipeline::new().source(&from, &number_schema()).sink_at(&endpoint, &number_schema());
    let peer = pipeline.peer("out");
    let mut run = pipeline.start().await;
    let is_away = || peer.waiting().is_some_and(|reason| reason.starts_with(&format!("cannot reach {endpoint}")));
    until("the node says that its component is away", is_away).await;
    let sink = FakeSink::default();
    let _to = serve_at(socket.listen(16).unwrap(), sink.router()).await;
    assert_eq!(run.wait().await.status, Status::Completed);
    assert_eq!(sink.taken().iter().map(json_of).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}
