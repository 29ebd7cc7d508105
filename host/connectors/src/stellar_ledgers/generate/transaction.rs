//! One transaction: its envelope, what it costs, and what applying it gives.

use stellar_xdr::{
    DecoratedSignature, ExtensionPoint, FeeBumpTransaction, FeeBumpTransactionEnvelope, FeeBumpTransactionExt,
    FeeBumpTransactionInnerTx, Hash, InnerTransactionResult, InnerTransactionResultExt, InnerTransactionResultPair,
    InnerTransactionResultResult, LedgerEntryChanges, OperationMetaV2, OperationResult, Preconditions, ScVal,
    SequenceNumber, Signature, SignatureHint, SorobanTransactionMetaExt, SorobanTransactionMetaExtV1,
    SorobanTransactionMetaV2, Transaction, TransactionEnvelope, TransactionExt, TransactionMeta, TransactionMetaV4,
    TransactionResult, TransactionResultExt, TransactionResultMetaV1, TransactionResultPair, TransactionResultResult,
    TransactionV1Envelope,
};

use super::actions::result;
use super::names::{Account, Holder, Token, list, muxed};
use super::plan::{Body, Plan};
use super::state::State;
use crate::random::Random;

/// What an operation costs, and a fee bump.
const BASE_FEE: i64 = 100;

/// A transaction that is ready to be applied.
pub(super) struct Prepared {
    plan: Plan,
    pub(super) envelope: TransactionEnvelope,
    /// The hash of the envelope: of the fee bump, where it is one.
    pub(super) hash: Hash,
    /// The hash of the transaction in a fee bump.
    inner_hash: Hash,
    /// What is taken before it is applied.
    fee: i64,
    /// What a contract's call does not use of it.
    refund: i64,
    fee_changes: LedgerEntryChanges,
}

