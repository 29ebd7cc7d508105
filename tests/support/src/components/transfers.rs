//! Token transfers as existing components put them on the wire.
//!
//! The wire has no field for the user of a receiving account: `to_muxed` is left out.

use flowctl_proto::stellar::asset::Asset as AssetKind;
use flowctl_proto::stellar::token_transfer_event::Event as Body;
use flowctl_proto::stellar::{
    Asset, Burn, Clawback, Fee, IssuedAsset, Mint, TokenTransferEvent, TokenTransferEventMeta, Transfer as Moved,
};
use prost_types::Timestamp;
use ttp_processor::{Kind, Transfer};

/// The message of one transfer.
pub(super) fn message(transfer: &Transfer<'_>) -> TokenTransferEvent {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let (from, to) = (text(transfer.from), text(transfer.to));
    let (asset, amount) = (transfer.asset.map(asset), transfer.amount.to_owned());
    let body = match transfer.kind {
        Kind::Transfer => Body::Transfer(Moved { from, to, asset, amount }),
        Kind::Mint => Body::Mint(Mint { to, asset, amount }),
        Kind::Burn => Body::Burn(Burn { from, asset, amount }),
        Kind::Clawback => Body::Clawback(Clawback { from, asset, amount }),
        Kind::Fee => Body::Fee(Fee { from, asset, amount }),
    };
    let seconds = i64::try_from(transfer.closed_at).unwrap_or(i64::MAX);
    let meta = TokenTransferEventMeta {
        ledger_sequence: transfer.ledger_sequence,
        closed_at: Some(Timestamp { seconds, nanos: 0 }),
        tx_hash: transfer.tx_hash.to_owned(),
        transaction_index: transfer.transaction_index,
        operation_index: transfer.operation_index,
        contract_address: transfer.contract_address.to_owned(),
    };
    TokenTransferEvent { meta: Some(meta), event: Some(body) }
}

fn asset(name: &str) -> Asset {
    let asset = match name.split_once(':') {
        Some((code, issuer)) => {
            AssetKind::Issued(IssuedAsset { asset_code: code.to_owned(), asset_issuer: issuer.to_owned() })
        }
        None => AssetKind::Native(true),
    };
    Asset { asset: Some(asset) }
}
