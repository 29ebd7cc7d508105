//! Ledgers that nobody closed: the same for a seed, valid as XDR, and true to
//! themselves.
//!
//! A [`Generator`] keeps a small network: accounts, trust lines, offers, a pool, a
//! contract. Transactions are drawn, charged and applied to it. Invariant: hashes are
//! those of what they are of, a ledger's changes are those of the network's entries,
//! and tokens come from somewhere and go somewhere. Left out: signatures, consensus,
//! the bucket list and reserves. Ledgers are those of protocol 23 (LedgerCloseMeta V2,
//! transaction meta V4), without events of classic operations.

#![expect(clippy::result_large_err, reason = "an operation's result is as large when it succeeds as when it fails")]

mod actions;
mod ledger;
mod names;
mod plan;
mod soroban;
mod state;
mod trades;
mod transaction;

pub use ledger::{GeneratedLedger, Generator, GeneratorSettings};
