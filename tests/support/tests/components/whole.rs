//! Source, processor and sink, one behind the other: what comes out is what the shared
//! data expects, but for the users of accounts, which the wire has no field for.

use std::path::Path;

use flowctl_test_support::components::{Component, Received, Role};
use flowctl_test_support::{DATA_FILES, DataFile, Event, must_have_data, shared_data};
use libtest_mimic::Trial;

use crate::calls::{consume, process, stream};
use crate::fact;

pub(crate) fn trials() -> Vec<Trial> {
    let lines = DATA_FILES.iter().filter(|file| file.format == flowctl_test_support::Format::B64Lines);
    lines.map(trial).collect()
}

fn trial(file: &'static DataFile) -> Trial {
    let folder = shared_data();
    let is_ignored = folder.is_none() && !must_have_data();
    let proof = move || async move {
        let folder = folder.expect("the shared data is absent: set FLOWCTL_STELLAR_DATA to its folder");
        transfers_are_those_expected(file, &folder).await;
    };
    fact(&format!("whole::transfers_are_those_expected {}", file.name), proof).with_ignored_flag(is_ignored)
}

async fn transfers_are_those_expected(file: &DataFile, data: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let (ledgers, output) = (file.path(data).display().to_string(), folder.path().join("out"));
    let network = ("NETWORK", file.passphrase);
    let source = Component::start(Role::Source, [("LEDGERS", ledgers.as_str()), network]);
    let processor = Component::start(Role::Processor, [network]);
    let sink = Component::start(Role::Sink, [("OUTPUT", &output)]);

    let (events, end) = stream(&source, None).await;
    end.unwrap();
    assert_eq!(events.len(), file.n_ledgers);
    let (batches, end) = process(&processor, events).await;
    end.unwrap();
    let n_batches = batches.len();
    let answer = consume(&sink, batches).await.unwrap();
    assert_eq!((usize::try_from(answer.events_consumed).unwrap(), answer.events_failed), (n_batches, 0));

    let received: Vec<Event> =
        Received::read(&output).iter().flat_map(|batch| batch.transfers().expect("a batch of transfers")).collect();
    let mut expected = file.expected_events(data).unwrap();
    expected.iter_mut().for_each(|event| event.to_muxed = None);
    assert_eq!(received.len(), expected.len());
    for (found, wanted) in received.iter().zip(&expected) {
        assert_eq!(found, wanted);
    }
}
