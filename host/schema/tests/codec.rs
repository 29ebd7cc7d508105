//! Payload ↔ JSON for the first-party event types, and what is refused.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use flowctl_schema::Schema;

const ORDER: &str = include_str!("../../../wit/events/example-order/event.wit");
const TRANSFER: &str = include_str!("../../../wit/events/stellar-token-transfer/event.wit");
const LEDGER: &str = include_str!("../../../wit/events/stellar-ledger/event.wit");

const AN_ORDER: &str = r#"{"id":"o-1","customer":"Ada \"L\" 🦀\n","status":"shipped","total_cents":18446744073709551615,"currency":"EUR","items":[{"sku":"a","quantity":1,"price_cents":2},{"sku":"b","quantity":300,"price_cents":70000}],"note":null,"placed_at":1700000000}"#;

fn schema(wit: &str) -> Schema {
    Schema::from_wit(wit).unwrap().remove(0)
}

fn payload(schema: &Schema, json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    schema.json_to_payload(json.as_bytes(), &mut out).unwrap();
    out
}

fn json(schema: &Schema, payload: &[u8]) -> String {
    let mut out = Vec::new();
    schema.payload_to_json(payload, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn an_order_survives() {
    let schema = schema(ORDER);
    assert_eq!(schema.event_type().as_str(), "example.order.v1");
    assert_eq!(json(&schema, &payload(&schema, AN_ORDER)), AN_ORDER);
}

#[test]
fn keys_come_in_any_order_and_options_may_be_missing() {
    let schema = schema(ORDER);
    let shuffled = r#" { "placed_at" : 1700000000 , "items":[ {"price_cents":2,"quantity":1,"sku":"a"}, {"sku":"b", "price_cents":70000,"quantity":300}],
        "id":"o-1","customer":"Ada \"L\" \ud83e\udd80\u000a","status":"shipped","currency":"EUR","total_cents":18446744073709551615 } "#;
    assert_eq!(payload(&schema, shuffled), payload(&schema, AN_ORDER));
}

#[test]
fn a_transfer_survives() {
    let schema = schema(TRANSFER);
    for to_muxed in [r#"{"id":7}"#, r#"{"text":"x"}"#, r#"{"hash":"AAEC/w=="}"#, "null"] {
        let text = format!(
            r#"{{"kind":"mint","ledger_sequence":1,"closed_at":2,"tx_hash":"ab","transaction_index":1,"operation_index":3,"contract_address":"C","from":null,"to":"G","asset":"native","amount":"-10","to_muxed":{to_muxed}}}"#
        );
        assert_eq!(json(&schema, &payload(&schema, &text)), text);
    }
}

#[test]
fn opaque_events_are_base64() {
    let schema = schema(LEDGER);
    assert!(schema.is_opaque() && !schema.is_record());
    assert_eq!(json(&schema, &[0, 1, 2, 255]), r#""AAEC/w==""#);
    assert_eq!(payload(&schema, r#" "AAEC/w" "#), [0, 1, 2, 255]);
}

fn check_json_fault(text: &str, expect: &Expect) {
    let mut out = b"before".to_vec();
    let error = schema(ORDER).json_to_payload(text.as_bytes(), &mut out).unwrap_err();
    assert_eq!(out, b"before", "left as it was");
    expect.assert_eq(&error.to_string());
}

#[test]
fn json_faults_name_field_and_offset() {
    let replaced = |from: &str, to: &str| AN_ORDER.replacen(from, to, 1);
    check_json_fault("", &expect!["JSON is no valid `example.order.v1`: expected an object, found the end at byte 0"]);
    check_json_fault("{}", &expect!["JSON is no valid `example.order.v1`: field `id` is missing at byte 2"]);
    let nonsense = expect![
        "JSON is no valid `example.order.v1`: expected an object, found `nonsense`, which is no JSON at byte 0"
    ];
    check_json_fault("nonsense", &nonsense);
    check_json_fault("null", &expect!["JSON is no valid `example.order.v1`: expected an object, found null at byte 0"]);
    check_json_fault("[]", &expect!["JSON is no valid `example.order.v1`: expected an object, found a list at byte 0"]);
    check_json_fault(
        &replaced("quantity", "quantitty"),
        &expect![
            "JSON is no valid `example.order.v1`: unknown field `quantitty`, did you mean `quantity`? at byte 133 (`items[0]`)"
        ],
    );
    check_json_fault(
        &replaced("\"status\"", "\"colour\""),
        &expect![
            "JSON is no valid `example.order.v1`: unknown field `colour`, there are `id`, `customer`, `status`, `total_cents`, `currency`, `items`, `note`, `placed_at` at byte 42"
        ],
    );
    check_json_fault(
        &replaced("\"currency\"", "\"id\""),
        &expect!["JSON is no valid `example.order.v1`: field `id` stands twice at byte 96"],
    );
    check_json_fault(
        &replaced("shipped", "shiped"),
        &expect![
            "JSON is no valid `example.order.v1`: unknown name `shiped`, did you mean `shipped`? at byte 51 (`status`)"
        ],
    );
    check_json_fault(
        &replaced("300", "4294967296"),
        &expect!["JSON is no valid `example.order.v1`: a `u32` is 0 to 4294967295 at byte 185 (`items[1].quantity`)"],
    );
    check_json_fault(
        &replaced("300", "-1"),
        &expect!["JSON is no valid `example.order.v1`: a `u32` is 0 to 4294967295 at byte 185 (`items[1].quantity`)"],
    );
    check_json_fault(
        &replaced("300", "3.0"),
        &expect![
            "JSON is no valid `example.order.v1`: a `u32` is written with digits alone, without `.` or exponent at byte 185 (`items[1].quantity`)"
        ],
    );
    check_json_fault(
        &replaced("300", "\"3\""),
        &expect![
            "JSON is no valid `example.order.v1`: expected a number (`u32`), found a string at byte 185 (`items[1].quantity`)"
        ],
    );
    check_json_fault(
        &replaced("300", "03"),
        &expect!["JSON is no valid `example.order.v1`: a number with a leading zero at byte 185 (`items[1].quantity`)"],
    );
    check_json_fault(
        &replaced("70000}]", "70000},]"),
        &expect!["JSON is no valid `example.order.v1`: expected an object, found `]` at byte 210 (`items[2]`)"],
    );
    check_json_fault(
        &replaced("🦀", "\\ud83e"),
        &expect!["JSON is no valid `example.order.v1`: an escape that is no character at byte 34 (`customer`)"],
    );
    check_json_fault(
        &replaced("🦀", "\u{1}"),
        &expect![[
            r#"JSON is no valid `example.order.v1`: a control character within a string: write it as `\u00…` at byte 34 (`customer`)"#
        ]],
    );
    check_json_fault(
        &AN_ORDER[..AN_ORDER.len() - 1],
        &expect!["JSON is no valid `example.order.v1`: expected `,` or `}`, found the end at byte 245"],
    );
    check_json_fault(
        &format!("{AN_ORDER} x"),
        &expect!["JSON is no valid `example.order.v1`: something stands after the value at byte 247"],
    );
}

fn check_payload_fault(change: impl FnOnce(&mut Vec<u8>), expect: &Expect) {
    let schema = schema(ORDER);
    let mut bytes = payload(&schema, AN_ORDER);
    change(&mut bytes);
    let mut out = b"before".to_vec();
    let error = schema.payload_to_json(&bytes, &mut out).unwrap_err();
    assert_eq!(out, b"before", "left as it was");
    assert_eq!(schema.check_payload(&bytes).unwrap_err().reason, error.reason);
    expect.assert_eq(&error.to_string());
}

#[test]
fn payload_faults_name_field_and_offset() {
    check_payload_fault(
        |bytes| bytes.clear(),
        &expect!["payload is no valid `example.order.v1`: it ends in the middle of a value at byte 0 (`id`)"],
    );
    check_payload_fault(
        |bytes| bytes.push(0),
        &expect!["payload is no valid `example.order.v1`: 1 bytes are left over after the value at byte 51"],
    );
    check_payload_fault(
        |bytes| bytes.truncate(20),
        &expect!["payload is no valid `example.order.v1`: it ends in the middle of a value at byte 20 (`total_cents`)"],
    );
    check_payload_fault(
        |bytes| bytes[0] = 0xff,
        &expect!["payload is no valid `example.order.v1`: a length of 14335 where 49 bytes remain at byte 0 (`id`)"],
    );
    check_payload_fault(
        |bytes| bytes[1] = 0xff,
        &expect!["payload is no valid `example.order.v1`: text that is not UTF-8 at byte 1 (`id`)"],
    );
    check_payload_fault(
        |bytes| bytes.splice(0..1, [0xff; 9]).for_each(drop),
        &expect!["payload is no valid `example.order.v1`: a number that does not fit 32 bits at byte 0 (`id`)"],
    );
}
