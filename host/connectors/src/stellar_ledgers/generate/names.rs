//! Who and what there is in the generated network, and how XDR names it.
//!
//! Keys are hashes of what they stand for: they belong to nobody, and no signature
//! under them is valid.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, AlphaNum4, AlphaNum12, Asset, AssetCode4, AssetCode12, ContractId, ContractIdPreimage, Hash,
    HashIdPreimage, HashIdPreimageContractId, LedgerKey, LedgerKeyAccount, LedgerKeyTrustLine, Limits,
    LiquidityPoolConstantProductParameters, LiquidityPoolParameters, MuxedAccount, MuxedAccountMed25519, PoolId,
    PublicKey, TrustLineAsset, Uint256, VecM, WriteXdr,
};

/// An account by its number.
pub(super) type Account = u32;

/// Number of the first account that holds tokens; those before it issue them.
pub(super) const FIRST_TRADER: Account = 2;
/// Number of the first account that a ledger creates.
pub(super) const FIRST_CREATED: Account = 1 << 24;

/// What can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The network's own.
    Native,
    /// `USD`, a code of 4 bytes.
    Dollar,
    /// `FLOWCTL`, a code of 12 bytes.
    Flow,
}

/// Who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Account(Account),
    /// The liquidity pool of native and `USD`.
    Pool,
    /// The one contract that holds tokens.
    Vault,
}

impl Token {
    pub(super) const ALL: [Self; 3] = [Self::Native, Self::Dollar, Self::Flow];

    pub(super) fn issuer(self) -> Option<Account> {
        match self {
            Self::Native => None,
            Self::Dollar => Some(0),
            Self::Flow => Some(1),
        }
    }

    pub(super) fn asset(self) -> Asset {
        match self {
            Self::Native => Asset::Native,
            Self::Dollar => {
                Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(*b"USD\0"), issuer: account_id(0) })
            }
            Self::Flow => Asset::CreditAlphanum12(AlphaNum12 {
                asset_code: AssetCode12(*b"FLOWCTL\0\0\0\0\0"),
                issuer: account_id(1),
            }),
        }
    }

    /// The asset as the last topic of a Stellar Asset Contract's event has it.
    pub(super) fn text(self) -> String {
        let (code, issuer) = match self {
            Self::Native => return "native".to_owned(),
            Self::Dollar => ("USD", 0),
            Self::Flow => ("FLOWCTL", 1),
        };
        format!("{code}:{}", account_id(issuer).0)
    }

    pub(super) fn line(self) -> TrustLineAsset {
        match self.asset() {
            Asset::Native => TrustLineAsset::Native,
            Asset::CreditAlphanum4(asset) => TrustLineAsset::CreditAlphanum4(asset),
            Asset::CreditAlphanum12(asset) => TrustLineAsset::CreditAlphanum12(asset),
        }
    }

    /// The id of the token's Stellar Asset Contract.
    pub(super) fn contract(self, network: &Hash) -> ContractId {
        ContractId(hash(&HashIdPreimage::ContractId(HashIdPreimageContractId {
            network_id: network.clone(),
            contract_id_preimage: ContractIdPreimage::Asset(self.asset()),
        })))
    }
}

/// The SHA-256 of a value's XDR.
pub(super) fn hash(value: &impl WriteXdr) -> Hash {
    Hash(Sha256::digest(xdr(value)).into())
}

/// The SHA-256 of a text.
pub(super) fn hash_of(text: &str) -> Hash {
    Hash(Sha256::digest(text).into())
}

pub(super) fn xdr(value: &impl WriteXdr) -> Vec<u8> {
    value.to_xdr(Limits::none()).expect("writing to memory without limits cannot fail")
}

/// A list whose length is known to be within XDR's limit for it.
pub(super) fn list<T, const MAX: u32>(items: Vec<T>) -> VecM<T, MAX> {
    items.try_into().map_err(drop).expect("generated lists are short")
}

fn key(account: Account) -> Uint256 {
    Uint256(hash_of(&format!("flowctl account {account}")).0)
}

pub(super) fn account_id(account: Account) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(key(account)))
}

/// The account as a transaction names it, with the number of a user where there is one.
pub(super) fn muxed(account: Account, user: Option<u64>) -> MuxedAccount {
    match user {
        None => MuxedAccount::Ed25519(key(account)),
        Some(id) => MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id, ed25519: key(account) }),
    }
}

pub(super) fn account_key(account: Account) -> LedgerKey {
    LedgerKey::Account(LedgerKeyAccount { account_id: account_id(account) })
}

pub(super) fn line_key(account: Account, token: Token) -> LedgerKey {
    LedgerKey::Trustline(LedgerKeyTrustLine { account_id: account_id(account), asset: token.line() })
}

pub(super) fn pool_parameters() -> LiquidityPoolConstantProductParameters {
    LiquidityPoolConstantProductParameters { asset_a: Asset::Native, asset_b: Token::Dollar.asset(), fee: 30 }
}

pub(super) fn pool_id() -> PoolId {
    PoolId(hash(&LiquidityPoolParameters::LiquidityPoolConstantProduct(pool_parameters())))
}

pub(super) fn vault() -> ContractId {
    ContractId(hash_of("flowctl vault"))
}
