//! Protocols before 8 created or lost lumens when an operation touched its source
//! account twice (CAP-67, "pre-protocol 8 bug"): a mint or burn makes up for it.
//!
//! Sums saturate: only ledgers that no network could close come near 128 bits.

use flowctl_xdr::Read;
use stellar_xdr::Asset;

use super::{Applied, Movements};
use crate::error::OperationFault;
use crate::ledger::account_key;
use crate::movement::{Movement, account};
use crate::transfer::Kind;

/// Compares what became of the source's lumens with the movements from `first` on.
/// Lumens from nowhere are minted before them, those that are lost burned after them.
pub(super) fn reconcile<'a>(op: &Applied<'_, 'a>, first: usize, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let source = account(&op.source);
    let announced = out[first..].iter().map(|movement| native_delta(movement, &source)).fold(0, i128::saturating_add);
    let difference = changed(op)?.saturating_sub(announced);
    let movement = |kind, from, to| op.place.movement(kind, Asset::Native, from, to, difference.saturating_abs());
    match difference {
        0 => {}
        1.. => out.insert(first, movement(Kind::Mint, None, Some(source))),
        _ => out.push(movement(Kind::Burn, Some(source), None)),
    }
    Ok(())
}

fn native_delta(movement: &Movement<'_>, holder: &stellar_xdr::ScAddress) -> i128 {
    if movement.asset != Some(Asset::Native) {
        return 0;
    }
    let received = if movement.to.as_ref() == Some(holder) { movement.amount } else { 0 };
    let given = if movement.from.as_ref() == Some(holder) { movement.amount } else { 0 };
    received.saturating_sub(given)
}

fn changed(op: &Applied<'_, '_>) -> Read<i128> {
    let key = account_key(&op.source);
    let mut delta = 0;
    for change in op.meta.changes.iter() {
        let change = change?;
        for (entry, sign) in [(change.before, -1), (change.after, 1)] {
            match entry.map(|entry| entry.account_balance()).transpose()?.flatten() {
                Some((account, balance)) if account == key => delta += sign * i128::from(balance),
                _ => {}
            }
        }
    }
    Ok(delta)
}
