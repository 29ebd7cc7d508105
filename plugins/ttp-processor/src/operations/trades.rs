//! Operations that trade: path payments and offers. Each offer or pool that was taken
//! makes two movements, what the seller gave and what it got.

use flowctl_xdr::Reader;
use stellar_xdr::{AccountId, Asset, ClaimAtom, MuxedAccount, OperationType, PublicKey, ScAddress};

use super::{Applied, Movements};
use crate::error::OperationFault;
use crate::movement::{account, account_of_key};

pub(super) fn path_payment_strict_send<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let mut result = op.success(&[OperationType::PathPaymentStrictSend])?;
    trades(op, &mut result, out)?;
    // What the destination received: after the result's own destination and asset.
    result.decode::<AccountId>()?;
    result.decode::<Asset>()?;
    let received = result.i64()?;
    let (destination, asset, _least) = destination(op.body)?;
    out.push(op.place.paid(asset, account(&op.source), &destination, received.into(), op.memo()));
    Ok(())
}

pub(super) fn path_payment_strict_receive<'a>(
    op: &Applied<'_, 'a>,
    out: Movements<'_, 'a>,
) -> Result<(), OperationFault> {
    let mut result = op.success(&[OperationType::PathPaymentStrictReceive])?;
    trades(op, &mut result, out)?;
    let (destination, asset, amount) = destination(op.body)?;
    out.push(op.place.paid(asset, account(&op.source), &destination, amount.into(), op.memo()));
    Ok(())
}

pub(super) fn offer<'a>(op: &Applied<'_, 'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let kinds: &[OperationType] = match op.kind {
        // stellar-core writes the result of a passive offer as that of a sell offer.
        OperationType::CreatePassiveSellOffer => {
            &[OperationType::CreatePassiveSellOffer, OperationType::ManageSellOffer]
        }
        OperationType::ManageBuyOffer => &[OperationType::ManageBuyOffer],
        _ => &[OperationType::ManageSellOffer],
    };
    let mut result = op.success(kinds)?;
    trades(op, &mut result, out)
}

/// The destination, asset and amount at the end of a path payment's fields.
fn destination(mut body: Reader<'_>) -> Result<(MuxedAccount, Asset, i64), OperationFault> {
    body.decode::<Asset>()?;
    body.skip(8)?;
    Ok((body.decode()?, body.decode()?, body.i64()?))
}

fn trades<'a>(op: &Applied<'_, 'a>, result: &mut Reader<'a>, out: Movements<'_, 'a>) -> Result<(), OperationFault> {
    let source = account(&op.source);
    for _ in 0..result.u32()? {
        let (seller, sold, bought) = trade(result.decode::<ClaimAtom>()?);
        out.push(op.place.moved(sold.0, seller.clone(), source.clone(), sold.1.into()));
        out.push(op.place.moved(bought.0, source.clone(), seller, bought.1.into()));
    }
    Ok(())
}

/// The seller, what it sold and what it bought.
fn trade(atom: ClaimAtom) -> (ScAddress, (Asset, i64), (Asset, i64)) {
    match atom {
        ClaimAtom::V0(atom) => (
            account_of_key(atom.seller_ed25519.0),
            (atom.asset_sold, atom.amount_sold),
            (atom.asset_bought, atom.amount_bought),
        ),
        ClaimAtom::OrderBook(atom) => {
            let AccountId(PublicKey::PublicKeyTypeEd25519(key)) = atom.seller_id;
            (account_of_key(key.0), (atom.asset_sold, atom.amount_sold), (atom.asset_bought, atom.amount_bought))
        }
        ClaimAtom::LiquidityPool(atom) => (
            ScAddress::LiquidityPool(atom.liquidity_pool_id),
            (atom.asset_sold, atom.amount_sold),
            (atom.asset_bought, atom.amount_bought),
        ),
    }
}
