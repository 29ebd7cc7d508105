//! Runs, their way forward, and their lists.

use flowctl_store::{HostStore, RunQuery, RunRecord, RunStatus, RunUpdate, StateError};
use proptest::prelude::*;

use crate::support::{end, pipeline, run, start, store};

const STATUSES: [RunStatus; 6] = [
    RunStatus::Starting,
    RunStatus::Running,
    RunStatus::Stopping,
    RunStatus::Completed,
    RunStatus::Failed,
    RunStatus::Stopped,
];

fn ids(store: &HostStore, query: &RunQuery) -> Vec<String> {
    store.runs(query).unwrap().into_iter().map(|row| row.id).collect()
}

fn update(id: &str, status: RunStatus) -> RunUpdate {
    RunUpdate { id: id.to_owned(), status: Some(status), ..RunUpdate::default() }
}

#[test]
fn a_run_is_found_again_by_the_next_process_and_by_its_tenant_alone() {
    let (folder, store) = store();
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    let failed = RunRecord {
        status: RunStatus::Failed,
        started_at: Some(110),
        ended_at: Some(120),
        error: "no chain".to_owned(),
        error_code: "no-chain".to_owned(),
        hint: "add one".to_owned(),
        epoch: u64::MAX >> 1,
        events_in: 1,
        events_out: 2,
        rejected: 3,
        ..run(&store, "t", "p", "r")
    };
    store.create_run(&failed).unwrap();
    drop(store);
    let store = HostStore::open(folder.path()).unwrap();
    assert_eq!(store.run("u", "r").unwrap(), None);
    assert_eq!(store.runs(&RunQuery::of("u")).unwrap(), []);
    assert_eq!(store.run("t", "r").unwrap(), Some(failed));
}

