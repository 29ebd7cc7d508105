//! Round trips, and bytes that are none of what they say.

use flowctl_proto::stellar::asset::Asset as AssetKind;
use flowctl_proto::stellar::token_transfer_event::Event as Movement;
use flowctl_proto::stellar::{
    Asset, Burn, Clawback, Fee, IssuedAsset, Mint, RawLedger, TokenTransferBatch, TokenTransferEvent,
    TokenTransferEventMeta, Transfer,
};
use flowctl_types::{Batch, Ids};
use proptest::prelude::*;
use prost::Message as _;
use prost_types::Timestamp;

use super::*;

const TRANSFERS: &str = include_str!("../../../../wit/events/stellar-token-transfer/event.wit");
const LEDGERS: &str = include_str!("../../../../wit/events/stellar-ledger/event.wit");
const ORDERS: &str = include_str!("../../../../wit/events/example-order/event.wit");
const BLOBS: &str = "package test:blob@1.0.0; interface event { type blob = list<u8>; }";

fn schemas() -> Vec<Schema> {
    [LEDGERS, TRANSFERS, ORDERS, BLOBS].iter().map(|wit| Schema::from_wit(wit).unwrap().remove(0)).collect()
}

fn codec(style: TransferStyle) -> Codec {
    Codec::new(&schemas(), style)
}

fn event(r#type: &str, content_type: &str, payload: Vec<u8>) -> v1::Event {
    v1::Event {
        id: "e".to_owned(),
        r#type: r#type.to_owned(),
        content_type: content_type.to_owned(),
        payload,
        ..v1::Event::default()
    }
}

/// The batch of one event.
fn batch(event: &v1::Event) -> Batch {
    let decoded = codec(TransferStyle::Event).decode(event).unwrap();
    let mut assembly = Assembly::of(&decoded);
    assembly.push(decoded, None);
    let Assembled { columns, ids, network, .. } = assembly.finish();
    let attributes = network.map(|network| ("network".to_owned(), network)).into_iter().collect();
    Batch { attributes, ..Batch::new(columns, ids) }
}

fn refusal(event: &v1::Event) -> String {
    codec(TransferStyle::Event).decode(event).unwrap_err()
}

fn meta() -> impl Strategy<Value = TokenTransferEventMeta> {
    let numbers = (any::<u32>(), 0..i64::from(u32::MAX), any::<u32>(), any::<Option<u32>>());
    (numbers, "[0-9a-f]{0,8}", "C[A-Z]{1,5}").prop_map(|(numbers, tx_hash, contract_address)| {
        let (ledger_sequence, seconds, transaction_index, operation_index) = numbers;
        TokenTransferEventMeta {
            ledger_sequence,
            closed_at: Some(Timestamp { seconds, nanos: 0 }),
            tx_hash,
            transaction_index,
            operation_index,
            contract_address,
        }
    })
}

fn movement() -> impl Strategy<Value = TokenTransferEvent> {
    let asset = prop_oneof![
        Just(AssetKind::Native(true)),
        ("[A-Z]{1,12}", "G[A-Z]{3}")
            .prop_map(|(asset_code, asset_issuer)| { AssetKind::Issued(IssuedAsset { asset_code, asset_issuer }) }),
        // of the contract that emitted it: set below
        Just(AssetKind::ContractId(String::new())),
    ];
    (meta(), asset, "G[A-Z]{3}", "G[A-Z]{3}", "-?[0-9]{1,20}", 0..5).prop_map(
        |(meta, asset, from, to, amount, kind)| {
            let asset = match asset {
                AssetKind::ContractId(_) => AssetKind::ContractId(meta.contract_address.clone()),
                other => other,
            };
            let asset = Some(Asset { asset: Some(asset) });
            let event = match kind {
                0 => Movement::Transfer(Transfer { from, to, asset, amount }),
                1 => Movement::Mint(Mint { to, asset, amount }),
                2 => Movement::Burn(Burn { from, asset, amount }),
                3 => Movement::Clawback(Clawback { from, asset, amount }),
                _ => Movement::Fee(Fee { from, asset, amount }),
            };
            TokenTransferEvent { meta: Some(meta), event: Some(event) }
        },
    )
}

fn transfers(payload: Vec<u8>) -> v1::Event {
    event(TRANSFER, PROTOBUF, payload)
}

