//! Changes of a pipeline that runs, over the wire.

use std::collections::HashMap;

use flowctl_proto::admin::change_topology_request::Change;
use flowctl_proto::admin::{
    AddNode, ChangeTopologyRequest, ChangeTopologyResponse, ConfigureNode, GetTopologyRequest, ListRevisionsRequest,
    Revision, Rollback, RunStatus, StopRunRequest, Trial, WatchTopologyRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{Caller, Host, eventually, within};

/// Says what a word of the pipeline `a` is from then on.
fn word(key: &str, value: &str) -> ChangeTopologyRequest {
    let values = HashMap::from([(key.to_owned(), format!("\"{value}\""))]);
    ChangeTopologyRequest {
        pipeline: "a".to_owned(),
        change: Some(Change::Configure(ConfigureNode { node: "out".to_owned(), values })),
        ..Default::default()
    }
}

async fn change(caller: &Caller, request: ChangeTopologyRequest) -> Result<ChangeTopologyResponse, Status> {
    Ok(within(caller.topologies().change_topology(request)).await?.into_inner())
}

async fn revisions(caller: &Caller) -> Vec<Revision> {
    let request = ListRevisionsRequest { pipeline: "a".to_owned() };
    caller.topologies().list_revisions(request).await.unwrap().into_inner().revisions
}

/// Waits until the latest revision is kept.
async fn kept(caller: &Caller) -> Vec<Revision> {
    eventually(async || Some(revisions(caller).await).filter(|revisions| revisions[0].status == "kept")).await
}

#[tokio::test]
async fn a_change_is_looked_at_made_shown_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let run = caller.apply("name=a").await.unwrap().id;
    caller.until(&run, RunStatus::Running).await;
    let watched = WatchTopologyRequest { pipeline: "a".to_owned() };
    let mut watch = caller.topologies().watch_topology(watched).await.unwrap().into_inner();
    let first = within(watch.message()).await.unwrap().unwrap();
    assert_eq!((first.revision, first.line.as_str()), (1, "in → out"));

    let plan = change(&caller, ChangeTopologyRequest { is_dry_run: true, ..word("parallelism", "2") }).await.unwrap();
    assert_eq!(plan.changes, ["~ out: parallelism 1 → 2"]);
    assert!(plan.is_at_checkpoint && !plan.is_made && !plan.plan_hash.is_empty());
    assert_eq!(revisions(&caller).await.len(), 1, "nothing was made");

    let request = ChangeTopologyRequest { plan_hash: plan.plan_hash.clone(), ..word("parallelism", "2") };
    let made = change(&caller, request.clone()).await.unwrap();
    assert!(made.is_made && made.epoch > 0 && made.took_us > 0, "{made:?}");
    assert_eq!((made.n_lost, made.topology.as_ref().unwrap().revision), (0, 2));
    let again = change(&caller, request).await.unwrap_err();
    assert_eq!(again.code(), Code::Aborted, "{again:?}");
    let second = within(watch.message()).await.unwrap().unwrap();
    assert_eq!((second.revision, second.run_id.as_str()), (2, run.as_str()));
    assert_ne!(second.json, first.json);

    let history = kept(&caller).await;
    assert_eq!((history[0].number, history[0].is_current, history[0].run_id.as_str()), (2, true, run.as_str()));
    assert_eq!(history[0].changes, plan.changes);
    assert!(history[0].text.ends_with("parallelism=2"));
    assert_eq!((history[1].status.as_str(), history[1].text.as_str()), ("started", "name=a"));
    let current = GetTopologyRequest { pipeline: "a".to_owned() };
    assert_eq!(caller.topologies().get_topology(current).await.unwrap().into_inner().revision, 2);

    caller.runs().stop_run(StopRunRequest { id: run.clone(), drain_timeout: None }).await.unwrap();
    let ended = caller.until(&run, RunStatus::Stopped).await;
    assert!(ended.resolved.contains("\"parallelism\":2"), "{}", ended.resolved);
    assert_eq!(ended.events_in, ended.events_out);
    host.end().await;
}

