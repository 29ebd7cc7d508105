//! The state of a pipeline: what is stored is found again, whole, and by one process.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::fs;

use expect_test::{Expect, expect};
use flowctl_runtime::{Checkpoint, CheckpointStore, SavedState, StoreError};
use flowctl_store::{PipelineState, StateError};
use flowctl_types::NodeId;
use proptest::prelude::*;

fn name() -> NodeId {
    "transfers".parse().unwrap()
}

fn checkpoint(epoch: u64) -> Checkpoint {
    let node = |name: &str| name.parse::<NodeId>().unwrap();
    let state = SavedState { version: "1.2.0".to_owned(), parts: vec![(7, vec![1, 2]), (0, vec![]), (7, vec![3])] };
    Checkpoint {
        epoch,
        positions: [(node("ledgers"), epoch.to_be_bytes().to_vec())].into(),
        finished: [node("ledgers"), node("silent")].into(),
        states: [(node("sum"), state), (node("empty"), SavedState::default())].into(),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_checkpoint_is_found_again_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/state");
    let first = PipelineState::open(&dir, &name()).unwrap();
    assert_eq!(first.standing().unwrap(), None);
    block_on(async {
        let store = first.checkpoints(3);
        assert_eq!(store.committed().await.unwrap(), None);
        assert_eq!(store.pending().await.unwrap(), None);
        store.put_pending(checkpoint(1)).await.unwrap();
        store.commit(1).await.unwrap();
        store.put_pending(checkpoint(2)).await.unwrap();
        store.put_pending(checkpoint(3)).await.unwrap();
    });
    let id = first.id().to_owned();
    drop(first);
    let second = PipelineState::open(&dir, &name()).unwrap();
    assert_eq!(second.id(), id);
    block_on(async {
        let store = second.checkpoints(3);
        assert_eq!(store.committed().await.unwrap(), Some(checkpoint(1)));
        assert_eq!(store.pending().await.unwrap(), Some(checkpoint(3)), "the one before is gone");
        assert!(matches!(store.commit(2).await, Err(StoreError::NotPending { epoch: 2 })));
        store.commit(3).await.unwrap();
        assert!(matches!(store.commit(3).await, Err(StoreError::NotPending { epoch: 3 })));
        assert_eq!(store.committed().await.unwrap(), Some(checkpoint(3)));
        assert_eq!(store.pending().await.unwrap(), None);
    });
    let standing = second.standing().unwrap().unwrap();
    assert_eq!(standing.epoch, 3);
    assert_eq!(standing.states, [("empty".parse().unwrap(), 0), ("sum".parse().unwrap(), 3)]);
}

#[test]
fn as_many_committed_checkpoints_stay_as_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let state = PipelineState::open(folder.path(), &name()).unwrap();
    block_on(async {
        let store = state.checkpoints(2);
        for epoch in 1..=9 {
            store.put_pending(checkpoint(epoch)).await.unwrap();
            store.commit(epoch).await.unwrap();
        }
    });
    drop(state);
    let database = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    let count = |table: &str| -> i64 {
        database.query_row(&format!("SELECT count(DISTINCT epoch) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(["checkpoint", "source", "state", "state_part"].map(count), [2; 4]);
}

#[test]
fn starting_over_forgets_checkpoints_once_there_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let open = || PipelineState::open(folder.path(), &name()).unwrap();
    let state = open();
    let before = state.id().to_owned();
    block_on(async {
        let store = state.checkpoints(2);
        store.put_pending(checkpoint(4)).await.unwrap();
        store.commit(4).await.unwrap();
        store.put_pending(checkpoint(5)).await.unwrap();
    });
    drop(state);

    let mut given_up = open();
    given_up.start_over().unwrap();
    assert_ne!(given_up.id(), before);
    assert_eq!(given_up.standing().unwrap(), None);
    block_on(async {
        let store = given_up.checkpoints(2);
        assert_eq!((store.committed().await.unwrap(), store.pending().await.unwrap()), (None, None));
    });
    drop(given_up);
    let mut state = open();
    assert_eq!(state.id(), before, "nothing was stored, so nothing has changed");
    assert_eq!(state.standing().unwrap().unwrap().epoch, 4);

    state.start_over().unwrap();
    let after = state.id().to_owned();
    block_on(async {
        let store = state.checkpoints(2);
        store.put_pending(checkpoint(1)).await.unwrap();
        assert_eq!(store.committed().await.unwrap(), None, "the old ones are gone");
        store.commit(1).await.unwrap();
        assert_eq!(store.committed().await.unwrap(), Some(checkpoint(1)));
    });
    drop(state);
    assert_eq!(open().id(), after);
}

#[test]
fn a_second_holder_is_refused_with_the_first_ones_process() {
    let folder = tempfile::tempdir().unwrap();
    let _first = PipelineState::open(folder.path(), &name()).unwrap();
    let error = PipelineState::open(folder.path(), &name()).unwrap_err();
    let StateError::Held { pid, .. } = &error else { panic!("{error}") };
    assert_eq!(*pid, std::process::id().to_string());
}

#[test]
#[cfg(unix)]
fn the_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("state");
    PipelineState::open(&dir, &name()).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}

/// Opens a state after `damage`, and compares the error and its hint.
fn check(damage: impl FnOnce(&std::path::Path), want: &Expect) {
    let folder = tempfile::tempdir().unwrap();
    let state = PipelineState::open(folder.path(), &name()).unwrap();
    block_on(async {
        let store = state.checkpoints(2);
        store.put_pending(checkpoint(1)).await.unwrap();
        store.commit(1).await.unwrap();
    });
    drop(state);
    damage(folder.path());
    let error = PipelineState::open(folder.path(), &name()).unwrap_err();
    let text = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
    want.assert_eq(&text.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn a_damaged_database_is_named_with_the_remedy() {
    let overwrite =
        |path: &std::path::Path| fs::write(path.join("state.db"), "no database at all, by any means").unwrap();
    check(
        overwrite,
        &expect![[r#"
            the database `DIR/state.db` is damaged: file is not a database
            hint: restore `DIR/state.db` from a copy, or remove it: the pipeline then starts over, and sinks are given their events again"#]],
    );
    let flip = |path: &std::path::Path| {
        let path = path.join("state.db");
        let mut bytes = fs::read(&path).unwrap();
        // behind the header of the first page: the schema's b-tree
        bytes[100..2_000].fill(0xa5);
        fs::write(&path, bytes).unwrap();
    };
    check(
        flip,
        &expect![[r#"
            the database `DIR/state.db` is damaged: database disk image is malformed
            hint: restore `DIR/state.db` from a copy, or remove it: the pipeline then starts over, and sinks are given their events again"#]],
    );
}

#[test]
fn a_state_of_a_later_version_or_of_another_pipeline_is_refused() {
    let change = |sql: &'static str| {
        move |path: &std::path::Path| {
            rusqlite::Connection::open(path.join("state.db")).unwrap().execute_batch(sql).unwrap();
        }
    };
    check(
        change("PRAGMA user_version = 99"),
        &expect![[r#"
            the database `DIR/state.db` has format 99; this flowctl knows formats up to 1
            hint: run it with the flowctl that wrote it, or a later one"#]],
    );
    check(
        change("UPDATE pipeline SET name = 'orders'"),
        &expect![[r#"
            `DIR/state.db` holds the state of pipeline `orders`
            hint: name another folder with --state-dir"#]],
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = PipelineState::open(&folder.path().join("file/state"), &name()).unwrap_err();
    assert!(
        matches!(&error, StateError::File { action: "create", path, .. } if path.ends_with("file/state")),
        "{error}"
    );
}

fn arbitrary() -> impl Strategy<Value = Checkpoint> {
    let node = "[a-z][a-z0-9]{0,5}".prop_map(|name| name.parse::<NodeId>().unwrap());
    let bytes = || prop::collection::vec(any::<u8>(), 0..9);
    let parts = prop::collection::vec((0u32..256, bytes()), 0..4);
    let state = ("[0-9.]{0,5}", parts).prop_map(|(version, parts)| SavedState { version, parts });
    let positions = prop::collection::btree_map(node.clone(), bytes(), 0..4);
    let states = prop::collection::btree_map(node.clone(), state, 0..4);
    let finished = prop::collection::btree_set(node, 0..3);
    (1..u64::MAX, positions, finished, states).prop_map(|(epoch, positions, finished, states)| Checkpoint {
        epoch: epoch >> 1 | 1,
        positions,
        finished,
        states,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_checkpoint_is_found_as_it_was(checkpoint in arbitrary()) {
        let folder = tempfile::tempdir().unwrap();
        let state = PipelineState::open(folder.path(), &name()).unwrap();
        let found = block_on(async {
            let store = state.checkpoints(1);
            store.put_pending(checkpoint.clone()).await.unwrap();
            store.commit(checkpoint.epoch).await.unwrap();
            store.committed().await.unwrap()
        });
        prop_assert_eq!(found, Some(checkpoint));
    }
}

#[test]
fn states_of_many_nodes_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let state = PipelineState::open(folder.path(), &name()).unwrap();
    let node = |n: u8| format!("n{n}").parse::<NodeId>().unwrap();
    let states: BTreeMap<_, _> = (0..50)
        .map(|n| (node(n), SavedState { version: String::new(), parts: vec![(u32::from(n), vec![n; 3])] }))
        .collect();
    let checkpoint = Checkpoint { epoch: 5, states, ..Checkpoint::default() };
    let found = block_on(async {
        let store = state.checkpoints(1);
        store.put_pending(checkpoint.clone()).await.unwrap();
        store.pending().await.unwrap()
    });
    assert_eq!(found, Some(checkpoint));
}
