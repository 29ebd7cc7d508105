//! Walks over a closed ledger as a whole.

use stellar_xdr::{LedgerCloseMetaExt, LedgerHeaderHistoryEntry, LedgerUpgrade, ScpHistoryEntry};

use crate::entries::{changes, entry, key};
use crate::reader::{Read, Reader};
use crate::transactions::{envelope, result, transaction_meta};

/// Walks over a `LedgerCloseMeta`.
///
/// # Errors
///
/// [`Malformed`](crate::Malformed) where the bytes are none. What follows the ledger is
/// not looked at: ask [`Reader::is_at_end`].
pub fn ledger(r: &mut Reader<'_>) -> Read<()> {
    let version = r.choice(2, "unknown version of LedgerCloseMeta")?;
    if version > 0 {
        r.skip_decoded::<LedgerCloseMetaExt>()?;
    }
    r.skip_decoded::<LedgerHeaderHistoryEntry>()?;
    if version > 0 {
        generalized_transaction_set(r)?;
    } else {
        r.skip(32)?;
        envelopes(r)?;
    }
    r.list(u32::MAX, |r| {
        if version == 2 {
            r.no_extension()?;
        }
        result(r)?;
        changes(r)?;
        transaction_meta(r)?;
        if version == 2 {
            changes(r)?;
        }
        Ok(())
    })?;
    r.list(u32::MAX, |r| {
        r.skip_decoded::<LedgerUpgrade>()?;
        changes(r).map(drop)
    })?;
    r.list(u32::MAX, Reader::skip_decoded::<ScpHistoryEntry>)?;
    if version > 0 {
        r.skip(8)?;
        r.list(u32::MAX, key)?;
    }
    if version == 1 {
        r.list(u32::MAX, entry)?;
    }
    Ok(())
}

fn envelopes(r: &mut Reader<'_>) -> Read<()> {
    r.list(u32::MAX, envelope).map(drop)
}

fn generalized_transaction_set(r: &mut Reader<'_>) -> Read<()> {
    if r.u32()? != 1 {
        return Err(r.malformed("unknown version of the transaction set"));
    }
    r.skip(32)?;
    r.list(u32::MAX, |r| match r.u32()? {
        0 => r
            .list(u32::MAX, |r| {
                r.choice(0, "unknown type of transaction set component")?;
                r.optional(|r| r.skip(8))?;
                envelopes(r)
            })
            .map(drop),
        1 => {
            r.optional(|r| r.skip(8))?;
            r.list(u32::MAX, |r| r.list(u32::MAX, envelopes).map(drop)).map(drop)
        }
        _ => Err(r.malformed("unknown type of transaction phase")),
    })
    .map(drop)
}
