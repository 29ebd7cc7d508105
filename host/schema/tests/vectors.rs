//! Writes what the packages for JavaScript and Python hold their codecs against:
//! `sdk/vectors/shapes.jsonl`, values of every kind of type with their payloads.
//!
//! `BLESS=1` writes the file anew.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use flowctl_schema::Schema;
use serde_json::{Value, json};

const SHAPES: &str = include_str!("../../../sdk/flowctl-sdk/tests/wit/shapes/shapes.wit");

#[test]
fn vectors_for_other_languages_are_what_the_host_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/vectors/shapes.jsonl");
    let schema = Schema::from_wit(SHAPES).unwrap().into_iter().next().unwrap();
    let payloads: Vec<Vec<u8>> = [zeros(), largest(), smallest()].iter().map(|value| payload(&schema, value)).collect();
    let valid = payloads.iter().map(|payload| (payload.clone(), Some(json(&schema, payload).unwrap())));
    let broken = broken(&payloads[1]).into_iter().map(|payload| {
        assert!(json(&schema, &payload).is_none(), "{payload:?} is a payload");
        (payload, None)
    });
    let lines: String = valid.chain(broken).map(|(payload, value)| line(&payload, value.as_ref())).collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &lines).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), lines, "`BLESS=1` writes `{}` anew", path.display());
}

fn zeros() -> Value {
    json!({
        "flag": false, "small": [0, 0], "unsigned": [0, 0, 0], "signed": [0, 0, 0], "floats": [0.0, 0.0],
        "letter": "a", "text": "", "bytes": "", "texts": [], "maybe": null, "answer": {"err": null},
        "choice": "nothing", "colour": "red", "nested": [], "type": null,
    })
}

fn largest() -> Value {
    json!({
        "flag": true, "small": [u8::MAX, i8::MAX], "unsigned": [u16::MAX, u32::MAX, u64::MAX],
        "signed": [i16::MAX, i32::MAX, i64::MAX], "floats": [1.5, "Infinity"], "letter": "🦀",
        "text": "größer\u{0}".repeat(30), "bytes": "AAECA/8=", "texts": ["", "x"], "maybe": "there",
        "answer": {"ok": u32::MAX}, "choice": {"pair": [7, "seven"]}, "colour": "green",
        "nested": [{"name": "n", "amounts": [i64::MAX, 1, 1u64 << 53]}, {"name": "", "amounts": []}],
        "type": ["AQ==", ""],
    })
}

fn smallest() -> Value {
    json!({
        "flag": true, "small": [128, i8::MIN], "unsigned": [128, 16384, 1u64 << 63],
        "signed": [i16::MIN, i32::MIN, i64::MIN], "floats": [-0.25, -1.0e300], "letter": "\u{0}",
        "text": "\u{feff}mark", "bytes": "", "texts": [], "maybe": "", "answer": {"ok": 0},
        "choice": {"number": (1u64 << 49) - 1}, "colour": "red", "nested": [{"name": "n", "amounts": [-1, i64::MIN]}], "type": [],
    })
}

/// Payloads that are none: cut, gone on with, and with a first field that has no such value.
fn broken(payload: &[u8]) -> Vec<Vec<u8>> {
    let mut cut: Vec<_> = (0..payload.len()).step_by(7).map(|end| payload[..end].to_vec()).collect();
    cut.push([payload, &[0]].concat());
    cut.push([&[2], &payload[1..]].concat());
    // an integer of 16 bits that has more
    cut.push([&payload[..3], &[0xff, 0xff, 0x7f], &payload[6..]].concat());
    cut
}

fn payload(schema: &Schema, value: &Value) -> Vec<u8> {
    let mut payload = Vec::new();
    schema.json_to_payload(value.to_string().as_bytes(), &mut payload).unwrap();
    payload
}

fn json(schema: &Schema, payload: &[u8]) -> Option<Value> {
    let mut text = Vec::new();
    schema.payload_to_json(payload, &mut text).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn line(payload: &[u8], value: Option<&Value>) -> String {
    let hexadecimal: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}\n", json!({ "payload": hexadecimal, "value": value }))
}
