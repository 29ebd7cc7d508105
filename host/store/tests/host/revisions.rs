//! Revisions of pipelines.

use flowctl_store::{HostStore, RevisionRecord, RevisionStatus};

use crate::support::{pipeline, store};

fn revision(number: u64) -> RevisionRecord {
    RevisionRecord {
        tenant: "t".to_owned(),
        pipeline: "p".to_owned(),
        number,
        run: "r".to_owned(),
        at: 100,
        status: RevisionStatus::Switching,
        reason: String::new(),
        changes: r#"["+ x"]"#.to_owned(),
        outcome: "{}".to_owned(),
        chain: "a → b".to_owned(),
        text: format!("spec: {{n: {number}}}"),
        lock: format!("lock {number}"),
    }
}

#[test]
fn of_two_that_follow_one_revision_one_is_stored() {
    let (folder, store) = store();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    let other = HostStore::open(folder.path()).unwrap();
    assert!(store.put_revision(&revision(1)).unwrap());
    assert!(!other.put_revision(&RevisionRecord { run: "other".to_owned(), ..revision(1) }).unwrap());
    assert!(!other.put_revision(&revision(3)).unwrap(), "none is left out");
    let stored = other.pipeline("t", "p").unwrap().unwrap();
    assert_eq!((stored.revision, stored.text.as_str(), stored.lock.as_str()), (1, "spec: {n: 1}", "lock 1"));
    assert_eq!(other.revision("t", "p", 1).unwrap(), Some(revision(1)));
    assert_eq!(other.revision("t", "p", 3).unwrap(), None);
    assert_eq!(other.revisions("u", "p").unwrap(), []);
}

#[test]
fn a_revision_of_no_pipeline_is_not_stored() {
    let (_folder, store) = store();
    assert!(!store.put_revision(&revision(1)).unwrap());
}

#[test]
fn submitting_a_pipeline_again_leaves_its_revisions() {
    let (_folder, store) = store();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    store.put_revision(&revision(1)).unwrap();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    assert_eq!(store.pipeline("t", "p").unwrap().unwrap().revision, 1);
    assert_eq!(store.revisions("t", "p").unwrap(), [revision(1)]);
}

#[test]
fn what_became_of_a_revision_is_written_down() {
    let (_folder, store) = store();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    store.put_revision(&revision(1)).unwrap();
    store.settle_revision(("t", "p", 1), RevisionStatus::OnTrial, "", r#"{"pause_us":7}"#).unwrap();
    store.settle_revision(("t", "p", 1), RevisionStatus::RolledBack, "it trapped", "").unwrap();
    let settled = store.revision("t", "p", 1).unwrap().unwrap();
    assert_eq!((settled.status, settled.reason.as_str()), (RevisionStatus::RolledBack, "it trapped"));
    assert_eq!(settled.outcome, r#"{"pause_us":7}"#);
}

#[test]
fn the_last_hundred_are_kept_and_go_with_their_pipeline() {
    let (_folder, store) = store();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    for number in 1..=103 {
        assert!(store.put_revision(&revision(number)).unwrap());
    }
    let numbers: Vec<u64> = store.revisions("t", "p").unwrap().iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, (4..=103).rev().collect::<Vec<_>>());
    assert!(store.delete_pipeline("t", "p").unwrap());
    assert_eq!(store.revisions("t", "p").unwrap(), []);
}
