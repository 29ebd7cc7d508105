//! Holds the generated code equal to what `proto/` gives.
//!
//! `BLESS=1` writes it anew. The compiler of the protocol files is a crate, so that
//! neither a build nor this needs a program of the system's.
#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

const FILES: [&str; 12] = [
    "flowctl/admin/v1/host.proto",
    "flowctl/admin/v1/pipelines.proto",
    "flowctl/admin/v1/plugins.proto",
    "flowctl/admin/v1/runs.proto",
    "flowctl/admin/v1/topologies.proto",
    "flowctl/v1/common.proto",
    "flowctl/v1/consumer.proto",
    "flowctl/v1/control_plane.proto",
    "flowctl/v1/processor.proto",
    "flowctl/v1/source.proto",
    "stellar/v1/raw_ledger.proto",
    "stellar/v1/token_transfers.proto",
];

#[test]
fn the_generated_code_is_that_of_the_protocol_files() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let truth = here.join("../../proto");
    assert_eq!(protocol_files(&truth), FILES, "a protocol file is not generated from");
    let folder = tempfile::tempdir().unwrap();
    let descriptors = protox::compile(FILES, [&truth]).unwrap_or_else(|error| panic!("{error:?}"));
    fs::write(folder.path().join("descriptors.bin"), descriptors.encode_to_vec()).unwrap();
    tonic_prost_build::configure().out_dir(folder.path()).compile_fds(descriptors).unwrap();
    let generated = read(folder.path());
    let committed = here.join("src/generated");
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(&committed).unwrap();
        for (name, bytes) in &generated {
            fs::write(committed.join(name), bytes).unwrap();
        }
    }
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    let found = read(&committed);
    assert_eq!(names(&found), names(&generated));
    for (name, bytes) in &generated {
        assert!(found[name] == *bytes, "`src/generated/{name}` is not what `proto/` gives: `BLESS=1` writes it anew");
    }
}

fn read(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect()
}

fn protocol_files(root: &Path) -> Vec<String> {
    let mut folders = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let mut names: Vec<String> =
        files.iter().map(|path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
