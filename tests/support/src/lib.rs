//! Real Stellar ledgers, the token transfers that must come out of them, and servers
//! for connectors to talk to.
//!
//! Owns the knowledge of the shared data: where it is, which file holds which ledgers
//! of which network, and how the expected events look in flowctl's JSON form of
//! `stellar.token.transfer.v1`. The data is no part of the repository: a test that
//! needs it asks [`shared_data`] and reports itself as ignored without it, or as
//! failed where [`must_have_data`] says so.
//!
//! Beside them: servers that tests run against, see [`postgres`] and [`registry`], and
//! what injects faults before them, see [`fault_proxy`]; and components in processes of
//! their own, as others write them, see [`components`]. And the guide's pictures of a
//! terminal, see [`screens`].

mod certificates;
mod collector;
pub mod components;
mod event;
pub mod fault_proxy;
mod formats;
pub mod http_server;
mod port;
pub mod postgres;
mod process;
mod program;
mod proto;
pub mod registry;
pub mod rpc_server;
mod screen;
mod unit;

use std::path::{Path, PathBuf};

pub use certificates::Certificates;
pub use collector::Collector;
pub use event::{Event, Kind, Muxed};
pub use formats::Format;
pub use port::Port;
pub use program::write_program;
pub use screen::{Screen, screens};
pub use unit::{Outcome, UnitCase};

/// A file of ledgers, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct DataFile {
    /// Its name in the folder `data`.
    pub name: &'static str,
    /// How its ledgers are laid out.
    pub format: Format,
    /// The passphrase of the network that its ledgers are of.
    pub passphrase: &'static str,
    /// How many ledgers it holds.
    pub n_ledgers: usize,
    /// The name of its expected events in the folder `expected`.
    pub expected: &'static str,
}

/// Why shared data could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file could not be read or decompressed.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The file's content is not as described.
    #[error("`{path}`, item {item}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Which ledger or line of it, from 0.
        item: usize,
        /// What is wrong.
        what: String,
    },
}

const PUBNET: &str = "Public Global Stellar Network ; September 2015";
const TESTNET: &str = "Test SDF Network ; September 2015";
const LOAD_TEST: &str = "load test network";

/// Every file of ledgers in the shared data.
pub const DATA_FILES: [DataFile; 6] = [
    DataFile {
        name: "ledgers-base64.txt",
        format: Format::B64Lines,
        passphrase: PUBNET,
        n_ledgers: 5,
        expected: "pubnet-5-ledgers.derive.jsonl.zst",
    },
    DataFile {
        name: "FCD285FF--53312000.xdr.zstd",
        format: Format::ZstdBatch,
        passphrase: PUBNET,
        n_ledgers: 1,
        expected: "pubnet-53312000.derive.jsonl.zst",
    },
    DataFile {
        name: "lighthorizon-testnet-1410048-1410367.b64",
        format: Format::B64Lines,
        passphrase: TESTNET,
        n_ledgers: 320,
        expected: "testnet-1410048-1410367.derive.jsonl.zst",
    },
    DataFile {
        name: "load-test-ledgers-v23.xdr.zstd",
        format: Format::ZstdFramed,
        passphrase: LOAD_TEST,
        n_ledgers: 3,
        expected: "load-test-ledgers-v23.derive.jsonl.zst",
    },
    DataFile {
        name: "load-test-ledgers-v26.xdr.zstd",
        format: Format::ZstdFramed,
        passphrase: LOAD_TEST,
        n_ledgers: 30,
        expected: "load-test-ledgers-v26.derive.jsonl.zst",
    },
    DataFile {
        name: "rpc-getledgers-examples.b64",
        format: Format::B64Lines,
        passphrase: TESTNET,
        n_ledgers: 5,
        expected: "rpc-getledgers-examples.derive.jsonl.zst",
    },
];

/// The folder of the shared data: `FLOWCTL_STELLAR_DATA`, or else `../shared/stellar`
/// from the root of the repository. None where it is not there.
pub fn shared_data() -> Option<PathBuf> {
    let folder = match std::env::var_os("FLOWCTL_STELLAR_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/stellar"),
    };
    folder.join("data").is_dir().then_some(folder)
}

/// Whether a test without its data has failed, not been ignored: in CI, which has it.
pub fn must_have_data() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// The cases derived from the unit tests of the reference implementation: each one
/// ledger of one transaction, of the network `some network passphrase`. Lines that the
/// data marks as skipped are left out.
///
/// # Errors
///
/// [`DataError`] where the file in `folder` is missing or not as described.
pub fn unit_cases(folder: &Path) -> Result<Vec<UnitCase>, DataError> {
    unit::read(&folder.join("data/ttp-unit-cases.jsonl.zst"))
}

/// Writes bytes as the JSON form of `list<u8>` does: in base64.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

impl DataFile {
    /// Where the file is, in the folder of the shared data.
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder.join("data").join(self.name)
    }

    /// Reads its ledgers in order, each the XDR of one `LedgerCloseMeta`.
    ///
    /// # Errors
    ///
    /// [`DataError`] where the file is missing, or holds other than `n_ledgers` ledgers.
    pub fn ledgers(&self, folder: &Path) -> Result<Vec<Vec<u8>>, DataError> {
        let path = self.path(folder);
        let ledgers = formats::ledgers(&path, self.format)?;
        if ledgers.len() != self.n_ledgers {
            let what = format!("{} ledgers, where there should be {}", ledgers.len(), self.n_ledgers);
            return Err(DataError::Content { path, item: ledgers.len(), what });
        }
        Ok(ledgers)
    }

    /// Reads the events that its ledgers must give, in order.
    ///
    /// # Errors
    ///
    /// [`DataError`] where the file is missing or not as described.
    pub fn expected_events(&self, folder: &Path) -> Result<Vec<Event>, DataError> {
        event::read_expected(&folder.join("expected").join(self.expected))
    }
}
