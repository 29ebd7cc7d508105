//! The contract of each asset, and the texts of both, kept between ledgers.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountId, Asset, ContractIdPreimage, Hash, HashIdPreimage, HashIdPreimageContractId, Limits, PublicKey, WriteXdr,
};

use crate::network::Network;

/// How many assets are remembered before all are forgotten.
const MAX_ASSETS: usize = 4096;

/// Knows the Stellar asset contract of every asset, deployed or not.
pub(crate) struct Contracts {
    network_id: [u8; 32],
    native: AssetNames,
    known: HashMap<Asset, AssetNames>,
}

/// An asset's contract, and how both are written.
pub(crate) struct AssetNames {
    /// The id of the contract.
    pub id: [u8; 32],
    /// The contract's address (C…).
    pub contract: String,
    /// `native` or CODE:ISSUER.
    pub asset: String,
}

impl Contracts {
    /// Starts with no asset known.
    pub(crate) fn new(network: &Network) -> Self {
        let network_id = *network.id();
        Self { network_id, native: compute(network_id, &Asset::Native), known: HashMap::new() }
    }

    /// The id of the asset's contract.
    pub(crate) fn id(&mut self, asset: &Asset) -> [u8; 32] {
        self.names(asset).id
    }

    /// The asset's contract, and how both are written.
    pub(crate) fn names(&mut self, asset: &Asset) -> &AssetNames {
        if *asset == Asset::Native {
            return &self.native;
        }
        if !self.known.contains_key(asset) {
            if self.known.len() == MAX_ASSETS {
                self.known.clear();
            }
            let names = compute(self.network_id, asset);
            self.known.insert(asset.clone(), names);
        }
        &self.known[asset]
    }
}

fn compute(network_id: [u8; 32], asset: &Asset) -> AssetNames {
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(network_id),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    });
    let xdr = preimage.to_xdr(Limits::none()).expect("writing to memory without limits cannot fail");
    let id: [u8; 32] = Sha256::digest(xdr).into();
    let contract = stellar_strkey::Contract(id).to_string().as_str().to_owned();
    AssetNames { id, contract, asset: asset_name(asset) }
}

fn asset_name(asset: &Asset) -> String {
    let (code, issuer): (&[u8], &AccountId) = match asset {
        Asset::Native => return "native".to_owned(),
        Asset::CreditAlphanum4(asset) => (&asset.asset_code.0, &asset.issuer),
        Asset::CreditAlphanum12(asset) => (&asset.asset_code.0, &asset.issuer),
    };
    let end = code.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let AccountId(PublicKey::PublicKeyTypeEd25519(key)) = issuer;
    let issuer = stellar_strkey::ed25519::PublicKey(key.0).to_string();
    format!("{}:{issuer}", String::from_utf8_lossy(&code[..end]))
}
