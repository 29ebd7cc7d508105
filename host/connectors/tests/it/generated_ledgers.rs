//! Generated ledgers are the same for a seed, hold what they should, and add up.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use flowctl_connectors::{Generator, GeneratorSettings};
use flowctl_types::Digest;
use sha2::{Digest as _, Sha256};
use stellar_xdr::{
    Asset, ClaimAtom, ContractId, ContractIdPreimage, GeneralizedTransactionSet, Hash, HashIdPreimage,
    HashIdPreimageContractId, InnerTransactionResultResult, LedgerCloseMeta, LedgerCloseMetaV2, LedgerEntry,
    LedgerEntryChange, LedgerEntryData, Limits, LiquidityPoolEntryBody, ManageBuyOfferResult, ManageSellOfferResult,
    OperationBody, OperationResult, OperationResultTr, PathPaymentStrictReceiveResult, PathPaymentStrictSendResult,
    ReadXdr, ScAddress, ScVal, TransactionEnvelope, TransactionMeta, TransactionPhase, TransactionResultMetaV1,
    TransactionResultResult, TransactionResultSet, TrustLineAsset, WriteXdr,
};
use ttp_processor::{Kind, Mode, Network, Rules};

use crate::support::hash;

const PASSPHRASE: &str = "Standalone Network ; February 2017";

/// What changed: by transaction (from 1), holder and contract of the token.
type Deltas = BTreeMap<(u32, String, String), i128>;

fn generator(seed: u64) -> Generator {
    let passphrase = PASSPHRASE.to_owned();
    Generator::new(GeneratorSettings { passphrase, seed, start: 1000, transactions_per_ledger: 50 })
}

fn ledgers(seed: u64, n_ledgers: usize) -> Vec<LedgerCloseMetaV2> {
    let decode = |xdr: Vec<u8>| match LedgerCloseMeta::from_xdr(xdr, Limits::none()).unwrap() {
        LedgerCloseMeta::V2(meta) => meta,
        _ => panic!("generated ledgers are of version 2"),
    };
    generator(seed).take(n_ledgers).map(|ledger| decode(ledger.xdr)).collect()
}

fn envelopes(set: &GeneralizedTransactionSet) -> Vec<&TransactionEnvelope> {
    let GeneralizedTransactionSet::V1(set) = set;
    let mut found = Vec::new();
    for phase in set.phases.iter() {
        match phase {
            TransactionPhase::V0(components) => {
                for stellar_xdr::TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component) in components.iter() {
                    found.extend(component.txs.iter());
                }
            }
            TransactionPhase::V1(component) => {
                let clusters = component.execution_stages.iter().flat_map(|stage| stage.0.iter());
                found.extend(clusters.flat_map(|cluster| cluster.0.iter()));
            }
        }
    }
    found
}

