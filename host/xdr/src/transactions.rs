//! Walks over transactions: what was submitted, its result, and what it changed.

use stellar_xdr::{SorobanTransactionDataExt, SorobanTransactionMetaExt};

use crate::entries::{changes, key, signer_key};
use crate::operations::{muxed_account, operation, operation_result};
use crate::reader::{Read, Reader};
use crate::values::{event, value};

const FEE_BUMP_INNER_SUCCESS: i32 = 1;
const SUCCESS: i32 = 0;
const FAILED: i32 = -1;
const FEE_BUMP_INNER_FAILED: i32 = -13;
const LOWEST: i32 = -18;

/// Walks over a `TransactionEnvelope`.
pub fn envelope(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => {
            r.skip(32 + 4 + 8)?;
            r.optional(|r| r.skip(16))?;
            memo(r)?;
            r.list(100, operation)?;
            r.no_extension()?;
        }
        2 => transaction(r)?,
        5 => {
            muxed_account(r)?;
            r.skip(8)?;
            if r.u32()? != 2 {
                return Err(r.malformed("unknown type of inner transaction"));
            }
            transaction(r)?;
            signatures(r)?;
            r.no_extension()?;
        }
        _ => return Err(r.malformed("unknown type of transaction envelope")),
    }
    signatures(r)
}

fn transaction(r: &mut Reader<'_>) -> Read<()> {
    muxed_account(r)?;
    r.skip(4 + 8)?;
    preconditions(r)?;
    memo(r)?;
    r.list(100, operation)?;
    match r.choice(1, "unknown extension of a transaction")? {
        0 => Ok(()),
        _ => soroban_data(r),
    }
}

fn memo(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => Ok(()),
        1 => r.opaque(28).map(drop),
        2 => r.skip(8),
        3 | 4 => r.skip(32),
        _ => Err(r.malformed("unknown type of memo")),
    }
}

/// Walks over the `Preconditions` of a transaction.
pub fn preconditions(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => Ok(()),
        1 => r.skip(16),
        2 => {
            r.optional(|r| r.skip(16))?;
            r.optional(|r| r.skip(8))?;
            r.optional(|r| r.skip(8))?;
            r.skip(8 + 4)?;
            r.list(2, signer_key).map(drop)
        }
        _ => Err(r.malformed("unknown type of preconditions")),
    }
}

/// Walks over the signatures of a transaction.
pub fn signatures(r: &mut Reader<'_>) -> Read<()> {
    r.list(20, |r| {
        r.skip(4)?;
        r.opaque(64).map(drop)
    })
    .map(drop)
}

/// Walks over a `SorobanTransactionData`.
pub fn soroban_data(r: &mut Reader<'_>) -> Read<()> {
    r.skip_decoded::<SorobanTransactionDataExt>()?;
    r.list(u32::MAX, key)?;
    r.list(u32::MAX, key)?;
    r.skip(4 + 4 + 4 + 8)
}

/// Walks over a `TransactionResultPair`.
pub fn result(r: &mut Reader<'_>) -> Read<()> {
    r.skip(32 + 8)?;
    match r.i32()? {
        FEE_BUMP_INNER_SUCCESS | FEE_BUMP_INNER_FAILED => {
            r.skip(32 + 8)?;
            let inner = r.i32()?;
            if matches!(inner, FEE_BUMP_INNER_SUCCESS | FEE_BUMP_INNER_FAILED) {
                return Err(r.malformed("fee bump within a fee bump"));
            }
            operation_results(r, inner)?;
            r.no_extension()?;
        }
        code => operation_results(r, code)?,
    }
    r.no_extension()
}

fn operation_results(r: &mut Reader<'_>, code: i32) -> Read<()> {
    match code {
        SUCCESS | FAILED => r.list(u32::MAX, operation_result).map(drop),
        LOWEST..FAILED => Ok(()),
        _ => Err(r.malformed("unknown result of a transaction")),
    }
}

/// Walks over a `TransactionMeta`.
pub fn transaction_meta(r: &mut Reader<'_>) -> Read<()> {
    let version = r.choice(4, "unknown version of transaction meta")?;
    if version >= 3 {
        r.no_extension()?;
    }
    if version >= 1 {
        changes(r)?;
    }
    r.list(u32::MAX, |r| {
        if version == 4 {
            r.no_extension()?;
        }
        changes(r)?;
        if version == 4 {
            r.list(u32::MAX, event)?;
        }
        Ok(())
    })?;
    if version >= 2 {
        changes(r)?;
    }
    match version {
        3 => r.optional(|r| {
            r.skip_decoded::<SorobanTransactionMetaExt>()?;
            r.list(u32::MAX, event)?;
            value(r)?;
            diagnostic_events(r)
        }),
        4 => {
            r.optional(|r| {
                r.skip_decoded::<SorobanTransactionMetaExt>()?;
                r.optional(value)
            })?;
            r.list(u32::MAX, |r| {
                r.choice(2, "unknown stage of an event")?;
                event(r)
            })?;
            diagnostic_events(r)
        }
        _ => Ok(()),
    }
}

fn diagnostic_events(r: &mut Reader<'_>) -> Read<()> {
    r.list(u32::MAX, |r| {
        r.boolean()?;
        event(r)
    })
    .map(drop)
}
