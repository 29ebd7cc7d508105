//! Payloads as rows of cells.
#![allow(clippy::unwrap_used)]

use flowctl_schema::{Cell, RowError, Schema};

const ORDER: &str = include_str!("../../../wit/events/example-order/event.wit");
const LEDGER: &str = include_str!("../../../wit/events/stellar-ledger/event.wit");

fn order() -> (Schema, Vec<u8>) {
    let schema = Schema::from_wit(ORDER).unwrap().remove(0);
    let json = r#"{"id":"o-1","customer":"Ada","status":"shipped","total_cents":18446744073709551615,"currency":"EUR","items":[{"sku":"a","quantity":1,"price_cents":2}],"note":null,"placed_at":7}"#;
    let mut payload = Vec::new();
    schema.json_to_payload(json.as_bytes(), &mut payload).unwrap();
    (schema, payload)
}

#[test]
fn an_order_is_a_row_of_its_fields() {
    let (schema, payload) = order();
    let want = [
        Cell::Text("o-1"),
        Cell::Text("Ada"),
        Cell::Text("shipped"),
        Cell::Unsigned(u64::MAX),
        Cell::Text("EUR"),
        Cell::Json(br#"[{"sku":"a","quantity":1,"price_cents":2}]"#),
        Cell::Null,
        Cell::Unsigned(7),
    ];
    let mut n_cells = 0;
    let outcome = schema.visit_row::<()>(&payload, &mut Vec::new(), |index, cell| {
        assert_eq!(cell, want[index]);
        n_cells += 1;
        Ok(())
    });
    assert_eq!((outcome, n_cells), (Ok(()), want.len()));
}

#[test]
fn what_the_visitor_refuses_comes_back() {
    let (schema, payload) = order();
    let refuse = |index, _: Cell<'_>| if index == 3 { Err("too much") } else { Ok(()) };
    assert_eq!(schema.visit_row(&payload, &mut Vec::new(), refuse), Err(RowError::Refused("too much")));
}

#[test]
fn what_is_no_row_says_why() {
    let message = |schema: &Schema, payload: &[u8]| {
        schema.visit_row::<()>(payload, &mut Vec::new(), |_, _| Ok(())).unwrap_err().to_string()
    };
    let (schema, mut payload) = order();
    payload.push(0);
    let rest = "payload is no valid `example.order.v1`: 1 bytes are left over after the value at byte 30";
    assert_eq!(message(&schema, &payload), rest);
    let cut = "payload is no valid `example.order.v1`: a length of 3 where 1 bytes remain at byte 0 (`id`)";
    assert_eq!(message(&schema, &payload[..2]), cut);
    let ledger = Schema::from_wit(LEDGER).unwrap().remove(0);
    let opaque = "payload is no valid `stellar.ledger.v1`: its type is no record at byte 0";
    assert_eq!(message(&ledger, b"xdr"), opaque);
}
