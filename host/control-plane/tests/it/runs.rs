//! The life of a run: every way to start, to go on, and to end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use flowctl_control_plane::controller::ControllerSettings;
use flowctl_proto::admin::{
    ApplyPipelineRequest, DeletePipelineRequest, GetPipelineRequest, ListRunEventsRequest, RunStatus, StopRunRequest,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Caller, Host, Setup, eventually, request, within};

async fn stop(caller: &Caller, id: &str, drain: Duration) {
    let drain_timeout = Some(drain.try_into().unwrap());
    caller.runs().stop_run(StopRunRequest { id: id.to_owned(), drain_timeout }).await.unwrap();
}

/// The kinds of a run's events.
async fn kinds(caller: &Caller, id: &str) -> Vec<String> {
    let wanted = ListRunEventsRequest { id: id.to_owned(), ..ListRunEventsRequest::default() };
    let events = caller.runs().list_run_events(wanted).await.unwrap().into_inner().events;
    events.into_iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn a_finite_pipeline_completes_and_is_wanted_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let started = caller.apply("name=a events=10").await.unwrap();
    assert_eq!(started.status(), RunStatus::Starting);
    let run = caller.until(&started.id, RunStatus::Completed).await;
    assert_eq!((run.events_in, run.events_out, run.rejected), (10, 10, 0));
    assert!(run.started_at.is_some() && run.ended_at.is_some() && run.error.is_empty());
    assert_eq!(run.config, "name=a events=10");
    assert!(run.resolved.contains("\"out\""), "{}", run.resolved);
    assert_eq!(run.nodes.iter().map(|node| node.node.as_str()).collect::<Vec<_>>(), ["in", "out"]);
    assert_eq!(run.nodes[0].origin, "built-in");
    assert_eq!(run.dead_letters, "/var/lib/flowctl/dead-letters.jsonl");
    let wanted = GetPipelineRequest { name: "a".to_owned() };
    let pipeline = caller.pipelines().get_pipeline(wanted).await.unwrap().into_inner();
    assert!(!pipeline.is_wanted);
    assert_eq!(pipeline.last_run.unwrap().id, started.id);
    let kinds = kinds(&caller, &started.id).await;
    assert_eq!(kinds.last().unwrap(), "completed", "{kinds:?}");
    eventually(async || (host.planner.n_held.load(Ordering::SeqCst) == 0).then_some(())).await;
    host.end().await;
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_drains_and_its_pipeline_is_wanted_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a").await.unwrap().id;
    eventually(async || (caller.run(&id).await.events_out > 0).then_some(())).await;
    let pipeline = || GetPipelineRequest { name: "a".to_owned() };
    assert!(caller.pipelines().get_pipeline(pipeline()).await.unwrap().into_inner().is_wanted);
    stop(&caller, &id, Duration::from_secs(10)).await;
    let run = caller.until(&id, RunStatus::Stopped).await;
    assert!(run.events_out > 0 && run.events_out == run.events_in, "{run:?}");
    assert!(!caller.pipelines().get_pipeline(pipeline()).await.unwrap().into_inner().is_wanted);
    // again is no error
    stop(&caller, &id, Duration::ZERO).await;
    host.end().await;
}

#[tokio::test]
async fn a_drain_that_hangs_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a sink=closed").await.unwrap().id;
    caller.until(&id, RunStatus::Running).await;
    stop(&caller, &id, Duration::from_millis(50)).await;
    let run = caller.until(&id, RunStatus::Stopped).await;
    assert_eq!(run.events_out, 0);
    host.end().await;
}

#[tokio::test]
async fn a_second_stop_may_be_harder_than_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a sink=closed").await.unwrap().id;
    caller.until(&id, RunStatus::Running).await;
    stop(&caller, &id, Duration::from_secs(3_600)).await;
    caller.until(&id, RunStatus::Stopping).await;
    stop(&caller, &id, Duration::ZERO).await;
    caller.until(&id, RunStatus::Stopped).await;
    host.end().await;
}

