//! Streams: what they show, and that they end.

use std::time::Duration;

use flowctl_control_plane::controller::{LogLayer, RunLog};
use flowctl_proto::admin::{
    RunStatus, StopRunRequest, TapNodeRequest, WatchPipelinesRequest, WatchRunEventsRequest, WatchRunRequest,
    WatchTopologyRequest,
};
use flowctl_store::EventLevel;
use tonic::Code;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Caller, Host, within};

async fn stop(caller: &Caller, id: &str) {
    caller.runs().stop_run(StopRunRequest { id: id.to_owned(), drain_timeout: None }).await.unwrap();
}

#[tokio::test]
async fn a_watched_run_shows_its_way_and_the_stream_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a").await.unwrap().id;
    let mut watch = caller.runs().watch_run(WatchRunRequest { id: id.clone() }).await.unwrap().into_inner();
    let mut n_events = 0;
    // figures move while it goes
    while n_events < 20 {
        let run = within(watch.message()).await.unwrap().unwrap();
        assert!(run.events_out >= n_events);
        n_events = run.events_out;
    }
    stop(&caller, &id).await;
    let mut last = None;
    while let Some(run) = within(watch.message()).await.unwrap() {
        last = Some(run);
    }
    assert_eq!(last.unwrap().status(), RunStatus::Stopped);
    // of a run that has ended there is one message
    let mut watch = caller.runs().watch_run(WatchRunRequest { id }).await.unwrap().into_inner();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().status(), RunStatus::Stopped);
    assert!(within(watch.message()).await.unwrap().is_none());
    host.end().await;
}

#[tokio::test]
async fn a_followed_log_has_every_event_once_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a").await.unwrap().id;
    caller.until(&id, RunStatus::Running).await;
    let wanted = WatchRunEventsRequest { id: id.clone(), ..Default::default() };
    let mut watch = caller.runs().watch_run_events(wanted).await.unwrap().into_inner();
    let log = host.plane.controller.log();
    for n in 0..50 {
        log.append(&id, EventLevel::Info, "log", "out", &format!("line {n}\u{1b}[31m"));
    }
    let mut events = Vec::new();
    while events.iter().filter(|event: &&flowctl_proto::admin::RunEvent| event.kind == "log").count() < 50 {
        events.push(within(watch.message()).await.unwrap().unwrap());
    }
    stop(&caller, &id).await;
    while let Some(event) = within(watch.message()).await.unwrap() {
        events.push(event);
    }
    assert_eq!(
        events.iter().map(|event| event.number).collect::<Vec<_>>(),
        (1..=events.len() as u64).collect::<Vec<_>>()
    );
    let lines: Vec<_> = events.iter().filter(|event| event.kind == "log" && event.node == "out").collect();
    assert_eq!(lines.len(), 50);
    assert_eq!(lines[49].message, "line 49[31m", "nothing steers a terminal");
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).filter(|kind| *kind != "log").collect();
    assert!(kinds.ends_with(&["stopping", "stopped"]), "{kinds:?}");
    // one node alone, from a number on
    let wanted = WatchRunEventsRequest { id, node: "out".to_owned(), after: lines[39].number };
    let mut watch = caller.runs().watch_run_events(wanted).await.unwrap().into_inner();
    let mut n_events = 0;
    while let Some(event) = within(watch.message()).await.unwrap() {
        assert_eq!(event.node, "out");
        n_events += 1;
    }
    assert_eq!(n_events, 10);
    host.end().await;
}

#[tokio::test]
async fn a_flood_of_lines_is_bounded_and_what_is_left_out_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a").await.unwrap().id;
    caller.until(&id, RunStatus::Running).await;
    let log = host.plane.controller.log();
    for _ in 0..100_000 {
        log.append(&id, EventLevel::Info, "log", "in", &"x".repeat(10_000));
    }
    stop(&caller, &id).await;
    caller.until(&id, RunStatus::Stopped).await;
    let wanted = WatchRunEventsRequest { id, ..Default::default() };
    let mut watch = caller.runs().watch_run_events(wanted).await.unwrap().into_inner();
    let (mut n_lines, mut n_bytes, mut said) = (0, 0, Vec::new());
    while let Some(event) = within(watch.message()).await.unwrap() {
        n_lines += 1;
        n_bytes += event.message.len();
        if event.kind == "left-out" {
            said.push(event.message);
        }
    }
    assert!(n_lines < 5_000 && n_bytes < 20 << 20, "{n_lines} lines, {n_bytes} bytes");
    assert!(said.iter().any(|message| message.contains("lines were left out")), "{said:?}");
    host.end().await;
}

