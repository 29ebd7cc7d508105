//! What a new process of the host finds, and makes of it.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flowctl_proto::admin::{ApplyPipelineRequest, GetPipelineRequest, ListRunsRequest, Run, RunStatus, StopRunRequest};
use flowctl_proto::v1::{ComponentInfo, HeartbeatRequest, RegisterRequest};

use crate::support::{Caller, Host, Setup, eventually, request};

/// The runs of a pipeline, the latest first.
async fn runs(caller: &Caller, pipeline: &str) -> Vec<Run> {
    let wanted = ListRunsRequest { pipeline: pipeline.to_owned(), ..Default::default() };
    caller.runs().list_runs(wanted).await.unwrap().into_inner().runs
}

/// Does `work` with a host whose process then dies: its tasks are dropped where they are.
fn killed(dir: &Path, work: impl AsyncFnOnce(&Host)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Host::start(dir).await;
        work(&host).await;
        drop(host);
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
}

fn alive(work: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work());
}

#[test]
fn runs_of_a_host_that_died_have_failed_and_what_is_wanted_runs_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    killed(dir.path(), async |host| {
        let caller = host.caller().await;
        for text in ["name=a", "name=b", "name=starting prepare=hang"] {
            ids.push(caller.apply(text).await.unwrap().id);
        }
        let attached = ApplyPipelineRequest { is_attached: true, ..request("name=attached") };
        ids.push(caller.pipelines().apply_pipeline(attached).await.unwrap().into_inner().run.unwrap().id);
        let done = caller.apply("name=done events=1").await.unwrap().id;
        caller.until(&done, RunStatus::Completed).await;
        let stopped = caller.apply("name=stopped").await.unwrap().id;
        caller.runs().stop_run(StopRunRequest { id: stopped.clone(), drain_timeout: None }).await.unwrap();
        caller.until(&stopped, RunStatus::Stopped).await;
        caller.until(&ids[0], RunStatus::Running).await;
        caller.until(&ids[1], RunStatus::Running).await;
    });
    alive(async || {
        let host = Host::start(dir.path()).await;
        let caller = host.caller().await;
        for id in &ids {
            let run = caller.run(id).await;
            assert_eq!(run.status(), RunStatus::Failed);
            assert!(run.error.starts_with("the host ended while it ran"), "{}", run.error);
            assert!(run.ended_at.is_some());
        }
        host.plane.controller.restart_wanted().await.unwrap();
        for name in ["a", "b"] {
            let run = eventually(async || {
                let runs = runs(&caller, name).await;
                runs.into_iter().find(|run| run.status() == RunStatus::Running)
            });
            let run = caller.run(&run.await.id).await;
            assert!(run.config.contains(name) && !ids.contains(&run.id));
        }
        for name in ["attached", "done", "stopped"] {
            assert_eq!(runs(&caller, name).await.len(), 1, "{name}");
        }
        host.end().await;
    });
}

#[tokio::test]
async fn what_was_drained_with_its_host_runs_again() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let first = caller.apply("name=a").await.unwrap().id;
    caller.until(&first, RunStatus::Running).await;
    host.end().await;
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    assert_eq!(caller.run(&first).await.status(), RunStatus::Stopped);
    host.plane.controller.restart_wanted().await.unwrap();
    eventually(async || (runs(&caller, "a").await.first()?.status() == RunStatus::Running).then_some(())).await;
    assert_eq!(runs(&caller, "a").await.len(), 2);
    let seen = host.planner.planned.lock().unwrap()[0].clone();
    assert_eq!((seen.file.lock.as_deref(), seen.file.base_dir.to_str()), (Some("lock: 1\n"), Some("/srv")));
    host.end().await;
}

#[tokio::test]
async fn a_pipeline_that_cannot_run_again_has_a_failed_run_and_stays_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let mut wanted = request("name=a variable=SECRET");
    let file = wanted.file.as_mut().unwrap();
    file.variables.insert("SECRET".to_owned(), "hush".to_owned());
    let run = caller.pipelines().apply_pipeline(wanted).await.unwrap().into_inner().run.unwrap();
    caller.until(&run.id, RunStatus::Running).await;
    host.end().await;
    for file in std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(4).any(|window| window == b"hush"), "`{}` holds the secret", file.display());
    }
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    host.plane.controller.restart_wanted().await.unwrap();
    let run = eventually(async || {
        let runs = runs(&caller, "a").await;
        (runs.len() == 2).then(|| runs.into_iter().next().unwrap())
    });
    let run = run.await;
    assert_eq!((run.status(), run.error.as_str()), (RunStatus::Failed, "variable `SECRET` is not set"));
    let pipeline = caller.pipelines().get_pipeline(GetPipelineRequest { name: "a".to_owned() }).await.unwrap();
    assert!(pipeline.into_inner().is_wanted);
    host.end().await;
}

#[tokio::test]
async fn a_restart_waits_for_components_that_have_not_yet_beaten() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::default();
    setup.directory.ttl = Duration::from_secs(60);
    setup.directory.janitor_period = Duration::from_millis(20);
    let host = Host::with(dir.path(), setup).await;
    let caller = host.caller().await;
    let info = ComponentInfo {
        id: "ttp".to_owned(),
        r#type: 1,
        endpoint: ":50051".to_owned(),
        output_event_types: vec!["stellar.token.transfer.v1".to_owned()],
        ..ComponentInfo::default()
    };
    let register = RegisterRequest { component: Some(info), component_id: String::new() };
    caller.components().register_component(register).await.unwrap();
    let run = caller.apply("name=a component=ttp").await.unwrap();
    caller.until(&run.id, RunStatus::Running).await;
    host.end().await;

    let mut setup = Setup::default();
    setup.directory.ttl = Duration::from_millis(1);
    let host = Host::with(dir.path(), setup).await;
    let caller = host.caller().await;
    host.plane.controller.restart_wanted().await.unwrap();
    eventually(async || (!host.planner.planned.lock().unwrap().is_empty()).then_some(())).await;
    assert_eq!(runs(&caller, "a").await.len(), 1, "it is not given up");
    eventually(async || {
        let beat = HeartbeatRequest { service_id: "ttp".to_owned(), ..Default::default() };
        caller.components().heartbeat(beat).await.unwrap();
        let runs = runs(&caller, "a").await;
        (runs.len() == 2 && runs[0].status() != RunStatus::Failed).then_some(())
    })
    .await;
    host.end().await;
}

#[tokio::test]
async fn a_pipeline_that_another_host_of_the_store_runs_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (Host::start(dir.path()).await, Host::start(dir.path()).await);
    let id = one.caller().await.apply("name=a").await.unwrap().id;
    one.caller().await.until(&id, RunStatus::Running).await;
    let refused = other.caller().await.apply("name=a").await.unwrap_err();
    assert_eq!(refused.message(), "pipeline `a` runs already, in another process of this machine");
    assert_eq!(one.caller().await.run(&id).await.status(), RunStatus::Running);
    assert_eq!(other.planner.n_held.load(Ordering::SeqCst), 0);
    one.end().await;
    other.end().await;
}
