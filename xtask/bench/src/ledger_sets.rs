//! The ledgers that are measured: real ones where they are, else generated ones.

use anyhow::Result;
use flowctl_connectors::{Generator, GeneratorSettings};
use flowctl_test_support::{DATA_FILES, shared_data};
use flowctl_types::Columns;

/// The real files that are dense: mainnet, and a load test of the newest protocol.
const FILES: [(&str, Reference); 3] = [
    ("ledgers-base64.txt", Reference { mb_per_s: 90.0 }),
    ("FCD285FF--53312000.xdr.zstd", Reference { mb_per_s: 90.0 }),
    ("load-test-ledgers-v26.xdr.zstd", Reference { mb_per_s: 168.0 }),
];
/// Bytes of ledgers that one round takes.
const ROUND_BYTES: usize = 32 << 20;
/// Most bytes of a batch, as of a source with default settings.
const BATCH_BYTES: usize = 4 << 20;
const GENERATED_NETWORK: &str = "flowctl generated network";
const N_GENERATED: usize = 20;

/// What the reference implementation in Go does, one thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference {
    /// Megabytes of ledgers a second.
    pub(crate) mb_per_s: f64,
}

/// Ledgers of one network.
pub(crate) struct LedgerSet {
    /// The file's name, or that they are generated.
    pub(crate) name: &'static str,
    /// The network's passphrase.
    pub(crate) passphrase: &'static str,
    /// How fast the reference implementation is on these.
    pub(crate) reference: Option<Reference>,
    ledgers: Vec<Vec<u8>>,
}

/// All sets, the one that the row's figures are of first.
pub(crate) fn all() -> Result<Vec<LedgerSet>> {
    let Some(folder) = shared_data() else { return Ok(vec![generated()]) };
    let mut sets = Vec::new();
    for (name, reference) in FILES {
        for file in DATA_FILES.iter().filter(|file| file.name == name) {
            let ledgers = file.ledgers(&folder)?;
            sets.push(LedgerSet { name, passphrase: file.passphrase, reference: Some(reference), ledgers });
        }
    }
    Ok(sets)
}

fn generated() -> LedgerSet {
    let settings =
        GeneratorSettings { passphrase: GENERATED_NETWORK.to_owned(), seed: 1, start: 1, transactions_per_ledger: 200 };
    let ledgers = Generator::new(settings).take(N_GENERATED).map(|ledger| ledger.xdr).collect();
    LedgerSet { name: "generated", passphrase: GENERATED_NETWORK, reference: None, ledgers }
}

impl LedgerSet {
    /// The ledgers as a source sends them, repeated until a round is long enough.
    pub(crate) fn batches(&self) -> Vec<Columns> {
        let n_bytes: usize = self.ledgers.iter().map(Vec::len).sum();
        let n_times = (ROUND_BYTES / n_bytes.max(1)).max(1);
        let mut batches: Vec<Columns> = Vec::new();
        for ledger in (0..n_times).flat_map(|_| &self.ledgers) {
            match batches.last_mut() {
                Some(batch) if batch.n_bytes() + ledger.len() <= BATCH_BYTES => batch.push(0, ledger),
                _ => {
                    let mut batch = Columns::default();
                    batch.push(0, ledger);
                    batches.push(batch);
                }
            }
        }
        batches
    }
}
