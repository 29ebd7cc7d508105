//! Source `stellar-ledgers`: ledgers of the Stellar network, from files.
//!
//! Files come in the order of their names, ledgers in the order of their file. A
//! payload is the XDR of a LedgerCloseMeta as it stands in the file: its header is read
//! here, the rest is walked over to see that it is well-formed, and is for whoever
//! processes it. What no walk can see is a change that leaves it well-formed, such as
//! another amount or key: only zstd with a checksum shows that. An event's time is the ledger's close
//! time, its id is `NODE/FILE/OFFSET`. The position is the file and the offset behind the
//! last ledger, see [`Place`].

pub(crate) mod generate;
mod generated;
pub(crate) mod ledger;
mod ledger_file;
pub(crate) mod network;
mod position;

use std::sync::Arc;

use flowctl_runtime::{Bounds, Fault, Piece, Source};
use flowctl_topology::Node;
use flowctl_types::{Attributes, Batch, Columns, Ids};
use serde::Deserialize;

use self::ledger_file::{Found, LedgerFile};
use self::position::Place;
use crate::background::{Background, Reader};
use crate::base_dir::BaseDir;
use crate::files::NamedFile;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, config, files};

pub(crate) const NAME: &str = "stellar-ledgers";

/// The configuration, as WIT; [`Config`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Where ledgers come from.
record config {
    /// A file, or a glob such as `ledgers/*.zst`. Each file holds RFC 5531 records,
    /// LedgerCloseMetaBatches or lines of base64, or zstd around one of these: the
    /// content tells. Files are read in the order of their names.
    path: option<string>,
    /// The network that the ledgers are from: its passphrase, or `pubnet` or `testnet`.
    /// It goes into the batches' attribute `network`, and `ttp-processor` stops where that
    /// is another network than its own. Generated ledgers are made for it; without it, for
    /// `Standalone Network ; February 2017`.
    network: option<string>,
    /// Makes ledgers instead of reading them: payments, path payments, offers, fee
    /// bumps and contract calls of a network that there is not.
    generate: option<generate>,
}

/// Which ledgers to make.
record generate {
    /// How many. Default: 100.
    ledgers: option<u32>,
    /// Transactions in each, at most 5000. Default: 50.
    transactions-per-ledger: option<u32>,
    /// What the ledgers depend on; the same seed gives the same ledgers. Default: 1.
    seed: option<u64>,
    /// Sequence number of the first, from 1. Default: 1000.
    start: option<u32>,
}
";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    path: Option<String>,
    network: Option<String>,
    generate: Option<generated::Config>,
}

