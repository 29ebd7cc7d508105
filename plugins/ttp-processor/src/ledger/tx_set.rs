//! The transaction set: envelopes in an order of its own, found again by their hash.

use flowctl_xdr::{Read, Reader};

use super::envelope::{self, Envelope};
use crate::network::Network;

/// The envelopes of a ledger, sorted by hash.
pub(super) struct Envelopes<'a>(Vec<Envelope<'a>>);

impl<'a> Envelopes<'a> {
    pub(super) fn find(&self, hash: &[u8; 32]) -> Option<&Envelope<'a>> {
        let at = self.0.binary_search_by(|envelope| envelope.hash.cmp(hash)).ok()?;
        self.0.get(at)
    }
}

/// Reads a `TransactionSet`, or a `GeneralizedTransactionSet` with all of its phases.
pub(super) fn read<'a>(r: &mut Reader<'a>, is_generalized: bool, network: &Network) -> Read<Envelopes<'a>> {
    let mut envelopes = Vec::new();
    let mut transactions = |r: &mut Reader<'a>| {
        r.list(u32::MAX, |r| {
            envelopes.push(envelope::read(r, network)?);
            Ok(())
        })
        .map(drop)
    };
    if is_generalized {
        if r.u32()? != 1 {
            return Err(r.malformed("unknown version of the transaction set"));
        }
        r.skip(32)?;
        r.list(u32::MAX, |r| match r.u32()? {
            0 => r
                .list(u32::MAX, |r| {
                    r.choice(0, "unknown type of transaction set component")?;
                    r.optional(|r| r.skip(8))?;
                    transactions(r)
                })
                .map(drop),
            1 => {
                r.optional(|r| r.skip(8))?;
                r.list(u32::MAX, |stage| stage.list(u32::MAX, &mut transactions).map(drop)).map(drop)
            }
            _ => Err(r.malformed("unknown type of transaction phase")),
        })?;
    } else {
        r.skip(32)?;
        transactions(r)?;
    }
    envelopes.sort_unstable_by_key(|envelope| envelope.hash);
    Ok(Envelopes(envelopes))
}
