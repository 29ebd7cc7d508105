//! The entries of the generated network, and the journal of how they change.
//!
//! Invariant: every change goes through [`State::put`] or [`State::remove`], so the
//! changes in a ledger's metadata are exactly those that happened, and a transaction
//! that fails leaves no trace.

use std::collections::BTreeMap;

use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountId, ContractDataDurability, ContractDataEntry, ExtensionPoint, LedgerEntry,
    LedgerEntryChange, LedgerEntryChanges, LedgerEntryData, LedgerEntryExt, LedgerKey, LedgerKeyContractData,
    LedgerKeyLiquidityPool, LedgerKeyOffer, LiquidityPoolEntry, LiquidityPoolEntryBody,
    LiquidityPoolEntryConstantProduct, OfferEntry, PublicKey, ScAddress, ScMap, ScMapEntry, ScVal, SequenceNumber,
    Thresholds, TrustLineEntry, TrustLineEntryExt, Uint256,
};

use super::names::{Account, Holder, Token, account_id, account_key, line_key, list, pool_id, pool_parameters, vault};

/// Every entry of the network.
pub(super) struct State {
    entries: BTreeMap<LedgerKey, LedgerEntry>,
    /// Entries as they were before the current transaction changed them.
    journal: Vec<(LedgerKey, Option<LedgerEntry>)>,
    /// Where in the journal the current operation starts.
    step: usize,
    /// The ledger that is being made.
    pub(super) sequence: u32,
    /// Offers that were ever made; the last one's id.
    pub(super) n_offers: i64,
    /// The accounts that make offers.
    traders: BTreeMap<AccountId, Account>,
    /// The contracts that hold the tokens' balances, in the order of [`Token::ALL`].
    contracts: [ScAddress; 3],
}

impl State {
    pub(super) fn new(sequence: u32, contracts: [ScAddress; 3]) -> Self {
        Self {
            entries: BTreeMap::new(),
            journal: Vec::new(),
            step: 0,
            sequence,
            n_offers: 0,
            traders: BTreeMap::new(),
            contracts,
        }
    }

    pub(super) fn get(&self, key: &LedgerKey) -> Option<&LedgerEntryData> {
        self.entries.get(key).map(|entry| &entry.data)
    }

    pub(super) fn put(&mut self, data: LedgerEntryData) {
        let entry = LedgerEntry { last_modified_ledger_seq: self.sequence, data, ext: LedgerEntryExt::V0 };
        let key = entry.to_key();
        self.record(&key);
        self.entries.insert(key, entry);
    }

    pub(super) fn remove(&mut self, key: &LedgerKey) {
        self.record(key);
        self.entries.remove(key);
    }

    fn record(&mut self, key: &LedgerKey) {
        if !self.journal[self.step..].iter().any(|(known, _)| known == key) {
            self.journal.push((key.clone(), self.entries.get(key).cloned()));
        }
    }

    /// What changed since the last call, as metadata tells it.
    pub(super) fn take_changes(&mut self) -> LedgerEntryChanges {
        let mut changes = Vec::new();
        for (key, before) in &self.journal[self.step..] {
            let existed = before.is_some();
            changes.extend(before.clone().map(LedgerEntryChange::State));
            match self.entries.get(key) {
                Some(after) if existed => changes.push(LedgerEntryChange::Updated(after.clone())),
                Some(after) => changes.push(LedgerEntryChange::Created(after.clone())),
                None if existed => changes.push(LedgerEntryChange::Removed(key.clone())),
                None => {}
            }
        }
        self.step = self.journal.len();
        LedgerEntryChanges(list(changes))
    }

    /// Keeps what changed.
    pub(super) fn commit(&mut self) {
        self.journal.clear();
        self.step = 0;
    }

    /// Undoes everything since the last [`commit`](Self::commit).
    pub(super) fn roll_back(&mut self) {
        for (key, before) in self.journal.drain(..).rev() {
            match before {
                Some(entry) => self.entries.insert(key, entry),
                None => self.entries.remove(&key),
            };
        }
        self.step = 0;
    }

