//! Which orders pass.
#![allow(clippy::unwrap_used)]

use flowctl_sdk::testing::Host;
use order_filter::order_filter::{Config, Item, Order, OrderFilter, Status};

fn order(total_cents: u64, currency: &str) -> Order {
    Order {
        id: "o-1".into(),
        customer: "ada".into(),
        status: Status::Paid,
        total_cents,
        currency: currency.into(),
        items: vec![Item { sku: "tea".into(), quantity: 1, price_cents: total_cents }],
        note: Some("no sugar".into()),
        placed_at: 1_700_000_000,
    }
}

#[test]
fn total_and_currency_decide() {
    let cases: [(&[&str], u64, &str, bool); 5] = [
        (&[], 100, "EUR", true),
        (&[], 99, "EUR", false),
        (&["EUR", "CHF"], 100, "CHF", true),
        (&["EUR", "CHF"], 100, "USD", false),
        (&["USD"], u64::MAX, "USD", true),
    ];
    for (currencies, total_cents, currency, passes) in cases {
        let currencies = currencies.iter().map(|&code| code.to_owned()).collect();
        let mut host = Host::<OrderFilter>::start(Config { minimum: 100, currencies }).unwrap();
        let answer = host.send([order(total_cents, currency)]).unwrap();
        let expected = if passes { vec![order(total_cents, currency)] } else { vec![] };
        assert_eq!(answer.events, expected, "{total_cents} {currency}");
    }
}

#[test]
fn order_without_a_currency_is_rejected() {
    let mut host = Host::<OrderFilter>::start(Config { minimum: 0, currencies: vec![] }).unwrap();
    let answer = host.send([order(1, "EUR"), order(1, "")]).unwrap();
    assert_eq!(answer.events, [order(1, "EUR")]);
    assert_eq!(answer.rejected, [(1, "it has no currency".to_owned())]);
}