pub(crate) fn source(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Source>, ConnectorError> {
    let config: Config = config::read(NAME, node)?;
    if let Some(fault) = faults(&config).into_iter().next() {
        return Err(fault);
    }
    let Config { path, network, generate } = config;
    match generate {
        Some(generate) => Ok(generated::source(node, &generate, network)),
        None => {
            let files = files::find(NAME, &path.unwrap_or_default(), pipeline.base())?;
            let attributes = network.map(|network| ("network".to_owned(), network)).into_iter().collect();
            Ok(Box::new(Background::new(Ledgers::new(node.id.to_string(), files, attributes))))
        }
    }
}

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check(config: &serde_json::Value) -> Vec<ConnectorError> {
    config::read_value(NAME, config).map_or_else(|error| vec![error], |config| faults(&config))
}

fn faults(config: &Config) -> Vec<ConnectorError> {
    let mut faults = config.generate.as_ref().map(generated::faults).unwrap_or_default();
    match (&config.path, &config.generate) {
        (Some(path), None) => faults.extend(files::check_pattern(NAME, path).err()),
        (None, Some(_)) => {}
        (Some(_), Some(_)) => {
            let reason = "stands beside `generate`: ledgers are read or made, so leave out one";
            faults.push(ConnectorError::field(NAME, "path", reason));
        }
        (None, None) => {
            let reason =
                "is missing: name a file, or a glob such as `ledgers/*.zst`, or have ledgers made with `generate: {}`";
            faults.push(ConnectorError::field(NAME, "path", reason));
        }
    }
    faults
}

/// What a source of this configuration touches.
pub(crate) fn reach(config: &serde_json::Value, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
    let Config { path, .. } = config::read_value(NAME, config)?;
    Ok(Reach { reads: path.iter().map(|path| base.reached_by_glob(path)).collect(), ..Reach::default() })
}

/// Reads files of ledgers one after the other.
struct Ledgers {
    /// Its node, which its ids start with.
    node: String,
    /// All files, in the order of their names.
    files: Vec<NamedFile>,
    /// Index of the file to open next.
    next_file: usize,
    current: Option<LedgerFile>,
    attributes: Attributes,
    /// Behind the last ledger that was handed over.
    place: Place,
    /// A ledger that did not fit into the last piece, and the place behind it.
    carried: Option<(Vec<u8>, Found, Place)>,
    /// What stopped the last piece before it was full.
    fault: Option<Fault>,
}

impl Ledgers {
    fn new(node: String, files: Vec<NamedFile>, attributes: Attributes) -> Self {
        let place = Place::default();
        Self { node, files, next_file: 0, current: None, attributes, place, carried: None, fault: None }
    }

    /// Appends the next ledger of whichever file has one.
    fn read_ledger(&mut self, xdr: &mut Vec<u8>) -> Result<Option<(Found, Place)>, Fault> {
        let fatal = |error: ledger_file::LedgerError| Fault::Fatal(error.to_string());
        loop {
            if self.current.is_none() {
                let Some(file) = self.files.get(self.next_file) else { return Ok(None) };
                self.current = Some(LedgerFile::open(file).map_err(fatal)?);
                self.next_file += 1;
            }
            let file = self.current.as_mut().expect("opened above");
            if let Some(found) = file.read(xdr).map_err(fatal)? {
                return Ok(Some((found, file.place(false))));
            }
            // nothing is carried here, so everything before it has been handed over
            self.place = file.place(true);
            self.current = None;
        }
    }
}

impl Reader for Ledgers {
    fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let Some(position) = position else { return Ok(()) };
        let place = Place::decode(position)?;
        self.next_file = self.files.partition_point(|file| file.name <= place.file);
        let found = self.files[..self.next_file].last().filter(|last| last.name == place.file);
        if let Some(file) = found.filter(|_| !place.is_read) {
            self.current = Some(LedgerFile::open_at(file, &place).map_err(|error| Fault::Fatal(error.to_string()))?);
        } else if !place.is_read && !place.file.is_empty() {
            let Place { file, offset, .. } = &place;
            return Err(Fault::Fatal(format!(
                "`{file}` was read to byte {offset}, and is not among the files of `path` any more; put it back, or start anew without the stored position"
            )));
        }
        self.place = place;
        Ok(())
    }

    fn read(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let until = bounds.until.as_deref().map(Place::decode).transpose()?;
        let (mut columns, mut names, mut is_finished) = (Columns::default(), Vec::new(), false);
        let mut reached = None;
        let node = self.node.clone();
        let mut push = |columns: &mut Columns, found: Found, file: &str| {
            columns.finish_event(found.header.closed_at);
            names.push(format!("{node}/{file}/{}", found.offset));
        };
        if let Some((xdr, found, place)) = self.carried.take() {
            columns.data = xdr;
            push(&mut columns, found, &place.file);
            self.place = place;
        }
        while columns.len() < bounds.max_events && columns.n_bytes() < bounds.max_bytes {
            if let Some(until) = until.as_ref().filter(|until| until.is_at(&self.place)) {
                reached = Some(until.encode());
                break;
            }
            if !columns.is_empty() && self.current.as_ref().is_some_and(LedgerFile::must_wait) {
                break;
            }
            let start = columns.data.len();
            match self.read_ledger(&mut columns.data) {
                Ok(Some((found, place))) if !columns.is_empty() && columns.data.len() > bounds.max_bytes => {
                    self.carried = Some((columns.data.split_off(start), found, place));
                    break;
                }
                Ok(Some((found, place))) => {
                    push(&mut columns, found, &place.file);
                    self.place = place;
                }
                Ok(None) => {
                    is_finished = true;
                    break;
                }
                Err(fault) if columns.is_empty() => return Err(fault),
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
        }
        let batch = (!columns.is_empty()).then(|| {
            let mut batch = Batch::new(columns, Ids::named(names));
            batch.attributes = Arc::clone(&self.attributes);
            batch
        });
        Ok(Piece { batch, rejected: Vec::new(), position: reached.unwrap_or_else(|| self.place.encode()), is_finished })
    }
}
