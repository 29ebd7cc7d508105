//! What each component emits and takes, and its faults.

use std::path::PathBuf;

use flowctl_proto::stellar::RawLedger;
use flowctl_proto::v1::{Event, StellarCursor};
use flowctl_test_support::components::{Component, Received, Role};
use libtest_mimic::Trial;
use prost::Message as _;
use tempfile::TempDir;
use tonic::Code;

use crate::calls::{consume, ids, open, process, stream, write_ledgers};
use crate::fact;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("roles::a_source_emits_its_ledgers_and_ends", a_source_emits_its_ledgers_and_ends),
        fact("roles::a_source_goes_on_behind_a_token", a_source_goes_on_behind_a_token),
        fact("roles::a_source_serves_one_stream_at_a_time", a_source_serves_one_stream_at_a_time),
        fact("roles::a_stream_breaks_once_at_the_event", a_stream_breaks_once_at_the_event),
        fact("roles::a_component_dies_at_the_event", a_component_dies_at_the_event),
        fact("roles::a_poison_event_breaks_its_stream_each_time", a_poison_event_breaks_its_stream_each_time),
        fact("roles::a_sink_writes_what_it_knows_and_counts_that", a_sink_writes_what_it_knows_and_counts_that),
        fact("roles::a_sink_miscounts_once", a_sink_miscounts_once),
    ]
}

struct Files {
    folder: TempDir,
}

impl Files {
    /// With the ledgers 11 to 15.
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        write_ledgers(&files.path("ledgers"), 11, 5);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn source(&self, faults: &[(&str, &str)]) -> Component {
        self.start(Role::Source, "LEDGERS", "ledgers", faults)
    }

    fn sink(&self, faults: &[(&str, &str)]) -> Component {
        self.start(Role::Sink, "OUTPUT", "out", faults)
    }

    fn start(&self, role: Role, variable: &str, file: &str, more: &[(&str, &str)]) -> Component {
        let path = self.path(file).display().to_string();
        Component::start(role, more.iter().copied().chain([(variable, path.as_str())]))
    }
}

async fn a_source_emits_its_ledgers_and_ends() {
    let source = Files::new().source(&[("NETWORK", "testnet")]);
    for _ in 0..2 {
        let (events, end) = stream(&source, None).await;
        end.unwrap();
        let wanted = ["11", "12", "13", "14", "15"].map(|sequence| format!("stellar-ledger-{sequence}"));
        assert_eq!(ids(&events), wanted);
        let event = &events[0];
        let ledger = RawLedger::decode(event.payload.as_slice()).unwrap();
        assert_eq!((ledger.sequence, ledger.network.as_str(), ledger.closed_at), (11, "testnet", 1_011));
        assert_eq!((event.r#type.as_str(), event.content_type.as_str()), ("stellar.ledger.v1", "application/protobuf"));
        assert_eq!(event.metadata["ledger_sequence"], "11");
        assert_eq!(event.metadata["xdr_size"], ledger.ledger_close_meta_xdr.len().to_string());
        assert_eq!(event.stellar_cursor, Some(StellarCursor { ledger_sequence: 11, index_in_ledger: 0 }));
        assert_eq!(event.timestamp.unwrap().seconds, 1_011);
    }
}

async fn a_source_goes_on_behind_a_token() {
    let source = Files::new().source(&[]);
    for (token, wanted) in [("13", 2), ("13-4", 2), ("1", 5), ("15", 0), ("99", 0)] {
        let (events, end) = stream(&source, Some(token)).await;
        end.unwrap();
        assert_eq!(events.len(), wanted, "{token}");
    }
    assert_eq!(stream(&source, Some("somewhere")).await.1.unwrap_err().code(), Code::InvalidArgument);
}

async fn a_source_serves_one_stream_at_a_time() {
    let source = Files::new().source(&[("STAY", "1")]);
    let mut first = open(&source, None).await.unwrap();
    for _ in 0..5 {
        first.message().await.unwrap().unwrap();
    }
    let refused = open(&source, None).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "already streaming events"));
    // it is open still
    let more = tokio::time::timeout(std::time::Duration::from_millis(50), first.message()).await;
    assert!(more.is_err(), "{more:?}");
    drop(first);
    // cancelled, it makes room, though not at once
    while let Err(status) = open(&source, None).await {
        assert_eq!(status.code(), Code::Unknown);
    }
}

