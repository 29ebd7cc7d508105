//! The rules over a whole ledger: which movements there are, and in which order.
//!
//! Invariant: all or nothing. The movements of a ledger are collected in binary form
//! first; only when the last transaction has been understood are they written out.

use crate::contract_events::{Contracts, Layout};
use crate::error::{OperationFault, RuleError, TransactionFault};
use crate::fees::{self, Fees};
use crate::ledger::{self, Ledger, Transaction, hex};
use crate::movement::{Movement, Place};
use crate::network::{Mode, Network};
use crate::operations::{self, Applied};
use crate::render::Renderer;
use crate::transfer::Transfer;
use crate::unified;

/// From this protocol on, refunds are made after all transactions were applied.
const REFUNDS_LAST: u32 = 23;

/// Derives the token transfers of ledgers of one network.
///
/// It keeps the names of assets between ledgers, so one should serve many.
pub struct Rules {
    network: Network,
    mode: Mode,
    contracts: Contracts,
    renderer: Renderer,
}

impl Rules {
    /// Starts with nothing known about the network's assets.
    pub fn new(network: Network, mode: Mode) -> Self {
        let contracts = Contracts::new(&network);
        Self { network, mode, contracts, renderer: Renderer::default() }
    }

    /// Gives the transfers of one ledger to `emit`, in order. `ledger_xdr` is one
    /// `LedgerCloseMeta` with nothing before or after it.
    ///
    /// # Errors
    ///
    /// Nothing has been given to `emit` then. See [`RuleError`].
    pub fn transfers(&mut self, ledger_xdr: &[u8], emit: &mut dyn FnMut(&Transfer<'_>)) -> Result<(), RuleError> {
        let ledger = ledger::read(ledger_xdr, &self.network)?;
        let movements = self.movements(&ledger)?;
        self.renderer.render(&ledger, &movements, &mut self.contracts, emit);
        Ok(())
    }

    fn movements<'a>(&mut self, ledger: &Ledger<'a>) -> Result<Vec<Movement<'a>>, RuleError> {
        let mut charges = Vec::with_capacity(ledger.transactions.len() * 2);
        let mut applied = Vec::with_capacity(ledger.transactions.len());
        let mut refunds = Vec::new();
        for (index, tx) in (0u32..).zip(&ledger.transactions) {
            let place = Place { transaction: index, operation: None };
            let in_transaction = |fault| RuleError::Transaction { transaction: hex(tx.result.hash), fault };
            let Fees { charge, refund } = match self.mode {
                Mode::Derive => fees::derive(tx, place),
                Mode::Unified => unified::fees(tx, place, &mut self.contracts),
            }
            .map_err(in_transaction)?;
            charges.push(charge);
            if tx.result.is_success {
                match self.mode {
                    Mode::Derive => self.derive_operations(ledger, tx, place, &mut applied)?,
                    Mode::Unified => self.read_operations(ledger, tx, place, &mut applied)?,
                }
            }
            let refunds = if ledger.protocol >= REFUNDS_LAST { &mut refunds } else { &mut applied };
            refunds.extend(refund);
        }
        charges.append(&mut applied);
        charges.append(&mut refunds);
        Ok(charges)
    }

    fn derive_operations<'a>(
        &mut self,
        ledger: &Ledger<'a>,
        tx: &Transaction<'a>,
        place: Place,
        out: &mut Vec<Movement<'a>>,
    ) -> Result<(), RuleError> {
        let transaction = || hex(tx.result.hash);
        let in_transaction = |fault| RuleError::Transaction { transaction: transaction(), fault };
        let mut metas = ledger.operation_metas(tx);
        if tx.meta.version == 0 {
            return Err(in_transaction(TransactionFault::MetaVersion { found: 0, needed: "1 or later" }));
        }
        let operations = tx.envelope.n_operations();
        let results = tx.result.n_operations as usize;
        if results != operations {
            return Err(in_transaction(TransactionFault::Results { operations, results }));
        }
        for (index, (operation, result)) in (0u32..).zip(tx.envelope.operations().zip(tx.result.operations())) {
            let in_operation = |fault: OperationFault| RuleError::Operation {
                transaction: transaction(),
                operation: index + 1,
                fault,
            };
            let operation = operation.map_err(|error| in_operation(error.into()))?;
            let result = result.map_err(|error| in_operation(error.into()))?;
            // An operation without meta changed nothing.
            let meta = metas.next().unwrap_or_default();
            let op = Applied::new(tx, place, index, operation, result, meta);
            operations::movements(&op, tx, ledger.protocol, &mut self.contracts, out).map_err(in_operation)?;
        }
        Ok(())
    }

    fn read_operations<'a>(
        &mut self,
        ledger: &Ledger<'a>,
        tx: &Transaction<'a>,
        place: Place,
        out: &mut Vec<Movement<'a>>,
    ) -> Result<(), RuleError> {
        for (index, meta) in (0u32..).zip(ledger.operation_metas(tx)) {
            let place = Place { operation: Some(index), ..place };
            operations::events(meta.events, Layout::V4, place, &mut self.contracts, out)?;
        }
        Ok(())
    }
}

/// Gives the transfers of one ledger to `emit`, as [`Rules::transfers`] does, keeping
/// nothing for the next.
///
/// # Errors
///
/// Nothing has been given to `emit` then. See [`RuleError`].
pub fn transfers(
    ledger_xdr: &[u8],
    network: &Network,
    mode: Mode,
    emit: &mut dyn FnMut(&Transfer<'_>),
) -> Result<(), RuleError> {
    Rules::new(network.clone(), mode).transfers(ledger_xdr, emit)
}
