//! Expected events: the reference's protojson, brought into flowctl's JSON form.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::{DataError, formats, proto};

/// What happened to the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// They moved.
    Transfer,
    /// They came into being.
    Mint,
    /// They ceased to be.
    Burn,
    /// Their issuer took them.
    Clawback,
    /// They were paid for a transaction.
    Fee,
}

/// The user of the receiving account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Muxed {
    /// By number.
    Id(u64),
    /// By text.
    Text(String),
    /// By 32 bytes, in base64.
    Hash(String),
}

/// An event as `stellar:token-transfer/event@1.0.0` has it. Serialised, its fields are
/// those of flowctl's JSON form, in the order of the WIT record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// The ledger's sequence number.
    pub ledger_sequence: u32,
    /// When the ledger closed, in seconds since the Unix epoch.
    pub closed_at: u64,
    /// The transaction's hash, in hexadecimal.
    pub tx_hash: String,
    /// The transaction's place in the order of application, from 1.
    pub transaction_index: u32,
    /// The operation's place in the transaction, from 1; none for fees.
    pub operation_index: Option<u32>,
    /// The contract of the asset.
    pub contract_address: String,
    /// Who gave.
    pub from: Option<String>,
    /// Who received.
    pub to: Option<String>,
    /// `native` or CODE:ISSUER.
    pub asset: Option<String>,
    /// How much, in the smallest unit.
    pub amount: String,
    /// The user of the receiving account.
    pub to_muxed: Option<Muxed>,
}

impl Event {
    /// The event as one line of flowctl's JSON form, without a line feed.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self).expect("an event has only strings and numbers")
    }

    /// Reads the protojson of a `TokenTransferEvent`; none where it is not as described.
    pub(crate) fn from_protojson(event: &Value) -> Option<Self> {
        let meta = event.get("meta")?;
        let kinds = [
            ("transfer", Kind::Transfer),
            ("mint", Kind::Mint),
            ("burn", Kind::Burn),
            ("clawback", Kind::Clawback),
            ("fee", Kind::Fee),
        ];
        let (kind, body) = kinds.iter().find_map(|(name, kind)| Some((*kind, event.get(*name)?)))?;
        let index = |name| meta.get(name).and_then(Value::as_u64).and_then(|index| u32::try_from(index).ok());
        let closed_at: jiff::Timestamp = meta.get("closedAt")?.as_str()?.parse().ok()?;
        let to_muxed = match meta.get("toMuxedInfo") {
            Some(user) => Some(muxed(user)?),
            None => None,
        };
        let asset = match body.get("asset") {
            Some(asset) => Some(asset_name(asset)?),
            None => None,
        };
        Some(Self {
            kind,
            ledger_sequence: index("ledgerSequence")?,
            closed_at: u64::try_from(closed_at.as_second()).ok()?,
            tx_hash: text(meta, "txHash")?,
            transaction_index: index("transactionIndex")?,
            operation_index: index("operationIndex"),
            contract_address: text(meta, "contractAddress")?,
            from: text(body, "from"),
            to: text(body, "to"),
            asset,
            amount: text(body, "amount")?,
            to_muxed,
        })
    }
}

/// Reads a file of expected events. Each is recorded twice, as protojson and as
/// protobuf: the two must agree.
pub(crate) fn read_expected(path: &Path) -> Result<Vec<Event>, DataError> {
    let content = |item, what: &str| DataError::Content { path: path.to_owned(), item, what: what.to_owned() };
    let lines = formats::text(path)?;
    lines
        .lines()
        .enumerate()
        .map(|(item, line)| {
            let line: Value = serde_json::from_str(line).map_err(|error| content(item, &error.to_string()))?;
            let event = line.get("event").and_then(Event::from_protojson);
            let event = event.ok_or_else(|| content(item, "no event in protojson"))?;
            let pb = line.get("pb").and_then(Value::as_str).and_then(|pb| STANDARD.decode(pb).ok());
            let pb = pb.as_deref().and_then(proto::event).ok_or_else(|| content(item, "no event in protobuf"))?;
            if event != pb {
                return Err(content(item, "the event in protojson and in protobuf are not the same"));
            }
            Ok(event)
        })
        .collect()
}

fn text(object: &Value, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(str::to_owned)
}

fn asset_name(asset: &Value) -> Option<String> {
    match asset.get("issuedAsset") {
        Some(issued) => Some(format!("{}:{}", text(issued, "assetCode")?, text(issued, "issuer")?)),
        None => asset.get("native")?.as_bool()?.then(|| "native".to_owned()),
    }
}

fn muxed(user: &Value) -> Option<Muxed> {
    if let Some(id) = user.get("id") {
        return id.as_str()?.parse().ok().map(Muxed::Id);
    }
    text(user, "text").map(Muxed::Text).or_else(|| text(user, "hash").map(Muxed::Hash))
}
