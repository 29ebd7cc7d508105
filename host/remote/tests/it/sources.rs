//! Sources: where they go on.

use flowctl_remote::{Peer, PeerSettings, source};
use flowctl_runtime::{Bounds, Fault, Source, Status};
use flowctl_types::Batch;

use crate::ends::ledger_schema;
use crate::support::{
    FakeSink, FakeSource, Pipeline, Resumes, Server, json_of, ledger, number, number_schema, numbers, with_cursor,
};

const BOUNDS: Bounds = Bounds { max_events: 4, max_bytes: 1 << 20, until: None };

/// A source as the runtime has it, of one process.
fn opened(server: &Server) -> Box<dyn Source> {
    let pipeline = Pipeline::new().source(server, &number_schema());
    let node = pipeline.topology_node("s");
    source(node, Peer::connect(PeerSettings::of(node, &server.endpoint)).unwrap()).unwrap()
}

fn ids(batch: &Option<Batch>) -> Vec<String> {
    batch.iter().flat_map(|batch| (0..batch.len()).map(|index| batch.ids.get(index))).collect()
}

/// Reads to the end; ids, and the position behind each piece.
async fn read(source: &mut dyn Source) -> (Vec<String>, Vec<(usize, Vec<u8>)>) {
    let (mut seen, mut positions) = (Vec::new(), Vec::new());
    loop {
        let piece = source.next(&BOUNDS).await.unwrap();
        let events = ids(&piece.batch);
        assert!(events.len() <= 4);
        seen.extend(events);
        positions.push((seen.len(), piece.position));
        if piece.is_finished {
            return (seen, positions);
        }
    }
}

#[tokio::test]
async fn every_position_leads_to_the_rest_of_the_events() {
    // cursors that many events share, too
    let shared = (0..12).map(|n| with_cursor(number(n), 100 + n / 5, 0)).collect();
    let tokens = (0..12).map(|n| {
        let mut event = number(n);
        if n % 3 != 1 {
            event.metadata.insert("resume_token".to_owned(), format!("token {n}"));
        }
        event
    });
    for events in [numbers(0..12), shared, tokens.collect()] {
        for resumes in [Resumes::At, Resumes::Behind] {
            let fake = FakeSource { resumes, ..FakeSource::new(events.clone()) };
            let server = fake.serve().await;
            let mut source = opened(&server);
            source.open(None).await.unwrap();
            let (all, positions) = read(&mut *source).await;
            assert_eq!(all.len(), 12);
            for (n_read, position) in positions {
                let mut again = opened(&server);
                again.open(Some(&position)).await.unwrap();
                assert_eq!(read(&mut *again).await.0, all[n_read..], "{}", String::from_utf8(position).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn an_epoch_is_repeated_up_to_its_position_and_no_further() {
    let server = FakeSource::new(numbers(0..12)).serve().await;
    let mut source = opened(&server);
    source.open(None).await.unwrap();
    let (_, positions) = read(&mut *source).await;
    let (n_events, until) = positions.iter().rev().find(|(n_events, _)| *n_events < 12).unwrap().clone();
    let mut again = opened(&server);
    again.open(None).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let piece = again.next(&Bounds { until: Some(until.clone()), ..BOUNDS }).await.unwrap();
        seen.extend(ids(&piece.batch));
        assert!(!piece.is_finished);
        if piece.position == until {
            break;
        }
    }
    assert_eq!(seen.len(), n_events);
    let other = FakeSource::new(numbers(20..32)).serve().await;
    let mut other = opened(&other);
    other.open(None).await.unwrap();
    let fault = loop {
        match other.next(&Bounds { until: Some(until.clone()), ..BOUNDS }).await {
            Ok(piece) => assert_ne!(piece.position, until),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault, Fault::Fatal("`s` does not repeat the events that it emitted before".to_owned()));
}

#[tokio::test]
async fn a_stream_that_breaks_goes_on_behind_the_last_event() {
    for resumes in [Resumes::At, Resumes::Behind, Resumes::Never] {
        let source = FakeSource { resumes, breaks: vec![7, 5, 0], ..FakeSource::new(numbers(0..20)) };
        let sink = FakeSink::default();
        let (from, to) = (source.serve().await, sink.serve().await);
        let pipeline = Pipeline::new().source(&from, &number_schema()).sink(&to, &number_schema());
        let summary = pipeline.run().await;
        assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
        assert_eq!(sink.taken().iter().map(json_of).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
        assert_eq!(source.told().len(), 4);
        assert_eq!(source.told()[1].as_deref(), Some("101-2"), "the cursor before that of `n-6`");
    }
}

#[tokio::test]
async fn missing_ledgers_end_the_run_and_are_named() {
    let ledgers = (5..15).map(ledger).collect();
    let source = FakeSource { breaks: vec![3], forgets: 3..5, ..FakeSource::new(ledgers) };
    let sink = FakeSink::default();
    let (from, to) = (source.serve().await, sink.serve().await);
    let pipeline = Pipeline::new().source(&from, &ledger_schema()).sink(&to, &ledger_schema());
    let summary = pipeline.run().await;
    assert_eq!(summary.status, Status::Failed);
    assert_eq!(source.told(), [None, Some("7".to_owned())]);
    let error = summary.error.unwrap();
    assert!(error.contains("it was to go on with ledger 8 and goes on with ledger 10"), "{error}");
}

#[tokio::test]
async fn a_source_whose_events_say_nothing_is_not_replayable() {
    let events: Vec<_> = (0..6).map(number).collect();
    let server = FakeSource::new(events).serve().await;
    let mut source = opened(&server);
    source.open(None).await.unwrap();
    assert!(source.is_replayable(), "nothing is known of it before its first event");
    let (seen, positions) = read(&mut *source).await;
    assert_eq!(seen.len(), 6);
    assert!(!source.is_replayable());
    let (_, position) = positions.last().unwrap();
    assert!(source.open(Some(position)).await.is_err(), "it is the process that read from it");
    let mut next_process = opened(&server);
    next_process.open(Some(position)).await.unwrap();
    assert!(!next_process.is_replayable());
    assert_eq!(read(&mut *next_process).await.0.len(), 6, "what it emits from now on");
}

#[tokio::test]
async fn events_without_an_id_are_named_by_their_number() {
    let events = (0..3).map(|n| flowctl_proto::v1::Event { id: String::new(), ..number(n) }).collect();
    let server = FakeSource::new(events).serve().await;
    let mut source = opened(&server);
    source.open(None).await.unwrap();
    assert_eq!(read(&mut *source).await.0, ["s/0", "s/1", "s/2"]);
}
