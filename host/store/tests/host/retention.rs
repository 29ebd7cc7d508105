//! What stays of runs, and the room that they take.

use std::fs;
use std::path::Path;
use std::time::Duration;

use flowctl_store::{EventLevel, EventRecord, HostStore, Removed, Retention, RunQuery, RunStatus, RunUpdate};

use crate::support::{end, start, store};

fn events(n: usize) -> Vec<EventRecord> {
    let (level, kind, node) = (EventLevel::Info, "log".to_owned(), Some("ledgers".to_owned()));
    vec![EventRecord { at: 1, level, kind, node, message: "x".repeat(200) }; n]
}

fn ids(store: &HostStore) -> Vec<String> {
    store.runs(&RunQuery::of("t")).unwrap().into_iter().rev().map(|row| row.id).collect()
}

fn limits(max_age_ms: u64, max_runs_per_pipeline: u32, now: i64) -> Retention {
    Retention { max_age: Duration::from_millis(max_age_ms), max_runs_per_pipeline, now }
}

#[test]
fn the_latest_runs_of_each_pipeline_stay_and_those_that_go_on() {
    let (_folder, store) = store();
    for n in 1..=6 {
        start(&store, "a", &format!("a{n}"));
        store.append_events(&format!("a{n}"), &events(3)).unwrap();
        if n != 2 {
            end(&store, &format!("a{n}"), RunStatus::Stopped, n);
        }
    }
    for id in ["b1", "b2"] {
        start(&store, "b", id);
        end(&store, id, RunStatus::Failed, 9);
    }
    let removed = store.retain(&limits(u64::MAX, 2, 10)).unwrap();
    assert_eq!(removed, Removed { runs: 3, events: 9 });
    assert_eq!(ids(&store), ["a2", "a5", "a6", "b1", "b2"]);
    assert_eq!(store.events("a6", 0, None, 9).unwrap().len(), 3);
    assert_eq!(store.retain(&limits(u64::MAX, 2, 10)).unwrap(), Removed::default());
    assert_eq!(store.retain(&limits(u64::MAX, 0, 10)).unwrap(), Removed { runs: 2, events: 3 });
    assert_eq!(ids(&store), ["a2", "a6", "b2"]);
}

#[test]
fn runs_that_ended_long_ago_go_save_the_last_of_each_pipeline() {
    let (_folder, store) = store();
    for (pipeline, id, ended_at) in [("a", "a1", 100), ("a", "a2", 200), ("a", "a3", 300), ("b", "b1", 1)] {
        start(&store, pipeline, id);
        end(&store, id, RunStatus::Completed, ended_at);
    }
    start(&store, "c", "c1");
    start(&store, "c", "c2");
    end(&store, "c2", RunStatus::Failed, 1);
    let removed = store.retain(&limits(800, 100, 1_000)).unwrap();
    assert_eq!(removed, Removed { runs: 1, events: 0 });
    assert_eq!(ids(&store), ["a2", "a3", "b1", "c1", "c2"]);
    store.retain(&limits(0, 100, 1_000)).unwrap();
    assert_eq!(ids(&store), ["a3", "b1", "c1", "c2"]);
}

/// The bytes of the database with its log.
fn size(dir: &Path) -> u64 {
    ["host.db", "host.db-wal"].iter().map(|file| fs::metadata(dir.join(file)).map_or(0, |found| found.len())).sum()
}

#[test]
fn the_file_does_not_grow_with_the_runs_that_were() {
    let (folder, store) = store();
    // another process that has the file open does not keep it large
    let _other = HostStore::open(folder.path()).unwrap();
    let mut sizes = Vec::new();
    for round in 0..20 {
        for n in 0..5 {
            let id = format!("r-{round}-{n}");
            start(&store, "p", &id);
            let figures = Some("x".repeat(20_000));
            store.update_run(&RunUpdate { id: id.clone(), figures, ..RunUpdate::default() }).unwrap();
            store.append_events(&id, &events(1_000)).unwrap();
            end(&store, &id, RunStatus::Stopped, round);
        }
        store.retain(&limits(u64::MAX, 2, 100)).unwrap();
        sizes.push(size(folder.path()));
    }
    let (early, late) = (sizes[2..6].iter().max().unwrap(), sizes[16..].iter().max().unwrap());
    assert!(late <= early, "{sizes:?}");

    // and what is free is given back: five runs take more room than one
    let full = fs::metadata(folder.path().join("host.db")).unwrap().len();
    store.retain(&limits(u64::MAX, 0, 100)).unwrap();
    let bare = fs::metadata(folder.path().join("host.db")).unwrap().len();
    assert!(bare < full * 3 / 4, "{bare} of {full}");
}
