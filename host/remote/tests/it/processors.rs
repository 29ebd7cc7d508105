//! Processors: streams that break, and events that they cannot stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowctl_proto::v1;
use flowctl_runtime::Status;
use tonic::Status as Answered;

use crate::support::{Answer, FakeProcessor, FakeSink, FakeSource, Pipeline, json_of, number, number_schema, numbers};

/// What the sink took of thirty numbers, and the pipeline.
async fn thirty(processor: &FakeProcessor) -> (Vec<u64>, Pipeline, Status, Option<String>) {
    let (source, sink) = (FakeSource::new(numbers(0..30)), FakeSink::default());
    let (from, through, to) = (source.serve().await, processor.serve().await, sink.serve().await);
    let number = number_schema();
    let pipeline = Pipeline::new().source(&from, &number).processor(&through, &number, &number).sink(&to, &number);
    let pipeline = pipeline.settings(|settings| settings.max_events = 10);
    let summary = pipeline.run().await;
    (sink.taken().iter().map(json_of).collect(), pipeline, summary.status, summary.error)
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_repeats_its_batch_alone() {
    let has_broken = Arc::new(AtomicBool::new(false));
    let processor = FakeProcessor::new(move |event| {
        if json_of(event) == 15 && !has_broken.swap(true, Ordering::Relaxed) {
            return Answer::Error(Answered::unavailable("restarting"));
        }
        Answer::Events(vec![event.clone()])
    });
    let (taken, pipeline, status, error) = thirty(&processor).await;
    assert_eq!(status, Status::Completed, "{error:?}");
    assert_eq!(taken, (0..30).collect::<Vec<_>>());
    assert!(pipeline.letters.all().is_empty());
}

#[tokio::test]
async fn an_event_that_is_refused_is_found_and_set_aside() {
    let processor = FakeProcessor::new(|event| match json_of(event) {
        13 => Answer::Error(Answered::invalid_argument("unlucky")),
        _ => Answer::Events(vec![event.clone()]),
    });
    let (taken, pipeline, status, error) = thirty(&processor).await;
    assert_eq!(status, Status::Completed, "{error:?}");
    assert_eq!(taken, (0..30).filter(|n| *n != 13).collect::<Vec<_>>());
    let letters = pipeline.letters.all();
    assert_eq!(letters, [("n-13".to_owned(), "the component answered `InvalidArgument`: unlucky".to_owned())]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_costs_its_input_alone() {
    let processor = FakeProcessor::new(|event| match json_of(event) {
        // it does not say what it came from
        13 => Answer::Events(vec![v1::Event { payload: b"{".to_vec(), ..number(99) }]),
        _ => Answer::Events(vec![event.clone()]),
    });
    let (taken, pipeline, status, error) = thirty(&processor).await;
    assert_eq!(status, Status::Completed, "{error:?}");
    assert_eq!(taken, (0..30).filter(|n| *n != 13).collect::<Vec<_>>());
    let letters = pipeline.letters.all();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].0, "n-13");
    assert!(letters[0].1.starts_with("the component made an event `n-99` of it that cannot be read"), "{letters:?}");
}

#[tokio::test]
async fn any_number_of_events_may_come_of_one() {
    let processor = FakeProcessor::new(|event| {
        let n = json_of(event);
        Answer::Events((0..n % 3).map(|_| v1::Event { id: String::new(), ..event.clone() }).collect())
    });
    let (taken, _, status, error) = thirty(&processor).await;
    assert_eq!(status, Status::Completed, "{error:?}");
    assert_eq!(taken, (0..30).flat_map(|n| vec![n; (n % 3) as usize]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_component_that_is_something_else_ends_the_run_and_refuses_nothing() {
    let mut processor = FakeProcessor::new(|event| Answer::Events(vec![event.clone()]));
    processor.info.input_event_types = vec!["test.letter.v1".to_owned()];
    let (taken, pipeline, status, error) = thirty(&processor).await;
    assert_eq!((status, taken.len(), pipeline.letters.all().len()), (Status::Failed, 0, 0));
    let error = error.unwrap();
    assert!(error.contains("it reads `test.letter.v1`, not `test.number.v1`"), "{error}");
    processor.info = v1::ComponentInfo { r#type: v1::ComponentType::Consumer.into(), ..v1::ComponentInfo::default() };
    let (_, _, status, error) = thirty(&processor).await;
    assert_eq!(status, Status::Failed);
    assert!(error.unwrap().ends_with("it is a consumer, not a processor"));
}
