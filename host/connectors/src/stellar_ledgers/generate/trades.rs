//! Offers, the pool, and payments through them.
//!
//! What is exchanged is worked out first and done only when all of it can be: a trade
//! that fails changes nothing.

use stellar_xdr::{
    Asset, ClaimAtom, ClaimLiquidityAtom, ClaimOfferAtom, LedgerEntryData, LedgerKey, LedgerKeyOffer,
    ManageBuyOfferResult, ManageOfferSuccessResult, ManageOfferSuccessResultOffer, ManageSellOfferResult, OfferEntry,
    OfferEntryExt, OperationResultTr, PathPaymentStrictReceiveResult, PathPaymentStrictReceiveResultSuccess,
    PathPaymentStrictSendResult, PathPaymentStrictSendResultSuccess, Price, SimplePaymentResult,
};

use super::actions::{Applied, Order};
use super::names::{Account, Holder, Token, account_id, list, pool_id};
use super::state::State;

/// Most offers that one operation takes.
const MAX_FILLS: usize = 4;
/// The flag of an offer that does not take those of the same price.
const PASSIVE: u32 = 1;

/// How much of an offer is taken.
struct Fill {
    offer: OfferEntry,
    seller: Account,
    /// What the taker gets.
    n_got: i64,
    /// What the taker pays.
    n_paid: i64,
}

/// What limits how much is taken.
#[derive(Clone, Copy)]
enum Limit {
    /// So much is got.
    Get(i64),
    /// So much is paid.
    Pay(i64),
}

pub(super) fn path_receive(
    state: &mut State,
    source: Account,
    to: Account,
    (send, send_max): (Token, i64),
    (token, amount): (Token, i64),
) -> Applied {
    use PathPaymentStrictReceiveResult as Outcome;
    let failed = |result| Err(OperationResultTr::PathPaymentStrictReceive(result));
    if state.account(to).is_none() {
        return failed(Outcome::NoDestination);
    }
    let in_pool =
        (token != Token::Flow && send != Token::Flow).then(|| pool_price(state, send, token, amount)).flatten();
    let fills = match in_pool {
        Some(_) => Vec::new(),
        None => find(state, source, (send, token), Limit::Get(amount), None),
    };
    let n_got: i64 = fills.iter().map(|fill| fill.n_got).sum();
    if in_pool.is_none() && n_got < amount {
        return failed(Outcome::TooFewOffers);
    }
    let n_paid = in_pool.unwrap_or_else(|| fills.iter().map(|fill| fill.n_paid).sum());
    if n_paid > send_max {
        return failed(Outcome::OverSendmax);
    }
    if state.balance(Holder::Account(source), send) < n_paid {
        return failed(Outcome::Underfunded);
    }
    if !state.has_room(to, token, amount) {
        return failed(Outcome::LineFull);
    }
    state.shift(Holder::Account(source), send, -n_paid);
    let offers = match in_pool {
        Some(_) => vec![trade_with_pool(state, (send, n_paid), (token, amount))],
        None => take(state, (send, token), fills),
    };
    state.shift(Holder::Account(to), token, amount);
    Ok(OperationResultTr::PathPaymentStrictReceive(Outcome::Success(PathPaymentStrictReceiveResultSuccess {
        offers: list(offers),
        last: last(to, token, amount),
    })))
}

pub(super) fn path_send(
    state: &mut State,
    source: Account,
    to: Account,
    (send, amount): (Token, i64),
    token: Token,
) -> Applied {
    use PathPaymentStrictSendResult as Outcome;
    let failed = |result| Err(OperationResultTr::PathPaymentStrictSend(result));
    if state.account(to).is_none() {
        return failed(Outcome::NoDestination);
    }
    if state.balance(Holder::Account(source), send) < amount {
        return failed(Outcome::Underfunded);
    }
    let fills = find(state, source, (send, token), Limit::Pay(amount), None);
    if fills.iter().map(|fill| fill.n_paid).sum::<i64>() < amount {
        return failed(Outcome::TooFewOffers);
    }
    let n_got = fills.iter().map(|fill| fill.n_got).sum();
    if !state.has_room(to, token, n_got) {
        return failed(Outcome::LineFull);
    }
    state.shift(Holder::Account(source), send, -amount);
    let offers = take(state, (send, token), fills);
    state.shift(Holder::Account(to), token, n_got);
    Ok(OperationResultTr::PathPaymentStrictSend(Outcome::Success(PathPaymentStrictSendResultSuccess {
        offers: list(offers),
        last: last(to, token, n_got),
    })))
}

