//! Liquidity pools: deposits and withdrawals, told from what became of the reserves.

use flowctl_xdr::Read;
use stellar_xdr::{Asset, LedgerEntryData, LedgerEntryType, LiquidityPoolEntry, LiquidityPoolEntryBody, PoolId};

use super::{Applied, Movements};
use crate::contract_events::Contracts;
use crate::error::OperationFault;
use crate::ledger::{Changes, Entry};
use crate::movement::{account, pool};

/// What an operation did to a pool's reserves. Amounts are without sign.
pub(super) struct PoolChange {
    pub(super) id: PoolId,
    pub(super) assets: [Asset; 2],
    pub(super) amounts: [i128; 2],
}

pub(super) fn deposit<'a>(
    op: &Applied<'_, 'a>,
    contracts: &mut Contracts,
    out: Movements<'_, 'a>,
) -> Result<(), OperationFault> {
    let PoolChange { id, assets, amounts } = only(op)?;
    for (asset, amount) in assets.into_iter().zip(amounts) {
        if amount == 0 {
            return Err(OperationFault::EmptyDeposit(contracts.names(&asset).asset.clone()));
        }
        out.push(op.place.moved(asset, account(&op.source), pool(id.0.0), amount));
    }
    Ok(())
}

pub(super) fn withdraw<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let PoolChange { id, assets, amounts } = only(op)?;
    for (asset, amount) in assets.into_iter().zip(amounts) {
        out.push(op.place.paid(asset, pool(id.0.0), &op.source, amount, op.memo()));
    }
    Ok(())
}

/// The pools that an operation changed, in the order of the changes.
pub(super) fn changed(changes: Changes<'_>) -> Read<Vec<PoolChange>> {
    let mut pools = Vec::new();
    for change in changes.iter() {
        let change = change?;
        if change.kind()? != LedgerEntryType::LiquidityPool {
            continue;
        }
        let (before, after) = (decode(change.before)?, decode(change.after)?);
        let reserves = |entry: &Option<LiquidityPoolEntry>| entry.as_ref().map_or([0, 0], reserves);
        let (was, is) = (reserves(&before), reserves(&after));
        let Some(LiquidityPoolEntry { liquidity_pool_id, body }) = after.or(before) else { continue };
        let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(body) = body;
        pools.push(PoolChange {
            id: liquidity_pool_id,
            assets: [body.params.asset_a, body.params.asset_b],
            amounts: [(is[0] - was[0]).abs(), (is[1] - was[1]).abs()],
        });
    }
    Ok(pools)
}

fn only(op: &Applied<'_, '_>) -> Result<PoolChange, OperationFault> {
    let mut pools = changed(op.meta.changes)?;
    match pools.pop() {
        Some(pool) if pools.is_empty() => Ok(pool),
        last => Err(OperationFault::ChangedPools(pools.len() + usize::from(last.is_some()))),
    }
}

fn decode(entry: Option<Entry<'_>>) -> Read<Option<LiquidityPoolEntry>> {
    Ok(match entry.map(|entry| entry.decode()).transpose()? {
        Some(LedgerEntryData::LiquidityPool(entry)) => Some(entry),
        _ => None,
    })
}

fn reserves(entry: &LiquidityPoolEntry) -> [i128; 2] {
    let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(body) = &entry.body;
    [body.reserve_a.into(), body.reserve_b.into()]
}
