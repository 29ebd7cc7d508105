//! A contract event read in place: its contract, the first topics and the data.

use flowctl_xdr::{self as xdr, Read, Reader};
use stellar_xdr::ScAddress;

use super::{decode_address, padded};
use crate::movement::User;

const U64: u32 = 5;
const I128: u32 = 10;
const BYTES: u32 = 13;
const STRING: u32 = 14;
const SYMBOL: u32 = 15;
const MAP: u32 = 17;

const CONTRACT_EVENT: u32 = 1;

/// Topics from the fifth on mean nothing to the rules.
const N_KEPT_TOPICS: usize = 4;

/// The parts of a contract event.
pub(crate) struct EventView<'a> {
    /// The contract that emitted it.
    pub contract: Option<[u8; 32]>,
    /// Whether it is an event of a contract, not of the system or for diagnosis.
    pub is_contract: bool,
    /// How many topics it has.
    pub n_topics: usize,
    topics: [Reader<'a>; N_KEPT_TOPICS],
    data: Reader<'a>,
}

/// Whether an event has the type, contract, number of topics and name of a token event:
/// most have not, and need not be walked over.
pub(crate) fn may_be_token_event(mut r: Reader<'_>) -> Read<bool> {
    r.no_extension()?;
    if !r.boolean()? {
        return Ok(false);
    }
    r.skip(32)?;
    let is_contract = r.u32()? == CONTRACT_EVENT;
    r.no_extension()?;
    let n_topics = r.u32()?;
    let is_named = |name: &[u8]| matches!(name, b"transfer" | b"mint" | b"burn" | b"clawback");
    Ok(is_contract && n_topics >= 2 && symbol(r).is_some_and(is_named))
}

impl<'a> EventView<'a> {
    /// Reads a `ContractEvent`.
    pub(crate) fn read(mut r: Reader<'a>) -> Read<Self> {
        r.no_extension()?;
        let contract = if r.boolean()? { Some(*r.array()?) } else { None };
        let is_contract = r.u32()? == CONTRACT_EVENT;
        r.no_extension()?;
        let mut topics = [r; N_KEPT_TOPICS];
        let mut n_topics = 0;
        r.list(u32::MAX, |r| {
            if let Some(topic) = topics.get_mut(n_topics) {
                *topic = *r;
            }
            n_topics += 1;
            xdr::value(r)
        })?;
        Ok(Self { contract, is_contract, n_topics, topics, data: r })
    }

    /// The first topic, where it is a symbol: the event's name.
    pub(crate) fn symbol(&self) -> Option<&'a [u8]> {
        self.topic(0).and_then(symbol)
    }

    /// The topic at `index`, where it is an address.
    pub(crate) fn address(&self, index: usize) -> Option<ScAddress> {
        self.topic(index).and_then(decode_address)
    }

    /// The topic at `index`, where it is a string.
    pub(crate) fn text(&self, index: usize) -> Option<&'a [u8]> {
        opaque(self.topic(index)?, STRING)
    }

    /// The data, where it is an i128.
    pub(crate) fn amount(&self) -> Option<i128> {
        i128(self.data)
    }

    /// The data, where it is an i128, or a map of `amount` and, where it names a user of
    /// the receiving account, `to_muxed_id`.
    pub(crate) fn amount_and_user(&self) -> Option<(i128, Option<User<'a>>)> {
        let mut r = self.data;
        if r.u32().ok()? != MAP {
            return Some((self.amount()?, None));
        }
        if !r.boolean().ok()? {
            return None;
        }
        let (mut amount, mut to_muxed) = (None, None);
        for _ in 0..r.u32().ok()? {
            let key = symbol(r)?;
            xdr::value(&mut r).ok()?;
            match key {
                b"amount" => amount = Some(i128(r)?),
                b"to_muxed_id" => to_muxed = Some(user(r)?),
                _ => {}
            }
            xdr::value(&mut r).ok()?;
        }
        Some((amount?, to_muxed))
    }

    fn topic(&self, index: usize) -> Option<Reader<'a>> {
        if index < self.n_topics { self.topics.get(index).copied() } else { None }
    }
}

fn symbol(value: Reader<'_>) -> Option<&[u8]> {
    opaque(value, SYMBOL)
}

fn opaque(mut value: Reader<'_>, kind: u32) -> Option<&[u8]> {
    if value.u32().ok()? == kind { value.opaque(u32::MAX).ok() } else { None }
}

fn i128(mut value: Reader<'_>) -> Option<i128> {
    if value.u32().ok()? != I128 {
        return None;
    }
    value.array().ok().map(|bytes| i128::from_be_bytes(*bytes))
}

fn user(mut value: Reader<'_>) -> Option<User<'_>> {
    match value.u32().ok()? {
        U64 => value.u64().ok().map(User::Id),
        BYTES => value.opaque(u32::MAX).ok().map(|bytes| User::Hash(padded(bytes))),
        STRING => value.opaque(u32::MAX).ok().map(User::Text),
        _ => None,
    }
}
