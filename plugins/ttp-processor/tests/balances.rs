//! Balance deltas computed from the transfers equal those computed from the ledger
//! entry changes: for every transaction, holder and asset of every ledger.
//!
//! The changes are decoded with `stellar-xdr` alone, so that the rules' own reader of
//! XDR is checked too. Counted are accounts, trust lines, claimable balances, liquidity
//! pools, and the balances that Stellar asset contracts keep for contracts. Tokens that
//! only a contract knows keep their balances as they please, and are left out.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use flowctl_test_support::{DATA_FILES, DataFile, Event, Kind};
use libtest_mimic::{Arguments, Failed};
use stellar_xdr::{
    Asset, ContractId, LedgerCloseMeta, LedgerEntry, LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, Limits,
    LiquidityPoolEntryBody, ReadXdr, ScAddress, ScVal, TransactionMeta, TrustLineAsset,
};
use ttp_processor::{Mode, Network, Rules};

/// What changed: by transaction (from 1), holder and asset (or the asset's contract).
type Deltas = BTreeMap<(u32, String, String), i128>;

fn main() -> ExitCode {
    let tests = common::trials(&DATA_FILES, |file| format!("balances_of::{}", file.name), balances_of_file);
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn balances_of_file(file: &DataFile, folder: &Path) -> Result<(), Failed> {
    let mut rules = Rules::new(Network::new(file.passphrase)?, Mode::Derive);
    for bytes in file.ledgers(folder)? {
        let mut events = Vec::new();
        rules.transfers(&bytes, &mut |transfer| events.push(common::event_of(transfer)))?;
        let sacs = events.iter().filter(|event| event.asset.is_some());
        let sacs = sacs.map(|event| (event.contract_address.clone(), event.asset.clone().unwrap())).collect();
        let ledger = LedgerCloseMeta::from_xdr(&bytes, Limits { depth: 1000, len: bytes.len() })?;
        let (announced, changed) = (from_events(&events), from_changes(&ledger, &sacs));
        if announced != changed {
            let keys: BTreeSet<_> = announced.keys().chain(changed.keys()).collect();
            let differing: Vec<_> = keys
                .into_iter()
                .filter(|key| announced.get(*key) != changed.get(*key))
                .map(|key| format!("{key:?}: events {:?}, changes {:?}", announced.get(key), changed.get(key)))
                .collect();
            let sequence = events.first().map(|event| event.ledger_sequence);
            return Err(format!("ledger {sequence:?}\n{}", differing.join("\n")).into());
        }
    }
    Ok(())
}

fn add(deltas: &mut Deltas, transaction: u32, holder: String, asset: String, amount: i128) {
    let key = (transaction, holder, asset);
    let sum = deltas.get(&key).copied().unwrap_or_default() + amount;
    if sum == 0 {
        deltas.remove(&key);
    } else {
        deltas.insert(key, sum);
    }
}

fn from_events(events: &[Event]) -> Deltas {
    let mut deltas = Deltas::new();
    for event in events {
        let Some(asset) = &event.asset else { continue };
        let amount: i128 = event.amount.parse().unwrap();
        if let Some(from) = &event.from {
            add(&mut deltas, event.transaction_index, from.clone(), asset.clone(), -amount);
        }
        if let (Some(to), Kind::Transfer | Kind::Mint) = (&event.to, event.kind) {
            add(&mut deltas, event.transaction_index, to.clone(), asset.clone(), amount);
        }
    }
    deltas
}

fn from_changes(ledger: &LedgerCloseMeta, sacs: &BTreeMap<String, String>) -> Deltas {
    let mut deltas = Deltas::new();
    let mut count = |transaction: usize, lists: Vec<&LedgerEntryChanges>| {
        for list in lists {
            count_changes(&mut deltas, u32::try_from(transaction).unwrap() + 1, list, sacs);
        }
    };
    let v0 = match ledger {
        LedgerCloseMeta::V0(ledger) => &ledger.tx_processing,
        LedgerCloseMeta::V1(ledger) => &ledger.tx_processing,
        LedgerCloseMeta::V2(ledger) => {
            for (index, tx) in ledger.tx_processing.iter().enumerate() {
                count(index, vec![&tx.fee_processing]);
                count(index, changes_of(&tx.tx_apply_processing));
                count(index, vec![&tx.post_tx_apply_fee_processing]);
            }
            return deltas;
        }
    };
    for (index, tx) in v0.iter().enumerate() {
        count(index, vec![&tx.fee_processing]);
        count(index, changes_of(&tx.tx_apply_processing));
    }
    deltas
}

fn changes_of(meta: &TransactionMeta) -> Vec<&LedgerEntryChanges> {
    let (before, operations, after): (_, Vec<_>, _) = match meta {
        TransactionMeta::V0(_) => panic!("meta version 0 has no changes of the transaction"),
        TransactionMeta::V1(meta) => (&meta.tx_changes, meta.operations.iter().map(|op| &op.changes).collect(), None),
        TransactionMeta::V2(meta) => (
            &meta.tx_changes_before,
            meta.operations.iter().map(|op| &op.changes).collect(),
            Some(&meta.tx_changes_after),
        ),
        TransactionMeta::V3(meta) => (
            &meta.tx_changes_before,
            meta.operations.iter().map(|op| &op.changes).collect(),
            Some(&meta.tx_changes_after),
        ),
        TransactionMeta::V4(meta) => (
            &meta.tx_changes_before,
            meta.operations.iter().map(|op| &op.changes).collect(),
            Some(&meta.tx_changes_after),
        ),
    };
    [before].into_iter().chain(operations).chain(after).collect()
}

/// Counts each entry's balance before (the entry ahead in the list) and after. What was
/// restored had the same balance before, in the archive.
fn count_changes(deltas: &mut Deltas, tx: u32, changes: &LedgerEntryChanges, sacs: &BTreeMap<String, String>) {
    let mut previous: Option<&LedgerEntry> = None;
    for change in changes.iter() {
        let before = previous.take();
        match change {
            LedgerEntryChange::State(entry) | LedgerEntryChange::Restored(entry) => previous = Some(entry),
            LedgerEntryChange::Created(entry) => count_entry(deltas, tx, entry, 1, sacs),
            LedgerEntryChange::Updated(entry) => {
                count_entry(deltas, tx, before.unwrap(), -1, sacs);
                count_entry(deltas, tx, entry, 1, sacs);
            }
            LedgerEntryChange::Removed(_) => count_entry(deltas, tx, before.unwrap(), -1, sacs),
        }
    }
}

fn count_entry(deltas: &mut Deltas, tx: u32, entry: &LedgerEntry, sign: i128, sacs: &BTreeMap<String, String>) {
    let mut count = |holder: ScAddress, asset: String, amount: i64| {
        add(deltas, tx, holder.to_string(), asset, sign * i128::from(amount));
    };
    match &entry.data {
        LedgerEntryData::Account(entry) => {
            count(ScAddress::Account(entry.account_id.clone()), name(&Asset::Native), entry.balance);
        }
        LedgerEntryData::Trustline(entry) => {
            let asset = match entry.asset.clone() {
                TrustLineAsset::CreditAlphanum4(asset) => Asset::CreditAlphanum4(asset),
                TrustLineAsset::CreditAlphanum12(asset) => Asset::CreditAlphanum12(asset),
                TrustLineAsset::Native | TrustLineAsset::PoolShare(_) => return,
            };
            count(ScAddress::Account(entry.account_id.clone()), name(&asset), entry.balance);
        }
        LedgerEntryData::ClaimableBalance(entry) => {
            count(ScAddress::ClaimableBalance(entry.balance_id.clone()), name(&entry.asset), entry.amount);
        }
        LedgerEntryData::LiquidityPool(entry) => {
            let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) = &entry.body;
            let holder = ScAddress::LiquidityPool(entry.liquidity_pool_id.clone());
            count(holder.clone(), name(&pool.params.asset_a), pool.reserve_a);
            count(holder, name(&pool.params.asset_b), pool.reserve_b);
        }
        LedgerEntryData::ContractData(entry) => {
            let Some(asset) = sacs.get(&entry.contract.to_string()) else { return };
            let (ScVal::Vec(Some(key)), ScVal::Map(Some(balance))) = (&entry.key, &entry.val) else { return };
            let [ScVal::Symbol(what), ScVal::Address(holder @ ScAddress::Contract(ContractId(_)))] = key.as_slice()
            else {
                return;
            };
            let amount = balance.iter().find(|field| field.key == ScVal::Symbol("amount".try_into().unwrap()));
            if let (b"Balance", Some(ScVal::I128(amount))) = (what.as_slice(), amount.map(|field| &field.val)) {
                let amount = (i128::from(amount.hi) << 64) | i128::from(amount.lo);
                add(deltas, tx, holder.to_string(), asset.clone(), sign * amount);
            }
        }
        _ => {}
    }
}

fn name(asset: &Asset) -> String {
    let (code, issuer) = match asset {
        Asset::Native => return "native".to_owned(),
        Asset::CreditAlphanum4(asset) => (asset.asset_code.as_slice().to_vec(), &asset.issuer),
        Asset::CreditAlphanum12(asset) => (asset.asset_code.as_slice().to_vec(), &asset.issuer),
    };
    let code: Vec<u8> = code.into_iter().take_while(|byte| *byte != 0).collect();
    format!("{}:{issuer}", String::from_utf8(code).unwrap())
}