proptest! {
    #[test]
    fn a_movement_comes_back_as_it_was(movement in movement()) {
        let batch = batch(&transfers(movement.encode_to_vec()));
        prop_assert_eq!(batch.ids.get(0), "e");
        let encoded = codec(TransferStyle::Event).encode(&batch);
        prop_assert!(encoded.rejected.is_empty());
        prop_assert_eq!(TokenTransferEvent::decode(&*encoded.events[0].payload).unwrap(), movement);
    }

    #[test]
    fn a_batch_of_movements_comes_back_ledger_by_ledger(
        movements in prop::collection::vec(movement(), 0..8),
        ledgers in prop::collection::vec(0u32..2, 8),
    ) {
        let mut movements = movements;
        for (movement, ledger) in movements.iter_mut().zip(&ledgers) {
            movement.meta.as_mut().unwrap().ledger_sequence = *ledger;
        }
        let batch = batch(&transfers(TokenTransferBatch { events: movements.clone() }.encode_to_vec()));
        prop_assert_eq!(batch.len(), movements.len());
        for index in 0..batch.len() {
            prop_assert_eq!(batch.ids.get(index), format!("e/{index}"));
        }
        let encoded = codec(TransferStyle::Ledger).encode(&batch);
        let sent: Vec<_> = encoded.events.iter().map(|e| TokenTransferBatch::decode(&*e.payload).unwrap().events).collect();
        for ledger in &sent {
            let sequence = |event: &TokenTransferEvent| event.meta.as_ref().unwrap().ledger_sequence;
            prop_assert!(ledger.windows(2).all(|pair| sequence(&pair[0]) == sequence(&pair[1])));
        }
        prop_assert_eq!(sent.concat(), movements);
    }

    #[test]
    fn a_ledger_keeps_its_bytes_network_and_time(sequence: u32, xdr in prop::collection::vec(any::<u8>(), 0..99), closed_at in 1i64..9_000_000_000, network in "[a-z]{0,9}") {
        let ledger = RawLedger { sequence, ledger_close_meta_xdr: xdr.clone(), network, closed_at };
        let batch = batch(&event(LEDGER, PROTOBUF, ledger.encode_to_vec()));
        prop_assert_eq!(batch.columns.payload(0), &*xdr);
        prop_assert_eq!(batch.columns.timestamps[0], closed_at as u64 * NANOS_PER_SECOND);
        let encoded = codec(TransferStyle::Ledger).encode(&batch);
        let sent = &encoded.events[0];
        prop_assert_eq!(RawLedger::decode(&*sent.payload).unwrap(), ledger);
        prop_assert_eq!(&sent.metadata["ledger_sequence"], &sequence.to_string());
        prop_assert_eq!(sent.stellar_cursor.unwrap().ledger_sequence, u64::from(sequence));
    }

    #[test]
    fn no_bytes_make_it_panic_or_give_more_than_they_are_worth(payload in prop::collection::vec(any::<u8>(), 0..300), kind in 0usize..4, content_type in 0usize..3) {
        let schema = &schemas()[kind];
        let content_type = [PROTOBUF, JSON, ""][content_type];
        let hostile = event(schema.event_type().as_str(), content_type, payload.clone());
        if let Ok(decoded) = codec(TransferStyle::Ledger).decode(&hostile) {
            prop_assert!(decoded.columns.len() <= payload.len().max(1));
            for payload in decoded.columns.payloads() {
                schema.check_payload(payload).unwrap();
            }
        }
    }

    #[test]
    fn a_damaged_movement_is_refused_or_still_one(movement in movement(), at: prop::sample::Index, byte: u8) {
        let mut payload = TokenTransferBatch { events: vec![movement] }.encode_to_vec();
        let at = at.index(payload.len());
        payload[at] = byte;
        if let Ok(decoded) = codec(TransferStyle::Ledger).decode(&transfers(payload)) {
            for payload in decoded.columns.payloads() {
                schemas()[1].check_payload(payload).unwrap();
            }
        }
    }

    #[test]
    fn no_ledger_makes_its_header_panic(xdr in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = ledger::header(&xdr);
    }
}

#[test]
fn many_empty_movements_cost_nothing() {
    let payload = [0x0a, 0x00].repeat(5_000_000);
    assert_eq!(
        refusal(&transfers(payload)),
        "movement 0 of the batch: it does not say where it belongs: `meta` is missing"
    );
}

#[test]
fn a_batch_of_no_movements_is_no_event() {
    assert!(batch(&transfers(Vec::new())).is_empty());
}

#[test]
fn json_is_read_by_its_type() {
    let json =
        br#"{"id":"o","customer":"c","status":"paid","total_cents":1,"currency":"EUR","items":[],"placed_at":7}"#;
    let mut order = event("example.order.v1", "Application/JSON; charset=utf-8", json.to_vec());
    order.metadata.insert("shop".to_owned(), "s".to_owned());
    let batch = batch(&order);
    let encoded = codec(TransferStyle::Ledger).encode(&batch);
    assert_eq!(encoded.events[0].content_type, JSON);
    assert_eq!(encoded.events[0].metadata, order.metadata);
    let sent: serde_json::Value = serde_json::from_slice(&encoded.events[0].payload).unwrap();
    assert_eq!(sent["total_cents"], 1);
}

