//! Walks over ledger entries, their keys and the changes made to them.

use stellar_xdr::{ClaimPredicate, ConfigSettingEntry, ConfigSettingId, ContractCodeCostInputs};

use crate::reader::{Read, Reader};
use crate::values::{account_id, address, asset, balance_id, value};

/// Walks over `LedgerEntryChanges` and returns their number.
pub fn changes(r: &mut Reader<'_>) -> Read<u32> {
    r.list(u32::MAX, |r| match r.u32()? {
        0 | 1 | 3 | 4 => entry(r),
        2 => key(r),
        _ => Err(r.malformed("unknown type of ledger entry change")),
    })
}

/// Walks over a `LedgerEntry`.
pub fn entry(r: &mut Reader<'_>) -> Read<()> {
    r.skip(4)?;
    match r.u32()? {
        0 => account(r)?,
        1 => trust_line(r)?,
        2 => offer(r)?,
        3 => {
            account_id(r)?;
            r.opaque(64)?;
            r.opaque(64)?;
            r.no_extension()?;
        }
        4 => claimable_balance(r)?,
        5 => {
            r.skip(32)?;
            r.choice(0, "unknown type of liquidity pool")?;
            asset(r)?;
            asset(r)?;
            r.skip(4 + 32)?;
        }
        6 => {
            r.no_extension()?;
            contract_data_key(r)?;
            value(r)?;
        }
        7 => {
            match r.u32()? {
                0 => {}
                1 => {
                    r.no_extension()?;
                    r.skip_decoded::<ContractCodeCostInputs>()?;
                }
                _ => return Err(r.malformed("unknown extension of contract code")),
            }
            r.skip(32)?;
            r.opaque(u32::MAX)?;
        }
        8 => r.skip_decoded::<ConfigSettingEntry>()?,
        9 => r.skip(36)?,
        _ => return Err(r.malformed("unknown type of ledger entry")),
    }
    match r.u32()? {
        0 => Ok(()),
        1 => {
            r.optional(account_id)?;
            r.no_extension()
        }
        _ => Err(r.malformed("unknown extension of a ledger entry")),
    }
}

/// Walks over a `LedgerKey`.
pub fn key(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => account_id(r),
        1 => {
            account_id(r)?;
            trust_line_asset(r)
        }
        2 => {
            account_id(r)?;
            r.skip(8)
        }
        3 => {
            account_id(r)?;
            r.opaque(64).map(drop)
        }
        4 => balance_id(r),
        5 | 7 | 9 => r.skip(32),
        6 => contract_data_key(r),
        8 => r.skip_decoded::<ConfigSettingId>(),
        _ => Err(r.malformed("unknown type of ledger key")),
    }
}

/// Walks over an `OfferEntry`.
pub(super) fn offer(r: &mut Reader<'_>) -> Read<()> {
    account_id(r)?;
    r.skip(8)?;
    asset(r)?;
    asset(r)?;
    r.skip(8 + 8 + 4)?;
    r.no_extension()
}

/// Walks over a `SignerKey`.
pub fn signer_key(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0..=2 => r.skip(32),
        3 => {
            r.skip(32)?;
            r.opaque(64).map(drop)
        }
        _ => Err(r.malformed("unknown type of signer key")),
    }
}

/// Walks over the claimants of a claimable balance.
pub(super) fn claimants(r: &mut Reader<'_>) -> Read<()> {
    r.list(10, |r| {
        r.choice(0, "unknown type of claimant")?;
        account_id(r)?;
        r.skip_decoded::<ClaimPredicate>()
    })
    .map(drop)
}

fn contract_data_key(r: &mut Reader<'_>) -> Read<()> {
    address(r)?;
    value(r)?;
    r.choice(1, "unknown durability").map(drop)
}

fn account(r: &mut Reader<'_>) -> Read<()> {
    account_id(r)?;
    r.skip(8 + 8 + 4)?;
    r.optional(account_id)?;
    r.skip(4)?;
    r.opaque(32)?;
    r.skip(4)?;
    r.list(20, |r| {
        signer_key(r)?;
        r.skip(4)
    })?;
    match r.u32()? {
        0 => return Ok(()),
        1 => r.skip(16)?,
        _ => return Err(r.malformed("unknown extension of an account")),
    }
    match r.u32()? {
        0 => return Ok(()),
        2 => r.skip(8)?,
        _ => return Err(r.malformed("unknown extension of an account")),
    }
    r.list(20, |r| r.optional(account_id))?;
    match r.u32()? {
        0 => Ok(()),
        3 => {
            r.no_extension()?;
            r.skip(12)
        }
        _ => Err(r.malformed("unknown extension of an account")),
    }
}

fn trust_line_asset(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => Ok(()),
        1 => r.skip(4).and_then(|()| account_id(r)),
        2 => r.skip(12).and_then(|()| account_id(r)),
        3 => r.skip(32),
        _ => Err(r.malformed("unknown type of asset")),
    }
}

fn trust_line(r: &mut Reader<'_>) -> Read<()> {
    account_id(r)?;
    trust_line_asset(r)?;
    r.skip(8 + 8 + 4)?;
    match r.u32()? {
        0 => return Ok(()),
        1 => r.skip(16)?,
        _ => return Err(r.malformed("unknown extension of a trust line")),
    }
    match r.u32()? {
        0 => Ok(()),
        2 => {
            r.skip(4)?;
            r.no_extension()
        }
        _ => Err(r.malformed("unknown extension of a trust line")),
    }
}

fn claimable_balance(r: &mut Reader<'_>) -> Read<()> {
    balance_id(r)?;
    claimants(r)?;
    asset(r)?;
    r.skip(8)?;
    match r.u32()? {
        0 => Ok(()),
        1 => {
            r.no_extension()?;
            r.skip(4)
        }
        _ => Err(r.malformed("unknown extension of a claimable balance")),
    }
}
