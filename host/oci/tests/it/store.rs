//! The store between processes, and after some of them were killed.

use std::process::Command;
use std::time::{Duration, Instant};

use flowctl_oci::{BlobSink, PullOptions, Silent, Store, Untagged, pull, pull_from_layout, push_to_layout};
use flowctl_types::Reference;

use crate::plugin;
use crate::registry::{Registry, client};

/// Names the store that a process which this test starts works on, and its layout.
const WORK: &str = "FLOWCTL_OCI_TEST_WORK";

#[test]
fn a_part_is_written_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let digest = flowctl_types::Digest::of(b"whole");
    let mut one = store.take_partial(&digest).unwrap().unwrap();
    one.write(b"who").unwrap();
    assert!(store.take_partial(&digest).unwrap().is_none());
    assert_eq!(store.collect(Untagged::Keep).unwrap().n_files, 0);
    drop(one);
    let mut two = once_free(|| store.take_partial(&digest).unwrap());
    assert_eq!(two.len(), 3);
    two.write(b"le").unwrap();
    assert_eq!(two.digest(), digest);
    drop(two);
    let n_files = || store.collect(Untagged::Keep).unwrap().n_files;
    assert_eq!(once_free(|| Some(n_files()).filter(|n_files| *n_files > 0)), 1);
}

/// What there is once nobody has the lock of a part: a program that another test starts at
/// this moment shares it until it runs.
fn once_free<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "the part is never free");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_is_removed_is_collected_unless_something_else_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, registry) = (Store::open(folder.path()).unwrap(), Registry::start().await);
    let artifact = plugin::artifact("1.0.0");
    for tag in ["a", "b"] {
        registry.hold(&artifact, tag);
        let reference = registry.reference(&format!("acme/plugin:{tag}"));
        pull(&client(), &store, &reference, &PullOptions::default(), &Silent).await.unwrap();
    }
    let remove = |tag: &str| {
        store.remove(&Reference::from(&registry.reference(&format!("acme/plugin:{tag}")))).unwrap().n_entries
    };
    assert_eq!((remove("a"), remove("a")), (1, 0));
    assert_eq!(store.collect(Untagged::Keep).unwrap().n_files, 0);
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(remove("b"), 1);
    assert_eq!(store.collect(Untagged::Keep).unwrap().n_files, 3);
    assert_eq!(store.list().unwrap(), []);
}

#[tokio::test]
async fn an_entry_that_lost_a_blob_is_not_shown_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, registry) = (Store::open(folder.path()).unwrap(), Registry::start().await);
    registry.hold(&plugin::artifact("1.0.0"), "1");
    let reference = registry.reference("acme/plugin:1");
    let first = pull(&client(), &store, &reference, &PullOptions::default(), &Silent).await.unwrap();
    std::fs::remove_file(&first.path).unwrap();
    assert_eq!(store.list().unwrap(), []);
    let second = pull(&client(), &store, &reference, &PullOptions::default(), &Silent).await.unwrap();
    assert!(!second.was_cached);
    assert_eq!(store.list().unwrap().len(), 1);
}

/// The process that [`a_killed_process_leaves_nothing_partial`] starts and kills: it pulls,
/// removes and collects without end. In any other run it does nothing.
#[tokio::test]
async fn works_until_it_is_killed() {
    let Some(folder) = std::env::var_os(WORK).map(std::path::PathBuf::from) else { return };
    let store = Store::open(folder.join("store")).unwrap();
    let layout = flowctl_oci::Layout::open(folder.join("shelf")).unwrap();
    std::fs::write(folder.join("ready"), "").unwrap();
    loop {
        for tag in ["v0", "v1", "v2"] {
            pull_from_layout(&layout, Some(tag), None, &store, &PullOptions::default()).await.unwrap();
        }
        let entries = store.list().unwrap();
        if let Some(entry) = entries.first() {
            store.remove_digest(&entry.manifest.digest).unwrap();
        }
        store.collect(Untagged::Keep).unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_partial() {
    let folder = tempfile::tempdir().unwrap();
    let layout = flowctl_oci::Layout::create(folder.path().join("shelf")).unwrap();
    for n in 0..3 {
        push_to_layout(&plugin::artifact(&format!("{n}.0.0")), &layout, Some(&format!("v{n}"))).unwrap();
    }
    let store = Store::open(folder.path().join("store")).unwrap();
    for round in 0..30_u32 {
        let start = || {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "store::works_until_it_is_killed"]).env(WORK, folder.path());
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            command.spawn().unwrap()
        };
        let ready = folder.path().join("ready");
        let _ = std::fs::remove_file(&ready);
        let mut workers = [start(), start()];
        while !ready.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(u64::from(round * 977 % 20_000))).await;
        for worker in &mut workers {
            worker.kill().unwrap();
            worker.wait().unwrap();
        }
        for entry in store.list().unwrap() {
            store.artifact(&entry).unwrap();
        }
        store.collect(Untagged::Keep).unwrap();
    }
    for n in 0..3 {
        pull_from_layout(&layout, Some(&format!("v{n}")), None, &store, &PullOptions::default()).await.unwrap();
    }
    assert_eq!(store.list().unwrap().len(), 3);
    assert_eq!(store.collect(Untagged::Keep).unwrap().n_files, 0);
}
