//! Hosts and the runs that they leave behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use flowctl_store::{HostStore, RunStatus};

use crate::support::{end, run, start, store};

fn n_lock_files(dir: &std::path::Path) -> usize {
    fs::read_dir(dir.join("hosts")).unwrap().count()
}

#[test]
fn each_opening_is_a_host_of_its_own_until_its_last_clone_is_dropped() {
    let (folder, first) = store();
    let second = HostStore::open(folder.path()).unwrap();
    assert_ne!(first.host_id(), second.host_id());
    start(&first, "p", "r");
    let clone = first.clone();
    drop(first);
    assert_eq!(second.fail_orphans("gone").unwrap(), []);
    assert_eq!(n_lock_files(folder.path()), 2);
    drop(clone);
    assert_eq!(n_lock_files(folder.path()), 1);
    assert_eq!(second.fail_orphans("gone").unwrap().len(), 1);
}

#[test]
fn runs_of_a_host_that_is_gone_fail_with_the_reason() {
    let (folder, gone) = store();
    start(&gone, "p", "ended");
    end(&gone, "ended", RunStatus::Completed, 5);
    start(&gone, "p", "orphan-1");
    start(&gone, "p", "orphan-2");
    let living = HostStore::open(folder.path()).unwrap();
    start(&living, "p", "going");
    drop(gone);
    let store = HostStore::open(folder.path()).unwrap();
    let orphans = store.fail_orphans("its host ended").unwrap();
    let ids: Vec<_> = orphans.iter().map(|run| run.id.as_str()).collect();
    assert_eq!(ids, ["orphan-1", "orphan-2"]);
    for run in &orphans {
        assert_eq!((run.status, run.error.as_str()), (RunStatus::Failed, "its host ended"));
        assert!(run.ended_at.is_some());
        assert_eq!(store.run("t", &run.id).unwrap().as_ref(), Some(run));
    }
    let status = |id| store.run("t", id).unwrap().unwrap().status;
    assert_eq!((status("ended"), status("going")), (RunStatus::Completed, RunStatus::Starting));
    assert_eq!(store.fail_orphans("again").unwrap(), []);
}

/// The variable that tells this test's process that it is the one to be killed.
const DIR: &str = "FLOWCTL_TEST_HOST_DIR";

#[test]
fn a_host_that_was_killed_leaves_orphans_and_its_lock_file_goes() {
    if let Ok(dir) = std::env::var(DIR) {
        let store = HostStore::open(dir.as_ref()).unwrap();
        start(&store, "p", "orphan");
        // the harness may have left its line open
        writeln!(std::io::stdout(), "\nstarted").unwrap();
        // until the parent kills it, or is gone
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let (folder, store) = store();
    let name = "hosts::a_host_that_was_killed_leaves_orphans_and_its_lock_file_goes";
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(DIR, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "started"));
    assert_eq!(store.fail_orphans("gone").unwrap(), [], "it lives");
    host.kill().unwrap();
    host.wait().unwrap();
    assert_eq!(n_lock_files(folder.path()), 2, "it had no time to remove its own");
    let ids: Vec<_> = store.fail_orphans("gone").unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(ids, ["orphan"]);
    assert_eq!(n_lock_files(folder.path()), 1);
}

#[test]
fn no_run_of_a_host_that_is_just_starting_is_an_orphan() {
    let (folder, store) = store();
    start(&store, "p", "first");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let store = HostStore::open(folder.path()).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(store.fail_orphans("gone").unwrap(), []);
                }
            });
        }
        let hosts = (0..2).map(|n| {
            let dir = folder.path();
            scope.spawn(move || {
                for m in 0..40 {
                    let host = HostStore::open(dir).unwrap();
                    let id = format!("run-{n}-{m}");
                    host.create_run(&run(&host, "t", "p", &id)).unwrap();
                    let found = host.run("t", &id).unwrap().unwrap();
                    end(&host, &id, RunStatus::Stopped, 1);
                    assert_eq!(found.status, RunStatus::Starting);
                }
            })
        });
        let ends: Vec<_> = hosts.collect::<Vec<_>>().into_iter().map(|host| host.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(Result::is_ok));
    });
}
