//! The source `stellar-rpc` against a server that serves generated ledgers.

mod faults;
mod following;
mod starting;

use std::path::Path;

use flowctl_connectors::{Generator, GeneratorSettings, Pipeline, source};
use flowctl_runtime::{Bounds, Piece, Source};
use flowctl_test_support::rpc_server::{RpcServer, ServedLedger};
use serde_json::{Value, json};

use crate::support::{pipeline, served, source_node};

const NETWORK: &str = "Standalone Network ; February 2017";
const FIRST: u32 = 1_000;
const BOUNDS: Bounds = Bounds { max_events: 1_000, max_bytes: 1 << 20, until: None };

/// Generated ledgers, the first with number [`FIRST`].
fn ledgers(seed: u64, n_ledgers: usize) -> Vec<ServedLedger> {
    let settings = GeneratorSettings { passphrase: NETWORK.to_owned(), seed, start: FIRST, transactions_per_ledger: 2 };
    Generator::new(settings).take(n_ledgers).map(|ledger| served(ledger.xdr)).collect()
}

async fn server(n_ledgers: usize) -> RpcServer {
    RpcServer::start(ledgers(1, n_ledgers), NETWORK).await
}

/// A source that asks `server`, quickly; `more` stands beside or in place of that.
fn asking(server: &RpcServer, more: Value) -> Box<dyn Source> {
    asking_for(server, more, &pipeline())
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn asking_for(server: &RpcServer, more: Value, pipeline: &Pipeline) -> Box<dyn Source> {
    let mut config = json!({"url": server.http().url(), "start": FIRST.to_string(), "poll_interval": "1ms"});
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    source(&source_node("stellar-rpc", config), pipeline).unwrap()
}

/// A pipeline whose state is in `folder`.
fn pipeline_in(folder: &Path, state_id: &str) -> Pipeline {
    Pipeline { state_id: state_id.to_owned(), state_dir: folder.to_owned(), ..pipeline() }
}

/// Reads at least `n_events`.
async fn read(source: &mut dyn Source, bounds: &Bounds, n_events: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while payloads(&pieces).len() < n_events {
        pieces.push(source.next(bounds).await.unwrap());
    }
    pieces
}

fn payloads(pieces: &[Piece]) -> Vec<&[u8]> {
    pieces.iter().filter_map(|piece| piece.batch.as_ref()).flat_map(|batch| batch.columns.payloads()).collect()
}

fn ids(pieces: &[Piece]) -> Vec<String> {
    let batches = pieces.iter().filter_map(|piece| piece.batch.as_ref());
    batches.flat_map(|batch| (0..batch.len()).map(|index| batch.ids.get(index))).collect()
}

/// Asserts that `pieces` hold `want`, all of it and nothing else.
fn assert_ledgers(pieces: &[Piece], want: &[ServedLedger], network: &str) {
    assert_eq!(ids(pieces), want.iter().map(|ledger| format!("node/{}", ledger.sequence)).collect::<Vec<_>>());
    assert!(payloads(pieces) == want.iter().map(|ledger| ledger.xdr.as_slice()).collect::<Vec<_>>());
    let batches: Vec<_> = pieces.iter().filter_map(|piece| piece.batch.as_ref()).collect();
    let times: Vec<u64> = batches.iter().flat_map(|batch| batch.columns.timestamps.clone()).collect();
    assert_eq!(times, want.iter().map(|ledger| ledger.closed_at * 1_000_000_000).collect::<Vec<_>>());
    for batch in batches {
        assert_eq!(batch.attributes[..], [("network".to_owned(), network.to_owned())]);
    }
}

/// What ends the source when it is opened at `position` and read.
async fn failure(mut source: Box<dyn Source>, position: Option<&[u8]>) -> String {
    source.open(position).await.unwrap();
    loop {
        match source.next(&BOUNDS).await {
            Ok(piece) => assert!(!piece.is_finished, "it ends without a fault"),
            Err(fault) => return fault.to_string(),
        }
    }
}
