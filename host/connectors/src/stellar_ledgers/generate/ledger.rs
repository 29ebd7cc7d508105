//! Puts a ledger together: transactions, headers, hashes.

use sha2::{Digest, Sha256};
use stellar_xdr::{
    DependentTxCluster, GeneralizedTransactionSet, Hash, LedgerCloseMeta, LedgerCloseMetaExt, LedgerCloseMetaV2,
    LedgerHeader, LedgerHeaderExt, LedgerHeaderHistoryEntry, LedgerHeaderHistoryEntryExt, ParallelTxExecutionStage,
    ParallelTxsComponent, ScAddress, StellarValue, StellarValueExt, TimePoint, TransactionEnvelope, TransactionPhase,
    TransactionResultMetaV1, TransactionResultSet, TransactionSetV1, TxSetComponent,
    TxSetComponentTxsMaybeDiscountedFee,
};

use super::names::{Account, FIRST_CREATED, FIRST_TRADER, Token, hash, hash_of, list, xdr};
use super::plan::Draw;
use super::state::State;
use super::transaction::Prepared;
use crate::random::Random;

const PROTOCOL: u32 = 23;
const BASE_FEE: i64 = 100;
/// What each account starts with of each token.
const START_BALANCE: i64 = 1_000_000_000_000;
/// All native units that there are.
const TOTAL_COINS: i64 = 1_000_000_000_000_000_000;
/// Close time of the first ledger: the start of 2024, in seconds since the Unix epoch.
const FIRST_CLOSE_TIME: u64 = 1_704_067_200;
const SECONDS_PER_LEDGER: u64 = 5;
/// Accounts beyond two for each transaction of a ledger.
const SPARE_TRADERS: u32 = 16;

/// What ledgers depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorSettings {
    /// Passphrase of the network, which transactions' hashes are made with.
    pub passphrase: String,
    /// Ledgers of one seed are always the same.
    pub seed: u64,
    /// Sequence number of the first ledger, from 1.
    pub start: u32,
    /// Transactions in each ledger; fewer where accounts have run out of means.
    pub transactions_per_ledger: u32,
}

/// Makes ledgers, one after the other, without end.
pub struct Generator {
    settings: GeneratorSettings,
    network: Hash,
    random: Random,
    state: State,
    /// Hash of the header before.
    previous: Hash,
    fee_pool: i64,
    /// Accounts that ledgers created and none merged.
    created: Vec<Account>,
    next_created: Account,
}

/// A ledger that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedLedger {
    /// Its sequence number.
    pub sequence: u32,
    /// When it closed, seconds since the Unix epoch.
    pub closed_at: u64,
    /// The XDR of its LedgerCloseMeta.
    pub xdr: Vec<u8>,
}

impl Generator {
    /// A network as it is before its first ledger.
    #[must_use]
    pub fn new(settings: GeneratorSettings) -> Self {
        let settings = GeneratorSettings { start: settings.start.max(1), ..settings };
        let network = Hash(Sha256::digest(&settings.passphrase).into());
        let contracts = Token::ALL.map(|token| ScAddress::Contract(token.contract(&network)));
        let mut state = State::new(settings.start - 1, contracts);
        let n_traders = n_traders(&settings);
        for issuer in 0..FIRST_TRADER {
            state.put_account(issuer, START_BALANCE);
        }
        for trader in FIRST_TRADER..FIRST_TRADER + n_traders {
            state.put_trader(trader, START_BALANCE);
        }
        state.put_pool((START_BALANCE, START_BALANCE * 2));
        for token in Token::ALL {
            state.put_vault(token, START_BALANCE);
        }
        state.commit();
        Self {
            network,
            random: Random::new(settings.seed),
            state,
            previous: hash_of("flowctl genesis"),
            fee_pool: 0,
            created: Vec::new(),
            next_created: FIRST_CREATED,
            settings,
        }
    }

    /// Makes the next ledger. After sequence number 4,294,967,295 there is none.
    fn ledger(&mut self) -> Option<GeneratedLedger> {
        let sequence = self.state.sequence.checked_add(1)?;
        self.state.sequence = sequence;
        let first_created = self.next_created;
        let mut transactions = self.draw();
        let tx_set = GeneralizedTransactionSet::V1(TransactionSetV1 {
            previous_ledger_hash: self.previous.clone(),
            phases: list(phases(&transactions)),
        });
        self.random.shuffle(&mut transactions);
        transactions.sort_by_key(Prepared::is_soroban);

        let tx_processing = self.apply(&mut transactions);
        let is_there = |account: &Account| self.state.account(*account).is_some();
        self.created.extend((first_created..self.next_created).filter(is_there));
        let results = tx_processing.iter().map(|meta| meta.result.clone()).collect();
        let closed_at = FIRST_CLOSE_TIME + SECONDS_PER_LEDGER * u64::from(sequence - self.settings.start);
        let header = self.header(closed_at, hash(&tx_set), hash(&TransactionResultSet { results: list(results) }));
        self.previous = hash(&header);
        let meta = LedgerCloseMeta::V2(LedgerCloseMetaV2 {
            ext: LedgerCloseMetaExt::V0,
            ledger_header: LedgerHeaderHistoryEntry {
                hash: self.previous.clone(),
                header,
                ext: LedgerHeaderHistoryEntryExt::V0,
            },
            tx_set,
            tx_processing: list(tx_processing),
            upgrades_processing: list(Vec::new()),
            scp_info: list(Vec::new()),
            total_byte_size_of_live_soroban_state: 1 << 20,
            evicted_keys: list(Vec::new()),
        });
        Some(GeneratedLedger { sequence, closed_at, xdr: xdr(&meta) })
    }