    pub(super) fn account(&self, account: Account) -> Option<&AccountEntry> {
        match self.get(&account_key(account)) {
            Some(LedgerEntryData::Account(entry)) => Some(entry),
            _ => None,
        }
    }

    /// Changes an account that exists.
    pub(super) fn update_account(&mut self, account: Account, update: impl FnOnce(&mut AccountEntry)) {
        if let Some(mut entry) = self.account(account).cloned() {
            update(&mut entry);
            self.put(LedgerEntryData::Account(entry));
        }
    }

    /// What a holder has, as far as it can be paid out; an issuer has no end of its own.
    pub(super) fn balance(&self, holder: Holder, token: Token) -> i64 {
        match holder {
            Holder::Account(account) if token.issuer() == Some(account) => i64::MAX,
            Holder::Account(account) if token == Token::Native => {
                self.account(account).map_or(0, |entry| entry.balance)
            }
            Holder::Account(account) => match self.get(&line_key(account, token)) {
                Some(LedgerEntryData::Trustline(line)) => line.balance,
                _ => 0,
            },
            Holder::Pool => {
                let (native, dollars) = self.reserves();
                if token == Token::Native { native } else { dollars }
            }
            Holder::Vault => match self.get(&self.vault_key(token)) {
                Some(LedgerEntryData::ContractData(ContractDataEntry { val: ScVal::Map(Some(map)), .. })) => {
                    map.0.iter().find_map(amount).unwrap_or(0)
                }
                _ => 0,
            },
        }
    }

    /// Adds to what a holder has, or takes from it. The caller has checked that it is
    /// there; an issuer's own tokens come from nowhere and go nowhere.
    pub(super) fn shift(&mut self, holder: Holder, token: Token, delta: i64) {
        let after = self.balance(holder, token).saturating_add(delta);
        match holder {
            Holder::Account(account) if token.issuer() == Some(account) => {}
            Holder::Account(account) if token == Token::Native => {
                self.update_account(account, |entry| entry.balance = after);
            }
            Holder::Account(account) => self.put_line(account, token, after),
            Holder::Pool => {
                let (native, dollars) = self.reserves();
                let reserves = if token == Token::Native { (after, dollars) } else { (native, after) };
                self.put_pool(reserves);
            }
            Holder::Vault => self.put_vault(token, after),
        }
    }

    /// Whether an account can take so much more of a token.
    pub(super) fn has_room(&self, account: Account, token: Token, amount: i64) -> bool {
        let can_hold = match token.issuer() {
            None => self.account(account).is_some(),
            Some(issuer) if issuer == account => return true,
            Some(_) => self.get(&line_key(account, token)).is_some(),
        };
        can_hold && self.balance(Holder::Account(account), token).checked_add(amount).is_some()
    }

    /// Every offer, with its seller's number.
    pub(super) fn offers(&self) -> impl Iterator<Item = (Account, &OfferEntry)> {
        let first =
            LedgerKeyOffer { seller_id: AccountId(PublicKey::PublicKeyTypeEd25519(Uint256([0; 32]))), offer_id: 0 };
        self.entries.range(LedgerKey::Offer(first)..).map_while(|(_, entry)| match &entry.data {
            LedgerEntryData::Offer(offer) => Some((*self.traders.get(&offer.seller_id)?, offer)),
            _ => None,
        })
    }

    /// The offers that take `pay` and give `get`.
    pub(super) fn offers_for(&self, pay: Token, get: Token) -> Vec<(Account, OfferEntry)> {
        let (pay, get) = (pay.asset(), get.asset());
        let fits = |(_, offer): &(Account, &OfferEntry)| offer.selling == get && offer.buying == pay;
        self.offers().filter(fits).map(|(seller, offer)| (seller, offer.clone())).collect()
    }

    pub(super) fn next_offer_id(&mut self) -> i64 {
        self.n_offers += 1;
        self.n_offers
    }

    pub(super) fn remove_offer(&mut self, seller: Account, key: &LedgerKey) {
        self.remove(key);
        self.update_account(seller, |entry| entry.num_sub_entries = entry.num_sub_entries.saturating_sub(1));
    }

