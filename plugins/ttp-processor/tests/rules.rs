//! Rules that the shared data does not reach, over ledgers of one payment made here.
#![allow(clippy::unwrap_used)]

use stellar_xdr::{
    Asset, FeeBumpTransaction, FeeBumpTransactionEnvelope, FeeBumpTransactionInnerTx, GeneralizedTransactionSet, Hash,
    InnerTransactionResult, InnerTransactionResultPair, InnerTransactionResultResult, LedgerCloseMeta,
    LedgerCloseMetaV1, LedgerEntryChanges, LedgerHeader, LedgerHeaderHistoryEntry, Limits, Memo, MuxedAccount,
    Operation, OperationBody, OperationMeta, OperationResult, OperationResultTr, ParallelTxsComponent, PaymentOp,
    PaymentResult, ReadXdr, Transaction, TransactionEnvelope, TransactionMeta, TransactionMetaV3, TransactionPhase,
    TransactionResult, TransactionResultMeta, TransactionResultPair, TransactionResultResult, TransactionSetV1,
    TransactionV0, TransactionV0Envelope, TransactionV1Envelope, Uint256, WriteXdr,
};
use ttp_processor::{Mode, Network, RuleError, transfers};

const PAYER: [u8; 32] = [1; 32];
const PAYEE: [u8; 32] = [2; 32];
const SPONSOR: [u8; 32] = [3; 32];

fn account(key: [u8; 32]) -> MuxedAccount {
    MuxedAccount::Ed25519(Uint256(key))
}

fn address(key: [u8; 32]) -> String {
    stellar_strkey::ed25519::PublicKey(key).to_string().as_str().to_owned()
}

fn payment() -> Operation {
    let payment = PaymentOp { destination: account(PAYEE), asset: Asset::Native, amount: 500 };
    Operation { source_account: None, body: OperationBody::Payment(payment) }
}

fn transaction(memo: Memo) -> Transaction {
    let operations = vec![payment()].try_into().unwrap();
    Transaction { source_account: account(PAYER), fee: 100, memo, operations, ..Transaction::default() }
}

fn v1(memo: Memo) -> TransactionV1Envelope {
    TransactionV1Envelope { tx: transaction(memo), ..TransactionV1Envelope::default() }
}

fn paid() -> OperationResult {
    OperationResult::OpInner(OperationResultTr::Payment(PaymentResult::Success))
}

fn success() -> TransactionResultResult {
    TransactionResultResult::TxSuccess(vec![paid()].try_into().unwrap())
}

/// A ledger of protocol 22 with one transaction, in a phase that is applied in parallel.
fn ledger(envelope: TransactionEnvelope, result: TransactionResultResult) -> LedgerCloseMeta {
    let hash = envelope.hash(*Network::new("testnet").unwrap().id()).unwrap();
    let cluster = stellar_xdr::DependentTxCluster(vec![envelope].try_into().unwrap());
    let stage = stellar_xdr::ParallelTxExecutionStage(vec![cluster].try_into().unwrap());
    let component = ParallelTxsComponent { base_fee: Some(100), execution_stages: vec![stage].try_into().unwrap() };
    let phases = vec![TransactionPhase::V1(component)].try_into().unwrap();
    let result = TransactionResult { fee_charged: 100, result, ..TransactionResult::default() };
    let operations = vec![OperationMeta { changes: LedgerEntryChanges::default() }].try_into().unwrap();
    let tx = TransactionResultMeta {
        result: TransactionResultPair { transaction_hash: Hash(hash), result },
        tx_apply_processing: TransactionMeta::V3(TransactionMetaV3 { operations, ..TransactionMetaV3::default() }),
        ..TransactionResultMeta::default()
    };
    let header = LedgerHeader { ledger_version: 22, ledger_seq: 7, ..LedgerHeader::default() };
    LedgerCloseMeta::V1(LedgerCloseMetaV1 {
        ledger_header: LedgerHeaderHistoryEntry { header, ..LedgerHeaderHistoryEntry::default() },
        tx_set: GeneralizedTransactionSet::V1(TransactionSetV1 { phases, ..TransactionSetV1::default() }),
        tx_processing: vec![tx].try_into().unwrap(),
        ..LedgerCloseMetaV1::default()
    })
}

fn xdr(ledger: &LedgerCloseMeta) -> Vec<u8> {
    ledger.to_xdr(Limits::none()).unwrap()
}

/// The transfers as JSON, without the fields that say where they are.
fn check(ledger: &LedgerCloseMeta, expected: &[serde_json::Value]) {
    let mut found = Vec::new();
    let mut emit = |transfer: &ttp_processor::Transfer<'_>| {
        let mut transfer = serde_json::to_value(transfer).unwrap();
        let fields = transfer.as_object_mut().unwrap();
        fields.retain(|name, value| {
            matches!(name.as_str(), "kind" | "from" | "to" | "asset" | "amount" | "to_muxed") && !value.is_null()
        });
        found.push(transfer);
    };
    transfers(&xdr(ledger), &Network::new("testnet").unwrap(), Mode::Derive, &mut emit).unwrap();
    assert_eq!(found, expected);
}

