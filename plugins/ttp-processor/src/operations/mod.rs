//! The movements that an operation of a successful transaction made.
//!
//! One file for each kind of operation; [`movements`] chooses, and reconciles what
//! protocols before 8 got wrong.

mod balances;
mod payments;
mod pools;
mod reconcile;
mod revocation;
mod trades;

use flowctl_xdr::{Read, Reader};
use stellar_xdr::{MuxedAccount, OperationType};

use crate::contract_events::{self, Contracts, Layout};
use crate::error::OperationFault;
use crate::ledger::{Envelope, Events, Memo, Operation, OperationMeta, Transaction};
use crate::movement::{Movement, Place};

/// An operation with all that the rules ask about it.
pub(crate) struct Applied<'t, 'a> {
    pub place: Place,
    pub kind: OperationType,
    pub source: MuxedAccount,
    pub body: Reader<'a>,
    pub result: Reader<'a>,
    pub meta: OperationMeta<'a>,
    pub envelope: &'t Envelope<'a>,
    pub index: u32,
}

/// What the rules give an operation's movements to.
pub(crate) type Movements<'m, 'a> = &'m mut Vec<Movement<'a>>;

impl<'t, 'a> Applied<'t, 'a> {
    /// Brings together the parts of a transaction's operation; `index` counts from 0.
    pub(crate) fn new(
        tx: &'t Transaction<'a>,
        place: Place,
        index: u32,
        operation: Operation<'a>,
        result: Reader<'a>,
        meta: OperationMeta<'a>,
    ) -> Self {
        let source = operation.source.unwrap_or_else(|| tx.envelope.source.clone());
        let place = Place { operation: Some(index), ..place };
        Self { place, kind: operation.kind, source, body: operation.body, result, meta, envelope: &tx.envelope, index }
    }

    fn memo(&self) -> Memo<'a> {
        self.envelope.memo
    }

    /// The reader at what the successful result of one of `kinds` says.
    fn success(&self, kinds: &[OperationType]) -> Result<Reader<'a>, OperationFault> {
        let mut result = self.result;
        let kind = result.i32()?;
        if !kinds.iter().any(|expected| *expected as i32 == kind) || result.i32()? != 0 {
            return Err(OperationFault::Result(self.kind.name()));
        }
        Ok(result)
    }
}

/// Appends the movements of an operation to `out`.
pub(crate) fn movements<'a>(
    op: &Applied<'_, 'a>,
    tx: &Transaction<'a>,
    protocol: u32,
    contracts: &mut Contracts,
    out: Movements<'_, 'a>,
) -> Result<(), OperationFault> {
    let first = out.len();
    match op.kind {
        OperationType::CreateAccount => payments::create_account(op, out)?,
        OperationType::Payment => payments::payment(op, out)?,
        OperationType::AccountMerge => payments::account_merge(op, out)?,
        OperationType::Inflation => payments::inflation(op, out)?,
        OperationType::PathPaymentStrictSend => trades::path_payment_strict_send(op, out)?,
        OperationType::PathPaymentStrictReceive => trades::path_payment_strict_receive(op, out)?,
        OperationType::ManageSellOffer | OperationType::ManageBuyOffer | OperationType::CreatePassiveSellOffer => {
            trades::offer(op, out)?;
        }
        OperationType::CreateClaimableBalance => balances::create(op, out)?,
        OperationType::ClaimClaimableBalance => balances::claim(op, out)?,
        OperationType::Clawback => balances::clawback(op, out)?,
        OperationType::ClawbackClaimableBalance => balances::clawback_balance(op, out)?,
        OperationType::LiquidityPoolDeposit => pools::deposit(op, contracts, out)?,
        OperationType::LiquidityPoolWithdraw => pools::withdraw(op, out)?,
        OperationType::AllowTrust | OperationType::SetTrustLineFlags => revocation::revocation(op, out)?,
        OperationType::InvokeHostFunction => match tx.meta.version {
            3 => events(tx.meta.soroban_events, Layout::V3, op.place, contracts, out)?,
            4 => events(op.meta.events, Layout::V4, op.place, contracts, out)?,
            _ => {}
        },
        _ => return Ok(()),
    }
    if protocol < 8 {
        reconcile::reconcile(op, first, out)?;
    }
    Ok(())
}

/// Appends the movements that contracts announced to `out`.
pub(crate) fn events<'a>(
    events: Events<'a>,
    layout: Layout,
    place: Place,
    contracts: &mut Contracts,
    out: Movements<'_, 'a>,
) -> Read<()> {
    for event in events.iter() {
        if let Some(movement) = contract_events::movement(event?, layout, place, contracts)? {
            out.push(movement);
        }
    }
    Ok(())
}
