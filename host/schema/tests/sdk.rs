//! What a plugin encodes with the SDK is what the host reads, and the other way
//! round: the first-party record types.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use flowctl_schema::Schema;
use flowctl_sdk::codec::{from_bytes, to_bytes};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

mod order {
    flowctl_sdk::event_types!("example.order.v1");
}
mod transfer {
    flowctl_sdk::event_types!("stellar.token.transfer.v1");
}

use order::{Item, Order, Status};
use transfer::{Kind, Muxed, TokenTransfer};

const ORDER: &str = include_str!("../../../wit/events/example-order/event.wit");
const TRANSFER: &str = include_str!("../../../wit/events/stellar-token-transfer/event.wit");

const STATUSES: [(Status, &str); 4] = [
    (Status::Placed, "placed"),
    (Status::Paid, "paid"),
    (Status::Shipped, "shipped"),
    (Status::Cancelled, "cancelled"),
];

const KINDS: [(Kind, &str); 5] = [
    (Kind::Transfer, "transfer"),
    (Kind::Mint, "mint"),
    (Kind::Burn, "burn"),
    (Kind::Clawback, "clawback"),
    (Kind::Fee, "fee"),
];

fn an_order() -> impl Strategy<Value = (Order, Value)> {
    let item = any::<(String, u32, u64)>();
    (any::<[String; 3]>(), select(&STATUSES[..]), any::<u64>(), vec(item, 0..5), any::<(Option<String>, u64)>())
        .prop_map(|([id, customer, currency], (status, status_name), total_cents, items, (note, placed_at))| {
            let json = json!({
                "id": id, "customer": customer, "status": status_name, "total_cents": total_cents, "currency": currency,
                "items": items.iter().map(|(sku, quantity, price_cents)| {
                    json!({ "sku": sku, "quantity": quantity, "price_cents": price_cents })
                }).collect::<Vec<_>>(),
                "note": note, "placed_at": placed_at,
            });
            let items = items.into_iter().map(|(sku, quantity, price_cents)| Item { sku, quantity, price_cents });
            let items = items.collect();
            (Order { id, customer, status, total_cents, currency, items, note, placed_at }, json)
        })
}

fn a_transfer() -> impl Strategy<Value = (TokenTransfer, Value)> {
    let muxed = prop_oneof![
        any::<u64>().prop_map(|id| (Muxed::Id(id), json!({ "id": id }))),
        any::<String>().prop_map(|text| (Muxed::Text(text.clone()), json!({ "text": text }))),
        vec(any::<u8>(), 0..40).prop_map(|hash| {
            let text = base64::engine::general_purpose::STANDARD.encode(&hash);
            (Muxed::Hash(hash), json!({ "hash": text }))
        }),
    ];
    (
        select(&KINDS[..]),
        any::<(u32, u64, u32, Option<u32>)>(),
        any::<[String; 3]>(),
        any::<[Option<String>; 3]>(),
        option::of(muxed),
    )
        .prop_map(|((kind, kind_name), numbers, [tx_hash, contract_address, amount], [from, to, asset], muxed)| {
            let (ledger_sequence, closed_at, transaction_index, operation_index) = numbers;
            let (to_muxed, muxed_json) = muxed.unzip();
            let json = json!({
                "kind": kind_name, "ledger_sequence": ledger_sequence, "closed_at": closed_at, "tx_hash": tx_hash,
                "transaction_index": transaction_index, "operation_index": operation_index,
                "contract_address": contract_address, "from": from, "to": to, "asset": asset, "amount": amount,
                "to_muxed": muxed_json,
            });
            let event = TokenTransfer {
                kind,
                ledger_sequence,
                closed_at,
                tx_hash,
                transaction_index,
                operation_index,
                contract_address,
                from,
                to,
                asset,
                amount,
                to_muxed,
            };
            (event, json)
        })
}

/// The JSON form of a payload, and the payload of a JSON form.
fn both_ways(wit: &str, payload: &[u8], json: &Value) -> (Value, Vec<u8>) {
    let schema = &Schema::from_wit(wit).unwrap()[0];
    let (mut text, mut encoded) = (Vec::new(), Vec::new());
    schema.payload_to_json(payload, &mut text).unwrap();
    schema.json_to_payload(json.to_string().as_bytes(), &mut encoded).unwrap();
    (serde_json::from_slice(&text).unwrap(), encoded)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn orders_cross_unchanged((order, json) in an_order()) {
        let payload = to_bytes(&order);
        let (read, encoded) = both_ways(ORDER, &payload, &json);
        prop_assert_eq!(read, json);
        prop_assert_eq!(from_bytes::<Order>(&encoded).unwrap(), order);
        prop_assert_eq!(encoded, payload);
    }

    #[test]
    fn transfers_cross_unchanged((transfer, json) in a_transfer()) {
        let payload = to_bytes(&transfer);
        let (read, encoded) = both_ways(TRANSFER, &payload, &json);
        prop_assert_eq!(read, json);
        prop_assert_eq!(from_bytes::<TokenTransfer>(&encoded).unwrap(), transfer);
        prop_assert_eq!(encoded, payload);
    }
}
