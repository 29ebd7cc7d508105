//! Reads the real ledgers that are not part of the repository, one test a file: each
//! must come out as another reader of these formats finds it. Those that are in a row
//! are also read from a server, through faults.

mod support;

use std::path::Path;

use flowctl_connectors::source;
use flowctl_runtime::Bounds;
use flowctl_test_support::http_server::Reply;
use flowctl_test_support::rpc_server::{RpcFault, RpcServer};
use flowctl_test_support::{DATA_FILES, DataFile, must_have_data, shared_data};
use libtest_mimic::{Arguments, Failed, Trial};

const BOUNDS: Bounds = Bounds { max_events: 100, max_bytes: 1 << 20, until: None };

fn main() {
    let folder = shared_data();
    let is_ignored = folder.is_none() && !must_have_data();
    let trial = |fact: &str, file: &'static DataFile, test: fn(&DataFile, &Path) -> Result<(), Failed>| {
        let folder = folder.clone();
        let test = move || test(file, &folder.ok_or("the shared ledgers are not there")?);
        Trial::test(format!("{} {fact}", file.name), test).with_ignored_flag(is_ignored)
    };
    let mut tests: Vec<_> = DATA_FILES.iter().map(|file| trial("is read whole", file, read)).collect();
    let in_a_row = DATA_FILES.iter().find(|file| file.name.starts_with("lighthorizon")).expect("it is in the list");
    tests.push(trial("comes whole from a server that fails", in_a_row, read_from_server));
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}

fn read_from_server(file: &DataFile, folder: &Path) -> Result<(), Failed> {
    let want = file.ledgers(folder)?;
    let served: Vec<_> = want.iter().map(|xdr| support::served(xdr.clone())).collect();
    let [first, last] = [served.first(), served.last()].map(|ledger| ledger.map_or(0, |ledger| ledger.sequence));
    let pieces = support::block_on(async {
        let server = RpcServer::start(served, file.passphrase).await;
        let answer = |status| RpcFault::Reply(Reply::new(status, "busy"));
        let faults = [
            RpcFault::Half,
            RpcFault::Gap(4),
            answer(429),
            RpcFault::Gap(0),
            answer(500),
            RpcFault::Empty,
            RpcFault::Reply(Reply::Close),
            RpcFault::CutOff(9),
            RpcFault::Reply(Reply::Silence),
            RpcFault::Renumbered(3),
        ];
        server.fail(faults.into_iter().flat_map(|fault| [RpcFault::None, fault, RpcFault::None]));
        let config = serde_json::json!({
            "url": server.http().url(), "start": first.to_string(), "end": last,
            "poll_interval": "1ms", "timeout": "1s",
        });
        let node = support::source_node("stellar-rpc", config);
        support::drain(&mut *source(&node, &support::pipeline())?, None, &BOUNDS).await
    })?;
    let batches: Vec<_> = pieces.iter().filter_map(|piece| piece.batch.as_ref()).collect();
    let found: Vec<&[u8]> = batches.iter().flat_map(|batch| batch.columns.payloads()).collect();
    assert!(found == want, "{} ledgers, {} are expected", found.len(), want.len());
    for batch in &batches {
        assert_eq!(batch.attributes[..], [("network".to_owned(), file.passphrase.to_owned())]);
        for (index, xdr) in batch.columns.payloads().enumerate() {
            let header = support::header(xdr);
            assert_eq!(batch.ids.get(index), format!("node/{}", header.ledger_seq));
            assert_eq!(batch.columns.timestamps[index], header.scp_value.close_time.0 * 1_000_000_000);
        }
    }
    Ok(())
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
