//! The fee of a transaction, derived from its result and the changes made for it.

use stellar_xdr::Asset;

use crate::error::TransactionFault;
use crate::ledger::{Changes, Transaction};
use crate::movement::{Movement, Place, account_of_key};
use crate::transfer::Kind;

/// What a transaction paid, and what it was given back.
pub(crate) struct Fees<'a> {
    pub charge: Movement<'a>,
    pub refund: Option<Movement<'a>>,
}

/// Derives the fees of a transaction. A classic one pays what its result says. A Soroban
/// one pays the difference that taking the fee made to the account, and is given
/// back the difference that the changes after it made.
pub(crate) fn derive<'a>(tx: &Transaction<'a>, place: Place) -> Result<Fees<'a>, TransactionFault> {
    let envelope = &tx.envelope;
    let fee = |amount: i128| {
        place.movement(Kind::Fee, Asset::Native, Some(account_of_key(envelope.fee_account)), None, amount)
    };
    if !envelope.is_soroban {
        return Ok(Fees { charge: fee(tx.result.fee_charged.into()), refund: None });
    }
    if tx.meta.version < 3 {
        return Err(TransactionFault::MetaVersion { found: tx.meta.version, needed: "3 or 4" });
    }
    let (before, after) = Changes::state_and_update([tx.fee_changes], &envelope.fee_account)?;
    let charge = fee(i128::from(before) - i128::from(after));
    let (before, after) =
        Changes::state_and_update([tx.meta.changes_after, tx.post_fee_changes], &envelope.fee_account)?;
    let refund = i128::from(after) - i128::from(before);
    Ok(Fees { charge, refund: (refund > 0).then(|| fee(-refund)) })
}
