//! Token transfers: `stellar.v1.TokenTransferEvent` or `TokenTransferBatch` there, a
//! record of `stellar:token-transfer` each here.
//!
//! The two messages are told apart by their fields: a batch has field 1 only, and what
//! that holds starts with a message, where an event's has a number. What only one side
//! knows is left out on the other: `to-muxed` there, and of an asset without a code its
//! contract here, which `contract-address` names.

use flowctl_proto::stellar::asset::Asset as Kind;
use flowctl_proto::stellar::token_transfer_event::Event as Movement;
use flowctl_proto::stellar::{Asset, Burn, Clawback, Fee, IssuedAsset, Mint, TokenTransferEvent, Transfer};
use flowctl_proto::stellar::{TokenTransferBatch, TokenTransferEventMeta};
use flowctl_schema::Schema;
use prost::{DecodeError, Message as _};
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Decoded, NANOS_PER_SECOND, Shape, check_size, protobuf};

/// The first byte of a message whose first field is a message of number 1.
const STARTS_WITH_MESSAGE: u8 = 0x0a;
const NATIVE: &str = "native";

/// One movement in the JSON form of the event type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    kind: RecordKind,
    pub(super) ledger_sequence: u32,
    closed_at: u64,
    tx_hash: String,
    transaction_index: u32,
    operation_index: Option<u32>,
    contract_address: String,
    from: Option<String>,
    to: Option<String>,
    asset: Option<String>,
    amount: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RecordKind {
    Transfer,
    Mint,
    Burn,
    Clawback,
    Fee,
}

/// Appends the movements of `payload`.
pub(super) fn decode(payload: &[u8], schema: &Schema, time: u64, decoded: &mut Decoded) -> Result<(), String> {
    let malformed = |error: DecodeError| format!("it is no token transfer: {error}");
    decoded.shape = shape(payload).map_err(malformed)?;
    let mut json = Vec::new();
    let mut push = |bytes: &[u8]| {
        let record = Record::of(TokenTransferEvent::decode(bytes).map_err(malformed)?)?;
        json.clear();
        serde_json::to_writer(&mut json, &record).map_err(|error| error.to_string())?;
        schema.json_to_payload(&json, &mut decoded.columns.data).map_err(|error| error.to_string())?;
        let closed_at = record.closed_at.saturating_mul(NANOS_PER_SECOND);
        decoded.columns.finish_event(if time == 0 { closed_at } else { time });
        check_size(decoded.columns.data.len())
    };
    match decoded.shape {
        Shape::Single => push(payload),
        Shape::Collection => {
            let mut rest = payload;
            let mut index = 0;
            while let Some(field) = protobuf::next(&mut rest).map_err(malformed)? {
                if let (1, Some(bytes)) = field {
                    push(bytes).map_err(|reason| format!("movement {index} of the batch: {reason}"))?;
                    index += 1;
                }
            }
            Ok(())
        }
    }
}

/// The movement of `payload`, an event of `schema`, as its message.
pub(super) fn encode(payload: &[u8], schema: &Schema) -> Result<TokenTransferEvent, String> {
    let mut json = Vec::new();
    schema.payload_to_json(payload, &mut json).map_err(|error| error.to_string())?;
    let record: Record = serde_json::from_slice(&json).map_err(|error| format!("no token transfer: {error}"))?;
    record.into_event()
}

/// The movements of one ledger as one message.
pub(super) fn batch(events: Vec<TokenTransferEvent>) -> TokenTransferBatch {
    TokenTransferBatch { events }
}

fn shape(payload: &[u8]) -> Result<Shape, DecodeError> {
    let mut rest = payload;
    let mut is_event = false;
    let mut is_first = true;
    while let Some((number, content)) = protobuf::next(&mut rest)? {
        match number {
            1 if is_first => {
                is_first = false;
                is_event =
                    content.is_none_or(|content| content.first().is_some_and(|byte| *byte != STARTS_WITH_MESSAGE));
            }
            2..=6 => return Ok(Shape::Single),
            _ => {}
        }
    }
    Ok(if is_event { Shape::Single } else { Shape::Collection })
}

