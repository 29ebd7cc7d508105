//! `flowctl init`, and the choice of a chain: from nothing to a pipeline that runs.

mod choice;
mod flags;
mod presets;
mod wizard;

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::flowctl::{Answer, Flowctl, plugins};

pub(crate) fn trials() -> Vec<Trial> {
    [presets::trials(), flags::trials(), wizard::trials(), choice::trials()].into_iter().flatten().collect()
}

/// The text is that of the file `name` beside these tests.
#[track_caller]
fn is_expected(name: &str, text: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/it/init/expected")).join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
}

/// What a pipeline that names every node prints of a hundred generated ledgers.
fn transfers() -> String {
    let flowctl = Flowctl::new();
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
spec:
  sources: [{id: ledgers, type: stellar-ledgers, config: {generate: {ledgers: 100}, network: testnet}}]
  processors: [{id: ttp, plugin: ttp-processor, inputs: [ledgers], config: {network: testnet}}]
  sinks: [{id: out, type: stdout, inputs: [ttp]}]
",
    );
    flowctl.run_with_plugins("run p.yaml").success().stdout
}

/// A folder of plugins in which two processors lead from ledgers to transfers.
fn two_ways(flowctl: &Flowctl) -> PathBuf {
    let bytes = std::fs::read(plugins().join("ttp-processor.wasm")).unwrap();
    let (from, to) = (b"\"name\":\"ttp-processor\"", b"\"name\":\"ttp-transfers\"");
    let mut other = bytes.clone();
    for at in (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)) {
        other[at..at + to.len()].copy_from_slice(to);
    }
    flowctl.write("plugins/ttp-processor.wasm", bytes);
    flowctl.write("plugins/ttp-transfers.wasm", other);
    flowctl.path("plugins")
}

/// Runs with `DATABASE_URL`, and the first-party plugins.
fn run_with_database(flowctl: &Flowctl, arguments: &str, url: &str) -> Answer {
    let mut command = flowctl.command(arguments);
    command.env("FLOWCTL_PLUGINS", plugins()).env("DATABASE_URL", url);
    Answer::of(command.output().unwrap())
}