/// The result of a passive offer has the arm of a sale: so does the network's.
pub(super) fn sell(state: &mut State, source: Account, order: &Order, is_passive: bool) -> Applied {
    let Order { selling, buying, amount, price } = order;
    if state.balance(Holder::Account(source), *selling) < *amount {
        return Err(OperationResultTr::ManageSellOffer(ManageSellOfferResult::Underfunded));
    }
    let worst = Worst { price: Price { n: price.d, d: price.n }, is_taken: !is_passive };
    let fills = find(state, source, (*selling, *buying), Limit::Pay(*amount), Some(&worst));
    let n_paid: i64 = fills.iter().map(|fill| fill.n_paid).sum();
    let claimed = exchange(state, source, (*selling, *buying), fills);
    let flags = if is_passive { PASSIVE } else { 0 };
    let offer = rest(state, source, order, amount - n_paid, price.clone(), flags);
    let success = ManageOfferSuccessResult { offers_claimed: list(claimed), offer };
    Ok(OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success)))
}

pub(super) fn buy(state: &mut State, source: Account, order: &Order) -> Applied {
    let Order { selling, buying, amount, price } = order;
    let n_most = times(*amount, price.n, price.d);
    if state.balance(Holder::Account(source), *selling) < n_most {
        return Err(OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Underfunded));
    }
    let worst = Worst { price: price.clone(), is_taken: true };
    let fills = find(state, source, (*selling, *buying), Limit::Get(*amount), Some(&worst));
    let n_got: i64 = fills.iter().map(|fill| fill.n_got).sum();
    let claimed = exchange(state, source, (*selling, *buying), fills);
    let n_left = times(amount - n_got, price.n, price.d);
    let offer = rest(state, source, order, n_left, Price { n: price.d, d: price.n }, 0);
    let success = ManageOfferSuccessResult { offers_claimed: list(claimed), offer };
    Ok(OperationResultTr::ManageBuyOffer(ManageBuyOfferResult::Success(success)))
}

pub(super) fn cancel(state: &mut State, seller: Account, offer_id: i64) -> Applied {
    let key = LedgerKey::Offer(LedgerKeyOffer { seller_id: account_id(seller), offer_id });
    if state.get(&key).is_none() {
        return Err(OperationResultTr::ManageSellOffer(ManageSellOfferResult::NotFound));
    }
    state.remove_offer(seller, &key);
    let offer = ManageOfferSuccessResultOffer::Deleted;
    let success = ManageOfferSuccessResult { offers_claimed: list(Vec::new()), offer };
    Ok(OperationResultTr::ManageSellOffer(ManageSellOfferResult::Success(success)))
}

/// The highest price that is paid: what is paid for one of what is got.
struct Worst {
    price: Price,
    /// Whether an offer of just this price is taken.
    is_taken: bool,
}

/// Finds what offers give of the second token for the first, the cheapest first.
fn find(state: &State, taker: Account, (pay, get): (Token, Token), limit: Limit, worst: Option<&Worst>) -> Vec<Fill> {
    let mut offers = state.offers_for(pay, get);
    offers.retain(|(seller, offer)| {
        let is_good = worst.is_none_or(|Worst { price, is_taken }| {
            let (found, most) = (cross(offer.price.n, price.d), cross(price.n, offer.price.d));
            if *is_taken { found <= most } else { found < most }
        });
        // the taker's own offers, and those that cannot be kept, stay where they are
        is_good && *seller != taker && state.balance(Holder::Account(*seller), get) >= offer.amount
    });
    offers.sort_by(|(_, a), (_, b)| {
        cross(a.price.n, b.price.d).cmp(&cross(b.price.n, a.price.d)).then(a.offer_id.cmp(&b.offer_id))
    });
    let (mut fills, mut sellers) = (Vec::new(), Vec::new());
    let mut left = match limit {
        Limit::Get(amount) | Limit::Pay(amount) => amount,
    };
    for (seller, offer) in offers {
        if left == 0 || fills.len() == MAX_FILLS {
            break;
        }
        // once a seller: the next offer of the same one would need its balance again
        if sellers.contains(&seller) {
            continue;
        }
        let Price { n, d } = offer.price;
        let whole = times(offer.amount, n, d);
        let (n_got, n_paid) = match limit {
            Limit::Get(_) if left < offer.amount => (left, times(left, n, d)),
            Limit::Pay(_) if left < whole => ((i128::from(left) * i128::from(d) / i128::from(n)) as i64, left),
            _ => (offer.amount, whole),
        };
        if n_got == 0 || !state.has_room(seller, pay, n_paid) {
            continue;
        }
        left -= if matches!(limit, Limit::Get(_)) { n_got } else { n_paid };
        sellers.push(seller);
        fills.push(Fill { offer: offer.clone(), seller, n_got, n_paid });
    }
    fills
}

