//! Token events of contracts (SEP-41): `transfer`, `mint`, `burn` and `clawback`.
//!
//! An event of a Stellar asset contract names its asset in the last topic. That is
//! believed only where the asset's own contract is the one that emitted the event.

mod contracts;
mod view;

use std::str;

use flowctl_xdr::{Read, Reader};
use stellar_strkey::ed25519::PublicKey as AccountKey;
use stellar_xdr::{AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode4, AssetCode12, PublicKey, ScAddress, Uint256};

pub(crate) use contracts::Contracts;
pub(crate) use view::EventView;

use crate::movement::{Movement, Place};
use crate::transfer::Kind;

/// How the topics of token events are laid out: until protocol 22 mint and clawback
/// name an admin, and transfers from or to an issuer are no mints or burns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Meta version 3.
    V3,
    /// Meta version 4.
    V4,
}

/// Reads the token movement that a contract announced; none where the event is no
/// token event, or is malformed as one.
pub(crate) fn movement<'a>(
    event: Reader<'a>,
    layout: Layout,
    place: Place,
    contracts: &mut Contracts,
) -> Read<Option<Movement<'a>>> {
    if !view::may_be_token_event(event)? {
        return Ok(None);
    }
    let event = EventView::read(event)?;
    Ok(parse(&event, layout, place, contracts))
}

fn parse<'a>(event: &EventView<'a>, layout: Layout, place: Place, contracts: &mut Contracts) -> Option<Movement<'a>> {
    let contract = event.contract.filter(|_| event.is_contract)?;
    let (amount, to_muxed) = match layout {
        Layout::V3 => (event.amount()?, None),
        Layout::V4 => event.amount_and_user()?,
    };
    // Where V3 has an admin, it must be an address but says nothing.
    let after_admin = || match layout {
        Layout::V3 => event.address(1).and_then(|_| event.address(2)),
        Layout::V4 => event.address(1),
    };
    let (kind, from, to, n_topics_of_sac) = match (event.symbol()?, layout) {
        (b"transfer", _) => (Kind::Transfer, Some(event.address(1)?), Some(event.address(2)?), 4),
        (b"mint", Layout::V3) => (Kind::Mint, None, Some(after_admin()?), 4),
        (b"mint", Layout::V4) => (Kind::Mint, None, Some(after_admin()?), 3),
        (b"clawback", Layout::V3) => (Kind::Clawback, Some(after_admin()?), None, 4),
        (b"clawback", Layout::V4) => (Kind::Clawback, Some(after_admin()?), None, 3),
        (b"burn", _) => (Kind::Burn, Some(event.address(1)?), None, 3),
        _ => return None,
    };
    let asset = if event.n_topics == n_topics_of_sac { proven_asset(event, &contract, contracts) } else { None };
    match (&asset, layout, from, to) {
        (Some(asset), Layout::V3, Some(from), Some(to)) => Some(place.moved(asset.clone(), from, to, amount)),
        (_, _, from, to) => {
            let Place { transaction, operation } = place;
            let contract = Some(contract);
            Some(Movement { kind, transaction, operation, contract, from, to, asset, amount, to_muxed })
        }
    }
}

/// The asset named by the last topic, if its contract is the one that emitted the event.
fn proven_asset(event: &EventView<'_>, contract: &[u8; 32], contracts: &mut Contracts) -> Option<Asset> {
    let asset = parse_asset(event.text(event.n_topics - 1)?)?;
    (contracts.id(&asset) == *contract).then_some(asset)
}

/// Reads `native` in any case, or CODE:ISSUER.
fn parse_asset(name: &[u8]) -> Option<Asset> {
    if name.eq_ignore_ascii_case(b"native") {
        return Some(Asset::Native);
    }
    let (code, issuer) = str::from_utf8(name).ok()?.split_once(':')?;
    if !matches!(code.len(), 1..=12) || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let AccountKey(key) = AccountKey::from_string(issuer).ok()?;
    let issuer = AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key)));
    let code = code.as_bytes();
    Some(if code.len() <= 4 {
        Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(padded(code)), issuer })
    } else {
        Asset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(padded(code)), issuer })
    })
}

/// Copies bytes into an array: the rest stays zero, what does not fit is left out.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let n_bytes = bytes.len().min(N);
    array[..n_bytes].copy_from_slice(&bytes[..n_bytes]);
    array
}

fn decode_address(mut value: Reader<'_>) -> Option<ScAddress> {
    const ADDRESS: u32 = 18;
    if value.u32().ok()? != ADDRESS {
        return None;
    }
    value.decode::<ScAddress>().ok()
}
