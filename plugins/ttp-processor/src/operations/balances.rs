//! Claimable balances and clawbacks.

use flowctl_xdr::Read;
use stellar_xdr::{
    Asset, ClaimableBalanceEntry, ClaimableBalanceId, Hash, LedgerEntryData, LedgerEntryType, MuxedAccount,
    OperationType,
};

use super::{Applied, Movements};
use crate::error::OperationFault;
use crate::ledger::Changes;
use crate::movement::{account, balance};
use crate::transfer::Kind;

pub(super) fn create<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let mut body = op.body;
    let asset = body.decode::<Asset>()?;
    let amount = body.i64()?;
    let ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(id)) =
        op.success(&[OperationType::CreateClaimableBalance])?.decode()?;
    out.push(op.place.moved(asset, account(&op.source), balance(id), amount.into()));
    Ok(())
}

pub(super) fn claim<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(id)) = { op.body }.decode()?;
    let entry = removed(op)?;
    out.push(op.place.paid(entry.asset, balance(id), &op.source, entry.amount.into(), op.memo()));
    Ok(())
}

pub(super) fn clawback<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let mut body = op.body;
    let asset = body.decode::<Asset>()?;
    let from = account(&body.decode::<MuxedAccount>()?);
    let amount = body.i64()?;
    out.push(op.place.movement(Kind::Clawback, asset, Some(from), None, amount.into()));
    Ok(())
}

pub(super) fn clawback_balance<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(id)) = { op.body }.decode()?;
    let entry = removed(op)?;
    out.push(op.place.movement(Kind::Clawback, entry.asset, Some(balance(id)), None, entry.amount.into()));
    Ok(())
}

/// The claimable balances that an operation created.
pub(super) fn created(changes: Changes<'_>) -> Read<Vec<ClaimableBalanceEntry>> {
    let mut entries = Vec::new();
    for change in changes.iter() {
        let change = change?;
        if !change.is_created || change.kind()? != LedgerEntryType::ClaimableBalance {
            continue;
        }
        if let Some(LedgerEntryData::ClaimableBalance(entry)) = change.after.map(|entry| entry.decode()).transpose()? {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// The one claimable balance that the operation removed.
fn removed(op: &Applied<'_, '_>) -> Result<ClaimableBalanceEntry, OperationFault> {
    let (mut found, mut n_found) = (None, 0);
    for change in op.meta.changes.iter() {
        let change = change?;
        if change.after.is_some() || change.kind()? != LedgerEntryType::ClaimableBalance {
            continue;
        }
        if let Some(LedgerEntryData::ClaimableBalance(entry)) = change.before.map(|entry| entry.decode()).transpose()? {
            found = Some(entry);
            n_found += 1;
        }
    }
    match found {
        Some(entry) if n_found == 1 => Ok(entry),
        _ => Err(OperationFault::RemovedBalances(n_found)),
    }
}
