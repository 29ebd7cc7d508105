//! The cases derived from the unit tests of the reference implementation.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::event::Kind;
use crate::{DataError, Event, formats};

/// One ledger of one transaction, and what must come out of it.
#[derive(Debug, Clone)]
pub struct UnitCase {
    /// The name of the test it was derived from; unique.
    pub name: String,
    /// How the ledger is to be read: `derive` or `unified`.
    pub mode: String,
    /// The passphrase of the network.
    pub passphrase: String,
    /// The XDR of the `LedgerCloseMeta`.
    pub ledger: Vec<u8>,
    /// What must come of it.
    pub outcome: Outcome,
}

/// What must come of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These events, in this order.
    Events(Vec<Event>),
    /// An error. The text is the reference's own.
    Error(String),
}

#[derive(Deserialize)]
struct Line {
    test: String,
    skipped: Option<String>,
    mode: Option<String>,
    network: Option<String>,
    ledger_xdr: Option<String>,
    #[serde(default)]
    events: Option<Vec<Value>>,
    error: Option<String>,
    matches_test_expectation: Option<bool>,
}

pub(crate) fn read(path: &Path) -> Result<Vec<UnitCase>, DataError> {
    let content = |item, what: String| DataError::Content { path: path.to_owned(), item, what };
    let mut cases = Vec::new();
    for (item, line) in formats::text(path)?.lines().enumerate() {
        let line: Line = serde_json::from_str(line).map_err(|error| content(item, error.to_string()))?;
        if line.skipped.is_none() {
            cases.push(case(line).ok_or_else(|| content(item, "no unit case".to_owned()))?);
        }
    }
    Ok(cases)
}

fn case(line: Line) -> Option<UnitCase> {
    let outcome = match line.error {
        Some(error) => Outcome::Error(error),
        None => {
            let events = line.events.unwrap_or_default();
            let mut events = events.iter().map(Event::from_protojson).collect::<Option<Vec<_>>>()?;
            if line.matches_test_expectation == Some(false) {
                correct_burn(&mut events)?;
            }
            Outcome::Events(events)
        }
    };
    Some(UnitCase {
        name: line.test,
        mode: line.mode?,
        passphrase: line.network?,
        ledger: STANDARD.decode(line.ledger_xdr?).ok()?,
        outcome,
    })
}

/// The reference burns the wrong one of a pool's two assets in the one case that is
/// marked so: right is a burn of 20000000 ETH from the same pool.
fn correct_burn(events: &mut [Event]) -> Option<()> {
    let burn = events.iter_mut().find(|event| event.kind == Kind::Burn)?;
    burn.asset = Some("ETH:GCEODJVUUVYVFD5KT4TOEDTMXQ76OPFOQC2EMYYMLPXQCUVPOB6XRWPQ".to_owned());
    burn.contract_address = "CARGKIFP6DDTCIRQA2DKZYZIUIY6ICIADILKAHQFLRG637I2FYTEWMXC".to_owned();
    burn.amount = "20000000".to_owned();
    Some(())
}
