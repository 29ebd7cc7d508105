//! Reads a protobuf `TokenTransferEvent`: a second opinion on its protojson.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::event::{Event, Kind, Muxed};

/// A field's value, as far as the events use them.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reads an event; none where the bytes are no such message.
pub(crate) fn event(message: &[u8]) -> Option<Event> {
    let fields = fields(message)?;
    let meta = self::fields(bytes(&fields, 1)?)?;
    let kinds = [(2, Kind::Transfer), (3, Kind::Mint), (4, Kind::Burn), (5, Kind::Clawback), (6, Kind::Fee)];
    let (kind, body) = kinds.iter().find_map(|(number, kind)| Some((*kind, bytes(&fields, *number)?)))?;
    let body = self::fields(body)?;
    let (from, to, asset, amount) = match kind {
        Kind::Transfer => (text(&body, 1), text(&body, 2), bytes(&body, 3), text(&body, 4)?),
        Kind::Mint => (None, text(&body, 1), bytes(&body, 2), text(&body, 3)?),
        Kind::Burn | Kind::Clawback | Kind::Fee => (text(&body, 1), None, bytes(&body, 2), text(&body, 3)?),
    };
    let asset = match asset {
        Some(asset) => Some(asset_name(asset)?),
        None => None,
    };
    let to_muxed = match bytes(&meta, 7) {
        Some(user) => Some(muxed(user)?),
        None => None,
    };
    let closed_at = self::fields(bytes(&meta, 2)?)?;
    Some(Event {
        kind,
        ledger_sequence: number(&meta, 1)?.try_into().ok()?,
        closed_at: number(&closed_at, 1).unwrap_or_default(),
        tx_hash: text(&meta, 3)?,
        transaction_index: number(&meta, 4)?.try_into().ok()?,
        operation_index: match number(&meta, 5) {
            Some(index) => Some(index.try_into().ok()?),
            None => None,
        },
        contract_address: text(&meta, 6)?,
        from,
        to,
        asset,
        amount,
        to_muxed,
    })
}

fn asset_name(message: &[u8]) -> Option<String> {
    let fields = fields(message)?;
    match bytes(&fields, 2) {
        Some(issued) => {
            let issued = self::fields(issued)?;
            Some(format!("{}:{}", text(&issued, 1)?, text(&issued, 2)?))
        }
        None => (number(&fields, 1)? == 1).then(|| "native".to_owned()),
    }
}

fn muxed(message: &[u8]) -> Option<Muxed> {
    let fields = fields(message)?;
    let by_text = || text(&fields, 1).map(Muxed::Text);
    let by_hash = || bytes(&fields, 3).map(|hash| Muxed::Hash(STANDARD.encode(hash)));
    number(&fields, 2).map(Muxed::Id).or_else(by_text).or_else(by_hash)
}

fn number(fields: &[(u64, Field<'_>)], wanted: u64) -> Option<u64> {
    fields.iter().find_map(|(number, field)| match field {
        Field::Number(value) if *number == wanted => Some(*value),
        _ => None,
    })
}

fn bytes<'a>(fields: &[(u64, Field<'a>)], wanted: u64) -> Option<&'a [u8]> {
    fields.iter().find_map(|(number, field)| match field {
        Field::Bytes(value) if *number == wanted => Some(*value),
        _ => None,
    })
}

fn text(fields: &[(u64, Field<'_>)], wanted: u64) -> Option<String> {
    String::from_utf8(bytes(fields, wanted)?.to_vec()).ok()
}

fn fields(mut message: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (value, rest) = message.split_at_checked(length)?;
                message = rest;
                Field::Bytes(value)
            }
            _ => return None,
        };
        fields.push((tag >> 3, field));
    }
    Some(fields)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
