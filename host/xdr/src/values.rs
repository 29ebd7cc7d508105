//! Walks over the contract values: `ScVal`, addresses, events and authorisations.

use crate::reader::{Read, Reader};

/// Walks over an `AccountId`.
#[inline]
pub fn account_id(r: &mut Reader<'_>) -> Read<()> {
    r.choice(0, "unknown type of public key")?;
    r.skip(32)
}

/// Walks over a `ClaimableBalanceId`.
#[inline]
pub(super) fn balance_id(r: &mut Reader<'_>) -> Read<()> {
    r.choice(0, "unknown type of claimable balance")?;
    r.skip(32)
}

/// Walks over an `Asset`.
#[inline]
pub(super) fn asset(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => Ok(()),
        1 => r.skip(4).and_then(|()| account_id(r)),
        2 => r.skip(12).and_then(|()| account_id(r)),
        _ => Err(r.malformed("unknown type of asset")),
    }
}

/// Walks over a `ScAddress`.
#[inline]
pub(super) fn address(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => account_id(r),
        1 | 4 => r.skip(32),
        2 | 5 => r.skip(40),
        3 => balance_id(r),
        _ => Err(r.malformed("unknown type of address")),
    }
}

/// Walks over a `ScVal`.
pub fn value(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => r.boolean().map(drop),
        1 | 20 => Ok(()),
        2 => match r.u32()? {
            0 => r.skip(4),
            1..=9 => r.choice(9, "unknown code of a contract error").map(drop),
            _ => Err(r.malformed("unknown type of contract error")),
        },
        3 | 4 => r.skip(4),
        5..=8 | 21 => r.skip(8),
        9 | 10 => r.skip(16),
        11 | 12 => r.skip(32),
        13 | 14 | 22 => r.opaque(u32::MAX).map(drop),
        15 => r.opaque(32).map(drop),
        16 => r.nested(|r| r.optional(|r| r.list(u32::MAX, value).map(drop))),
        17 => r.nested(|r| r.optional(map)),
        18 => address(r),
        19 => r.nested(|r| {
            executable(r)?;
            r.optional(map)
        }),
        _ => Err(r.malformed("unknown type of contract value")),
    }
}

fn map(r: &mut Reader<'_>) -> Read<()> {
    r.list(u32::MAX, |r| {
        value(r)?;
        value(r)
    })
    .map(drop)
}

fn executable(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => r.skip(32),
        1 => Ok(()),
        2 => {
            address(r)?;
            r.opaque(u32::MAX).map(drop)
        }
        _ => Err(r.malformed("unknown type of contract executable")),
    }
}

/// Walks over a `ContractEvent`.
pub fn event(r: &mut Reader<'_>) -> Read<()> {
    r.no_extension()?;
    r.optional(|r| r.skip(32))?;
    r.choice(2, "unknown type of contract event")?;
    r.no_extension()?;
    r.list(u32::MAX, value)?;
    value(r)
}

/// Walks over a `HostFunction`.
pub(super) fn host_function(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => invocation(r),
        1 => creation(r),
        2 => r.opaque(u32::MAX).map(drop),
        3 => {
            creation(r)?;
            r.list(u32::MAX, value).map(drop)
        }
        _ => Err(r.malformed("unknown type of host function")),
    }
}

/// Walks over a `SorobanAuthorizationEntry`.
pub(super) fn authorization(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => {}
        1 | 2 => credentials(r)?,
        3 => {
            credentials(r)?;
            r.list(u32::MAX, delegate)?;
        }
        _ => return Err(r.malformed("unknown type of credentials")),
    }
    authorized_invocation(r)
}

fn credentials(r: &mut Reader<'_>) -> Read<()> {
    address(r)?;
    r.skip(12)?;
    value(r)
}

fn delegate(r: &mut Reader<'_>) -> Read<()> {
    r.nested(|r| {
        address(r)?;
        value(r)?;
        r.list(u32::MAX, delegate).map(drop)
    })
}

fn authorized_invocation(r: &mut Reader<'_>) -> Read<()> {
    r.nested(|r| {
        match r.u32()? {
            0 => invocation(r)?,
            1 => creation(r)?,
            2 => {
                creation(r)?;
                r.list(u32::MAX, value)?;
            }
            _ => return Err(r.malformed("unknown type of authorised function")),
        }
        r.list(u32::MAX, authorized_invocation).map(drop)
    })
}

fn invocation(r: &mut Reader<'_>) -> Read<()> {
    address(r)?;
    r.opaque(32)?;
    r.list(u32::MAX, value).map(drop)
}

fn creation(r: &mut Reader<'_>) -> Read<()> {
    match r.u32()? {
        0 => {
            address(r)?;
            r.skip(32)?;
        }
        1 => asset(r)?,
        _ => return Err(r.malformed("unknown preimage of a contract id")),
    }
    executable(r)
}