#[test]
fn a_seed_gives_the_same_bytes_for_ever() {
    let digest = |seed| {
        let mut sha = Sha256::new();
        generator(seed).take(20).for_each(|ledger| sha.update(&ledger.xdr));
        Digest::from_bytes(sha.finalize().into()).to_string()
    };
    expect!["sha256:0896c0440000718a66fd547cf0f4efbd133c3a6e4ca7a504638a0c60ec377d29"].assert_eq(&digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn ledgers_are_written_as_they_are_read() {
    for ledger in generator(1).take(10) {
        let meta = LedgerCloseMeta::from_xdr(&ledger.xdr, Limits::none()).unwrap();
        assert!(meta.to_xdr(Limits::none()).unwrap() == ledger.xdr);
    }
}

#[test]
fn hashes_are_those_of_what_they_are_of() {
    let network = <[u8; 32]>::from(Sha256::digest(PASSPHRASE));
    let (mut previous, mut is_shuffled) = (None, false);
    for meta in ledgers(1, 20) {
        let header = &meta.ledger_header.header;
        assert_eq!(hash(header), meta.ledger_header.hash);
        assert_eq!(hash(&meta.tx_set), header.scp_value.tx_set_hash);
        let results: Vec<_> = meta.tx_processing.iter().map(|each| each.result.clone()).collect();
        assert_eq!(hash(&TransactionResultSet { results: results.try_into().unwrap() }), header.tx_set_result_hash);
        if let Some(previous) = previous {
            assert_eq!(header.previous_ledger_hash, previous);
        }
        previous = Some(meta.ledger_header.hash.clone());

        let in_set: Vec<Hash> = envelopes(&meta.tx_set).iter().map(|e| Hash(e.hash(network).unwrap())).collect();
        let applied: Vec<Hash> = meta.tx_processing.iter().map(|each| each.result.transaction_hash.clone()).collect();
        assert_eq!(in_set.iter().collect::<BTreeSet<_>>(), applied.iter().collect());
        is_shuffled |= in_set != applied;
    }
    assert!(is_shuffled, "transactions are applied in another order than they stand in the set");
}

#[test]
fn every_kind_of_transaction_is_there() {
    let (mut operations, mut outcomes) = (BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
    for meta in ledgers(1, 100) {
        for envelope in envelopes(&meta.tx_set) {
            let transaction = match envelope {
                TransactionEnvelope::Tx(envelope) => &envelope.tx,
                TransactionEnvelope::TxFeeBump(bump) => {
                    let stellar_xdr::FeeBumpTransactionInnerTx::Tx(inner) = &bump.tx.inner_tx;
                    &inner.tx
                }
                TransactionEnvelope::TxV0(_) => panic!("nobody makes these any more"),
            };
            for operation in transaction.operations.iter() {
                *operations.entry(OperationBody::name(&operation.body)).or_default() += 1;
            }
        }
        for each in meta.tx_processing.iter() {
            for atom in claims(&each.result.result.result) {
                *operations.entry(ClaimAtom::name(atom)).or_default() += 1;
            }
            *outcomes.entry(TransactionResultResult::name(&each.result.result.result)).or_default() += 1;
        }
    }
    expect![[r#"
        (
            {
                "AccountMerge": 245,
                "CreateAccount": 264,
                "CreatePassiveSellOffer": 261,
                "InvokeHostFunction": 807,
                "LiquidityPool": 170,
                "ManageBuyOffer": 228,
                "ManageSellOffer": 507,
                "OrderBook": 1392,
                "PathPaymentStrictReceive": 521,
                "PathPaymentStrictSend": 268,
                "Payment": 3215,
            },
            {
                "TxFailed": 409,
                "TxFeeBumpInnerFailed": 51,
                "TxFeeBumpInnerSuccess": 550,
                "TxSuccess": 3990,
            },
        )
    "#]]
    .assert_debug_eq(&(operations, outcomes));
}

fn claims(result: &TransactionResultResult) -> Vec<&ClaimAtom> {
    let results = match result {
        TransactionResultResult::TxSuccess(results) => results,
        TransactionResultResult::TxFeeBumpInnerSuccess(inner) => match &inner.result.result {
            InnerTransactionResultResult::TxSuccess(results) => results,
            _ => panic!("a fee bump succeeds where its transaction does"),
        },
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    for result in results.iter() {
        let OperationResult::OpInner(result) = result else { panic!("operations are carried out") };
        match result {
            OperationResultTr::PathPaymentStrictReceive(PathPaymentStrictReceiveResult::Success(success)) => {
                found.extend(success.offers.iter());
            }
            OperationResultTr::PathPaymentStrictSend(PathPaymentStrictSendResult::Success(success)) => {
                found.extend(success.offers.iter());
            }
            OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success)) => {
                found.extend(success.offers_claimed.iter());
            }
            OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success)) => {
                found.extend(success.offers_claimed.iter());
            }
            _ => {}
        }
    }
    found
}

#[test]
fn transfers_add_up_to_the_changes_of_entries() {
    for seed in [1, 7] {
        let mut rules = Rules::new(Network::new(PASSPHRASE).unwrap(), Mode::Derive);
        let (mut kinds, mut n_transfers) = (BTreeSet::new(), 0);
        for (ledger, meta) in generator(seed).zip(ledgers(seed, 100)) {
            let mut announced = Deltas::new();
            rules
                .transfers(&ledger.xdr, &mut |transfer| {
                    n_transfers += 1;
                    kinds.insert(format!("{:?}", transfer.kind));
                    let mut add = |holder: Option<&str>, amount: i128| {
                        let key = (
                            transfer.transaction_index,
                            holder.unwrap().to_owned(),
                            transfer.contract_address.to_owned(),
                        );
                        *announced.entry(key).or_default() += amount;
                    };
                    let amount: i128 = transfer.amount.parse().unwrap();
                    if transfer.from.is_some() {
                        add(transfer.from, -amount);
                    }
                    if matches!(transfer.kind, Kind::Transfer | Kind::Mint) {
                        add(transfer.to, amount);
                    }
                })
                .unwrap();
            let mut changed = changes(&meta);
            announced.retain(|_, amount| *amount != 0);
            changed.retain(|_, amount| *amount != 0);
            assert_eq!(announced, changed, "ledger {}", ledger.sequence);
        }
        assert!(n_transfers > 5_000, "{n_transfers}");
        assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), ["Burn", "Fee", "Mint", "Transfer"]);
    }
}

