//! The walks over XDR accept what `stellar-xdr` accepts, and end where it ends: over
//! generated values, whole, with one byte changed, and cut short.
//!
//! The one difference: `stellar-xdr` takes any number for a boolean, the walks only
//! the 0 and 1 that XDR knows (RFC 4506, 4.4).
#![allow(clippy::unwrap_used)]

use arbitrary::{Arbitrary, Unstructured};
use flowctl_xdr::{self as xdr, Read, Reader};
use proptest::prelude::*;
use stellar_xdr::{
    ContractEvent, LedgerCloseMeta, LedgerEntry, LedgerEntryChanges, LedgerKey, Limited, Limits, Operation,
    OperationResult, ReadXdr, ScVal, SignerKey, TransactionEnvelope, TransactionMeta, TransactionResultPair, WriteXdr,
};

/// Deep enough for everything within the walks' own bound.
const DEPTH: u32 = 1000;

const NO_BOOLEAN: &str = "boolean that is neither 0 nor 1";

fn check<T: ReadXdr>(bytes: &[u8], walk: fn(&mut Reader<'_>) -> Read<()>) {
    let mut reader = Reader::new(bytes);
    let walked = walk(&mut reader).map(|()| reader.position());
    let mut limited = Limited::new(bytes, Limits { depth: DEPTH, len: bytes.len() });
    let decoded = T::read_xdr(&mut limited).map(|_| bytes.len() - limited.inner.len());
    if walked.is_err_and(|error| error.what == NO_BOOLEAN) {
        return;
    }
    assert_eq!(walked.ok(), decoded.as_ref().ok().copied(), "{walked:?} against {decoded:?}");
}

fn check_with_damage<'s, T: ReadXdr + WriteXdr + Arbitrary<'s>>(
    seed: &'s [u8],
    damage: (usize, u8),
    walk: fn(&mut Reader<'_>) -> Read<()>,
) {
    let Ok(value) = T::arbitrary(&mut Unstructured::new(seed)) else { return };
    let Ok(mut bytes) = value.to_xdr(Limits { depth: 400, len: 1 << 20 }) else { return };
    check::<T>(&bytes, walk);
    let at = damage.0 % bytes.len();
    check::<T>(&bytes[..at], walk);
    bytes[at] ^= damage.1;
    check::<T>(&bytes, walk);
}

/// Generated values are mostly small: many cases are needed to meet every arm.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() }
}

fn seed() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 64..1500)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn entries_are_walked_as_decoded(seed in seed(), damage in any::<(usize, u8)>()) {
        check_with_damage::<LedgerEntry>(&seed, damage, xdr::entry);
        check_with_damage::<LedgerEntryChanges>(&seed, damage, |r| xdr::changes(r).map(drop));
        check_with_damage::<LedgerKey>(&seed, damage, xdr::key);
    }

    #[test]
    fn operations_are_walked_as_decoded(seed in seed(), damage in any::<(usize, u8)>()) {
        check_with_damage::<Operation>(&seed, damage, xdr::operation);
        check_with_damage::<OperationResult>(&seed, damage, xdr::operation_result);
        check_with_damage::<SignerKey>(&seed, damage, xdr::signer_key);
    }

    #[test]
    fn values_are_walked_as_decoded(seed in seed(), damage in any::<(usize, u8)>()) {
        check_with_damage::<ScVal>(&seed, damage, xdr::value);
        check_with_damage::<ContractEvent>(&seed, damage, xdr::event);
    }

    #[test]
    fn ledgers_are_walked_as_decoded(
        seed in proptest::collection::vec(any::<u8>(), 64..6000),
        damage in any::<(usize, u8)>(),
    ) {
        check_with_damage::<LedgerCloseMeta>(&seed, damage, xdr::ledger);
        check_with_damage::<TransactionEnvelope>(&seed, damage, xdr::envelope);
        check_with_damage::<TransactionResultPair>(&seed, damage, xdr::result);
        check_with_damage::<TransactionMeta>(&seed, damage, xdr::transaction_meta);
    }
}

#[test]
fn values_nested_beyond_the_bound_are_refused() {
    let nested = |depth: usize| {
        let level = [0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 1];
        let mut bytes = level.repeat(depth);
        bytes.extend([0, 0, 0, 1]);
        bytes
    };
    let within = nested(xdr::MAX_NESTING as usize);
    xdr::value(&mut Reader::new(&within)).unwrap();
    let beyond = nested(xdr::MAX_NESTING as usize + 1);
    assert_eq!(xdr::value(&mut Reader::new(&beyond)).unwrap_err().what, "values nested too deeply");
}
