//! What is read of a LedgerCloseMeta: its header, and whether it is one from its first
//! byte to its last.
//!
//! Invariant: a ledger is never held decoded as a whole. Where its end is known it is
//! walked over in place; where it is not, its transactions are decoded one by one and
//! dropped, so that what a file claims costs no more memory than [`MAX_LEDGER_BYTES`] and
//! one transaction.

use std::io::{self, Read};

use flowctl_xdr::{Malformed, Reader};
use stellar_xdr::{
    Error, GeneralizedTransactionSet, Hash, LedgerCloseMetaExt, LedgerEntry, LedgerHeaderHistoryEntry, LedgerKey,
    Limited, Limits, ReadXdr, ScpHistoryEntry, TransactionEnvelope, TransactionResultMeta, TransactionResultMetaV1,
    UpgradeEntryMeta,
};

/// Largest ledger that is read, in bytes of XDR: 64 MiB. The largest on record have 4.
pub(crate) const MAX_LEDGER_BYTES: usize = 64 << 20;

/// Bytes that the part of a ledger up to the end of its header may have.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Deepest nesting of XDR types.
const MAX_DEPTH: u32 = 500;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What a ledger's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its sequence number.
    pub(crate) sequence: u32,
    /// When it closed, nanoseconds since the Unix epoch.
    pub(crate) closed_at: u64,
    /// Its hash, as it says itself.
    pub(crate) hash: [u8; 32],
    /// The hash of the ledger before it.
    pub(crate) previous_hash: [u8; 32],
}

/// Reads the header of a ledger from the ledger's first bytes.
pub(crate) fn header(xdr: &[u8]) -> Result<Header, Error> {
    let mut input = Limited::new(xdr, Limits { depth: MAX_DEPTH, len: MAX_HEADER_BYTES });
    match i32::read_xdr(&mut input)? {
        0 => {}
        1 | 2 => {
            LedgerCloseMetaExt::read_xdr(&mut input)?;
        }
        _ => return Err(Error::Invalid),
    }
    let LedgerHeaderHistoryEntry { hash, header, .. } = LedgerHeaderHistoryEntry::read_xdr(&mut input)?;
    let closed_at = header.scp_value.close_time.0.saturating_mul(NANOS_PER_SECOND);
    Ok(Header { sequence: header.ledger_seq, closed_at, hash: hash.0, previous_hash: header.previous_ledger_hash.0 })
}

/// Reads one ledger from a stream that does not say where it ends, and appends its
/// bytes to `xdr`.
pub(crate) fn copy(input: impl Read, xdr: &mut Vec<u8>) -> Result<(), Error> {
    let mut input = Limited::new(Tee { input, copy: xdr }, Limits { depth: MAX_DEPTH, len: MAX_LEDGER_BYTES });
    walk(&mut input)
}

/// Checks that `xdr` is one ledger and nothing else. Decodes next to nothing of it, and
/// takes a small part of the time that a processor spends on it.
pub(crate) fn check(xdr: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(xdr);
    flowctl_xdr::ledger(&mut reader)?;
    if reader.is_at_end() { Ok(()) } else { Err(reader.malformed("bytes after its end")) }
}

/// Whether `xdr` ends before its ledger does, or goes on behind it. A ledger with parts
/// that are not known here is neither: its end cannot be told.
pub(crate) fn is_damaged(mut xdr: &[u8]) -> bool {
    let mut input = Limited::new(&mut xdr, Limits { depth: MAX_DEPTH, len: MAX_LEDGER_BYTES });
    match walk(&mut input) {
        Ok(()) => !xdr.is_empty(),
        Err(Error::Io(error)) => error.kind() == io::ErrorKind::UnexpectedEof,
        Err(_) => false,
    }
}

fn walk(input: &mut Limited<impl Read>) -> Result<(), Error> {
    let version = i32::read_xdr(input)?;
    match version {
        0 => {
            LedgerHeaderHistoryEntry::read_xdr(input)?;
            Hash::read_xdr(input)?;
            each::<TransactionEnvelope>(input)?;
        }
        1 | 2 => {
            LedgerCloseMetaExt::read_xdr(input)?;
            LedgerHeaderHistoryEntry::read_xdr(input)?;
            GeneralizedTransactionSet::read_xdr(input)?;
        }
        _ => return Err(Error::Invalid),
    }
    match version {
        2 => each::<TransactionResultMetaV1>(input)?,
        _ => each::<TransactionResultMeta>(input)?,
    }
    each::<UpgradeEntryMeta>(input)?;
    each::<ScpHistoryEntry>(input)?;
    if version > 0 {
        u64::read_xdr(input)?;
        each::<LedgerKey>(input)?;
    }
    if version == 1 {
        each::<LedgerEntry>(input)?;
    }
    Ok(())
}

fn each<T: ReadXdr>(input: &mut Limited<impl Read>) -> Result<(), Error> {
    for _ in 0..u32::read_xdr(input)? {
        T::read_xdr(input)?;
    }
    Ok(())
}

struct Tee<'a, R> {
    input: R,
    copy: &'a mut Vec<u8>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = self.input.read(buffer)?;
        self.copy.extend_from_slice(&buffer[..n_bytes]);
        Ok(n_bytes)
    }
}
