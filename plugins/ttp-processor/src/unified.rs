//! The fee of a transaction, read from the events that stellar-core wrote for it.

use stellar_xdr::Asset;

use crate::contract_events::{Contracts, EventView};
use crate::error::TransactionFault;
use crate::fees::Fees;
use crate::ledger::Transaction;
use crate::movement::{Movement, Place};
use crate::transfer::Kind;

/// Reads the fees of a transaction from its own events. Events of other names are
/// passed over; a fee event that is not as it should be is an error.
pub(crate) fn fees<'a>(
    tx: &Transaction<'a>,
    place: Place,
    contracts: &mut Contracts,
) -> Result<Fees<'a>, TransactionFault> {
    if tx.meta.version != 4 {
        return Err(TransactionFault::MetaVersion { found: tx.meta.version, needed: "4 (mode `unified`)" });
    }
    let (mut charge, mut refund, mut n_fees) = (None, None, 0);
    for event in tx.meta.transaction_events.iter() {
        let Some(fee) = fee(&EventView::read(event?)?, place, contracts)? else { continue };
        match n_fees {
            0 => charge = Some(fee),
            _ => refund = Some(fee),
        }
        n_fees += 1;
    }
    match charge {
        Some(charge) if n_fees <= 2 => Ok(Fees { charge, refund }),
        _ => Err(TransactionFault::FeeEvents(n_fees)),
    }
}

fn fee<'a>(
    event: &EventView<'_>,
    place: Place,
    contracts: &mut Contracts,
) -> Result<Option<Movement<'a>>, TransactionFault> {
    let Some(contract) = event.contract.filter(|_| event.is_contract) else {
        return Err(TransactionFault::FeeEvent("it is not the event of a contract"));
    };
    if event.symbol() != Some(b"fee") {
        return Ok(None);
    }
    if event.n_topics != 2 {
        return Err(TransactionFault::FeeEvent("it must have 2 topics"));
    }
    let Some(amount) = event.amount() else {
        return Err(TransactionFault::FeeEvent("its data is not an i128"));
    };
    let Some(from) = event.address(1) else {
        return Err(TransactionFault::FeeEvent("its second topic is not an address"));
    };
    if contract != contracts.id(&Asset::Native) {
        return Err(TransactionFault::FeeEvent("its contract is not the one of the native asset on this network"));
    }
    Ok(Some(place.movement(Kind::Fee, Asset::Native, Some(from), None, amount)))
}