    /// Makes an account that holds every token and may make offers.
    pub(super) fn put_trader(&mut self, account: Account, balance: i64) {
        self.put_account(account, balance);
        self.put_line(account, Token::Dollar, balance);
        self.put_line(account, Token::Flow, balance);
        self.update_account(account, |entry| entry.num_sub_entries = 2);
        self.traders.insert(account_id(account), account);
    }

    pub(super) fn put_account(&mut self, account: Account, balance: i64) {
        self.put(LedgerEntryData::Account(AccountEntry {
            account_id: account_id(account),
            balance,
            seq_num: SequenceNumber(i64::from(self.sequence) << 32),
            num_sub_entries: 0,
            inflation_dest: None,
            flags: 0,
            home_domain: Default::default(),
            thresholds: Thresholds([1, 0, 0, 0]),
            signers: Default::default(),
            ext: AccountEntryExt::V0,
        }));
    }

    pub(super) fn put_line(&mut self, account: Account, token: Token, balance: i64) {
        self.put(LedgerEntryData::Trustline(TrustLineEntry {
            account_id: account_id(account),
            asset: token.line(),
            balance,
            limit: i64::MAX,
            flags: 1,
            ext: TrustLineEntryExt::V0,
        }));
    }

    pub(super) fn put_pool(&mut self, (reserve_a, reserve_b): (i64, i64)) {
        self.put(LedgerEntryData::LiquidityPool(LiquidityPoolEntry {
            liquidity_pool_id: pool_id(),
            body: LiquidityPoolEntryBody::LiquidityPoolConstantProduct(LiquidityPoolEntryConstantProduct {
                params: pool_parameters(),
                reserve_a,
                reserve_b,
                total_pool_shares: 1_000_000_000_000,
                pool_shares_trust_line_count: 1,
            }),
        }));
    }

    /// What the pool holds: native and `USD`.
    pub(super) fn reserves(&self) -> (i64, i64) {
        let key = LedgerKey::LiquidityPool(LedgerKeyLiquidityPool { liquidity_pool_id: pool_id() });
        match self.get(&key) {
            Some(LedgerEntryData::LiquidityPool(pool)) => {
                let LiquidityPoolEntryBody::LiquidityPoolConstantProduct(pool) = &pool.body;
                (pool.reserve_a, pool.reserve_b)
            }
            _ => (0, 0),
        }
    }

    pub(super) fn contract(&self, token: Token) -> &ScAddress {
        &self.contracts[token as usize]
    }

    /// The key under which a token's contract keeps what the vault holds.
    pub(super) fn vault_key(&self, token: Token) -> LedgerKey {
        LedgerKey::ContractData(LedgerKeyContractData {
            contract: self.contract(token).clone(),
            key: vault_name(),
            durability: ContractDataDurability::Persistent,
        })
    }

    pub(super) fn put_vault(&mut self, token: Token, balance: i64) {
        let field = |key: &'static str, val: ScVal| ScMapEntry { key: symbol(key), val };
        let value = vec![
            field("amount", ScVal::from(i128::from(balance))),
            field("authorized", ScVal::Bool(true)),
            field("clawback", ScVal::Bool(false)),
        ];
        self.put(LedgerEntryData::ContractData(ContractDataEntry {
            ext: ExtensionPoint::V0,
            contract: self.contract(token).clone(),
            key: vault_name(),
            durability: ContractDataDurability::Persistent,
            val: ScVal::Map(Some(ScMap(list(value)))),
        }));
    }
}

pub(super) fn symbol(text: &'static str) -> ScVal {
    ScVal::Symbol(text.try_into().expect("symbols are short"))
}

fn vault_name() -> ScVal {
    let parts = vec![symbol("Balance"), ScVal::Address(ScAddress::Contract(vault()))];
    ScVal::Vec(Some(stellar_xdr::ScVec(list(parts))))
}

fn amount(field: &ScMapEntry) -> Option<i64> {
    match &field.val {
        ScVal::I128(parts) => i64::try_from(parts.lo).ok(),
        _ => None,
    }
}