#[tokio::test]
async fn a_pipeline_is_what_it_was_changed_to_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let run = caller.apply("name=a").await.unwrap().id;
    caller.until(&run, RunStatus::Running).await;
    let trial = Some(Trial { is_skipped: true, ..Default::default() });
    change(&caller, ChangeTopologyRequest { trial, ..word("parallelism", "3") }).await.unwrap();
    kept(&caller).await;
    host.end().await;
    let host = Host::start(dir.path()).await;
    host.plane.controller.restart_wanted().await.unwrap();
    let caller = host.caller().await;
    let current = || GetTopologyRequest { pipeline: "a".to_owned() };
    let topology = eventually(async || {
        let topology = caller.topologies().get_topology(current()).await.ok()?.into_inner();
        (topology.run_id != run).then_some(topology)
    });
    let topology = topology.await;
    assert_eq!(topology.revision, 2, "it is no other");
    assert!(topology.json.contains("\"parallelism\":3"), "{}", topology.json);
    let rollback = Change::Rollback(Rollback { revision: 1 });
    caller.until(&topology.run_id, RunStatus::Running).await;
    let request = ChangeTopologyRequest { pipeline: "a".to_owned(), change: Some(rollback), ..Default::default() };
    let back = change(&caller, request).await.unwrap();
    assert_eq!(back.changes, ["~ out: parallelism 3 → 1"]);
    assert_eq!(kept(&caller).await[0].reason, "back to revision 1");
    host.end().await;
}

#[tokio::test]
async fn a_sink_that_fails_on_trial_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let run = caller.apply("name=a").await.unwrap().id;
    caller.until(&run, RunStatus::Running).await;
    // it may fail before or after every node has switched
    let _ = change(&caller, word("sink", "broken")).await;
    let history = eventually(async || {
        let history = revisions(&caller).await;
        history.iter().any(|revision| revision.status == "rolled-back").then_some(history)
    });
    let history = history.await;
    let failed = history.iter().find(|revision| revision.number == 2).unwrap();
    assert!(failed.status == "rolled-back" && failed.reason.contains("disk is full"), "{failed:?}");
    let latest = eventually(async || revisions(&caller).await.into_iter().find(|revision| revision.number == 3)).await;
    assert_eq!((latest.text.as_str(), latest.is_current), ("name=a", true));
    assert_eq!(latest.reason, "revision 2 was rolled back");
    assert_eq!(caller.run(&run).await.status(), RunStatus::Running);
    host.end().await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let run = caller.apply("name=a").await.unwrap().id;
    caller.until(&run, RunStatus::Running).await;
    let request = |change| ChangeTopologyRequest { pipeline: "a".to_owned(), change, ..Default::default() };
    let add = |config: &str| AddNode { component: "x".to_owned(), config: config.to_owned(), ..Default::default() };
    let long = AddNode { component: "x".repeat(2_000), ..Default::default() };
    let share = Trial { max_rejected: Some(2.0), ..Default::default() };
    for (request, code, said) in [
        (request(None), Code::InvalidArgument, "`change` is missing"),
        (request(Some(Change::Add(AddNode::default()))), Code::InvalidArgument, "`add.component` is empty"),
        (request(Some(Change::Add(add("[]")))), Code::InvalidArgument, "`add.config` is no JSON object"),
        (request(Some(Change::Add(add("{")))), Code::InvalidArgument, "no JSON"),
        (request(Some(Change::Add(long))), Code::InvalidArgument, "longer than"),
        (
            request(Some(Change::Configure(ConfigureNode::default()))),
            Code::InvalidArgument,
            "`configure.node` is empty",
        ),
        (request(Some(Change::Rollback(Rollback { revision: 9 }))), Code::NotFound, "no revision 9"),
        (
            ChangeTopologyRequest { trial: Some(share), ..word("parallelism", "2") },
            Code::InvalidArgument,
            "between 0 and 1",
        ),
        (ChangeTopologyRequest { pipeline: "b".to_owned(), ..word("n", "2") }, Code::NotFound, "no pipeline `b`"),
        (word("name", "b"), Code::InvalidArgument, "of pipeline `b`, not of `a`"),
        (word("name", "NOT A NAME"), Code::InvalidArgument, "the pipeline has 1 fault"),
        (ChangeTopologyRequest { plan_hash: "0".to_owned(), ..word("parallelism", "2") }, Code::Aborted, "its hash is"),
    ] {
        let refused = change(&caller, request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
        assert!(refused.message().contains(said), "no `{said}` in {refused:?}");
        assert!(refused.get_details_error_info().is_some(), "{refused:?}");
    }
    assert_eq!(revisions(&caller).await.len(), 1, "nothing was made");
    caller.runs().stop_run(StopRunRequest { id: run.clone(), drain_timeout: None }).await.unwrap();
    caller.until(&run, RunStatus::Stopped).await;
    let over = change(&caller, word("parallelism", "2")).await.unwrap_err();
    assert_eq!(over.code(), Code::FailedPrecondition, "{over:?}");
    host.end().await;
}
