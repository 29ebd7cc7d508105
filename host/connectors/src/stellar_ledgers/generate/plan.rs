//! Draws the transactions of a ledger.
//!
//! Invariant: no two transactions of a ledger have the same source or fee account, so
//! that each one's sequence number and fee are known before any is applied.

use stellar_xdr::{Hash, Memo, Price};

use super::actions::{Action, Order};
use super::names::{Account, FIRST_TRADER, Holder, Token, hash_of};
use super::soroban::Transfer;
use super::state::State;
use crate::random::Random;

/// Native units that an account must have to pay for a transaction: more than any fee.
const MIN_PAYER_BALANCE: i64 = 10_000_000;
/// Offers from which on some are taken back.
const MANY_OFFERS: usize = 64;
/// More than anybody holds.
const TOO_MUCH: i64 = i64::MAX / 2;

/// A transaction to be made.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) source: Account,
    /// Who pays instead of the source: a fee bump.
    pub(super) fee_source: Option<Account>,
    pub(super) memo: Memo,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Classic(Vec<Action>),
    Transfer(Transfer),
}

/// What transactions are drawn from.
pub(super) struct Draw<'a> {
    pub(super) random: &'a mut Random,
    pub(super) state: &'a State,
    pub(super) n_traders: u32,
    /// Accounts that earlier ledgers created; those that are merged are taken out.
    pub(super) created: &'a mut Vec<Account>,
    /// Number of the next account to create.
    pub(super) next_created: &'a mut Account,
}

impl Draw<'_> {
    /// Draws `n_transactions`, fewer where too few accounts can pay for them.
    pub(super) fn transactions(&mut self, n_transactions: u32) -> Vec<Plan> {
        let mut payers: Vec<Account> = (0..FIRST_TRADER + self.n_traders).collect();
        self.random.shuffle(&mut payers);
        payers.retain(|payer| self.can_pay(*payer));
        let mut plans = Vec::new();
        while plans.len() < n_transactions as usize
            && let Some(source) = payers.pop()
        {
            let fee_source = if self.random.one_in(8) { payers.pop() } else { None };
            plans.push(self.transaction(source, fee_source));
        }
        plans
    }

    fn can_pay(&self, account: Account) -> bool {
        self.state.balance(Holder::Account(account), Token::Native) >= MIN_PAYER_BALANCE
    }

    fn transaction(&mut self, source: Account, fee_source: Option<Account>) -> Plan {
        let is_trader = source >= FIRST_TRADER;
        let plan = |memo, body| Plan { source, fee_source, memo, body };
        if is_trader && self.random.one_in(6) {
            return plan(Memo::None, Body::Transfer(self.transfer(source)));
        }
        let memo = self.memo();
        let action = match self.random.below(16) {
            _ if !is_trader => self.payment(Token::ALL[source as usize + 1]),
            0..=4 => {
                let n_payments = self.random.between(1, 3);
                let payments = (0..n_payments).map(|_| {
                    let token = *self.random.pick(&Token::ALL);
                    self.payment(token)
                });
                return plan(memo, Body::Classic(payments.collect()));
            }
            5 => {
                let token = *self.random.pick(&[Token::Dollar, Token::Flow]);
                let amount = self.amount();
                Action::Pay { to: token.issuer().unwrap_or_default(), user: None, token, amount }
            }
            6 => {
                let account = *self.next_created;
                *self.next_created = account.wrapping_add(1);
                Action::Create { account, amount: self.random.between(2, 20) * 10_000_000 }
            }
            7 if !self.created.is_empty() => {
                let account = self.created.swap_remove(self.random.below(self.created.len() as u64) as usize);
                let into = self.trader();
                let body = Body::Classic(vec![Action::Merge { into }]);
                // the account pays for itself, where it can
                let (source, fee_source) =
                    if self.can_pay(account) { (account, fee_source) } else { (account, Some(source)) };
                return Plan { source, fee_source, memo, body };
            }
            7..=9 => {
                let (send, token) = self.pair();
                let amount = self.amount();
                Action::PathReceive { to: self.trader(), send, send_max: amount.saturating_mul(10), token, amount }
            }
            10 => {
                let (send, token) = self.pair();
                Action::PathSend { to: self.trader(), send, amount: self.amount(), token }
            }
            11 | 12 => Action::Sell { order: self.order(), is_passive: false },
            13 => Action::Sell { order: self.order(), is_passive: true },
            14 => match self.offer_to_cancel() {
                Some(cancel) => cancel,
                None => Action::Buy { order: self.order() },
            },
            _ => Action::Pay { to: self.trader(), user: None, token: Token::Dollar, amount: TOO_MUCH },
        };
        plan(memo, Body::Classic(vec![action]))
    }

    fn payment(&mut self, token: Token) -> Action {
        let user = self.random.one_in(8).then(|| self.random.below(1000));
        Action::Pay { to: self.trader(), user, token, amount: self.amount() }
    }

    fn transfer(&mut self, source: Account) -> Transfer {
        let token = *self.random.pick(&Token::ALL);
        let account = Holder::Account(source);
        let (from, to) = match self.random.below(4) {
            0 => (account, Holder::Vault),
            1 => (Holder::Vault, Holder::Account(self.trader())),
            _ => (account, Holder::Account(self.trader())),
        };
        let user = (to != Holder::Vault && self.random.one_in(4)).then(|| self.random.below(1000));
        let amount = if self.random.one_in(12) { TOO_MUCH } else { self.amount() };
        Transfer { token, from, to, user, amount }
    }

    fn memo(&mut self) -> Memo {
        match self.random.below(8) {
            0 => Memo::Id(self.random.next()),
            1 => Memo::Text(b"flowctl".to_vec().try_into().expect("7 of 28 bytes")),
            2 => Memo::Hash(self.hash()),
            3 => Memo::Return(self.hash()),
            _ => Memo::None,
        }
    }

    fn hash(&mut self) -> Hash {
        hash_of(&self.random.next().to_string())
    }

    fn order(&mut self) -> Order {
        let (selling, buying) = self.pair();
        let price = Price { n: self.random.between(1, 9) as i32, d: self.random.between(1, 9) as i32 };
        Order { selling, buying, amount: self.amount(), price }
    }

    fn offer_to_cancel(&mut self) -> Option<Action> {
        let offers: Vec<_> = self.state.offers().collect();
        if offers.len() < MANY_OFFERS {
            return None;
        }
        let (seller, offer) = *self.random.pick(&offers);
        let token = |asset: &_| Token::ALL.into_iter().find(|token| token.asset() == *asset);
        let (selling, buying) = (token(&offer.selling)?, token(&offer.buying)?);
        Some(Action::Cancel { seller, offer_id: offer.offer_id, selling, buying })
    }

    /// Two tokens that are not the same.
    fn pair(&mut self) -> (Token, Token) {
        let mut tokens = Token::ALL;
        self.random.shuffle(&mut tokens);
        (tokens[0], tokens[1])
    }

    fn trader(&mut self) -> Account {
        FIRST_TRADER + self.random.below(u64::from(self.n_traders)) as Account
    }

    fn amount(&mut self) -> i64 {
        self.random.between(1, 1_000_000_000)
    }
}
