//! Ledgers: `stellar.v1.RawLedger` there, the XDR of a LedgerCloseMeta here.

use flowctl_proto::stellar::RawLedger;
use flowctl_proto::v1;
use flowctl_xdr::{Read, Reader};
use prost::Message as _;

use super::{Decoded, NANOS_PER_SECOND, check_size};

/// What a ledger's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) sequence: u32,
    /// Seconds since the Unix epoch.
    pub(super) closed_at: u64,
}

/// Appends the ledger of `event`. Its sequence number is its cursor.
pub(super) fn decode(event: &v1::Event, time: u64, decoded: &mut Decoded) -> Result<(), String> {
    let ledger = RawLedger::decode(&*event.payload).map_err(|error| format!("it is no `RawLedger`: {error}"))?;
    check_size(ledger.ledger_close_meta_xdr.len())?;
    let closed_at = u64::try_from(ledger.closed_at).unwrap_or_default().saturating_mul(NANOS_PER_SECOND);
    decoded.columns.data = ledger.ledger_close_meta_xdr;
    decoded.columns.finish_event(if time == 0 { closed_at } else { time });
    decoded.description.cursor = Some((ledger.sequence.into(), 0));
    decoded.network = Some(ledger.network).filter(|network| !network.is_empty());
    Ok(())
}

/// Reads the header of a ledger from the ledger's first bytes.
pub(super) fn header(xdr: &[u8]) -> Read<Header> {
    let mut r = Reader::new(xdr);
    if r.choice(2, "unknown version of LedgerCloseMeta")? > 0 && r.choice(1, "unknown extension of a ledger")? == 1 {
        r.no_extension()?;
        r.skip(8)?;
    }
    // hash of the header; version, previous hash and transaction set
    r.skip(32 + 4 + 32 + 32)?;
    let closed_at = r.u64()?;
    r.list(6, |r| r.opaque(128).map(drop))?;
    if r.choice(1, "unknown extension of a ledger's value")? == 1 {
        r.choice(0, "unknown kind of key")?;
        r.skip(32)?;
        r.opaque(64)?;
    }
    // results and bucket list
    r.skip(32 + 32)?;
    Ok(Header { sequence: r.u32()?, closed_at })
}
