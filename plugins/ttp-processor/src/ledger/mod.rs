//! Reads a closed ledger: its transactions in the order of application, each with its
//! envelope, result and meta.
//!
//! Invariant: when [`read`] returns a ledger, all of its bytes have been walked over
//! and are well-formed, so what is read from its parts later cannot fail for XDR's sake.
//! The parts borrow the ledger's bytes.

mod changes;
mod envelope;
mod meta;
mod result;
mod tx_set;

use flowctl_xdr::{self as xdr, Read, Reader};
use stellar_xdr::{LedgerCloseMetaExt, LedgerHeaderHistoryEntry, LedgerUpgrade, ScpHistoryEntry};

pub(crate) use changes::{Changes, Entry};
pub(crate) use envelope::{Envelope, Memo, Operation, account_key};
pub(crate) use meta::{Events, Meta, OperationMeta};
pub(crate) use result::TxResult;

use meta::OperationMetaAt;

use crate::error::RuleError;
use crate::network::Network;

/// A closed ledger.
pub(crate) struct Ledger<'a> {
    /// Its sequence number.
    pub sequence: u32,
    /// The version of the protocol that closed it.
    pub protocol: u32,
    /// When it closed, in seconds since the Unix epoch.
    pub closed_at: u64,
    /// Its transactions in the order of application.
    pub transactions: Vec<Transaction<'a>>,
    /// The meta of all operations; [`Meta::operations`] is a range of it.
    operations: Vec<OperationMetaAt>,
    bytes: Reader<'a>,
}

impl<'a> Ledger<'a> {
    /// The metas of a transaction's operations, in order.
    pub(crate) fn operation_metas(&self, tx: &Transaction<'a>) -> impl Iterator<Item = OperationMeta<'a>> {
        self.operations[tx.meta.operations.clone()].iter().map(|meta| meta.of(self.bytes))
    }
}

/// One applied transaction.
pub(crate) struct Transaction<'a> {
    /// What was submitted.
    pub envelope: Envelope<'a>,
    /// What came of it.
    pub result: TxResult<'a>,
    /// The changes made when the fee was taken, before any transaction was applied.
    pub fee_changes: Changes<'a>,
    /// The changes and events of its application.
    pub meta: Meta<'a>,
    /// The changes made after all transactions were applied (refunds since protocol 23).
    pub post_fee_changes: Changes<'a>,
}

/// The part of a transaction that is known before its envelope is found.
struct Processed<'a> {
    result: TxResult<'a>,
    fee_changes: Changes<'a>,
    meta: Meta<'a>,
    post_fee_changes: Changes<'a>,
}

/// Reads the XDR of a `LedgerCloseMeta`.
///
/// # Errors
///
/// [`RuleError::Malformed`] where the bytes are no `LedgerCloseMeta`, or more than
/// one; [`RuleError::UnknownTransaction`] for a result without an envelope, which is
/// what another network's passphrase leads to; [`RuleError::OldMeta`] for meta that
/// old versions of stellar-core wrote incompletely.
pub(crate) fn read<'a>(bytes: &'a [u8], network: &Network) -> Result<Ledger<'a>, RuleError> {
    let mut r = Reader::new(bytes);
    let version = r.choice(2, "unknown version of LedgerCloseMeta")?;
    if version > 0 {
        r.skip_decoded::<LedgerCloseMetaExt>()?;
    }
    let header = r.decode::<LedgerHeaderHistoryEntry>()?.header;
    let envelopes = tx_set::read(&mut r, version > 0, network)?;
    let mut operations = Vec::new();
    let mut processed = Vec::new();
    r.list(u32::MAX, |r| {
        processed.push(read_processed(r, version, &mut operations)?);
        Ok(())
    })?;
    read_rest(&mut r, version)?;
    if !r.is_at_end() {
        return Err(r.malformed("bytes after the end of the ledger").into());
    }

    let protocol = header.ledger_version;
    let transactions = processed.into_iter().map(|tx| join(tx, &envelopes, protocol)).collect::<Result<_, _>>()?;
    Ok(Ledger {
        sequence: header.ledger_seq,
        protocol,
        closed_at: header.scp_value.close_time.0,
        transactions,
        operations,
        bytes: Reader::new(bytes),
    })
}

fn read_processed<'a>(r: &mut Reader<'a>, version: u32, operations: &mut Vec<OperationMetaAt>) -> Read<Processed<'a>> {
    if version == 2 {
        r.no_extension()?;
    }
    let result = result::read(r)?;
    let fee_changes = Changes::read(r)?;
    let meta = meta::read(r, operations)?;
    let post_fee_changes = if version == 2 { Changes::read(r)? } else { Changes::default() };
    Ok(Processed { result, fee_changes, meta, post_fee_changes })
}

fn read_rest(r: &mut Reader<'_>, version: u32) -> Read<()> {
    r.list(u32::MAX, |r| {
        r.skip_decoded::<LedgerUpgrade>()?;
        xdr::changes(r).map(drop)
    })?;
    r.list(u32::MAX, Reader::skip_decoded::<ScpHistoryEntry>)?;
    if version > 0 {
        r.skip(8)?;
        r.list(u32::MAX, xdr::key)?;
    }
    if version == 1 {
        r.list(u32::MAX, xdr::entry)?;
    }
    Ok(())
}

fn join<'a>(tx: Processed<'a>, envelopes: &tx_set::Envelopes<'a>, protocol: u32) -> Result<Transaction<'a>, RuleError> {
    let Some(envelope) = envelopes.find(tx.result.hash) else {
        return Err(RuleError::UnknownTransaction { transaction: hex(tx.result.hash) });
    };
    if protocol < 10 && tx.meta.version < 2 && !tx.fee_changes.is_empty() {
        return Err(RuleError::OldMeta { transaction: hex(tx.result.hash), protocol, version: tx.meta.version });
    }
    Ok(Transaction {
        envelope: envelope.clone(),
        result: tx.result,
        fee_changes: tx.fee_changes,
        meta: tx.meta,
        post_fee_changes: tx.post_fee_changes,
    })
}

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
