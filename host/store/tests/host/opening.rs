//! The file and its folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use expect_test::{Expect, expect};
use flowctl_store::{HostStore, StateError};

use crate::support::{pipeline, run, start, store};

#[test]
fn folder_and_file_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/state");
    let store = HostStore::open(&dir).unwrap();
    start(&store, "p", "r");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("hosts")), 0o700);
    for file in ["host.db", "host.db-wal", "host.db-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
}

#[test]
fn many_may_open_a_new_database_at_once_and_write() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (dir, barrier) = (folder.path(), &barrier);
            scope.spawn(move || {
                barrier.wait();
                let store = HostStore::open(dir).unwrap();
                for m in 0..10 {
                    store.put_pipeline(&pipeline("t", &format!("p-{n}-{m}"))).unwrap();
                }
            });
        }
    });
    let store = HostStore::open(folder.path()).unwrap();
    assert_eq!(store.wanted().unwrap().len(), 80);
}

#[test]
fn threads_share_one_store() {
    let (_folder, store) = store();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let store = store.clone();
            scope.spawn(move || start(&store, &format!("p{n}"), &format!("r{n}")));
        }
    });
    assert_eq!(store.wanted().unwrap().len(), 4);
}

/// Opens a database after `damage`, uses it, and compares the error and its hint.
fn check(damage: impl FnOnce(&Path), want: &Expect) {
    let (folder, store) = store();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    drop(store);
    damage(folder.path());
    let error = HostStore::open(folder.path()).and_then(|store| store.wanted()).unwrap_err();
    let text = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
    want.assert_eq(&text.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn a_damaged_database_is_named_with_what_its_removal_costs() {
    check(
        |dir| fs::write(dir.join("host.db"), "no database at all, by any means").unwrap(),
        &expect![[r#"
        the database `DIR/host.db` is damaged: file is not a database
        hint: restore `DIR/host.db` from a copy, or remove it: checkpoints stay, but pipelines, runs and credentials that it held have to be made anew"#]],
    );
}

#[test]
fn a_damaged_page_is_found_by_the_call_that_reads_it() {
    let overwrite = |dir: &Path| {
        let path = dir.join("host.db");
        let mut bytes = fs::read(&path).unwrap();
        // all pages but the first, which holds the schema
        bytes[4_096..].fill(0xa5);
        fs::write(&path, bytes).unwrap();
    };
    check(
        overwrite,
        &expect![[r#"
        the database `DIR/host.db` is damaged: database disk image is malformed
        hint: restore `DIR/host.db` from a copy, or remove it: checkpoints stay, but pipelines, runs and credentials that it held have to be made anew"#]],
    );
}

#[test]
fn a_database_of_a_later_version_is_refused() {
    let change = |dir: &Path| {
        rusqlite::Connection::open(dir.join("host.db")).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    };
    check(
        change,
        &expect![[r#"
        the database `DIR/host.db` has format 99; this flowctl knows formats up to 3
        hint: run it with the flowctl that wrote it, or a later one"#]],
    );
}

#[test]
fn a_database_of_each_format_before_keeps_what_it_has() {
    // what each format added, from the latest back
    let added = [
        "ALTER TABLE run DROP COLUMN error_code; PRAGMA user_version = 2",
        "ALTER TABLE pipeline DROP COLUMN revision; DROP TABLE revision; PRAGMA user_version = 1",
    ];
    for n_back in 1..=added.len() {
        let (folder, store) = store();
        let pipeline = pipeline("t", "p");
        store.put_pipeline(&pipeline).unwrap();
        let run = run(&store, "t", "p", "r");
        store.create_run(&run).unwrap();
        drop(store);
        let back = added[..n_back].join(";");
        rusqlite::Connection::open(folder.path().join("host.db")).unwrap().execute_batch(&back).unwrap();
        let store = HostStore::open(folder.path()).unwrap();
        assert_eq!(store.pipeline("t", "p").unwrap(), Some(pipeline));
        assert_eq!(store.run("t", "r").unwrap(), Some(run));
        assert!(store.revisions("t", "p").unwrap().is_empty());
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = HostStore::open(&folder.path().join("file/state")).unwrap_err();
    assert!(matches!(&error, StateError::File { action: "create", .. }), "{error}");
}
