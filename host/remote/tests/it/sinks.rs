//! Sinks: what they say that they took.

use std::time::Duration;

use flowctl_proto::v1;
use flowctl_runtime::Status;
use tonic::Status as Answered;

use crate::support::{FakeSink, FakeSource, Pipeline, Resumes, json_of, number_schema, numbers};

fn counts(events_consumed: i64, events_failed: i64) -> Result<v1::ConsumeResponse, Answered> {
    Ok(v1::ConsumeResponse { events_consumed, events_failed, errors: vec!["it hurts".to_owned()] })
}

/// Runs twenty numbers into a sink that answers the first streams with `answers`.
async fn twenty(answers: Vec<Result<v1::ConsumeResponse, Answered>>, resumes: Resumes) -> (FakeSink, FakeSource) {
    let source = FakeSource { resumes, ..FakeSource::new(numbers(0..20)) };
    let sink = FakeSink::answering(answers);
    let (from, to) = (source.serve().await, sink.serve().await);
    let pipeline = Pipeline::new().source(&from, &number_schema()).sink(&to, &number_schema());
    let pipeline = pipeline.settings(|settings| {
        settings.max_events = 4;
        // all are of one epoch, however long they take
        settings.checkpoint_interval = Duration::from_secs(3_600);
    });
    let summary = pipeline.run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    (sink, source)
}

#[tokio::test]
async fn an_epoch_whose_counts_do_not_match_comes_again() {
    for resumes in [Resumes::At, Resumes::Behind, Resumes::Never] {
        let (sink, source) = twenty(vec![counts(7, 0), counts(21, 0)], resumes).await;
        assert_eq!(sink.taken().iter().map(json_of).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
        assert_eq!(source.told().len(), 3);
    }
}

#[tokio::test]
async fn an_epoch_whose_stream_breaks_comes_again() {
    let (sink, _) = twenty(vec![Err(Answered::unavailable("restarting"))], Resumes::Behind).await;
    let taken = sink.taken();
    assert_eq!(taken.iter().map(json_of).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert_eq!(taken[3].id, "n-3");
}

#[tokio::test]
async fn events_on_which_a_sink_failed_are_counted() {
    let (sink, _) = twenty(vec![counts(18, 2)], Resumes::Behind).await;
    assert_eq!(sink.received.lock().unwrap().len(), 20);
}

#[tokio::test]
async fn a_loss_ends_the_run_where_the_source_cannot_repeat() {
    let mut events = numbers(0..20);
    events.iter_mut().for_each(|event| event.stellar_cursor = None);
    let (source, sink) = (FakeSource::new(events), FakeSink::answering(vec![counts(7, 0)]));
    let (from, to) = (source.serve().await, sink.serve().await);
    let pipeline = Pipeline::new().source(&from, &number_schema()).sink(&to, &number_schema());
    let summary = pipeline.run().await;
    assert_eq!(summary.status, Status::Failed);
    assert!(summary.error.unwrap().ends_with("`s` cannot repeat its events"));
}
