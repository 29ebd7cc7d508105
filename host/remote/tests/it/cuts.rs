//! Connections that are cut in the middle.

use std::sync::Arc;

use flowctl_runtime::Status;
use tokio::sync::watch;

use crate::support::{
    Answer, FakeProcessor, FakeSink, FakeSource, Pipeline, Proxy, json_of, number_schema, numbers, until,
};

/// A source that pauses before its twelfth event until the sender says so.
fn paused() -> (FakeSource, watch::Sender<bool>) {
    let (open, gate) = watch::channel(false);
    (FakeSource { gate: Some((12, gate)), ..FakeSource::new(numbers(0..30)) }, open)
}

fn all() -> Vec<u64> {
    (0..30).collect()
}

#[tokio::test]
async fn a_source_goes_on_over_the_next_connection() {
    let (source, open) = paused();
    let sink = FakeSink::default();
    let (from, to) = (source.serve().await, sink.serve().await);
    let proxy = Proxy::before(&from).await;
    let pipeline = Pipeline::new().source(&proxy.server, &number_schema()).sink(&to, &number_schema());
    let mut run = pipeline.start().await;
    until("some have come", || sink.received.lock().unwrap().len() == 12).await;
    proxy.cut().await;
    open.send_replace(true);
    assert_eq!(run.wait().await.status, Status::Completed);
    assert_eq!(sink.taken().iter().map(json_of).collect::<Vec<_>>(), all());
    assert_eq!(source.told(), [None, Some("103-1".to_owned())], "the cursor before that of `n-11`");
}

#[tokio::test]
async fn a_sink_whose_connection_is_cut_gets_the_epoch_again() {
    let (source, open) = paused();
    let sink = FakeSink::default();
    let (from, to) = (source.serve().await, sink.serve().await);
    let proxy = Proxy::before(&to).await;
    let pipeline = Pipeline::new().source(&from, &number_schema()).sink(&proxy.server, &number_schema());
    let pipeline = pipeline.settings(|settings| settings.checkpoint_interval = std::time::Duration::from_secs(3_600));
    let mut run = pipeline.start().await;
    until("some have come", || sink.received.lock().unwrap().len() == 12).await;
    proxy.cut().await;
    open.send_replace(true);
    assert_eq!(run.wait().await.status, Status::Completed);
    assert_eq!(sink.taken().iter().map(json_of).collect::<Vec<_>>(), all());
    assert!(sink.received.lock().unwrap().len() >= 42, "twelve came twice");
}

#[tokio::test]
async fn a_batch_whose_connection_is_cut_is_processed_again() {
    let (open, gate) = watch::channel(false);
    let gate = Arc::new(gate);
    let processor = FakeProcessor::new(move |event| {
        // the thirteenth is taken, and never answered unless it comes again
        if json_of(event) == 12 && !*gate.borrow() { Answer::Silence } else { Answer::Events(vec![event.clone()]) }
    });
    let (source, sink) = (FakeSource::new(numbers(0..30)), FakeSink::default());
    let (from, through, to) = (source.serve().await, processor.serve().await, sink.serve().await);
    let proxy = Proxy::before(&through).await;
    let number = number_schema();
    let pipeline = Pipeline::new().source(&from, &number).processor(&proxy.server, &number, &number).sink(&to, &number);
    let mut run = pipeline.start().await;
    until("it hangs", || processor.streams.lock().unwrap().iter().sum::<usize>() == 13).await;
    open.send_replace(true);
    proxy.cut().await;
    let summary = run.wait().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    assert_eq!(sink.taken().iter().map(json_of).collect::<Vec<_>>(), all());
    assert!(pipeline.letters.all().is_empty());
}
