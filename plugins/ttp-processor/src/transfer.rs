//! What comes out: one movement of one asset, as `stellar:token-transfer/event@1.0.0`
//! has it.
//!
//! Invariant: fields are named and ordered as in the WIT record, so that serialising a
//! [`Transfer`] gives the record's payload.

use serde::Serialize;

/// What happened to the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// They moved from one holder to another.
    Transfer,
    /// They came into being.
    Mint,
    /// They ceased to be.
    Burn,
    /// Their issuer took them.
    Clawback,
    /// They were paid for a transaction, or given back.
    Fee,
}

/// What tells apart the users who share the account in `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Muxed<'a> {
    /// The number of a muxed account, or a memo of type id.
    Id(u64),
    /// A memo of type text. Bytes that are no UTF-8 are replaced by U+FFFD: the
    /// network allows them, the event type does not.
    Text(std::borrow::Cow<'a, str>),
    /// A memo of type hash or return: 32 bytes.
    Hash(&'a [u8]),
}

/// One movement of one asset. The texts are lent for the time of the call that
/// receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transfer<'a> {
    /// What happened.
    pub kind: Kind,
    /// The sequence number of the ledger.
    pub ledger_sequence: u32,
    /// When the ledger closed, in seconds since the Unix epoch.
    pub closed_at: u64,
    /// The transaction's hash: 64 lower-case hexadecimal digits.
    pub tx_hash: &'a str,
    /// The transaction's place in the order of application, from 1.
    pub transaction_index: u32,
    /// The operation's place in the transaction, from 1; none for fees.
    pub operation_index: Option<u32>,
    /// The contract of the asset (C…).
    pub contract_address: &'a str,
    /// Who gave.
    pub from: Option<&'a str>,
    /// Who received.
    pub to: Option<&'a str>,
    /// `native`, or CODE:ISSUER; none for a token that only a contract knows.
    pub asset: Option<&'a str>,
    /// How much, as a decimal integer in the asset's smallest unit.
    pub amount: &'a str,
    /// The user of the receiving account, where the transaction names one.
    pub to_muxed: Option<Muxed<'a>>,
}