#[test]
fn an_opaque_type_keeps_bytes_and_content_type() {
    let batch = batch(&event("test.blob.v1", "image/png", vec![1, 2]));
    let sent = codec(TransferStyle::Ledger).encode(&batch).events.remove(0);
    assert_eq!((sent.payload, sent.content_type.as_str()), (vec![1, 2], "image/png"));
}

#[test]
fn what_is_no_event_of_the_node_is_refused_with_the_reason() {
    assert_eq!(
        refusal(&event("no.such.v1", JSON, Vec::new())),
        "its type is `no.such.v1`, and the node emits `stellar.ledger.v1`, `stellar.token.transfer.v1`, `example.order.v1`, `test.blob.v1`"
    );
    assert_eq!(
        refusal(&event("example.order.v1", "text/csv", Vec::new())),
        "its content type is `text/csv`, and events of `example.order.v1` are read as `application/json`"
    );
    assert!(
        refusal(&event("example.order.v1", JSON, b"{".to_vec())).starts_with("JSON is no valid `example.order.v1`")
    );
    assert!(refusal(&event(LEDGER, PROTOBUF, vec![0xff])).starts_with("it is no `RawLedger`"));
}

#[test]
fn a_ledger_that_nobody_numbers_cannot_be_sent() {
    let mut columns = Columns::default();
    columns.push(0, b"no ledger");
    let encoded = codec(TransferStyle::Ledger).encode(&Batch::new(columns, Ids::numbered("s", 0)));
    assert!(encoded.events.is_empty());
    assert!(encoded.rejected[0].reason.starts_with("its sequence number cannot be read"), "{:?}", encoded.rejected);
}

#[test]
fn the_header_of_every_version_of_a_ledger_is_read() {
    use stellar_xdr::{
        LedgerCloseMeta, LedgerCloseMetaExt, LedgerCloseMetaExtV1, LedgerCloseMetaV0, LedgerCloseMetaV1,
        LedgerCloseMetaV2, LedgerCloseValueSignature, LedgerHeader, LedgerHeaderHistoryEntry, Limits, StellarValue,
        StellarValueExt, TimePoint, UpgradeType, WriteXdr as _,
    };
    let value = StellarValue {
        close_time: TimePoint(1_700_000_000),
        upgrades: vec![UpgradeType(vec![1, 2, 3].try_into().unwrap())].try_into().unwrap(),
        ext: StellarValueExt::Signed(LedgerCloseValueSignature::default()),
        ..StellarValue::default()
    };
    let header = LedgerHeader { ledger_seq: 77, scp_value: value, ..LedgerHeader::default() };
    let ledger_header = LedgerHeaderHistoryEntry { header, ..LedgerHeaderHistoryEntry::default() };
    let ext = LedgerCloseMetaExt::V1(LedgerCloseMetaExtV1::default());
    let ledgers = [
        LedgerCloseMeta::V0(LedgerCloseMetaV0 { ledger_header: ledger_header.clone(), ..Default::default() }),
        LedgerCloseMeta::V1(LedgerCloseMetaV1 { ledger_header: ledger_header.clone(), ..Default::default() }),
        LedgerCloseMeta::V1(LedgerCloseMetaV1 { ext, ledger_header: ledger_header.clone(), ..Default::default() }),
        LedgerCloseMeta::V2(LedgerCloseMetaV2 { ledger_header, ..Default::default() }),
    ];
    for ledger in ledgers {
        let header = ledger::header(&ledger.to_xdr(Limits::none()).unwrap()).unwrap();
        assert_eq!(header, ledger::Header { sequence: 77, closed_at: 1_700_000_000 });
    }
}

#[test]
fn events_of_both_shapes_keep_their_ids_in_one_batch() {
    let single = TokenTransferEvent {
        meta: Some(TokenTransferEventMeta::default()),
        event: Some(Movement::Fee(Fee::default())),
    };
    let several = TokenTransferBatch { events: vec![single.clone(), single.clone()] };
    let codec = codec(TransferStyle::Ledger);
    let payloads = [single.encode_to_vec(), several.encode_to_vec(), single.encode_to_vec()];
    let mut assembly: Option<Assembly> = None;
    for (number, payload) in payloads.into_iter().enumerate() {
        let decoded = codec.decode(&v1::Event { id: format!("e{number}"), ..transfers(payload) }).unwrap();
        assembly.get_or_insert_with(|| Assembly::of(&decoded)).push(decoded, Some(7));
    }
    let Assembled { ids, origins, .. } = assembly.unwrap().finish();
    assert_eq!((0..4).map(|index| ids.get(index)).collect::<Vec<_>>(), ["e0", "e1/0", "e1/1", "e2"]);
    assert_eq!(ids.description(2).unwrap().id, "e1");
    assert_eq!(origins, [7; 4]);
}
