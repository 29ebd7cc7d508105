//! Fuzzing of what components send.
//!
//! `cargo test` replays the corpus and goes on from it for a second; `cargo bolero test`
//! looks further. Bytes that broke something go into the corpus.
#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

#[allow(dead_code, unused_imports, reason = "the other tests use the rest")]
#[path = "it/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use flowctl_proto::v1;
use flowctl_remote::{Peer, PeerSettings, sink, source};
use flowctl_runtime::Bounds;
use flowctl_schema::{Role, Schema};
use flowctl_topology::Node;
use flowctl_types::{Batch, Columns, Ids};
use prost::Message as _;
use tokio::runtime::Runtime;

use support::{FakeSink, FakeSource, Pipeline, Server};

/// Nothing takes this long.
const LIMIT: Duration = Duration::from_secs(20);
const WITS: [&str; 4] = [
    include_str!("../../../wit/events/stellar-ledger/event.wit"),
    include_str!("../../../wit/events/stellar-token-transfer/event.wit"),
    include_str!("../../../wit/events/example-order/event.wit"),
    "package test:blob@1.0.0; interface event { type blob = list<u8>; }",
];
const CONTENT_TYPES: [&str; 4] = ["", "application/protobuf", "application/json; charset=utf-8", "text/plain"];

/// Panics of tasks: those of the thread that tests are seen by themselves.
static N_PANICS: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread is one of a runtime's.
fn is_task() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("tokio"))
}

fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if is_task() {
                N_PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(panic);
        }));
    });
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// One type for each codec.
fn schemas() -> &'static [Schema] {
    static SCHEMAS: OnceLock<Vec<Schema>> = OnceLock::new();
    SCHEMAS.get_or_init(|| WITS.iter().map(|wit| Schema::from_wit(wit).unwrap().remove(0)).collect())
}

/// A node of all types, and the component that it is.
fn node(role: Role, server: &Server) -> (Node, Arc<Peer>) {
    let one = &schemas()[0];
    let pipeline = match role {
        Role::Source => Pipeline::new().source(server, one),
        _ => Pipeline::new().sink(server, one),
    };
    let mut node = pipeline.topology_node(if role == Role::Source { "s" } else { "out" }).clone();
    match role {
        Role::Source => node.outputs = schemas().to_vec(),
        _ => node.inputs = schemas().to_vec(),
    }
    let peer = Peer::connect(PeerSettings::of(&node, &server.endpoint)).unwrap();
    (node, peer)
}

/// Does something within the limit and without a panic.
fn run(work: impl Future<Output = ()>) {
    count_panics();
    let n_panics = N_PANICS.load(Ordering::SeqCst);
    runtime().block_on(async { tokio::time::timeout(LIMIT, work).await }).expect("it comes to an end");
    assert_eq!(N_PANICS.load(Ordering::SeqCst), n_panics, "a task panicked");
}

/// Reads all that a component sends; answers how many events came of it, the refused ones
/// included.
async fn read(events: Vec<v1::Event>) -> usize {
    let server = FakeSource::new(events).serve().await;
    let (node, peer) = node(Role::Source, &server);
    let mut source = source(&node, peer).unwrap();
    source.open(None).await.unwrap();
    let bounds = Bounds { max_events: 16, max_bytes: 1 << 20, until: None };
    let mut n_events = 0;
    loop {
        // the position of every piece is one that can be read again
        let Ok(piece) = source.next(&bounds).await else { return n_events };
        n_events += piece.batch.map_or(0, |batch| batch.len()) + piece.rejected.len();
        source.ack(&piece.position).await.unwrap();
        if piece.is_finished {
            return n_events;
        }
    }
}

#[test]
fn any_payload_is_read_or_refused() {
    bolero::check!(name = "payloads").for_each(|bytes: &[u8]| {
        let types = schemas().iter().map(|schema| schema.event_type().to_string());
        let events: Vec<_> = types
            .flat_map(|r#type| {
                CONTENT_TYPES.map(|content_type| v1::Event {
                    r#type: r#type.clone(),
                    content_type: content_type.to_owned(),
                    payload: bytes.to_vec(),
                    ..v1::Event::default()
                })
            })
            .collect();
        run(async {
            read(events).await;
        });
    });
}

#[test]
fn any_events_are_read_or_refused() {
    bolero::check!(name = "events").for_each(|bytes: &[u8]| {
        // what is no message is refused before it gets here
        let mut rest = bytes;
        let read_next = || v1::Event::decode_length_delimited(&mut rest).ok();
        let mut events: Vec<_> = std::iter::from_fn(read_next).take(32).collect();
        events.extend(v1::Event::decode(bytes).ok());
        let types = schemas().iter().map(|schema| schema.event_type().to_string());
        let typed: Vec<_> = types
            .flat_map(|r#type| events.iter().map(move |event| v1::Event { r#type: r#type.clone(), ..event.clone() }))
            .collect();
        events.extend(typed);
        run(async {
            read(events).await;
        });
    });
}

#[test]
fn any_payload_is_sent_or_rejected() {
    bolero::check!(name = "sent").for_each(|bytes: &[u8]| {
        run(async {
            let server = FakeSink::default().serve().await;
            let (node, peer) = node(Role::Sink, &server);
            let mut sink = sink(&node, peer).unwrap();
            sink.open().await.unwrap();
            for kind in 0..=u32::try_from(schemas().len()).unwrap() {
                let mut columns = Columns { kind, ..Columns::default() };
                columns.push(u64::MAX, bytes);
                columns.push(0, &[]);
                let batch = Batch::new(columns, Ids::named(vec!["a".to_owned(), String::new()]));
                sink.write(&Arc::new(batch)).await.unwrap();
            }
            sink.flush(1).await.unwrap();
        });
    });
}

/// Events that are well get through, so that those of the others do too.
#[test]
fn what_is_well_is_read() {
    let order =
        v1::Event { r#type: schemas()[3].event_type().to_string(), payload: vec![1, 2, 3], ..v1::Event::default() };
    run(async { assert_eq!(read(vec![order; 40]).await, 40) });
}
