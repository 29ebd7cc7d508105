//! A page of ledgers, read and checked.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::calls::{self, CallError};
use super::position::hex;
use crate::stellar_ledgers::ledger::{self, MAX_LEDGER_BYTES};

/// What the first ledger of a page must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Its sequence number.
    pub(super) next: u32,
    /// The hash of the ledger before it, where that is known.
    pub(super) previous_hash: Option<[u8; 32]>,
}

/// Ledgers in a row.
pub(super) struct Page {
    /// From the wanted one on, as far as nothing is in doubt.
    pub(super) ledgers: Vec<Ledger>,
    /// Why the ledger behind them, which the server gave too, cannot be taken.
    pub(super) doubt: Option<String>,
    /// The first ledger that the server has.
    pub(super) oldest: Option<u32>,
    /// The last one.
    pub(super) latest: Option<u32>,
    /// What asks for the page behind.
    pub(super) cursor: Option<String>,
}

/// One ledger.
pub(super) struct Ledger {
    pub(super) sequence: u32,
    /// Nanoseconds since the Unix epoch.
    pub(super) closed_at: u64,
    pub(super) hash: [u8; 32],
    pub(super) xdr: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    ledgers: Option<Vec<Entry<'a>>>,
    oldest_ledger: Option<u32>,
    latest_ledger: Option<u32>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    sequence: u32,
    #[serde(borrow)]
    hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata_xdr: Cow<'a, str>,
}

/// Reads the answer of `getLedgers`. Decoding recurses, so it wants a deep stack.
pub(super) fn read(body: &[u8], mut wanted: Wanted) -> Result<Page, CallError> {
    let answer: Answer<'_> = calls::result(body)?;
    let mut page = Page {
        ledgers: Vec::new(),
        doubt: None,
        oldest: answer.oldest_ledger,
        latest: answer.latest_ledger,
        cursor: answer.cursor.filter(|cursor| !cursor.is_empty()),
    };
    for entry in answer.ledgers.unwrap_or_default() {
        match entry.ledger(wanted) {
            Ok(ledger) => {
                let Some(next) = ledger.sequence.checked_add(1) else { return Ok(page) };
                wanted = Wanted { next, previous_hash: Some(ledger.hash) };
                page.ledgers.push(ledger);
            }
            Err(doubt) => {
                page.doubt = Some(doubt);
                break;
            }
        }
    }
    Ok(page)
}

impl Entry<'_> {
    /// Decodes and checks it, or says what is wrong with it.
    fn ledger(&self, wanted: Wanted) -> Result<Ledger, String> {
        let Wanted { next, previous_hash } = wanted;
        if self.sequence != next {
            return Err(format!("ledger {next} is missing: ledger {} came in its place", self.sequence));
        }
        let xdr = STANDARD
            .decode(self.metadata_xdr.as_bytes())
            .map_err(|error| format!("the XDR of ledger {next} is no base64: {error}"))?;
        if xdr.len() > MAX_LEDGER_BYTES {
            return Err(format!("ledger {next} has {} bytes, and at most {MAX_LEDGER_BYTES} are taken", xdr.len()));
        }
        let header =
            ledger::header(&xdr).map_err(|error| format!("the XDR of ledger {next} is no LedgerCloseMeta: {error}"))?;
        if ledger::is_damaged(&xdr) {
            return Err(format!("the XDR of ledger {next} is cut off, or goes on behind its end"));
        }
        if header.sequence != next {
            return Err(format!("ledger {next} is missing: ledger {} was given out under its number", header.sequence));
        }
        let hash = hex(&header.hash);
        if let Some(said) = self.hash.as_ref().filter(|said| !said.eq_ignore_ascii_case(&hash)) {
            return Err(format!("ledger {next} has hash {hash} and was given out under {}", said.escape_debug()));
        }
        if let Some(previous) = previous_hash.filter(|previous| *previous != header.previous_hash) {
            let (follows, came) = (hex(&header.previous_hash), hex(&previous));
            return Err(format!(
                "ledger {next} follows a ledger of hash {follows}, and the one before it has {came}: \
                 the server is of another network, or the network was reset"
            ));
        }
        Ok(Ledger { sequence: next, closed_at: header.closed_at, hash: header.hash, xdr })
    }
}
