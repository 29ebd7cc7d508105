//! What the tests of this crate share: nodes, and sources run to their end.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::error::Error;
use std::future::Future;

use flowctl_connectors::Pipeline;
use flowctl_runtime::{Bounds, Fault, Piece, Source};
use flowctl_schema::{Role, Schema};
use flowctl_test_support::rpc_server::ServedLedger;
use flowctl_topology::{CallLimits, Component, Grants, Node, Settings};
use sha2::{Digest, Sha256};
use stellar_xdr::{Hash, LedgerCloseMeta, LedgerHeader, LedgerHeaderHistoryEntry, Limits, ReadXdr, WriteXdr};

/// A node that runs the source `name`.
pub fn source_node(name: &str, config: serde_json::Value) -> Node {
    node(name, Role::Source, config, Vec::new(), Vec::new())
}

/// A node that runs a connector.
pub fn node(name: &str, role: Role, config: serde_json::Value, inputs: Vec<Schema>, outputs: Vec<Schema>) -> Node {
    Node {
        id: "node".parse().unwrap(),
        role,
        component: Component::Connector { name: name.to_owned() },
        inputs,
        outputs,
        shown_config: config.clone(),
        config,
        grants: Grants::default(),
        parallelism: 1.try_into().unwrap(),
        key: None,
        brings_keys: false,
        is_stateful: false,
        has_timer: false,
        is_available: true,
        tick: None,
        limits: CallLimits::default(),
        settings: Settings::default(),
    }
}

/// The pipeline that the connectors under test work for.
pub fn pipeline() -> Pipeline {
    Pipeline {
        name: "test".parse().unwrap(),
        state_id: "0".to_owned(),
        is_new: true,
        state_dir: std::env::temp_dir().join("none"),
        base_dir: None,
    }
}

/// Runs `future` on a runtime of its own.
pub fn block_on<T>(future: impl Future<Output = Result<T, Box<dyn Error>>>) -> Result<T, Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Reads from `position` to the end.
pub async fn drain(
    source: &mut dyn Source,
    position: Option<&[u8]>,
    bounds: &Bounds,
) -> Result<Vec<Piece>, Box<dyn Error>> {
    source.open(position).await?;
    let mut pieces = Vec::new();
    while !pieces.last().is_some_and(|piece: &Piece| piece.is_finished) {
        pieces.push(source.next(bounds).await?);
    }
    Ok(pieces)
}

/// The message of a fault.
pub fn message(fault: &Fault) -> String {
    fault.to_string()
}

/// When a ledger closed, seconds since the Unix epoch; it is decoded as a whole.
pub fn close_time(xdr: &[u8]) -> u64 {
    header(xdr).scp_value.close_time.0
}

/// A ledger's header; the ledger is decoded as a whole.
pub fn header(xdr: &[u8]) -> LedgerHeader {
    header_entry(xdr).header
}

fn header_entry(xdr: &[u8]) -> LedgerHeaderHistoryEntry {
    match LedgerCloseMeta::from_xdr(xdr, Limits { depth: 500, len: xdr.len() }).unwrap() {
        LedgerCloseMeta::V0(meta) => meta.ledger_header,
        LedgerCloseMeta::V1(meta) => meta.ledger_header,
        LedgerCloseMeta::V2(meta) => meta.ledger_header,
    }
}

/// A ledger as a Stellar RPC server gives it out.
pub fn served(xdr: Vec<u8>) -> ServedLedger {
    let entry = header_entry(&xdr);
    ServedLedger {
        sequence: entry.header.ledger_seq,
        hash: entry.hash.to_string(),
        closed_at: entry.header.scp_value.close_time.0,
        header_xdr: entry.to_xdr(Limits::none()).unwrap(),
        xdr,
    }
}

/// The SHA-256 of a value's XDR.
pub fn hash(value: &impl WriteXdr) -> Hash {
    Hash(Sha256::digest(value.to_xdr(Limits::none()).unwrap()).into())
}

/// The schema of `example.order.v1`.
pub fn example_order() -> Schema {
    schema(include_str!("../../../../wit/events/example-order/event.wit"))
}

/// The schema of `stellar.ledger.v1`.
pub fn ledger() -> Schema {
    schema(include_str!("../../../../wit/events/stellar-ledger/event.wit"))
}

/// The one schema of a WIT text.
pub fn schema(wit: &str) -> Schema {
    Schema::from_wit(wit).unwrap().remove(0)
}
