//! Orders as JSON texts of one size, and the native filter over them.
//!
//! Invariant: the same texts in every process; half of them are of `MINIMUM_CENTS` or
//! more, in an order that no branch predictor learns.

use std::ops::Range;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Bytes of each text.
pub(crate) const TEXT_BYTES: usize = 386;
/// The smallest total that passes.
pub(crate) const MINIMUM_CENTS: u64 = 500_000;

/// JSON texts, one after the other.
pub(crate) struct Texts {
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Status {
    Placed,
    Paid,
    Shipped,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: u32,
    price_cents: u64,
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    customer: String,
    status: Status,
    total_cents: u64,
    currency: String,
    items: Vec<Item>,
    note: Option<String>,
    placed_at: u64,
}

impl Texts {
    /// Makes `n` orders.
    pub(crate) fn generate(n: usize) -> Result<Self> {
        let mut bytes = Vec::with_capacity(n * TEXT_BYTES);
        let mut random = 0x9e37_79b9_7f4a_7c15;
        for index in 0..n {
            let mut order = order(index, step(&mut random));
            let missing = TEXT_BYTES.checked_sub(serde_json::to_vec(&order)?.len());
            let missing = missing.context("an order is longer than its text may be")?;
            order.note = Some("leave it with the neighbours, ".chars().cycle().take(missing).collect());
            serde_json::to_writer(&mut bytes, &order)?;
        }
        Ok(Self { bytes })
    }

    /// The texts of `range`.
    pub(crate) fn of(&self, range: Range<usize>) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes[range.start * TEXT_BYTES..range.end * TEXT_BYTES].chunks_exact(TEXT_BYTES)
    }
}

/// What `order-filter` does, on structs of Rust and with `serde_json`: appends the
/// orders that pass as JSON lines. Answers how many.
pub(crate) fn filter<'t>(texts: impl Iterator<Item = &'t [u8]>, out: &mut Vec<u8>) -> Result<usize> {
    let mut n_passed = 0;
    for text in texts {
        let order: Order = serde_json::from_slice(text)?;
        if order.currency.len() == 3 && order.total_cents >= MINIMUM_CENTS {
            serde_json::to_writer(&mut *out, &order)?;
            out.push(b'\n');
            n_passed += 1;
        }
    }
    Ok(n_passed)
}

fn order(index: usize, random: u64) -> Order {
    let statuses = [Status::Placed, Status::Paid, Status::Shipped, Status::Cancelled];
    let item = |number: u64| Item {
        sku: format!("SKU-{:06}", (random >> number) % 1_000_000),
        quantity: 1 + u32::try_from((random >> (8 + number)) % 12).unwrap_or(0),
        price_cents: 10_000 + (random >> (4 + number)) % 90_000,
    };
    Order {
        id: format!("ord-2026-{index:09}"),
        customer: "Katharina Musterfrau, Hauptstrasse 12".to_owned(),
        status: statuses[usize::try_from(random % 4).unwrap_or(0)],
        total_cents: MINIMUM_CENTS + (random >> 20) % 400_000 - if random >> 63 == 0 { 400_000 } else { 0 },
        currency: ["EUR", "USD", "CHF"][usize::try_from((random >> 12) % 3).unwrap_or(0)].to_owned(),
        items: (0..3).map(item).collect(),
        note: Some(String::new()),
        placed_at: 1_764_000_000 + index as u64,
    }
}

/// A step of xorshift64.
fn step(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_orders_pass_and_all_have_one_size() {
        let texts = Texts::generate(1_000).unwrap();
        assert_eq!(texts.of(0..1_000).len(), 1_000);
        let mut out = Vec::new();
        let n_passed = filter(texts.of(0..1_000), &mut out).unwrap();
        assert!((450..=550).contains(&n_passed), "{n_passed}");
        assert_eq!(out.len(), n_passed * (TEXT_BYTES + 1));
    }
}
