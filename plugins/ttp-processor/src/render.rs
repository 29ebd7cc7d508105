//! Writes movements out: addresses as strkeys, hashes in hexadecimal, amounts in
//! decimal. No text is allocated for an event.

use std::fmt::Write;

use stellar_strkey::{ClaimableBalance, Contract, LiquidityPool, MuxedContract, ed25519};
use stellar_xdr::{AccountId, ClaimableBalanceId, PublicKey, ScAddress};

use crate::contract_events::Contracts;
use crate::ledger::{Ledger, hex};
use crate::movement::{Movement, User};
use crate::transfer::{Muxed, Transfer};

/// The texts of the event that is being written.
#[derive(Default)]
pub(crate) struct Renderer {
    contract: String,
    from: String,
    to: String,
    amount: String,
}

impl Renderer {
    /// Gives each movement to `emit`, in order.
    pub(crate) fn render(
        &mut self,
        ledger: &Ledger<'_>,
        movements: &[Movement<'_>],
        contracts: &mut Contracts,
        emit: &mut dyn FnMut(&Transfer<'_>),
    ) {
        let hashes: Vec<String> = ledger.transactions.iter().map(|tx| hex(tx.result.hash)).collect();
        for movement in movements {
            let names = movement.asset.as_ref().map(|asset| contracts.names(asset));
            let contract_address = match (&movement.contract, names) {
                (Some(id), Some(names)) if names.id == *id => &names.contract,
                (None, Some(names)) => &names.contract,
                (id, _) => {
                    write(&mut self.contract, &Contract(id.unwrap_or_default()).to_string());
                    &self.contract
                }
            };
            write(&mut self.amount, &movement.amount);
            let emitted = Transfer {
                kind: movement.kind,
                ledger_sequence: ledger.sequence,
                closed_at: ledger.closed_at,
                tx_hash: &hashes[movement.transaction as usize],
                transaction_index: movement.transaction + 1,
                operation_index: movement.operation.map(|index| index + 1),
                contract_address,
                from: address(&mut self.from, movement.from.as_ref()),
                to: address(&mut self.to, movement.to.as_ref()),
                asset: names.map(|names| names.asset.as_str()),
                amount: &self.amount,
                to_muxed: movement.to_muxed.as_ref().map(muxed),
            };
            emit(&emitted);
        }
    }
}

fn muxed<'m>(user: &'m User<'_>) -> Muxed<'m> {
    match user {
        User::Id(id) => Muxed::Id(*id),
        User::Text(text) => Muxed::Text(String::from_utf8_lossy(text)),
        User::Hash(hash) => Muxed::Hash(hash),
    }
}

fn address<'t>(text: &'t mut String, holder: Option<&ScAddress>) -> Option<&'t str> {
    match holder? {
        ScAddress::Account(AccountId(PublicKey::PublicKeyTypeEd25519(key))) => {
            write(text, &ed25519::PublicKey(key.0).to_string());
        }
        ScAddress::Contract(id) => write(text, &Contract(id.0.0).to_string()),
        ScAddress::MuxedAccount(muxed) => {
            write(text, &ed25519::MuxedAccount { ed25519: muxed.ed25519.0, id: muxed.id }.to_string());
        }
        ScAddress::ClaimableBalance(ClaimableBalanceId::ClaimableBalanceIdTypeV0(id)) => {
            write(text, &ClaimableBalance::V0(id.0).to_string());
        }
        ScAddress::LiquidityPool(id) => write(text, &LiquidityPool(id.0.0).to_string()),
        ScAddress::MuxedContract(muxed) => {
            write(text, &MuxedContract { contract_id: muxed.contract_id.0.0, id: muxed.id }.to_string());
        }
    }
    Some(text)
}

fn write(text: &mut String, value: &impl std::fmt::Display) {
    text.clear();
    write!(text, "{value}").expect("writing to a string cannot fail");
}
