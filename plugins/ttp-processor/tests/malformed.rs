//! The rules refuse as malformed exactly the ledgers that `stellar-xdr` cannot decode: over
//! generated ledgers, whole, with one byte changed, cut short, and with one byte more.
//!
//! The one difference: `stellar-xdr` takes any number for a boolean, the rules only the 0
//! and 1 that XDR knows (RFC 4506, 4.4).
#![allow(clippy::unwrap_used)]

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::*;
use stellar_xdr::{LedgerCloseMeta, Limits, ReadXdr, WriteXdr};
use ttp_processor::{Mode, Network, RuleError, Rules};

/// Deep enough for everything within the reader's own bound.
const DEPTH: u32 = 1000;

const NO_BOOLEAN: &str = "boolean that is neither 0 nor 1";

/// Generated values are mostly small: many cases are needed to meet every arm.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn ledgers_are_refused_as_malformed_where_they_cannot_be_decoded(
        seed in proptest::collection::vec(any::<u8>(), 64..6000),
        damage in any::<(usize, u8)>(),
    ) {
        let Ok(ledger) = LedgerCloseMeta::arbitrary(&mut Unstructured::new(&seed)) else { return Ok(()) };
        let Ok(mut bytes) = ledger.to_xdr(Limits { depth: 400, len: 1 << 20 }) else { return Ok(()) };
        check_ledger(&bytes);
        let at = damage.0 % bytes.len();
        check_ledger(&bytes[..at]);
        bytes[at] ^= damage.1;
        check_ledger(&bytes);
        bytes.push(0);
        check_ledger(&bytes);
    }
}

fn check_ledger(bytes: &[u8]) {
    let decoded = LedgerCloseMeta::from_xdr(bytes, Limits { depth: DEPTH, len: bytes.len() });
    for mode in [Mode::Derive, Mode::Unified] {
        let outcome = Rules::new(Network::new("testnet").unwrap(), mode).transfers(bytes, &mut |_| {});
        let is_malformed = match &outcome {
            Err(RuleError::Malformed(error)) if error.what == NO_BOOLEAN => return,
            outcome => matches!(outcome, Err(RuleError::Malformed(_))),
        };
        assert_eq!(is_malformed, decoded.is_err(), "{outcome:?} against {:?}", decoded.as_ref().err());
    }
}