#[tokio::test]
async fn what_cannot_start_becomes_a_failed_run_that_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    for (text, error, hint) in [
        ("name=a prepare=fail", "the state is held by process 7", "stop that process first"),
        ("name=b sink=missing", "cannot prepare node `out`: no such table", ""),
        ("name=c sink=broken", "node `out` failed: cannot write: disk is full", ""),
        ("name=d prepare=panic", "the start broke", ""),
        ("name=e sink=panics", "panicked", ""),
    ] {
        let id = caller.apply(text).await.unwrap().id;
        let run = caller.until(&id, RunStatus::Failed).await;
        assert!(run.error.contains(error), "{text}: {}", run.error);
        assert_eq!(run.hint, hint, "{text}");
        assert_eq!(kinds(&caller, &id).await.last().unwrap(), "failed");
    }
    eventually(async || (host.planner.n_held.load(Ordering::SeqCst) == 0).then_some(())).await;
    // none of them harms the host
    let id = caller.apply("name=f events=1").await.unwrap().id;
    caller.until(&id, RunStatus::Completed).await;
    host.end().await;
}

#[tokio::test]
async fn what_a_file_took_from_the_environment_is_in_no_text_of_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a sink=tells secret=hunter2hunter2").await.unwrap().id;
    let run = caller.until(&id, RunStatus::Failed).await;
    assert_eq!(run.error, "cannot prepare node `out`: no table `${SECRET}`");
    let wanted = ListRunEventsRequest { id, ..ListRunEventsRequest::default() };
    let events = caller.runs().list_run_events(wanted).await.unwrap().into_inner().events;
    let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
    assert!(messages.iter().any(|message| message.contains("no table `${SECRET}`")), "{messages:?}");
    assert!(!messages.iter().any(|message| message.contains("hunter2")), "{messages:?}");
    host.end().await;
}

#[tokio::test]
async fn a_start_that_hangs_fails_when_its_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let controller = ControllerSettings { start_limit: Duration::from_millis(50), ..ControllerSettings::default() };
    let host = Host::with(dir.path(), Setup { controller, ..Setup::default() }).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a prepare=hang").await.unwrap().id;
    let run = caller.until(&id, RunStatus::Failed).await;
    assert_eq!(run.error, "its nodes were not ready within 50ms");
    assert_eq!(host.planner.n_held.load(Ordering::SeqCst), 0, "what was taken is given back");
    host.end().await;
}

#[tokio::test]
async fn a_start_that_hangs_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a prepare=hang").await.unwrap().id;
    stop(&caller, &id, Duration::from_secs(60)).await;
    caller.until(&id, RunStatus::Stopped).await;
    host.end().await;
}

#[tokio::test]
async fn of_two_starts_of_a_pipeline_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let both = tokio::join!(caller.apply("name=a"), caller.apply("name=a"));
    let (won, lost) = match both {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        other => panic!("{other:?}"),
    };
    assert_eq!(lost.code(), Code::FailedPrecondition);
    assert_eq!(lost.get_error_details().error_info().unwrap().reason, "RUNS_ALREADY");
    assert!(lost.message().contains(&won.id), "{}", lost.message());
    // nor can it be deleted
    let delete = || DeletePipelineRequest { name: "a".to_owned() };
    let refused = caller.pipelines().delete_pipeline(delete()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    stop(&caller, &won.id, Duration::ZERO).await;
    caller.until(&won.id, RunStatus::Stopped).await;
    eventually(async || caller.pipelines().delete_pipeline(delete()).await.ok()).await;
    let gone = caller.pipelines().get_pipeline(GetPipelineRequest { name: "a".to_owned() }).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    host.end().await;
}

#[tokio::test]
async fn a_plan_alone_stores_and_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let dry = ApplyPipelineRequest { is_dry_run: true, ..request("name=a") };
    let answer = caller.pipelines().apply_pipeline(dry).await.unwrap().into_inner();
    assert_eq!((answer.run, answer.chain.as_str()), (None, "in → out"));
    assert_eq!(answer.lock, "lock: 1\n");
    assert_eq!(answer.warnings, ["the sink remembers nothing"]);
    let none = caller.pipelines().get_pipeline(GetPipelineRequest { name: "a".to_owned() }).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    host.end().await;
}

