//! Operations: what a generated transaction asks for, and what comes of it.

use stellar_xdr::{
    AccountMergeResult, Asset, CreateAccountOp, CreateAccountResult, CreatePassiveSellOfferOp, LedgerEntryData,
    ManageBuyOfferOp, ManageSellOfferOp, Operation, OperationBody, OperationResult, OperationResultTr,
    PathPaymentStrictReceiveOp, PathPaymentStrictSendOp, PaymentOp, PaymentResult, Price,
};

use super::names::{Account, Holder, Token, account_id, account_key, list, muxed};
use super::state::State;
use super::trades;

/// One operation.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Pays a token. From its issuer that is a mint, to its issuer a burn.
    Pay { to: Account, user: Option<u64>, token: Token, amount: i64 },
    /// Makes an account.
    Create { account: Account, amount: i64 },
    /// Ends the source account.
    Merge { into: Account },
    /// Pays with another token, through the pool or the offers.
    PathReceive { to: Account, send: Token, send_max: i64, token: Token, amount: i64 },
    /// Pays with another token, through the offers.
    PathSend { to: Account, send: Token, amount: i64, token: Token },
    /// Offers a token.
    Sell { order: Order, is_passive: bool },
    /// Bids for a token.
    Buy { order: Order },
    /// Takes an offer back, for its seller.
    Cancel { seller: Account, offer_id: i64, selling: Token, buying: Token },
}

/// What an offer says. For a sale the amount is of what is sold and the price is what
/// is bought for one of it; for a bid both are the other way round.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) selling: Token,
    pub(super) buying: Token,
    pub(super) amount: i64,
    pub(super) price: Price,
}

/// What an operation came to: whether it succeeded, and its result.
pub(super) type Applied = Result<OperationResultTr, OperationResultTr>;

impl Action {
    /// The operation as a transaction of another account may have it.
    pub(super) fn operation(&self) -> Operation {
        let source_account = match self {
            Self::Cancel { seller, .. } => Some(muxed(*seller, None)),
            _ => None,
        };
        Operation { source_account, body: self.body() }
    }

    fn body(&self) -> OperationBody {
        match self.clone() {
            Self::Pay { to, user, token, amount } => {
                OperationBody::Payment(PaymentOp { destination: muxed(to, user), asset: token.asset(), amount })
            }
            Self::Create { account, amount } => OperationBody::CreateAccount(CreateAccountOp {
                destination: account_id(account),
                starting_balance: amount,
            }),
            Self::Merge { into } => OperationBody::AccountMerge(muxed(into, None)),
            Self::PathReceive { to, send, send_max, token, amount } => {
                OperationBody::PathPaymentStrictReceive(PathPaymentStrictReceiveOp {
                    send_asset: send.asset(),
                    send_max,
                    destination: muxed(to, None),
                    dest_asset: token.asset(),
                    dest_amount: amount,
                    path: no_path(),
                })
            }
            Self::PathSend { to, send, amount, token } => {
                OperationBody::PathPaymentStrictSend(PathPaymentStrictSendOp {
                    send_asset: send.asset(),
                    send_amount: amount,
                    destination: muxed(to, None),
                    dest_asset: token.asset(),
                    dest_min: 1,
                    path: no_path(),
                })
            }
            Self::Sell { order: Order { selling, buying, amount, price }, is_passive: true } => {
                OperationBody::CreatePassiveSellOffer(CreatePassiveSellOfferOp {
                    selling: selling.asset(),
                    buying: buying.asset(),
                    amount,
                    price,
                })
            }
            Self::Sell { order: Order { selling, buying, amount, price }, is_passive: false } => {
                manage_sell(selling, buying, amount, price, 0)
            }
            Self::Buy { order: Order { selling, buying, amount, price } } => {
                OperationBody::ManageBuyOffer(ManageBuyOfferOp {
                    selling: selling.asset(),
                    buying: buying.asset(),
                    buy_amount: amount,
                    price,
                    offer_id: 0,
                })
            }
            Self::Cancel { offer_id, selling, buying, .. } => {
                manage_sell(selling, buying, 0, Price { n: 1, d: 1 }, offer_id)
            }
        }
    }

