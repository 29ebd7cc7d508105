//! Every file of `tests/pipelines`, against what stands beside it: the intent of a
//! valid one as JSON, the printed faults of an invalid one. `BLESS=1` rewrites both.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use flowctl_intent::{Document, Faults, parse};

/// What no output may hold: each variable's value has it.
const SECRET: &str = "s3cr3t";

#[test]
fn valid_files_give_their_intent() {
    let failed: Vec<String> = pipelines("valid")
        .iter()
        .filter_map(|path| match read(path) {
            Ok(document) => {
                let intent = serde_json::json!({"name": document.name, "intent": document.intent});
                let printed = serde_json::to_string_pretty(&intent).unwrap() + "\n";
                assert!(!printed.contains(SECRET), "{printed}");
                assert!(!format!("{document:?}").contains(SECRET), "{document:?}");
                compare(&path.with_extension("json"), &printed)
            }
            Err(faults) => Some(format!("{} has faults:\n{faults}", path.display())),
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn invalid_files_give_all_their_faults() {
    let failed: Vec<String> = pipelines("invalid")
        .iter()
        .filter_map(|path| match read(path) {
            Ok(document) => Some(format!("{} has no fault: {document:?}", path.display())),
            Err(faults) => {
                let printed = format!("{faults}\n");
                assert!(!printed.contains(SECRET), "{printed}");
                compare(&path.with_extension("expected"), &printed)
            }
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn five_faults_are_reported_at_once() {
    let path = folder("invalid").join("five-faults.yaml");
    let lines: Vec<usize> = read(&path).unwrap_err().iter().map(|fault| fault.line).collect();
    assert_eq!(lines.len(), 5);
    assert!(lines.is_sorted());
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pipelines").join(kind)
}

fn pipelines(kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(kind)).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no pipelines in {}", folder(kind).display());
    paths
}

fn read(path: &Path) -> Result<Document, Faults> {
    let name = path.file_name().unwrap().to_str().unwrap();
    parse(name, &std::fs::read_to_string(path).unwrap(), &variable)
}

/// The environment of these tests.
fn variable(name: &str) -> Option<String> {
    match name {
        "DATABASE_URL" => Some(format!("postgres://flow:{SECRET}@db/flow")),
        "NUMBER" => Some("9090".into()),
        "EMPTY" => Some(String::new()),
        "STRUCTURE" => Some(format!("x\nsinks: [{{id: {SECRET}}}]")),
        "SECRET" => Some(SECRET.into()),
        "SHOUTED" => Some(format!("NOT A NAME {SECRET}")),
        _ => None,
    }
}

/// What differs between `printed` and the file; nothing where they are the same.
fn compare(path: &Path, printed: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, printed).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    (expected != printed)
        .then(|| format!("{} (BLESS=1 rewrites it)\n--- want\n{expected}--- got\n{printed}", path.display()))
}