#[tokio::test]
async fn faults_of_a_file_come_one_by_one_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let refused = host.caller().await.apply("nothing").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "the pipeline has 1 fault"));
    let details = refused.get_error_details();
    assert_eq!(details.localized_message().unwrap().message, "give it a name");
    let fault = &details.bad_request().unwrap().field_violations[0];
    assert_eq!((fault.field.as_str(), fault.description.as_str()), ("a.yaml:1:1", "`name` is missing"));
    host.end().await;
}

#[tokio::test]
async fn requests_beyond_their_bounds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let check = async |change: &dyn Fn(&mut ApplyPipelineRequest), field: &str| {
        let mut wanted = request("name=a");
        change(&mut wanted);
        let refused = caller.pipelines().apply_pipeline(wanted).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert!(refused.message().contains(field), "{}", refused.message());
    };
    check(&|wanted| wanted.file = None, "file").await;
    check(&|wanted| wanted.file.as_mut().unwrap().text = "x".repeat((1 << 20) + 1), "file.text").await;
    check(&|wanted| wanted.file.as_mut().unwrap().text.clear(), "file.text").await;
    check(&|wanted| wanted.file.as_mut().unwrap().base_dir = "srv".to_owned(), "file.base_dir").await;
    check(&|wanted| wanted.file.as_mut().unwrap().plugins = vec!["../a".to_owned()], "file.plugins").await;
    host.end().await;
}

#[tokio::test]
async fn a_drain_of_the_host_stops_all_runs_and_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let a = caller.apply("name=a").await.unwrap().id;
    let b = caller.apply("name=b sink=closed").await.unwrap().id;
    caller.until(&a, RunStatus::Running).await;
    caller.until(&b, RunStatus::Running).await;
    within(host.plane.controller.drain(Duration::from_millis(100))).await;
    assert_eq!(caller.run(&a).await.status(), RunStatus::Stopped);
    assert_eq!(caller.run(&b).await.status(), RunStatus::Stopped);
    assert_eq!(caller.apply("name=c").await.unwrap_err().code(), Code::Unavailable);
    let pipeline = caller.pipelines().get_pipeline(GetPipelineRequest { name: "a".to_owned() }).await.unwrap();
    assert!(pipeline.into_inner().is_wanted, "it runs again after a restart");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_that_does_not_stop_at_all_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let controller = ControllerSettings { stop_limit: Duration::from_millis(100), ..ControllerSettings::default() };
    let host = Host::with(dir.path(), Setup { controller, ..Setup::default() }).await;
    let caller = host.caller().await;
    let id = caller.apply("name=a sink=stuck").await.unwrap().id;
    eventually(async || host.planner.wedge.holds().then_some(())).await;
    stop(&caller, &id, Duration::ZERO).await;
    let run = caller.until(&id, RunStatus::Failed).await;
    assert_eq!(run.error, "it did not stop: its tasks were dropped");
    host.planner.wedge.loosen();
    host.end().await;
}

#[tokio::test]
async fn a_planner_that_breaks_harms_its_call_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let refused = caller.apply("name=a plan=panic").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let id = caller.apply("name=a events=1").await.unwrap().id;
    caller.until(&id, RunStatus::Completed).await;
    host.end().await;
}

#[tokio::test]
async fn runs_beyond_those_that_are_kept_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let controller =
        ControllerSettings { n_kept: 2, retention_period: Duration::from_millis(20), ..ControllerSettings::default() };
    let host = Host::with(dir.path(), Setup { controller, ..Setup::default() }).await;
    let caller = host.caller().await;
    let mut last = String::new();
    for _ in 0..4 {
        last = eventually(async || caller.apply("name=a events=1").await.ok()).await.id;
        caller.until(&last, RunStatus::Completed).await;
    }
    let of_a = || GetPipelineRequest { name: "a".to_owned() };
    let pipeline = eventually(async || {
        let pipeline = caller.pipelines().get_pipeline(of_a()).await.unwrap().into_inner();
        Some(pipeline).filter(|pipeline| pipeline.n_runs == 2)
    });
    assert_eq!(pipeline.await.last_run.unwrap().id, last);
    host.end().await;
}
