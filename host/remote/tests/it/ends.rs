//! From one end of a pipeline to the other: what events keep on their way.

use flowctl_proto::stellar::RawLedger;
use flowctl_proto::v1;
use flowctl_runtime::Status;
use flowctl_schema::Schema;
use prost::Message as _;

use crate::support::{
    Answer, FakeProcessor, FakeSink, FakeSource, Pipeline, json_of, ledger, metadata, number, number_schema, numbers,
};

pub(crate) fn ledger_schema() -> Schema {
    Schema::from_wit(include_str!("../../../../wit/events/stellar-ledger/event.wit")).unwrap().remove(0)
}

#[tokio::test]
async fn ledgers_go_through_as_they_came() {
    let ledgers: Vec<_> = (5..25).map(ledger).collect();
    let source = FakeSource::new(ledgers.clone());
    let sink = FakeSink::default();
    let (from, to) = (source.serve().await, sink.serve().await);
    let pipeline = Pipeline::new().source(&from, &ledger_schema()).sink(&to, &ledger_schema());
    let summary = pipeline.run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    let taken = sink.taken();
    assert_eq!(taken.len(), 20);
    for (event, wanted) in taken.iter().zip(&ledgers) {
        assert_eq!((&event.id, &event.r#type), (&wanted.id, &wanted.r#type));
        assert_eq!(event.content_type, "application/protobuf");
        assert_eq!(event.metadata["ledger_sequence"], wanted.metadata["ledger_sequence"]);
        let sent = RawLedger::decode(&*event.payload).unwrap();
        assert_eq!(sent, RawLedger::decode(&*wanted.payload).unwrap());
        assert_eq!(event.stellar_cursor.unwrap().ledger_sequence, u64::from(sent.sequence));
        assert_eq!(event.timestamp.unwrap().seconds, 1_700_000_000);
    }
    assert_eq!(source.told(), [None]);
}

#[tokio::test]
async fn a_processors_names_are_kept_and_what_was_said_of_its_input_is_inherited() {
    let said = |event: v1::Event| v1::Event { metadata: metadata(&[("shop", &event.id)]), ..event };
    let source = FakeSource::new(numbers(0..30).into_iter().map(said).collect());
    let processor = FakeProcessor::new(|event| {
        let doubled = number(json_of(event) * 2);
        Answer::Events(vec![v1::Event {
            id: format!("doubled {}", event.id),
            stellar_cursor: event.stellar_cursor,
            ..doubled
        }])
    });
    let sink = FakeSink::default();
    let (from, through, to) = (source.serve().await, processor.serve().await, sink.serve().await);
    let number = number_schema();
    let pipeline = Pipeline::new().source(&from, &number).processor(&through, &number, &number).sink(&to, &number);
    let summary = pipeline.run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    let taken = sink.taken();
    assert_eq!(taken.iter().map(json_of).collect::<Vec<_>>(), (0..30).map(|n| n * 2).collect::<Vec<_>>());
    for (event, n) in taken.iter().zip(0..) {
        assert_eq!(event.id, format!("doubled n-{n}"));
        assert_eq!(event.metadata["shop"], format!("n-{n}"));
        assert_eq!(event.stellar_cursor.unwrap().ledger_sequence, 100 + n / 3);
    }
}

#[tokio::test]
async fn an_acknowledged_place_is_told_to_the_source() {
    let source = FakeSource::new(numbers(0..4));
    let sink = FakeSink::default();
    let (from, to) = (source.serve().await, sink.serve().await);
    let pipeline = Pipeline::new().source(&from, &number_schema()).sink(&to, &number_schema());
    pipeline.run().await;
    crate::support::until("the source was told", || !source.saved.lock().unwrap().is_empty()).await;
    let saved = source.saved.lock().unwrap().last().cloned().unwrap();
    assert_eq!(saved.key, "s");
    assert_eq!(saved.state, metadata(&[("event_id", "n-3"), ("ledger_sequence", "101"), ("index", "0")]));
}

#[tokio::test]
async fn what_cannot_be_read_becomes_a_dead_letter() {
    let mut events = numbers(0..3);
    events[1].payload = b"{}".to_vec();
    events[2].r#type = "other.thing.v1".to_owned();
    let (source, sink) = (FakeSource::new(events), FakeSink::default());
    let (from, to) = (source.serve().await, sink.serve().await);
    let pipeline = Pipeline::new().source(&from, &number_schema()).sink(&to, &number_schema());
    let summary = pipeline.run().await;
    assert_eq!((summary.status, summary.rejected), (Status::Completed, 2));
    let letters = pipeline.letters.all();
    assert_eq!(letters[0].0, "n-1");
    assert_eq!(letters[1].1, "its type is `other.thing.v1`, and the node emits `test.number.v1`");
}