#[test]
fn a_run_needs_its_pipeline_and_an_id_of_its_own() {
    let (_folder, store) = store();
    let record = run(&store, "t", "p", "r");
    let error = store.create_run(&record).unwrap_err();
    assert!(matches!(&error, StateError::NoPipeline { pipeline, .. } if pipeline == "p"), "{error}");
    store.put_pipeline(&pipeline("t", "p")).unwrap();
    store.create_run(&record).unwrap();
    let error = store.create_run(&RunRecord { epoch: 7, ..record.clone() }).unwrap_err();
    assert_eq!(error.to_string(), "run `r` is there already");
    assert_eq!(store.run("t", "r").unwrap(), Some(record));
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let (_folder, store) = store();
    start(&store, "p", "r");
    start(&store, "p", "other");
    let update = RunUpdate {
        id: "r".to_owned(),
        figures: Some(r#"{"nodes":[1]}"#.to_owned()),
        resolved: Some(r#"{"nodes":{}}"#.to_owned()),
        epoch: Some(4),
        events_in: Some(5),
        ..RunUpdate::default()
    };
    assert_eq!(store.update_run(&update).unwrap(), Some(RunStatus::Starting));
    let want = RunRecord {
        figures: update.figures.unwrap(),
        resolved: update.resolved.unwrap(),
        epoch: 4,
        events_in: 5,
        ..run(&store, "t", "p", "r")
    };
    assert_eq!(store.run("t", "r").unwrap(), Some(want.clone()));
    let update = RunUpdate {
        id: "r".to_owned(),
        error: Some("lost".to_owned()),
        error_code: Some("not-there".to_owned()),
        hint: Some("look".to_owned()),
        events_out: Some(6),
        rejected: Some(7),
        dead_letters: Some("elsewhere".to_owned()),
        ..RunUpdate::default()
    };
    store.update_run(&update).unwrap();
    let want = RunRecord {
        error: "lost".to_owned(),
        error_code: "not-there".to_owned(),
        hint: "look".to_owned(),
        events_out: 6,
        rejected: 7,
        dead_letters: "elsewhere".to_owned(),
        ..want
    };
    assert_eq!(store.run("t", "r").unwrap(), Some(want));
    assert_eq!(store.run("t", "other").unwrap(), Some(run(&store, "t", "p", "other")));
    assert_eq!(store.update_run(&RunUpdate { id: "unknown".to_owned(), ..RunUpdate::default() }).unwrap(), None);
}

#[test]
fn times_are_noted_once_where_they_are_not_given() {
    let (_folder, store) = store();
    for id in ["noted", "given", "never-ready"] {
        start(&store, "p", id);
    }
    let times = |id| store.run("t", id).unwrap().map(|run| (run.started_at, run.ended_at)).unwrap();
    store.update_run(&update("noted", RunStatus::Running)).unwrap();
    let (started_at, None) = times("noted") else { panic!("it goes on") };
    assert!(started_at.is_some());
    store.update_run(&update("noted", RunStatus::Stopping)).unwrap();
    store.update_run(&RunUpdate { started_at: Some(1), ..update("noted", RunStatus::Stopped) }).unwrap();
    assert_eq!(times("noted").0, started_at);
    assert!(times("noted").1.is_some());
    store
        .update_run(&RunUpdate { started_at: Some(7), ended_at: Some(8), ..update("given", RunStatus::Running) })
        .unwrap();
    assert_eq!(times("given"), (Some(7), None), "it has not ended");
    end(&store, "given", RunStatus::Stopped, 9);
    assert_eq!(times("given"), (Some(7), Some(9)));
    end(&store, "never-ready", RunStatus::Failed, 9);
    assert_eq!(times("never-ready"), (None, Some(9)));
}

#[test]
fn pages_of_runs_go_back_in_time_and_new_runs_move_none() {
    let (_folder, store) = store();
    for n in 1..=5 {
        start(&store, if n % 2 == 0 { "even" } else { "odd" }, &format!("r{n}"));
    }
    let first = RunQuery { limit: 2, ..RunQuery::of("t") };
    assert_eq!(ids(&store, &first), ["r5", "r4"]);
    let before = store.runs(&first).unwrap().last().map(|row| row.number);
    start(&store, "odd", "r6");
    let second = RunQuery { before, ..first.clone() };
    assert_eq!(ids(&store, &second), ["r3", "r2"]);
    let odd = RunQuery { pipeline: Some("odd".to_owned()), ..first };
    assert_eq!(ids(&store, &odd), ["r6", "r5"]);
    assert_eq!(ids(&store, &RunQuery { before, ..odd }), ["r3", "r1"]);
}

#[test]
fn only_runs_that_have_not_ended_are_active() {
    let (_folder, store) = store();
    for n in 1..=6 {
        start(&store, if n % 2 == 0 { "even" } else { "odd" }, &format!("r{n}"));
    }
    end(&store, "r6", RunStatus::Failed, 1);
    end(&store, "r3", RunStatus::Failed, 1);
    let query = RunQuery { is_active: true, limit: 2, ..RunQuery::of("t") };
    assert_eq!(ids(&store, &query), ["r5", "r4"]);
    let before = store.runs(&query).unwrap().last().map(|row| row.number);
    assert_eq!(ids(&store, &RunQuery { before, ..query.clone() }), ["r2", "r1"]);
    assert_eq!(ids(&store, &RunQuery { pipeline: Some("odd".to_owned()), ..query }), ["r5", "r1"]);
}

/// Where a status lies on the way.
fn place(status: RunStatus) -> usize {
    if status.is_ended() { 3 } else { STATUSES.iter().position(|other| *other == status).unwrap() }
}

fn updates() -> impl Strategy<Value = Vec<RunUpdate>> {
    let one = (prop::option::of(prop::sample::select(&STATUSES)), prop::option::of(0u64..9), "[a-z]{0,3}");
    let one = one.prop_map(|(status, events_in, figures)| RunUpdate {
        id: "r".to_owned(),
        status,
        events_in,
        figures: Some(figures),
        ..RunUpdate::default()
    });
    prop::collection::vec(one, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_status_moves_forward_only_and_a_run_that_has_ended_stays(updates in updates()) {
        let (_folder, store) = store();
        start(&store, "p", "r");
        let mut before = store.run("t", "r").unwrap().unwrap();
        for update in updates {
            let status = store.update_run(&update).unwrap().unwrap();
            let after = store.run("t", "r").unwrap().unwrap();
            prop_assert_eq!(after.status, status);
            prop_assert_eq!(after.ended_at.is_some(), status.is_ended());
            if before.status.is_ended() {
                prop_assert_eq!(&after, &before);
            } else {
                let asked = update.status.unwrap_or(before.status);
                prop_assert_eq!(place(status), place(asked).max(place(before.status)));
                prop_assert_eq!(Some(&after.figures), update.figures.as_ref());
                prop_assert_eq!(after.events_in, update.events_in.unwrap_or(before.events_in));
            }
            before = after;
        }
    }
}
