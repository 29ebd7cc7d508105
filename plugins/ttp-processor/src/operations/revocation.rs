//! Revoked trust lines that held pool shares (CAP-38): the shares are redeemed into
//! claimable balances, one for each asset of the pool.
//!
//! Which balance came from which pool is told by the balance's id, which is a hash of
//! the transaction, the operation, the pool and the asset. Where only one balance was
//! created, the trustor issues the other asset, and so that one was burned.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, Asset, ClaimableBalanceEntry, ClaimableBalanceId, Hash, HashIdPreimage, HashIdPreimageRevokeId, Limits,
    PoolId, PublicKey, SequenceNumber, Uint256, WriteXdr,
};

use super::{Applied, Movements, balances, pools};
use crate::error::OperationFault;
use crate::ledger::account_key;
use crate::movement::{balance, pool};
use crate::transfer::Kind;

pub(super) fn revocation<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let pools = pools::changed(op.meta.changes)?;
    if pools.is_empty() {
        return Ok(());
    }
    let created = balances::created(op.meta.changes)?;
    for change in pools {
        let ids = change.assets.each_ref().map(|asset| balance_id(op, &change.id, asset));
        let found = ids.map(|id| with_id(&created, id));
        let mut transfer = |asset: &Asset, id: [u8; 32], amount: i64| {
            out.push(op.place.moved(asset.clone(), pool(change.id.0.0), balance(id), amount.into()));
        };
        match &found {
            [(None, 0), (None, 0)] => {}
            [(Some(a), 1), (Some(b), 1)] => {
                transfer(&a.asset, ids[0], a.amount);
                transfer(&b.asset, ids[1], b.amount);
            }
            [(Some(entry), 1), (None, 0)] => {
                transfer(&entry.asset, ids[0], entry.amount);
                out.push(burn(op, &change, 1));
            }
            [(None, 0), (Some(entry), 1)] => {
                transfer(&entry.asset, ids[1], entry.amount);
                out.push(burn(op, &change, 0));
            }
            [(_, a), (_, b)] => return Err(OperationFault::RevokedBalances(a + b)),
        }
    }
    Ok(())
}

/// The burn of what a pool lost of its asset at `index`.
fn burn<'a>(op: &Applied<'_, '_>, change: &pools::PoolChange, index: usize) -> crate::movement::Movement<'a> {
    let from = Some(pool(change.id.0.0));
    op.place.movement(Kind::Burn, change.assets[index].clone(), from, None, change.amounts[index])
}

/// The balance with an id, and how many times it was created.
fn with_id(created: &[ClaimableBalanceEntry], id: [u8; 32]) -> (Option<&ClaimableBalanceEntry>, usize) {
    let is_it =
        |entry: &&ClaimableBalanceEntry| entry.balance_id == ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(id));
    let mut matching = created.iter().filter(is_it);
    let first = matching.next();
    (first, usize::from(first.is_some()) + matching.count())
}

/// The id of the balance that redeeming a pool's shares creates for one asset.
fn balance_id(op: &Applied<'_, '_>, pool: &PoolId, asset: &Asset) -> [u8; 32] {
    let source = Uint256(*account_key(&op.envelope.source));
    let preimage = HashIdPreimage::PoolRevokeOpId(HashIdPreimageRevokeId {
        source_account: AccountId(PublicKey::PublicKeyTypeEd25519(source)),
        seq_num: SequenceNumber(op.envelope.sequence),
        op_num: op.index,
        liquidity_pool_id: pool.clone(),
        asset: asset.clone(),
    });
    let xdr = preimage.to_xdr(Limits::none()).expect("writing to memory without limits cannot fail");
    Sha256::digest(xdr).into()
}