    /// Does it, for `source`. Where it fails, nothing has changed.
    pub(super) fn apply(&self, state: &mut State, source: Account) -> Applied {
        match self {
            Self::Pay { to, token, amount, .. } => pay(state, source, *to, *token, *amount),
            Self::Create { account, amount } => create(state, source, *account, *amount),
            Self::Merge { into } => merge(state, source, *into),
            Self::PathReceive { to, send, send_max, token, amount } => {
                trades::path_receive(state, source, *to, (*send, *send_max), (*token, *amount))
            }
            Self::PathSend { to, send, amount, token } => {
                trades::path_send(state, source, *to, (*send, *amount), *token)
            }
            Self::Sell { order, is_passive } => trades::sell(state, source, order, *is_passive),
            Self::Buy { order } => trades::buy(state, source, order),
            Self::Cancel { seller, offer_id, .. } => trades::cancel(state, *seller, *offer_id),
        }
    }
}

/// The result of an operation that was applied.
pub(super) fn result(applied: Applied) -> OperationResult {
    OperationResult::OpInner(applied.unwrap_or_else(|failure| failure))
}

fn no_path() -> stellar_xdr::VecM<Asset, 5> {
    list(Vec::new())
}

fn manage_sell(selling: Token, buying: Token, amount: i64, price: Price, offer_id: i64) -> OperationBody {
    let (selling, buying) = (selling.asset(), buying.asset());
    OperationBody::ManageSellOffer(ManageSellOfferOp { selling, buying, amount, price, offer_id })
}

fn pay(state: &mut State, source: Account, to: Account, token: Token, amount: i64) -> Applied {
    let failed = |result| Err(OperationResultTr::Payment(result));
    if state.balance(Holder::Account(source), token) < amount {
        return failed(PaymentResult::Underfunded);
    }
    if state.account(to).is_none() {
        return failed(PaymentResult::NoDestination);
    }
    if !state.has_room(to, token, amount) {
        return failed(PaymentResult::LineFull);
    }
    state.shift(Holder::Account(source), token, -amount);
    state.shift(Holder::Account(to), token, amount);
    Ok(OperationResultTr::Payment(PaymentResult::Success))
}

fn create(state: &mut State, source: Account, account: Account, amount: i64) -> Applied {
    let failed = |result| Err(OperationResultTr::CreateAccount(result));
    if state.account(account).is_some() {
        return failed(CreateAccountResult::AlreadyExist);
    }
    if state.balance(Holder::Account(source), Token::Native) < amount {
        return failed(CreateAccountResult::Underfunded);
    }
    state.shift(Holder::Account(source), Token::Native, -amount);
    state.put_account(account, amount);
    Ok(OperationResultTr::CreateAccount(CreateAccountResult::Success))
}

fn merge(state: &mut State, source: Account, into: Account) -> Applied {
    let failed = |result| Err(OperationResultTr::AccountMerge(result));
    let Some(LedgerEntryData::Account(entry)) = state.get(&account_key(source)) else {
        return failed(AccountMergeResult::NoAccount);
    };
    let balance = entry.balance;
    if entry.num_sub_entries > 0 {
        return failed(AccountMergeResult::HasSubEntries);
    }
    if source == into || state.account(into).is_none() {
        return failed(AccountMergeResult::Malformed);
    }
    if !state.has_room(into, Token::Native, balance) {
        return failed(AccountMergeResult::DestFull);
    }
    state.remove(&account_key(source));
    state.shift(Holder::Account(into), Token::Native, balance);
    Ok(OperationResultTr::AccountMerge(AccountMergeResult::Success(balance)))
}