async fn a_stream_breaks_once_at_the_event() {
    let source = Files::new().source(&[("BREAK_AFTER", "3")]);
    let (events, end) = stream(&source, None).await;
    assert_eq!((events.len(), end.unwrap_err().code()), (3, Code::Unavailable));
    let (events, end) = stream(&source, Some("13")).await;
    assert_eq!((events.len(), end.is_ok()), (2, true));
}

async fn a_component_dies_at_the_event() {
    let (files, ledgers) = (Files::new(), ledgers().await);
    let mut processor = Component::start(Role::Processor, [("DIE_AFTER", "2")]);
    assert!(process(&processor, ledgers.clone()).await.1.is_err());
    assert_eq!(processor.wait().code(), Some(1));
    assert_eq!(processor.lines().last().unwrap(), "dying at `stellar-ledger-13`");

    let mut sink = files.sink(&[("DIE_AFTER", "2"), ("INPUT_TYPES", "stellar.ledger.v1")]);
    assert!(consume(&sink, ledgers).await.is_err());
    assert_eq!(sink.wait().code(), Some(1));
    assert_eq!(Received::read(&files.path("out")).len(), 2);
}

async fn a_poison_event_breaks_its_stream_each_time() {
    let ledgers = ledgers().await;
    let processor = Component::start(Role::Processor, [("POISON", "stellar-ledger-12")]);
    for _ in 0..2 {
        let (_, end) = process(&processor, ledgers.clone()).await;
        assert_eq!(end.unwrap_err().code(), Code::Internal);
    }
    let others = ledgers.into_iter().filter(|event| event.id != "stellar-ledger-12").collect();
    assert!(process(&processor, others).await.1.is_ok());
    processor.wait_for_nth("poisoned by `stellar-ledger-12`", 2);
}

async fn a_sink_writes_what_it_knows_and_counts_that() {
    let files = Files::new();
    let sink = files.sink(&[("INPUT_TYPES", "example.order.v1, example.other.v1")]);
    let event = |id: &str, r#type: &str| Event {
        id: id.to_owned(),
        r#type: r#type.to_owned(),
        payload: b"{}".to_vec(),
        metadata: [("key".to_owned(), "value".to_owned())].into(),
        content_type: "application/json".to_owned(),
        ..Event::default()
    };
    let events = vec![event("a", "example.order.v1"), event("b", "example.unknown.v1"), event("c", "example.other.v1")];
    let answer = consume(&sink, events).await.unwrap();
    assert_eq!((answer.events_consumed, answer.events_failed), (2, 0));
    let received = Received::read(&files.path("out"));
    assert_eq!(received.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!((received[0].payload(), received[0].metadata["key"].as_str()), (b"{}".to_vec(), "value"));
    assert_eq!((received[0].timestamp, received[0].stellar_cursor), (None, None));
    sink.wait_for("skipped an event of type example.unknown.v1");
}

async fn a_sink_miscounts_once() {
    let files = Files::new();
    let sink = files.sink(&[("MISCOUNT", "1"), ("INPUT_TYPES", "stellar.ledger.v1")]);
    let ledgers = ledgers().await;
    let mut counts = Vec::new();
    for events in [Vec::new(), ledgers.clone(), ledgers] {
        counts.push(consume(&sink, events).await.unwrap().events_consumed);
    }
    assert_eq!(counts, [0, 4, 5]);
    assert_eq!(Received::read(&files.path("out")).len(), 10);
}

async fn ledgers() -> Vec<Event> {
    let (events, end) = stream(&Files::new().source(&[]), None).await;
    end.unwrap();
    events
}