impl Record {
    fn of(event: TokenTransferEvent) -> Result<Self, String> {
        let meta = event.meta.ok_or("it does not say where it belongs: `meta` is missing")?;
        let Some(movement) = event.event else {
            return Err("it is none of `transfer`, `mint`, `burn`, `clawback` and `fee`".to_owned());
        };
        let (kind, from, to, asset, amount) = match movement {
            Movement::Transfer(Transfer { from, to, asset, amount }) => (RecordKind::Transfer, from, to, asset, amount),
            Movement::Mint(Mint { to, asset, amount }) => (RecordKind::Mint, String::new(), to, asset, amount),
            Movement::Burn(Burn { from, asset, amount }) => (RecordKind::Burn, from, String::new(), asset, amount),
            Movement::Clawback(Clawback { from, asset, amount }) => {
                (RecordKind::Clawback, from, String::new(), asset, amount)
            }
            Movement::Fee(Fee { from, asset, amount }) => (RecordKind::Fee, from, String::new(), asset, amount),
        };
        let mut contract_address = meta.contract_address;
        let asset = match asset.and_then(|asset| asset.asset) {
            Some(Kind::Native(true)) => Some(NATIVE.to_owned()),
            Some(Kind::Issued(IssuedAsset { asset_code, asset_issuer })) => {
                Some(format!("{asset_code}:{asset_issuer}"))
            }
            Some(Kind::ContractId(contract)) => {
                if contract_address.is_empty() {
                    contract_address = contract;
                }
                None
            }
            Some(Kind::Native(false)) | None => None,
        };
        let closed_at = meta.closed_at.map_or(0, |time| time.seconds);
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            kind,
            ledger_sequence: meta.ledger_sequence,
            closed_at: u64::try_from(closed_at).map_err(|_| "its ledger closed before 1970".to_owned())?,
            tx_hash: meta.tx_hash,
            transaction_index: meta.transaction_index,
            operation_index: meta.operation_index,
            contract_address,
            from: given(from),
            to: given(to),
            asset,
            amount,
        })
    }

    fn into_event(self) -> Result<TokenTransferEvent, String> {
        let kind = match self.asset {
            None => Kind::ContractId(self.contract_address.clone()),
            Some(asset) if asset == NATIVE => Kind::Native(true),
            Some(asset) => match asset.split_once(':') {
                Some((code, issuer)) => {
                    Kind::Issued(IssuedAsset { asset_code: code.to_owned(), asset_issuer: issuer.to_owned() })
                }
                None => return Err(format!("its asset `{asset}` is neither `{NATIVE}` nor CODE:ISSUER")),
            },
        };
        let asset = Some(Asset { asset: Some(kind) });
        let (from, to) = (self.from.unwrap_or_default(), self.to.unwrap_or_default());
        let amount = self.amount;
        let movement = match self.kind {
            RecordKind::Transfer => Movement::Transfer(Transfer { from, to, asset, amount }),
            RecordKind::Mint => Movement::Mint(Mint { to, asset, amount }),
            RecordKind::Burn => Movement::Burn(Burn { from, asset, amount }),
            RecordKind::Clawback => Movement::Clawback(Clawback { from, asset, amount }),
            RecordKind::Fee => Movement::Fee(Fee { from, asset, amount }),
        };
        let seconds =
            i64::try_from(self.closed_at).map_err(|_| "its ledger closes too far in the future".to_owned())?;
        let meta = TokenTransferEventMeta {
            ledger_sequence: self.ledger_sequence,
            closed_at: Some(Timestamp { seconds, nanos: 0 }),
            tx_hash: self.tx_hash,
            transaction_index: self.transaction_index,
            operation_index: self.operation_index,
            contract_address: self.contract_address,
        };
        Ok(TokenTransferEvent { meta: Some(meta), event: Some(movement) })
    }
}
