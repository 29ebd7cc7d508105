//! Ledgers from the [`Generator`] as a source.
//!
//! An id is `NODE/SEQUENCE`. The position is the number of ledgers that were made. To go on from there all of
//! them are made again, since each depends on those before it.

use std::sync::Arc;

use flowctl_runtime::{Bounds, Fault, Piece, Position, Source};
use flowctl_topology::Node;
use flowctl_types::{Attributes, Batch, Columns, Ids};
use serde::{Deserialize, Serialize};

use super::NAME;
use super::generate::{GeneratedLedger, Generator, GeneratorSettings};
use super::network::passphrase;
use crate::ConnectorError;
use crate::background::{Background, Reader};

const DEFAULT_NETWORK: &str = "Standalone Network ; February 2017";
const MAX_TRANSACTIONS: u32 = 5_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The field `generate` of the configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    ledgers: Option<u32>,
    transactions_per_ledger: Option<u32>,
    seed: Option<u64>,
    start: Option<u32>,
}

impl Config {
    fn n_ledgers(&self) -> u32 {
        self.ledgers.unwrap_or(100)
    }

    fn transactions_per_ledger(&self) -> u32 {
        self.transactions_per_ledger.unwrap_or(50)
    }

    fn start(&self) -> u32 {
        self.start.unwrap_or(1_000)
    }
}

/// What is wrong with a configuration that has the right fields.
pub(super) fn faults(config: &Config) -> Vec<ConnectorError> {
    let mut faults = Vec::new();
    let (n_transactions, start) = (config.transactions_per_ledger(), config.start());
    if n_transactions > MAX_TRANSACTIONS {
        let reason = format!("is {n_transactions}; at most {MAX_TRANSACTIONS} are made");
        faults.push(ConnectorError::field(NAME, "generate.transactions_per_ledger", reason));
    }
    if start == 0 || start.checked_add(config.n_ledgers()).is_none() {
        let reason = format!("is {start}: sequence numbers go from 1 to {}", u32::MAX);
        faults.push(ConnectorError::field(NAME, "generate.start", reason));
    }
    faults
}

/// The source for a configuration without [`faults`].
pub(super) fn source(node: &Node, config: &Config, network: Option<String>) -> Box<dyn Source> {
    let (n_ledgers, start) = (config.n_ledgers(), config.start());
    let transactions_per_ledger = config.transactions_per_ledger();
    let network = network.unwrap_or_else(|| DEFAULT_NETWORK.to_owned());
    let passphrase = passphrase(&network).to_owned();
    let seed = config.seed.unwrap_or(1);
    Box::new(Background::new(Generated {
        node: node.id.as_str().into(),
        generator: Generator::new(GeneratorSettings { passphrase, seed, start, transactions_per_ledger }),
        settings: Settings { seed, start, transactions_per_ledger },
        n_ledgers,
        n_read: 0,
        carried: None,
        attributes: [("network".to_owned(), network)].into(),
    }))
}

struct Generated {
    /// Its node, which its ids start with.
    node: Arc<str>,
    generator: Generator,
    settings: Settings,
    /// Ledgers to make.
    n_ledgers: u32,
    /// Ledgers that were handed over.
    n_read: u32,
    /// A ledger that did not fit into the last piece.
    carried: Option<GeneratedLedger>,
    attributes: Attributes,
}

/// What ledgers depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    seed: u64,
    start: u32,
    transactions_per_ledger: u32,
}

#[derive(Serialize, Deserialize)]
struct Place {
    #[serde(flatten)]
    settings: Settings,
    n_read: u32,
}

impl Generated {
    fn position(&self) -> Position {
        let place = Place { settings: self.settings, n_read: self.n_read };
        serde_json::to_vec(&place).expect("a place is plain numbers")
    }
}

fn place(position: &[u8]) -> Result<Place, Fault> {
    serde_json::from_slice(position)
        .map_err(|error| Fault::Fatal(format!("`{NAME}` cannot read its stored position: {error}")))
}

impl Reader for Generated {
    fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let Some(position) = position else { return Ok(()) };
        let place = place(position)?;
        if place.settings != self.settings {
            return Err(Fault::Fatal(format!(
                "`{NAME}` made other ledgers before: put `seed`, `start` and `transactions_per_ledger` back, or start anew without the stored position"
            )));
        }
        // fewer may be wanted now than were made before
        self.n_read = place.n_read.min(self.n_ledgers);
        self.generator.by_ref().take(self.n_read as usize).for_each(drop);
        Ok(())
    }

    fn read(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let mut columns = Columns::default();
        let first = u64::from(self.settings.start) + u64::from(self.n_read);
        let last = match &bounds.until {
            Some(position) => place(position)?.n_read.min(self.n_ledgers),
            None => self.n_ledgers,
        };
        while columns.len() < bounds.max_events && self.n_read < last {
            let Some(ledger) = self.carried.take().or_else(|| self.generator.next()) else { break };
            if !columns.is_empty() && columns.n_bytes() + ledger.xdr.len() > bounds.max_bytes {
                self.carried = Some(ledger);
                break;
            }
            columns.push(ledger.closed_at.saturating_mul(NANOS_PER_SECOND), &ledger.xdr);
            self.n_read += 1;
        }
        let batch = (!columns.is_empty()).then(|| {
            let mut batch = Batch::new(columns, Ids::numbered(Arc::clone(&self.node), first));
            batch.attributes = self.attributes.clone();
            batch
        });
        let is_finished = self.n_read == self.n_ledgers && bounds.until.is_none();
        Ok(Piece { batch, rejected: Vec::new(), position: self.position(), is_finished })
    }
}
