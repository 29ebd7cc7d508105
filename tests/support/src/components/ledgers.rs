//! The ledgers that the source emits, and what their headers say.

use std::path::Path;

use stellar_xdr::{LedgerCloseMetaExt, LedgerHeaderHistoryEntry, Limited, Limits, ReadXdr};

use crate::{DATA_FILES, DataError, Format, formats};

/// More than any header has.
const LIMITS: Limits = Limits { depth: 500, len: 64 << 10 };

/// A ledger and what its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) sequence: u32,
    /// Seconds since the Unix epoch.
    pub(super) closed_at: u64,
    pub(super) xdr: Vec<u8>,
}

/// Reads the ledgers of a file: those of the shared data are known by name, others have
/// one in base64 a line.
pub(super) fn read(path: &Path) -> Result<Vec<Ledger>, DataError> {
    let known = DATA_FILES.iter().find(|file| path.ends_with(file.name));
    let ledgers = formats::ledgers(path, known.map_or(Format::B64Lines, |file| file.format))?;
    let read = |(item, xdr): (usize, Vec<u8>)| {
        let content =
            |error: stellar_xdr::Error| DataError::Content { path: path.to_owned(), item, what: error.to_string() };
        let (sequence, closed_at) = header(&xdr).map_err(content)?;
        Ok(Ledger { sequence, closed_at, xdr })
    };
    ledgers.into_iter().enumerate().map(read).collect()
}

fn header(xdr: &[u8]) -> Result<(u32, u64), stellar_xdr::Error> {
    let mut input = Limited::new(xdr, LIMITS);
    match i32::read_xdr(&mut input)? {
        0 => {}
        1 | 2 => {
            LedgerCloseMetaExt::read_xdr(&mut input)?;
        }
        _ => return Err(stellar_xdr::Error::Invalid),
    }
    let LedgerHeaderHistoryEntry { header, .. } = LedgerHeaderHistoryEntry::read_xdr(&mut input)?;
    Ok((header.ledger_seq, header.scp_value.close_time.0))
}

/// The ledgers behind a place: the sequence of one, with or without an index in it. None
/// where the text is no place.
pub(super) fn behind<'l>(ledgers: &'l [Ledger], token: &str) -> Option<&'l [Ledger]> {
    let (sequence, index) = token.split_once('-').unwrap_or((token, "0"));
    let sequence: u32 = sequence.parse().ok()?;
    index.parse::<u32>().ok()?;
    let last = ledgers.iter().rposition(|ledger| ledger.sequence == sequence);
    let first = match last {
        Some(last) => last + 1,
        None => ledgers.iter().take_while(|ledger| ledger.sequence < sequence).count(),
    };
    ledgers.get(first..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_before_what_is_left() {
        let ledger = |sequence| Ledger { sequence, closed_at: 0, xdr: Vec::new() };
        let ledgers = [3, 4, 6].map(ledger);
        let left = ["2", "3", "3-7", "4-0", "5", "6", "7", "x", "3-x", ""].map(|token| {
            behind(&ledgers, token).map(|left| left.iter().map(|ledger| ledger.sequence).collect::<Vec<_>>())
        });
        let some = |sequences: &[u32]| Some(sequences.to_vec());
        let [all, two, one, none] = [some(&[3, 4, 6]), some(&[4, 6]), some(&[6]), some(&[])];
        assert_eq!(left, [all, two.clone(), two, one.clone(), one, none.clone(), none, None, None, None]);
    }
}