fn fee_of(payer: [u8; 32]) -> serde_json::Value {
    serde_json::json!({"kind": "fee", "from": address(payer), "asset": "native", "amount": "100"})
}

fn transfer() -> serde_json::Value {
    let (from, to) = (address(PAYER), address(PAYEE));
    serde_json::json!({"kind": "transfer", "from": from, "to": to, "asset": "native", "amount": "500"})
}

#[test]
fn fee_bump_is_paid_by_its_fee_source() {
    let inner = FeeBumpTransactionInnerTx::Tx(v1(Memo::None));
    let tx = FeeBumpTransaction { fee_source: account(SPONSOR), inner_tx: inner, ..FeeBumpTransaction::default() };
    let envelope = FeeBumpTransactionEnvelope { tx, ..FeeBumpTransactionEnvelope::default() };
    let result = InnerTransactionResultResult::TxSuccess(vec![paid()].try_into().unwrap());
    let result = InnerTransactionResultPair {
        result: InnerTransactionResult { result, ..InnerTransactionResult::default() },
        ..InnerTransactionResultPair::default()
    };
    let result = TransactionResultResult::TxFeeBumpInnerSuccess(result);
    check(&ledger(TransactionEnvelope::TxFeeBump(envelope), result), &[fee_of(SPONSOR), transfer()]);
}

#[test]
fn v0_envelope_is_found_by_the_hash_it_was_signed_with() {
    let Transaction { operations, .. } = transaction(Memo::None);
    let tx = TransactionV0 { source_account_ed25519: Uint256(PAYER), operations, ..TransactionV0::default() };
    let envelope = TransactionV0Envelope { tx, ..TransactionV0Envelope::default() };
    check(&ledger(TransactionEnvelope::TxV0(envelope), success()), &[fee_of(PAYER), transfer()]);
}

#[test]
fn memo_text_that_is_no_utf8_has_its_bytes_replaced() {
    let memo = Memo::Text(vec![b'a', 0xff].try_into().unwrap());
    let mut with_text = transfer();
    with_text["to_muxed"] = serde_json::json!({"text": "a\u{fffd}"});
    check(&ledger(TransactionEnvelope::Tx(v1(memo)), success()), &[fee_of(PAYER), with_text]);
}

#[test]
fn failed_transaction_pays_its_fee_alone() {
    let result = TransactionResultResult::TxBadSeq;
    check(&ledger(TransactionEnvelope::Tx(v1(Memo::None)), result), &[fee_of(PAYER)]);
}

#[test]
fn ledger_of_another_network_is_refused_at_its_first_transaction() {
    let ledger = ledger(TransactionEnvelope::Tx(v1(Memo::None)), success());
    let pubnet = Network::new("pubnet").unwrap();
    let outcome = transfers(&xdr(&ledger), &pubnet, Mode::Derive, &mut |_| panic!("nothing may be emitted"));
    assert!(matches!(outcome, Err(RuleError::UnknownTransaction { .. })), "{outcome:?}");
}

#[test]
fn unified_mode_needs_meta_version_4() {
    let ledger = ledger(TransactionEnvelope::Tx(v1(Memo::None)), success());
    let testnet = Network::new("testnet").unwrap();
    let error = transfers(&xdr(&ledger), &testnet, Mode::Unified, &mut |_| {}).unwrap_err().to_string();
    assert!(error.ends_with("meta version 3, where 4 (mode `unified`) is needed"), "{error}");
}

#[test]
fn ledger_cut_short_or_followed_by_bytes_is_malformed() {
    let bytes = xdr(&ledger(TransactionEnvelope::Tx(v1(Memo::None)), success()));
    let longer = [bytes.as_slice(), &[0]].concat();
    let cut_short = (0..bytes.len()).map(|length| &bytes[..length]);
    for wrong in cut_short.chain([longer.as_slice()]) {
        let outcome = transfers(wrong, &Network::new("testnet").unwrap(), Mode::Derive, &mut |_| {});
        assert!(matches!(outcome, Err(RuleError::Malformed(_))), "{} bytes: {outcome:?}", wrong.len());
        assert!(LedgerCloseMeta::from_xdr(wrong, Limits { depth: 500, len: wrong.len() }).is_err());
    }
}

#[test]
fn settings_name_what_they_may_be() {
    assert_eq!(
        Network::new(" ").unwrap_err().to_string(),
        "`network` is empty: give `pubnet`, `testnet` or a network passphrase"
    );
    assert_eq!("both".parse::<Mode>().unwrap_err().to_string(), "unknown mode `both`: give `derive` or `unified`");
}
