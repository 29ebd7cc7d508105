//! Transaction envelopes: who pays, who acts, the memo and the operations.
//!
//! A fee bump is seen as its inner transaction with another fee account and hash.

use flowctl_xdr::{self as xdr, Read, Reader};
use sha2::{Digest, Sha256};
use stellar_xdr::{MuxedAccount, OperationType, Uint256};

use crate::network::Network;

/// What was submitted to the network.
#[derive(Clone)]
pub(crate) struct Envelope<'a> {
    /// The transaction's hash; of the outer one for fee bumps.
    pub hash: [u8; 32],
    /// Who pays the fee.
    pub fee_account: [u8; 32],
    /// The source account of the (inner) transaction.
    pub source: MuxedAccount,
    /// The sequence number of the (inner) transaction.
    pub sequence: i64,
    /// The memo of the (inner) transaction.
    pub memo: Memo<'a>,
    /// Whether it declares Soroban resources, and so pays for them.
    pub is_soroban: bool,
    operations: Reader<'a>,
    n_operations: u32,
}

/// The memo of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memo<'a> {
    /// No memo.
    None,
    /// Text: up to 28 bytes, not always UTF-8.
    Text(&'a [u8]),
    /// A number.
    Id(u64),
    /// A hash, or that of a payment that is returned.
    Hash(&'a [u8; 32]),
}

/// One operation of a transaction.
pub(crate) struct Operation<'a> {
    /// Its own source account, where it names one.
    pub source: Option<MuxedAccount>,
    /// Which operation it is.
    pub kind: OperationType,
    /// Its fields.
    pub body: Reader<'a>,
}

impl<'a> Envelope<'a> {
    /// How many operations it has.
    pub(crate) fn n_operations(&self) -> usize {
        self.n_operations as usize
    }

    /// Reads its operations in order.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Read<Operation<'a>>> + use<'a> {
        let mut r = self.operations;
        (0..self.n_operations).map(move |_| {
            let start = r.position();
            xdr::operation(&mut r)?;
            let mut body = r.span(start, r.position());
            let source = if body.boolean()? { Some(body.decode::<MuxedAccount>()?) } else { None };
            let kind = OperationType::try_from(body.i32()?).map_err(|_| body.malformed("unknown type of operation"))?;
            Ok(Operation { source, kind, body })
        })
    }
}

/// The ed25519 key behind an account, muxed or not.
pub(crate) fn account_key(account: &MuxedAccount) -> &[u8; 32] {
    match account {
        MuxedAccount::Ed25519(Uint256(key)) => key,
        MuxedAccount::MuxedEd25519(muxed) => &muxed.ed25519.0,
    }
}

/// Reads a `TransactionEnvelope`.
pub(super) fn read<'a>(r: &mut Reader<'a>, network: &Network) -> Read<Envelope<'a>> {
    let start = r.position();
    let envelope = match r.u32()? {
        0 => {
            let body = r.position();
            let mut envelope = read_v0(r)?;
            // Signed as if it were a V1 transaction: its type, and that of its source's key.
            envelope.hash = signature_hash(network, &[0, 0, 0, 2, 0, 0, 0, 0], r.since(body));
            envelope
        }
        2 => {
            let mut envelope = read_v1(r)?;
            envelope.hash = signature_hash(network, &[], r.since(start));
            envelope
        }
        5 => {
            let fee_source = r.decode::<MuxedAccount>()?;
            r.skip(8)?;
            if r.u32()? != 2 {
                return Err(r.malformed("unknown type of inner transaction"));
            }
            let mut envelope = read_v1(r)?;
            xdr::signatures(r)?;
            r.no_extension()?;
            envelope.fee_account = *account_key(&fee_source);
            envelope.hash = signature_hash(network, &[], r.since(start));
            envelope
        }
        _ => return Err(r.malformed("unknown type of transaction envelope")),
    };
    xdr::signatures(r)?;
    Ok(envelope)
}

fn read_v0<'a>(r: &mut Reader<'a>) -> Read<Envelope<'a>> {
    let source = MuxedAccount::Ed25519(Uint256(*r.array()?));
    r.skip(4)?;
    let sequence = r.i64()?;
    r.optional(|r| r.skip(16))?;
    let memo = read_memo(r)?;
    let (operations, n_operations) = read_operations(r)?;
    r.no_extension()?;
    Ok(inner(source, sequence, memo, false, operations, n_operations))
}

fn read_v1<'a>(r: &mut Reader<'a>) -> Read<Envelope<'a>> {
    let source = r.decode::<MuxedAccount>()?;
    r.skip(4)?;
    let sequence = r.i64()?;
    xdr::preconditions(r)?;
    let memo = read_memo(r)?;
    let (operations, n_operations) = read_operations(r)?;
    let is_soroban = r.choice(1, "unknown extension of a transaction")? == 1;
    if is_soroban {
        xdr::soroban_data(r)?;
    }
    Ok(inner(source, sequence, memo, is_soroban, operations, n_operations))
}

fn inner<'a>(
    source: MuxedAccount,
    sequence: i64,
    memo: Memo<'a>,
    is_soroban: bool,
    operations: Reader<'a>,
    n_operations: u32,
) -> Envelope<'a> {
    let fee_account = *account_key(&source);
    Envelope { hash: [0; 32], fee_account, source, sequence, memo, is_soroban, operations, n_operations }
}

fn read_operations<'a>(r: &mut Reader<'a>) -> Read<(Reader<'a>, u32)> {
    let start = r.position();
    let n_operations = r.list(100, xdr::operation)?;
    Ok((r.span(start + 4, r.position()), n_operations))
}

fn read_memo<'a>(r: &mut Reader<'a>) -> Read<Memo<'a>> {
    match r.u32()? {
        0 => Ok(Memo::None),
        1 => r.opaque(28).map(Memo::Text),
        2 => r.u64().map(Memo::Id),
        3 | 4 => r.array().map(Memo::Hash),
        _ => Err(r.malformed("unknown type of memo")),
    }
}

fn signature_hash(network: &Network, prefix: &[u8], signed: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(network.id()).chain_update(prefix).chain_update(signed).finalize().into()
}