impl Prepared {
    pub(super) fn new(plan: Plan, state: &State, network: &Hash, random: &mut Random) -> Self {
        let sequence = state.account(plan.source).map_or(0, |entry| entry.seq_num.0);
        let (operations, ext, resource_fee) = match &plan.body {
            Body::Classic(actions) => {
                (actions.iter().map(|action| action.operation()).collect::<Vec<_>>(), TransactionExt::V0, 0)
            }
            Body::Transfer(transfer) => {
                let resource_fee = random.between(20_000, 100_000);
                let resources = transfer.resources(state, resource_fee);
                (vec![transfer.operation(state)], TransactionExt::V1(resources), resource_fee)
            }
        };
        let n_bids = operations.len() as i64;
        let inner_fee = BASE_FEE * n_bids + resource_fee;
        let inner = TransactionV1Envelope {
            tx: Transaction {
                source_account: muxed(plan.source, None),
                fee: u32::try_from(inner_fee).expect("fees are small"),
                seq_num: SequenceNumber(sequence + 1),
                cond: Preconditions::None,
                memo: plan.memo.clone(),
                operations: list(operations),
                ext,
            },
            signatures: signature(random),
        };
        let inner_envelope = TransactionEnvelope::Tx(inner.clone());
        let inner_hash = envelope_hash(&inner_envelope, network);
        let (envelope, fee) = match plan.fee_source {
            None => (inner_envelope, inner_fee),
            Some(account) => {
                let fee = inner_fee + BASE_FEE;
                let tx = FeeBumpTransaction {
                    fee_source: muxed(account, None),
                    fee,
                    inner_tx: FeeBumpTransactionInnerTx::Tx(inner),
                    ext: FeeBumpTransactionExt::V0,
                };
                (TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx, signatures: signature(random) }), fee)
            }
        };
        let hash = envelope_hash(&envelope, network);
        let refund = if random.one_in(4) { 0 } else { random.below(resource_fee as u64 / 2) as i64 };
        let fee_changes = LedgerEntryChanges(list(Vec::new()));
        Self { plan, envelope, hash, inner_hash, fee, refund, fee_changes }
    }

    pub(super) fn is_soroban(&self) -> bool {
        matches!(self.plan.body, Body::Transfer(_))
    }

    /// What it costs in the end.
    pub(super) fn fee_charged(&self) -> i64 {
        self.fee - self.refund
    }

    fn fee_account(&self) -> Account {
        self.plan.fee_source.unwrap_or(self.plan.source)
    }

    /// Takes the fee.
    pub(super) fn charge(&mut self, state: &mut State) {
        state.shift(Holder::Account(self.fee_account()), Token::Native, -self.fee);
        self.fee_changes = state.take_changes();
        state.commit();
    }

    /// Applies it. What is given back of the fee is not yet in the answer.
    pub(super) fn apply(&mut self, state: &mut State) -> TransactionResultMetaV1 {
        state.update_account(self.plan.source, |entry| entry.seq_num.0 += 1);
        let tx_changes_before = state.take_changes();
        state.commit();
        let (results, operations, is_success, soroban_meta) = match &self.plan.body {
            Body::Classic(actions) => {
                let (mut results, mut operations, mut is_success) = (Vec::new(), Vec::new(), true);
                for action in actions {
                    let applied = action.apply(state, self.plan.source);
                    is_success &= applied.is_ok();
                    results.push(result(applied));
                    operations.push(operation_meta(state.take_changes(), Vec::new()));
                }
                (results, operations, is_success, None)
            }
            Body::Transfer(transfer) => {
                let applied = transfer.apply(state);
                let meta = Some(self.soroban_meta(applied.is_ok()));
                match applied {
                    Ok((outcome, events)) => {
                        let operation = operation_meta(state.take_changes(), events);
                        (vec![OperationResult::OpInner(outcome)], vec![operation], true, meta)
                    }
                    Err(outcome) => (vec![OperationResult::OpInner(outcome)], Vec::new(), false, meta),
                }
            }
        };
        let operations = if is_success {
            state.commit();
            operations
        } else {
            state.roll_back();
            Vec::new()
        };
        let meta = TransactionMetaV4 {
            ext: ExtensionPoint::V0,
            tx_changes_before,
            operations: list(operations),
            tx_changes_after: LedgerEntryChanges(list(Vec::new())),
            soroban_meta,
            events: list(Vec::new()),
            diagnostic_events: list(Vec::new()),
        };
        TransactionResultMetaV1 {
            ext: ExtensionPoint::V0,
            result: self.result(results, is_success),
            fee_processing: std::mem::replace(&mut self.fee_changes, LedgerEntryChanges(list(Vec::new()))),
            tx_apply_processing: TransactionMeta::V4(meta),
            post_tx_apply_fee_processing: LedgerEntryChanges(list(Vec::new())),
        }
    }

    /// Gives back what was not used, once all transactions are applied.
    pub(super) fn refund(&self, state: &mut State) -> LedgerEntryChanges {
        if self.refund > 0 {
            state.shift(Holder::Account(self.fee_account()), Token::Native, self.refund);
        }
        let changes = state.take_changes();
        state.commit();
        changes
    }

    fn result(&self, results: Vec<OperationResult>, is_success: bool) -> TransactionResultPair {
        let results = list(results);
        let result = match (self.plan.fee_source, is_success) {
            (None, true) => TransactionResultResult::TxSuccess(results),
            (None, false) => TransactionResultResult::TxFailed(results),
            (Some(_), is_success) => {
                let result = match is_success {
                    true => InnerTransactionResultResult::TxSuccess(results),
                    false => InnerTransactionResultResult::TxFailed(results),
                };
                let inner = InnerTransactionResultPair {
                    transaction_hash: self.inner_hash.clone(),
                    result: InnerTransactionResult { fee_charged: 0, result, ext: InnerTransactionResultExt::V0 },
                };
                match is_success {
                    true => TransactionResultResult::TxFeeBumpInnerSuccess(inner),
                    false => TransactionResultResult::TxFeeBumpInnerFailed(inner),
                }
            }
        };
        let fee_charged = self.fee_charged();
        let result = TransactionResult { fee_charged, result, ext: TransactionResultExt::V0 };
        TransactionResultPair { transaction_hash: self.hash.clone(), result }
    }

    fn soroban_meta(&self, is_success: bool) -> SorobanTransactionMetaV2 {
        let used = self.fee_charged() - BASE_FEE;
        SorobanTransactionMetaV2 {
            ext: SorobanTransactionMetaExt::V1(SorobanTransactionMetaExtV1 {
                ext: ExtensionPoint::V0,
                total_non_refundable_resource_fee_charged: used / 2,
                total_refundable_resource_fee_charged: used - used / 2,
                rent_fee_charged: 0,
            }),
            return_value: is_success.then_some(ScVal::Void),
        }
    }
}

fn operation_meta(changes: LedgerEntryChanges, events: Vec<stellar_xdr::ContractEvent>) -> OperationMetaV2 {
    OperationMetaV2 { ext: ExtensionPoint::V0, changes, events: list(events) }
}

fn envelope_hash(envelope: &TransactionEnvelope, network: &Hash) -> Hash {
    Hash(envelope.hash(network.0).expect("hashing in memory cannot fail"))
}

/// Bytes of a signature's size. Nobody's: the keys are nobody's either.
fn signature(random: &mut Random) -> stellar_xdr::VecM<DecoratedSignature, 20> {
    let bytes: Vec<u8> = (0..8).flat_map(|_| random.next().to_be_bytes()).collect();
    let hint = SignatureHint(std::array::from_fn(|at| bytes[at]));
    let signature = Signature(bytes.try_into().expect("64 bytes"));
    list(vec![DecoratedSignature { hint, signature }])
}
