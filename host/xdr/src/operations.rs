//! Walks over operations and their results.

use stellar_xdr::{ChangeTrustOp, RevokeSponsorshipOp, SetOptionsOp};

use crate::entries::{claimants, offer};
use crate::reader::{Read, Reader};
use crate::values::{account_id, asset, authorization, balance_id, host_function};

/// The lowest result code of each operation, by its type; the highest is 0.
const LOWEST_CODES: [i32; 27] =
    [-4, -9, -12, -12, -12, -10, -8, -6, -7, -1, -4, -1, -12, -12, -5, -6, -3, -1, -5, -4, -3, -5, -8, -6, -5, -3, -3];

/// Walks over a `MuxedAccount`.
#[inline]
pub fn muxed_account(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => r.skip(32),
        0x100 => r.skip(40),
        _ => Err(r.malformed("unknown type of account")),
    }
}

/// Walks over an `Operation`.
pub fn operation(r: &mut Reader<'_>) -> Read<()> {
    r.optional(muxed_account)?;
    match r.u32()? {
        0 => {
            account_id(r)?;
            r.skip(8)
        }
        1 => {
            muxed_account(r)?;
            asset(r)?;
            r.skip(8)
        }
        2 | 13 => {
            asset(r)?;
            r.skip(8)?;
            muxed_account(r)?;
            asset(r)?;
            r.skip(8)?;
            r.list(5, asset).map(drop)
        }
        3 | 12 => {
            asset(r)?;
            asset(r)?;
            r.skip(8 + 8 + 8)
        }
        4 => {
            asset(r)?;
            asset(r)?;
            r.skip(8 + 8)
        }
        5 => r.skip_decoded::<SetOptionsOp>(),
        6 => r.skip_decoded::<ChangeTrustOp>(),
        7 => {
            account_id(r)?;
            match r.u32()? {
                1 => r.skip(4 + 4),
                2 => r.skip(12 + 4),
                _ => Err(r.malformed("unknown type of asset code")),
            }
        }
        8 => muxed_account(r),
        9 | 17 => Ok(()),
        10 => {
            r.opaque(64)?;
            r.optional(|r| r.opaque(64).map(drop))
        }
        11 => r.skip(8),
        14 => {
            asset(r)?;
            r.skip(8)?;
            claimants(r)
        }
        15 | 20 => balance_id(r),
        16 => account_id(r),
        18 => r.skip_decoded::<RevokeSponsorshipOp>(),
        19 => {
            asset(r)?;
            muxed_account(r)?;
            r.skip(8)
        }
        21 => {
            account_id(r)?;
            asset(r)?;
            r.skip(8)
        }
        22 => r.skip(32 + 8 + 8 + 8 + 8),
        23 => r.skip(32 + 8 + 8 + 8),
        24 => {
            host_function(r)?;
            r.list(u32::MAX, authorization).map(drop)
        }
        25 => {
            r.no_extension()?;
            r.skip(4)
        }
        26 => r.no_extension(),
        _ => Err(r.malformed("unknown type of operation")),
    }
}

/// Walks over an `OperationResult`.
pub fn operation_result(r: &mut Reader<'_>) -> Read<()> {
    match r.i32()? {
        0 => {}
        -6..=-1 => return Ok(()),
        _ => return Err(r.malformed("unknown result of an operation")),
    }
    let kind = r.choice(26, "unknown type of operation")?;
    let code = r.i32()?;
    if code > 0 || code < LOWEST_CODES[kind as usize] {
        return Err(r.malformed("unknown result of an operation"));
    }
    match (kind, code) {
        (2, -9) | (13, -9) => asset(r),
        (_, ..0) => Ok(()),
        (2 | 13, _) => {
            r.list(u32::MAX, claim_atom)?;
            account_id(r)?;
            asset(r)?;
            r.skip(8)
        }
        (3 | 4 | 12, _) => {
            r.list(u32::MAX, claim_atom)?;
            match r.u32()? {
                0 | 1 => offer(r),
                2 => Ok(()),
                _ => Err(r.malformed("unknown effect on an offer")),
            }
        }
        (8, _) => r.skip(8),
        (9, _) => r
            .list(u32::MAX, |r| {
                account_id(r)?;
                r.skip(8)
            })
            .map(drop),
        (14, _) => balance_id(r),
        (24, _) => r.skip(32),
        _ => Ok(()),
    }
}

fn claim_atom(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => r.skip(32 + 8)?,
        1 => {
            account_id(r)?;
            r.skip(8)?;
        }
        2 => r.skip(32)?,
        _ => return Err(r.malformed("unknown type of claim atom")),
    }
    asset(r)?;
    r.skip(8)?;
    asset(r)?;
    r.skip(8)
}
