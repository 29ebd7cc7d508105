//! Why a ledger yields no transfers. An error is always the whole ledger's.

use flowctl_xdr::Malformed;

/// Why a ledger was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The bytes are not exactly one `LedgerCloseMeta`.
    #[error("malformed ledger: {0}")]
    Malformed(#[from] Malformed),
    /// A result belongs to no envelope of the transaction set.
    #[error(
        "no envelope for transaction `{transaction}`: either the ledger is of another network than the configured one, \
         or its transaction set is incomplete"
    )]
    UnknownTransaction {
        /// The hash in the result.
        transaction: String,
    },
    /// Meta that old versions of stellar-core wrote without the fee's changes apart.
    #[error(
        "transaction `{transaction}` of protocol {protocol} has meta version {version}: write the ledger again with a \
         newer stellar-core"
    )]
    OldMeta {
        /// The transaction's hash.
        transaction: String,
        /// The ledger's protocol version.
        protocol: u32,
        /// The version of the meta.
        version: u32,
    },
    /// The fees of a transaction cannot be told.
    #[error("transaction `{transaction}`: {fault}")]
    Transaction {
        /// The transaction's hash.
        transaction: String,
        /// What is wrong with it.
        fault: TransactionFault,
    },
    /// The transfers of an operation cannot be told.
    #[error("transaction `{transaction}`, operation {operation}: {fault}")]
    Operation {
        /// The transaction's hash.
        transaction: String,
        /// The operation's index in the transaction, from 1.
        operation: u32,
        /// What is wrong with it.
        fault: OperationFault,
    },
}

/// What is wrong with a transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionFault {
    /// Its meta is of a version that the rules do not cover.
    #[error("meta version {found}, where {needed} is needed")]
    MetaVersion {
        /// The version found.
        found: u32,
        /// The versions that would do.
        needed: &'static str,
    },
    /// Its operations and their results differ in number.
    #[error("{operations} operations, but {results} results of them")]
    Results {
        /// How many operations the envelope has.
        operations: usize,
        /// How many results there are.
        results: usize,
    },
    /// Its events name no fee, or more than a charge and a refund (unified mode).
    #[error("{0} fee events, where there must be 1 or 2")]
    FeeEvents(usize),
    /// One of its events is no proper fee event (unified mode).
    #[error("invalid fee event: {0}")]
    FeeEvent(&'static str),
    /// Its parts are well-formed, but not together.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
}

/// What is wrong with an operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationFault {
    /// Its result is of another operation, or a failure.
    #[error("the result is not the success of a {0} operation")]
    Result(&'static str),
    /// A claim or clawback must remove one claimable balance.
    #[error("{0} claimable balances were removed, where it must be one")]
    RemovedBalances(usize),
    /// A deposit or withdrawal must change one liquidity pool.
    #[error("{0} liquidity pools were changed, where it must be one")]
    ChangedPools(usize),
    /// A deposit must add to both of the pool's assets.
    #[error("nothing of `{0}` was deposited")]
    EmptyDeposit(String),
    /// A revocation creates at most one claimable balance for each of a pool's assets.
    #[error("{0} claimable balances were created from one liquidity pool, where it can be two, one for each asset")]
    RevokedBalances(usize),
    /// Its parts are well-formed, but not together.
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
}
