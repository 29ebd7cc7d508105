//! Reads the real ledgers that are not part of the repository, one test a file: each
//! must come out as another reader of these formats finds it.

mod support;

use std::path::Path;

use flowctl_connectors::source;
use flowctl_runtime::Bounds;
use flowctl_test_support::{DATA_FILES, DataFile, must_have_data, shared_data};
use libtest_mimic::{Arguments, Failed, Trial};

const BOUNDS: Bounds = Bounds { max_events: 100, max_bytes: 1 << 20, until: None };

fn main() {
    let folder = shared_data();
    let is_ignored = folder.is_none() && !must_have_data();
    let tests = DATA_FILES.iter().map(|file| {
        let folder = folder.clone();
        let test = move || read(file, &folder.ok_or("the shared ledgers are not there")?);
        Trial::test(format!("{} is read whole", file.name), test).with_ignored_flag(is_ignored)
    });
    libtest_mimic::run(&Arguments::from_args(), tests.collect()).exit();
}

fn read(file: &DataFile, folder: &Path) -> Result<(), Failed> {
    let want = file.ledgers(folder)?;
    let config = serde_json::json!({ "path": file.path(folder), "network": file.passphrase });
    let node = support::source_node("stellar-ledgers", config);
    let pieces =
        support::block_on(async { support::drain(&mut *source(&node, &support::pipeline())?, None, &BOUNDS).await })?;
    let batches: Vec<_> = pieces.iter().filter_map(|piece| piece.batch.as_ref()).collect();
    let found: Vec<&[u8]> = batches.iter().flat_map(|batch| batch.columns.payloads()).collect();
    assert!(found == want, "{} ledgers, {} are expected", found.len(), want.len());
    for batch in &batches {
        assert!(batch.columns.n_bytes() <= BOUNDS.max_bytes || batch.len() == 1);
        assert_eq!(batch.attributes[..], [("network".to_owned(), file.passphrase.to_owned())]);
        for (xdr, timestamp) in batch.columns.payloads().zip(&batch.columns.timestamps) {
            assert_eq!(support::close_time(xdr) * 1_000_000_000, *timestamp);
        }
    }
    let middle = pieces[pieces.len() / 2].position.clone();
    let n_rest: usize =
        pieces[pieces.len() / 2 + 1..].iter().filter_map(|piece| piece.batch.as_ref()).map(|b| b.len()).sum();
    let rest = support::block_on(async {
        support::drain(&mut *source(&node, &support::pipeline())?, Some(&middle), &BOUNDS).await
    })?;
    let rest: Vec<&[u8]> =
        rest.iter().filter_map(|piece| piece.batch.as_ref()).flat_map(|b| b.columns.payloads()).collect();
    assert!(rest == want[want.len() - n_rest..], "a source that is opened in the middle goes on there");
    Ok(())
}