#[tokio::test]
async fn what_the_process_logs_about_a_run_is_in_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a").await.unwrap().id;
    caller.until(&id, RunStatus::Running).await;
    let log: RunLog = host.plane.controller.log();
    let subscriber = tracing_subscriber::registry().with(LogLayer::new(log));
    tracing::subscriber::with_default(subscriber, || {
        let _run = tracing::info_span!("run", run = %id).entered();
        let _node = tracing::info_span!("node", node = "ttp").entered();
        tracing::warn!(n_events = 7, "plugin wrote");
        tracing::debug!("not taken");
        let _deeper = tracing::info_span!("call").entered();
        tracing::info!("from deeper");
    });
    let wanted = WatchRunEventsRequest { id, node: "ttp".to_owned(), ..Default::default() };
    let mut watch = caller.runs().watch_run_events(wanted).await.unwrap().into_inner();
    let mut next = async || within(watch.message()).await.unwrap().unwrap();
    let (first, second) = (next().await, next().await);
    assert_eq!((first.level.as_str(), first.message.as_str()), ("warn", "plugin wrote n_events=7"));
    assert_eq!(second.message, "from deeper");
    host.end().await;
}

#[tokio::test]
async fn what_components_log_is_in_the_log_of_their_run_and_node() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let subscriber = tracing_subscriber::registry().with(LogLayer::new(host.plane.controller.log()));
    let _here = tracing::subscriber::set_default(subscriber);
    let caller = host.caller().await;
    let id = caller.apply("name=a events=2 sink=loud").await.unwrap().id;
    let wanted = WatchRunEventsRequest { id, ..Default::default() };
    let mut watch = caller.runs().watch_run_events(wanted).await.unwrap().into_inner();
    let mut lines = Vec::new();
    while let Some(event) = within(watch.message()).await.unwrap() {
        if event.kind == "log" {
            lines.push((event.node, event.message));
        }
    }
    assert!(lines.contains(&("in".to_owned(), "preparing".to_owned())), "{lines:?}");
    assert!(lines.contains(&("out".to_owned(), "took events n_events=1".to_owned())), "{lines:?}");
    host.end().await;
}

#[tokio::test]
async fn watched_pipelines_show_all_and_then_what_changes() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let mut watch = caller.pipelines().watch_pipelines(WatchPipelinesRequest {}).await.unwrap().into_inner();
    assert_eq!(within(watch.message()).await.unwrap().unwrap().changed, []);
    let id = caller.apply("name=a").await.unwrap().id;
    let mut next = async || within(watch.message()).await.unwrap().unwrap();
    let last = async |message: flowctl_proto::admin::WatchPipelinesResponse| {
        message.changed.into_iter().next().unwrap().last_run.unwrap()
    };
    let mut run = last(next().await).await;
    assert_eq!(run.id, id);
    stop(&caller, &id).await;
    while run.status() != RunStatus::Stopped {
        run = last(next().await).await;
    }
    let delete = flowctl_proto::admin::DeletePipelineRequest { name: "a".to_owned() };
    crate::support::eventually(async || caller.pipelines().delete_pipeline(delete.clone()).await.ok()).await;
    let mut deleted = Vec::new();
    while deleted.is_empty() {
        deleted = next().await.deleted;
    }
    assert_eq!(deleted, ["a"]);
    host.end().await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a").await.unwrap().id;
    caller.until(&id, RunStatus::Running).await;
    let of_a = WatchTopologyRequest { pipeline: "a".to_owned() };
    let mut watch = caller.topologies().watch_topology(of_a).await.unwrap().into_inner();
    let topology = within(watch.message()).await.unwrap().unwrap();
    assert_eq!((topology.run_id.as_str(), topology.line.as_str()), (id.as_str(), "in → out"));
    let started = std::time::Instant::now();
    host.stop().await;
    let ended = within(watch.message()).await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(5), "it does not wait for the streams");
}

#[tokio::test]
async fn a_tap_wants_a_pipeline_that_runs_and_a_node_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let tap = async |pipeline: &str, node: &str| {
        let request = TapNodeRequest { pipeline: pipeline.to_owned(), node: node.to_owned(), limit: 3 };
        caller.topologies().tap_node(request).await
    };
    assert_eq!(tap("a", "in").await.unwrap_err().code(), Code::NotFound);
    let id = caller.apply("name=a").await.unwrap().id;
    caller.until(&id, RunStatus::Running).await;
    assert_eq!(tap("a", "none").await.unwrap_err().code(), Code::NotFound);
    let mut events = tap("a", "in").await.unwrap().into_inner();
    let mut ids = Vec::new();
    while let Some(event) = within(events.message()).await.unwrap() {
        assert_eq!(event.r#type, "test.number.v1");
        assert!(event.json.starts_with("{\"n\":"), "{}", event.json);
        ids.push(event.id);
    }
    assert_eq!(ids.len(), 3);
    stop(&caller, &id).await;
    caller.until(&id, RunStatus::Stopped).await;
    assert_eq!(tap("a", "in").await.unwrap_err().code(), Code::FailedPrecondition);
    host.end().await;
}