fn changes(meta: &LedgerCloseMetaV2) -> Deltas {
    let mut deltas = Deltas::new();
    for (index, each) in meta.tx_processing.iter().enumerate() {
        for change in changes_of(each) {
            let (entry, sign) = match change {
                LedgerEntryChange::State(entry) => (entry, -1),
                LedgerEntryChange::Created(entry) | LedgerEntryChange::Updated(entry) => (entry, 1),
                LedgerEntryChange::Removed(_) | LedgerEntryChange::Restored(_) => continue,
            };
            for (holder, contract, amount) in balances(entry) {
                *deltas.entry((index as u32 + 1, holder, contract)).or_default() += sign * amount;
            }
        }
    }
    deltas
}

fn changes_of(each: &TransactionResultMetaV1) -> Vec<&LedgerEntryChange> {
    let TransactionMeta::V4(meta) = &each.tx_apply_processing else { panic!("generated metadata is of version 4") };
    let mut parts = vec![&each.fee_processing, &meta.tx_changes_before];
    parts.extend(meta.operations.iter().map(|operation| &operation.changes));
    parts.extend([&meta.tx_changes_after, &each.post_tx_apply_fee_processing]);
    parts.into_iter().flat_map(|changes| changes.0.iter()).collect()
}

fn balances(entry: &LedgerEntry) -> Vec<(String, String, i128)> {
    match &entry.data {
        LedgerEntryData::Account(account) => {
            vec![(account.account_id.to_string(), contract(&Asset::Native), i128::from(account.balance))]
        }
        LedgerEntryData::Trustline(line) => {
            let asset = match &line.asset {
                TrustLineAsset::CreditAlphanum4(asset) => Asset::CreditAlphanum4(asset.clone()),
                TrustLineAsset::CreditAlphanum12(asset) => Asset::CreditAlphanum12(asset.clone()),
                _ => panic!("there are trust lines for assets only"),
            };
            vec![(line.account_id.to_string(), contract(&asset), i128::from(line.balance))]
        }
        LedgerEntryData::LiquidityPool(pool) => {
            let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(body) = &pool.body;
            let id = pool.liquidity_pool_id.to_string();
            let params = &body.params;
            vec![
                (id.clone(), contract(&params.asset_a), i128::from(body.reserve_a)),
                (id, contract(&params.asset_b), i128::from(body.reserve_b)),
            ]
        }
        LedgerEntryData::ContractData(data) => {
            let (ScVal::Vec(Some(key)), ScVal::Map(Some(map))) = (&data.key, &data.val) else { panic!("a balance") };
            let (ScVal::Address(holder), ScVal::I128(amount)) = (&key.0[1], &map.0[0].val) else { panic!("a balance") };
            assert!(matches!(holder, ScAddress::Contract(_)));
            vec![(holder.to_string(), data.contract.to_string(), i128::from(amount.lo))]
        }
        _ => Vec::new(),
    }
}

fn contract(asset: &Asset) -> String {
    let id = hash(&HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(Sha256::digest(PASSPHRASE).into()),
        contract_id_preimage: ContractIdPreimage::Asset(asset.clone()),
    }));
    ContractId(id).to_string()
}
