//! Events as components write them.

use std::collections::HashMap;

use flowctl_proto::stellar::RawLedger;
use flowctl_proto::v1;
use flowctl_schema::Schema;
use flowctl_types::NodeId;
use prost::Message as _;

pub(crate) fn id(name: &str) -> NodeId {
    name.parse().unwrap()
}

/// A record of one number.
pub(crate) fn number_schema() -> Schema {
    let wit = "package test:number@1.0.0; interface event { record number { n: u64 } }";
    Schema::from_wit(wit).unwrap().remove(0)
}

/// Event `n-N` of the number `n`, as JSON.
pub(crate) fn number(n: u64) -> v1::Event {
    v1::Event {
        id: format!("n-{n}"),
        r#type: "test.number.v1".to_owned(),
        payload: format!("{{\"n\":{n}}}").into_bytes(),
        content_type: "application/json".to_owned(),
        ..v1::Event::default()
    }
}

pub(crate) fn with_cursor(event: v1::Event, ledger_sequence: u64, index_in_ledger: u32) -> v1::Event {
    v1::Event { stellar_cursor: Some(v1::StellarCursor { ledger_sequence, index_in_ledger }), ..event }
}

/// Numbers with a cursor each: three a ledger, from ledger 100 on.
pub(crate) fn numbers(range: std::ops::Range<u64>) -> Vec<v1::Event> {
    range.map(|n| with_cursor(number(n), 100 + n / 3, u32::try_from(n % 3).unwrap())).collect()
}

pub(crate) fn metadata(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The number of an event.
pub(crate) fn json_of(event: &v1::Event) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    value["n"].as_u64().unwrap()
}

/// A ledger, without a cursor: its number is in the payload.
pub(crate) fn ledger(sequence: u32) -> v1::Event {
    let payload = RawLedger {
        sequence,
        ledger_close_meta_xdr: vec![7; 10],
        network: "testnet".to_owned(),
        closed_at: 1_700_000_000,
    };
    v1::Event {
        id: format!("stellar-ledger-{sequence}"),
        r#type: "stellar.ledger.v1".to_owned(),
        payload: payload.encode_to_vec(),
        content_type: "application/protobuf".to_owned(),
        metadata: metadata(&[("ledger_sequence", &sequence.to_string())]),
        ..v1::Event::default()
    }
}