/// Takes the offers: both sides of the sellers, not those of the taker.
fn take(state: &mut State, (pay, get): (Token, Token), fills: Vec<Fill>) -> Vec<ClaimAtom> {
    let mut atoms = Vec::new();
    for Fill { mut offer, seller, n_got, n_paid } in fills {
        state.shift(Holder::Account(seller), get, -n_got);
        state.shift(Holder::Account(seller), pay, n_paid);
        atoms.push(ClaimAtom::OrderBook(ClaimOfferAtom {
            seller_id: offer.seller_id.clone(),
            offer_id: offer.offer_id,
            asset_sold: get.asset(),
            amount_sold: n_got,
            asset_bought: pay.asset(),
            amount_bought: n_paid,
        }));
        offer.amount -= n_got;
        if offer.amount > 0 {
            state.put(LedgerEntryData::Offer(offer));
        } else {
            let key = LedgerKeyOffer { seller_id: offer.seller_id, offer_id: offer.offer_id };
            state.remove_offer(seller, &LedgerKey::Offer(key));
        }
    }
    atoms
}

/// Takes the offers, both sides.
fn exchange(state: &mut State, taker: Account, (pay, get): (Token, Token), fills: Vec<Fill>) -> Vec<ClaimAtom> {
    for fill in &fills {
        state.shift(Holder::Account(taker), pay, -fill.n_paid);
        state.shift(Holder::Account(taker), get, fill.n_got);
    }
    take(state, (pay, get), fills)
}

/// Leaves what was not taken as an offer.
fn rest(
    state: &mut State,
    seller: Account,
    order: &Order,
    amount: i64,
    price: Price,
    flags: u32,
) -> ManageOfferSuccessResultOffer {
    if amount == 0 {
        return ManageOfferSuccessResultOffer::Deleted;
    }
    let offer = OfferEntry {
        seller_id: account_id(seller),
        offer_id: state.next_offer_id(),
        selling: order.selling.asset(),
        buying: order.buying.asset(),
        amount,
        price,
        flags,
        ext: OfferEntryExt::V0,
    };
    state.put(LedgerEntryData::Offer(offer.clone()));
    state.update_account(seller, |entry| entry.num_sub_entries += 1);
    ManageOfferSuccessResultOffer::Created(offer)
}

/// What the pool asks for `amount` of `get`; none where that is too much of it.
fn pool_price(state: &State, pay: Token, get: Token, amount: i64) -> Option<i64> {
    let (native, dollars) = state.reserves();
    let (paid, got) = match (pay, get) {
        (Token::Native, Token::Dollar) => (native, dollars),
        (Token::Dollar, Token::Native) => (dollars, native),
        _ => return None,
    };
    if amount > got / 4 {
        return None;
    }
    // constant product, and 0.3 % for those who provide it
    let (n, d) = (i128::from(paid) * i128::from(amount) * 10_000, i128::from(got - amount) * 9_970);
    let cost = (n + d - 1) / d;
    i64::try_from(cost).ok().filter(|cost| paid.checked_add(*cost).is_some())
}

fn trade_with_pool(state: &mut State, (pay, n_paid): (Token, i64), (get, n_got): (Token, i64)) -> ClaimAtom {
    state.shift(Holder::Pool, pay, n_paid);
    state.shift(Holder::Pool, get, -n_got);
    ClaimAtom::LiquidityPool(ClaimLiquidityAtom {
        liquidity_pool_id: pool_id(),
        asset_sold: get.asset(),
        amount_sold: n_got,
        asset_bought: pay.asset(),
        amount_bought: n_paid,
    })
}

fn last(to: Account, token: Token, amount: i64) -> SimplePaymentResult {
    let asset: Asset = token.asset();
    SimplePaymentResult { destination: account_id(to), asset, amount }
}

/// `amount * n / d`, rounded up.
fn times(amount: i64, n: i32, d: i32) -> i64 {
    let (amount, n, d) = (i128::from(amount), i128::from(n), i128::from(d));
    i64::try_from((amount * n + d - 1) / d).unwrap_or(i64::MAX)
}

fn cross(a: i32, b: i32) -> i64 {
    i64::from(a) * i64::from(b)
}
