//! Records, and a database in a folder of its own.

use flowctl_store::{HostStore, PipelineRecord, RunRecord, RunStatus, RunUpdate};
use tempfile::TempDir;

/// A new database in a folder that goes with the guard.
pub(crate) fn store() -> (TempDir, HostStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = HostStore::open(folder.path()).unwrap();
    (folder, store)
}

/// A pipeline of that name with something in each field.
pub(crate) fn pipeline(tenant: &str, name: &str) -> PipelineRecord {
    PipelineRecord {
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        text: "spec: {from: ledgers, password: ${PASSWORD}}".to_owned(),
        file_name: format!("{name}.yaml"),
        base_dir: "/srv/pipelines".to_owned(),
        plugins: vec!["plugins".to_owned(), "one, with a comma.wasm".to_owned()],
        lock: "version: 1".to_owned(),
        options: r#"{"locked":true}"#.to_owned(),
        is_wanted: true,
        created_at: 10,
        changed_at: 20,
        revision: 0,
    }
}

/// A run that starts on the host of `store`.
pub(crate) fn run(store: &HostStore, tenant: &str, pipeline: &str, id: &str) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        tenant: tenant.to_owned(),
        pipeline: pipeline.to_owned(),
        host_id: store.host_id().to_owned(),
        status: RunStatus::Starting,
        created_at: 100,
        started_at: None,
        ended_at: None,
        error: String::new(),
        error_code: String::new(),
        hint: String::new(),
        config: "spec: {}".to_owned(),
        resolved: "{}".to_owned(),
        figures: r#"{"nodes":[]}"#.to_owned(),
        epoch: 0,
        events_in: 0,
        events_out: 0,
        rejected: 0,
        dead_letters: "/srv/dead-letters".to_owned(),
    }
}

/// Stores a run of tenant `t`, with its pipeline where that is missing.
pub(crate) fn start(store: &HostStore, name: &str, id: &str) {
    if store.pipeline("t", name).unwrap().is_none() {
        store.put_pipeline(&pipeline("t", name)).unwrap();
    }
    store.create_run(&run(store, "t", name, id)).unwrap();
}

/// Ends a run at a time.
pub(crate) fn end(store: &HostStore, id: &str, status: RunStatus, at: i64) {
    let update = RunUpdate { id: id.to_owned(), status: Some(status), ended_at: Some(at), ..RunUpdate::default() };
    assert_eq!(store.update_run(&update).unwrap(), Some(status));
}
