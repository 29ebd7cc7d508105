//! Movements of tokens in binary form, and the choice between mint, burn and transfer.

use stellar_xdr::{AccountId, Asset, ClaimableBalanceId, Hash, MuxedAccount, PoolId, PublicKey, ScAddress, Uint256};

use crate::ledger::Memo;
use crate::transfer::Kind;

/// One event before its names are written out. Indices count from 0.
#[derive(Debug, Clone)]
pub(crate) struct Movement<'a> {
    pub kind: Kind,
    pub transaction: u32,
    pub operation: Option<u32>,
    /// The contract that announced it; none where it is the one of the asset.
    pub contract: Option<[u8; 32]>,
    pub from: Option<ScAddress>,
    pub to: Option<ScAddress>,
    pub asset: Option<Asset>,
    pub amount: i128,
    pub to_muxed: Option<User<'a>>,
}

/// Who among the users of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User<'a> {
    Id(u64),
    Text(&'a [u8]),
    Hash([u8; 32]),
}

/// The place in a ledger that movements belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub transaction: u32,
    pub operation: Option<u32>,
}

impl Place {
    /// A movement of `kind`, made by the contract of `asset`.
    pub(crate) fn movement<'a>(
        self,
        kind: Kind,
        asset: Asset,
        from: Option<ScAddress>,
        to: Option<ScAddress>,
        amount: i128,
    ) -> Movement<'a> {
        let Self { transaction, operation } = self;
        Movement { kind, transaction, operation, contract: None, from, to, asset: Some(asset), amount, to_muxed: None }
    }

    /// The movement from one holder to another: a mint where only the giver issues the
    /// asset, a burn where only the receiver does. Muxed accounts are stripped.
    pub(crate) fn moved<'a>(self, asset: Asset, from: ScAddress, to: ScAddress, amount: i128) -> Movement<'a> {
        let (from, to) = (stripped(from), stripped(to));
        match (is_issuer(&asset, &from), is_issuer(&asset, &to)) {
            (true, false) => self.movement(Kind::Mint, asset, None, Some(to), amount),
            (false, true) => self.movement(Kind::Burn, asset, Some(from), None, amount),
            _ => self.movement(Kind::Transfer, asset, Some(from), Some(to), amount),
        }
    }

    /// As [`Place::moved`], to an account of which the transaction may name a user.
    pub(crate) fn paid<'a>(
        self,
        asset: Asset,
        from: ScAddress,
        to: &MuxedAccount,
        amount: i128,
        memo: Memo<'a>,
    ) -> Movement<'a> {
        let mut movement = self.moved(asset, from, account(to), amount);
        if movement.to.is_some() {
            movement.to_muxed = user(to, memo);
        }
        movement
    }
}

/// The holder that an account is, without the number of a muxed one.
pub(crate) fn account(account: &MuxedAccount) -> ScAddress {
    account_of_key(*crate::ledger::account_key(account))
}

/// The holder that the account of an ed25519 key is.
pub(crate) fn account_of_key(key: [u8; 32]) -> ScAddress {
    ScAddress::Account(AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key))))
}

/// The holder that a claimable balance is.
pub(crate) fn balance(id: [u8; 32]) -> ScAddress {
    ScAddress::ClaimableBalance(ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(id)))
}

/// The holder that a liquidity pool is.
pub(crate) fn pool(id: [u8; 32]) -> ScAddress {
    ScAddress::LiquidityPool(PoolId(Hash(id)))
}

fn stripped(holder: ScAddress) -> ScAddress {
    match holder {
        ScAddress::MuxedAccount(muxed) => account_of_key(muxed.ed25519.0),
        other => other,
    }
}

fn is_issuer(asset: &Asset, holder: &ScAddress) -> bool {
    let issuer = match asset {
        Asset::Native => return false,
        Asset::CreditAlphanum4(asset) => &asset.issuer,
        Asset::CreditAlphanum12(asset) => &asset.issuer,
    };
    matches!(holder, ScAddress::Account(account) if account == issuer)
}

fn user<'a>(to: &MuxedAccount, memo: Memo<'a>) -> Option<User<'a>> {
    if let MuxedAccount::MuxedEd25519(muxed) = to {
        return Some(User::Id(muxed.id));
    }
    match memo {
        Memo::None => None,
        Memo::Text(text) => Some(User::Text(text)),
        Memo::Id(id) => Some(User::Id(id)),
        Memo::Hash(hash) => Some(User::Hash(*hash)),
    }
}
