//! Operations that pay someone: payments, new and merged accounts, inflation.

use stellar_xdr::{AccountId, Asset, InflationPayout, MuxedAccount, OperationType, PublicKey};

use super::{Applied, Movements};
use crate::error::OperationFault;
use crate::movement::account;
use crate::transfer::Kind;

pub(super) fn create_account<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let mut body = op.body;
    let AccountId(PublicKey::PublicKeyTypeEd25519(key)) = body.decode()?;
    let amount = body.i64()?;
    let destination = MuxedAccount::Ed25519(key);
    out.push(op.place.paid(Asset::Native, account(&op.source), &destination, amount.into(), op.memo()));
    Ok(())
}

pub(super) fn payment<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let mut body = op.body;
    let destination = body.decode::<MuxedAccount>()?;
    let asset = body.decode::<Asset>()?;
    let amount = body.i64()?;
    out.push(op.place.paid(asset, account(&op.source), &destination, amount.into(), op.memo()));
    Ok(())
}

pub(super) fn account_merge<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let destination = { op.body }.decode::<MuxedAccount>()?;
    let amount = op.success(&[OperationType::AccountMerge])?.i64()?;
    out.push(op.place.paid(Asset::Native, account(&op.source), &destination, amount.into(), op.memo()));
    Ok(())
}

pub(super) fn inflation<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let mut result = op.success(&[OperationType::Inflation])?;
    for _ in 0..result.u32()? {
        let payout = result.decode::<InflationPayout>()?;
        let AccountId(PublicKey::PublicKeyTypeEd25519(key)) = payout.destination;
        let to = account(&MuxedAccount::Ed25519(key));
        out.push(op.place.movement(Kind::Mint, Asset::Native, None, Some(to), payout.amount.into()));
    }
    Ok(())
}