    fn draw(&mut self) -> Vec<Prepared> {
        let mut draw = Draw {
            random: &mut self.random,
            state: &self.state,
            n_traders: n_traders(&self.settings),
            created: &mut self.created,
            next_created: &mut self.next_created,
        };
        let plans = draw.transactions(self.settings.transactions_per_ledger);
        let prepare = |plan| Prepared::new(plan, &self.state, &self.network, &mut self.random);
        plans.into_iter().map(prepare).collect()
    }

    /// Takes all fees, then applies all, then gives back what was not used.
    fn apply(&mut self, transactions: &mut [Prepared]) -> Vec<TransactionResultMetaV1> {
        for transaction in &mut *transactions {
            transaction.charge(&mut self.state);
            self.fee_pool += transaction.fee_charged();
        }
        let mut metas: Vec<_> = transactions.iter_mut().map(|each| each.apply(&mut self.state)).collect();
        for (transaction, meta) in transactions.iter().zip(&mut metas) {
            meta.post_tx_apply_fee_processing = transaction.refund(&mut self.state);
        }
        metas
    }

    fn header(&self, closed_at: u64, tx_set_hash: Hash, tx_set_result_hash: Hash) -> LedgerHeader {
        LedgerHeader {
            ledger_version: PROTOCOL,
            previous_ledger_hash: self.previous.clone(),
            scp_value: StellarValue {
                tx_set_hash,
                close_time: TimePoint(closed_at),
                upgrades: list(Vec::new()),
                ext: StellarValueExt::Basic,
            },
            tx_set_result_hash,
            bucket_list_hash: hash_of(&format!("flowctl buckets {}", self.state.sequence)),
            ledger_seq: self.state.sequence,
            total_coins: TOTAL_COINS,
            fee_pool: self.fee_pool,
            inflation_seq: 0,
            id_pool: self.state.n_offers as u64,
            base_fee: BASE_FEE as u32,
            base_reserve: 5_000_000,
            max_tx_set_size: self.settings.transactions_per_ledger.max(1_000),
            skip_list: std::array::from_fn(|_| Hash([0; 32])),
            ext: LedgerHeaderExt::V0,
        }
    }
}

impl Iterator for Generator {
    type Item = GeneratedLedger;

    fn next(&mut self) -> Option<GeneratedLedger> {
        self.ledger()
    }
}

fn n_traders(settings: &GeneratorSettings) -> u32 {
    2 * settings.transactions_per_ledger + SPARE_TRADERS
}

/// The set of a ledger's transactions: classic ones in one component, those that call
/// contracts in one cluster. Each in the order of their hashes, which is not
/// that in which they are applied.
fn phases(transactions: &[Prepared]) -> Vec<TransactionPhase> {
    let mut sorted: Vec<&Prepared> = transactions.iter().collect();
    sorted.sort_by(|a, b| a.hash.cmp(&b.hash));
    let of = |is_soroban: bool| -> Vec<TransactionEnvelope> {
        let fitting = sorted.iter().filter(|transaction| transaction.is_soroban() == is_soroban);
        fitting.map(|transaction| transaction.envelope.clone()).collect()
    };
    let component = |txs: Vec<TransactionEnvelope>| {
        TxSetComponent::TxsetCompTxsMaybeDiscountedFee(TxSetComponentTxsMaybeDiscountedFee {
            base_fee: Some(BASE_FEE),
            txs: list(txs),
        })
    };
    let (classic, soroban) = (of(false), of(true));
    let classic = if classic.is_empty() { Vec::new() } else { vec![component(classic)] };
    // all of them may touch the vault, so none can be applied beside another
    let clusters = if soroban.is_empty() { Vec::new() } else { vec![DependentTxCluster(list(soroban))] };
    let stages = if clusters.is_empty() { Vec::new() } else { vec![ParallelTxExecutionStage(list(clusters))] };
    vec![
        TransactionPhase::V0(list(classic)),
        TransactionPhase::V1(ParallelTxsComponent { base_fee: Some(BASE_FEE), execution_stages: list(stages) }),
    ]
}
