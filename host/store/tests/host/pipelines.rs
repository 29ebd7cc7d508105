//! Pipelines and their lists.

use flowctl_store::{
    EventLevel, EventRecord, HostStore, PipelineQuery, PipelineRecord, RunQuery, RunStatus, StateError,
};

use crate::support::{end, pipeline, start, store};

fn names(store: &HostStore, query: &PipelineQuery) -> Vec<String> {
    store.pipelines(query).unwrap().into_iter().map(|row| row.name).collect()
}

#[test]
fn a_pipeline_is_found_again_by_the_next_process() {
    let (folder, store) = store();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    drop(store);
    let store = HostStore::open(folder.path()).unwrap();
    assert_eq!(store.pipeline("t", "p").unwrap(), Some(pipeline("t", "p")));
    assert_eq!(store.pipeline("u", "p").unwrap(), None);
    assert_eq!(store.pipeline_row("u", "p").unwrap(), None);
}

#[test]
fn submitting_again_keeps_the_runs_and_when_it_was_made() {
    let (_folder, store) = store();
    start(&store, "p", "r");
    let again = PipelineRecord {
        text: "spec: {}".to_owned(),
        plugins: vec![],
        is_wanted: false,
        created_at: 999,
        changed_at: 999,
        ..pipeline("t", "p")
    };
    store.put_pipeline(&again).unwrap();
    assert_eq!(store.pipeline("t", "p").unwrap(), Some(PipelineRecord { created_at: 10, ..again }));
    assert_eq!(store.pipeline_row("t", "p").unwrap().unwrap().n_runs, 1);
}

#[test]
fn what_is_wanted_is_found_over_all_tenants() {
    let (_folder, store) = store();
    for (tenant, name) in [("u", "b"), ("t", "c"), ("t", "a")] {
        store.put_pipeline(&pipeline(tenant, name)).unwrap();
    }
    assert!(store.set_wanted("t", "c", false).unwrap());
    assert!(!store.set_wanted("t", "unknown", true).unwrap());
    assert_eq!(store.wanted().unwrap(), [pipeline("t", "a"), pipeline("u", "b")]);
    assert!(store.set_wanted("t", "c", true).unwrap());
    assert_eq!(store.wanted().unwrap().len(), 3);
}

#[test]
fn pages_of_a_tenants_pipelines_follow_each_other_by_name() {
    let (_folder, store) = store();
    for name in ["d", "b", "a", "c", "e"] {
        store.put_pipeline(&pipeline("t", name)).unwrap();
    }
    store.put_pipeline(&pipeline("u", "bb")).unwrap();
    let mut query = PipelineQuery { limit: 2, ..PipelineQuery::of("t") };
    assert_eq!(names(&store, &query), ["a", "b"]);
    query.after = Some("b".to_owned());
    store.put_pipeline(&pipeline("t", "aa")).unwrap();
    assert_eq!(names(&store, &query), ["c", "d"]);
    query.after = Some("d".to_owned());
    assert_eq!(names(&store, &query), ["e"]);
}

#[test]
fn a_row_shows_the_run_that_goes_on_else_the_last_one() {
    let (_folder, store) = store();
    store.put_pipeline(&pipeline("t", "never")).unwrap();
    for id in ["r1", "r2", "r3"] {
        start(&store, "p", id);
    }
    let last_run = || {
        let row = store.pipeline_row("t", "p").unwrap().unwrap();
        assert_eq!(row.n_runs, 3);
        row.last_run.unwrap().id
    };
    assert_eq!(last_run(), "r3");
    end(&store, "r3", RunStatus::Failed, 1);
    end(&store, "r1", RunStatus::Failed, 2);
    assert_eq!(last_run(), "r2", "it goes on");
    end(&store, "r2", RunStatus::Stopped, 3);
    assert_eq!(last_run(), "r3");

    let rows = store.pipelines(&PipelineQuery::of("t")).unwrap();
    let PipelineRecord { tenant, name, file_name, base_dir, plugins, options, .. } = pipeline("t", "p");
    let row = &rows[1];
    assert_eq!((&row.tenant, &row.name, &row.file_name, &row.base_dir), (&tenant, &name, &file_name, &base_dir));
    assert_eq!((&row.plugins, &row.options, row.is_wanted), (&plugins, &options, true));
    assert_eq!((row.created_at, row.changed_at), (10, 20));
    assert_eq!(row.last_run, store.runs(&RunQuery::of("t")).unwrap().into_iter().next());
    assert_eq!((rows[0].last_run.as_ref(), rows[0].n_runs), (None, 0));
}

#[test]
fn only_pipelines_that_run_are_active() {
    let (_folder, store) = store();
    for name in ["a", "b", "c", "d"] {
        start(&store, name, &format!("run-of-{name}"));
    }
    end(&store, "run-of-b", RunStatus::Completed, 1);
    store.put_pipeline(&pipeline("t", "never")).unwrap();
    let query = PipelineQuery { is_active: true, limit: 2, ..PipelineQuery::of("t") };
    assert_eq!(names(&store, &query), ["a", "c"]);
    assert_eq!(names(&store, &PipelineQuery { after: Some("a".to_owned()), ..query }), ["c", "d"]);
}

#[test]
fn a_pipeline_goes_with_its_runs_and_events_but_not_while_it_runs() {
    let (folder, store) = store();
    for id in ["r1", "r2", "r3"] {
        start(&store, "p", id);
    }
    start(&store, "other", "r4");
    let (level, kind, message) = (EventLevel::Info, "started".to_owned(), String::new());
    let event = EventRecord { at: 1, level, kind, node: None, message };
    for id in ["r1", "r3", "r4"] {
        store.append_events(id, std::slice::from_ref(&event)).unwrap();
    }
    end(&store, "r1", RunStatus::Stopped, 1);
    end(&store, "r3", RunStatus::Stopped, 1);
    let error = store.delete_pipeline("t", "p").unwrap_err();
    assert!(matches!(&error, StateError::Runs { pipeline } if pipeline == "p"), "{error}");
    assert_eq!(store.pipeline_row("t", "p").unwrap().unwrap().n_runs, 3);
    end(&store, "r2", RunStatus::Stopped, 1);
    assert!(store.delete_pipeline("t", "p").unwrap());
    assert!(!store.delete_pipeline("t", "p").unwrap());
    assert_eq!(names(&store, &PipelineQuery::of("t")), ["other"]);
    drop(store);
    let database = rusqlite::Connection::open(folder.path().join("host.db")).unwrap();
    let count = |table: &str| -> i64 {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(["pipeline", "run", "run_text", "event", "event_log"].map(count), [1; 5]);
}
