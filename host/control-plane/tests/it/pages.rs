//! Lists come in pages, whose tokens go with their list alone.

use flowctl_proto::admin::{
    ListPipelinesRequest, ListPluginsRequest, ListRunEventsRequest, ListRunsRequest, RunStatus,
};
use tonic::Code;

use crate::support::Host;

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let names = ["a", "b", "c", "d", "e"];
    let mut ids = Vec::new();
    for name in names {
        let id = caller.apply(&format!("name={name} events=1")).await.unwrap().id;
        caller.until(&id, RunStatus::Completed).await;
        ids.push(id);
    }
    let mut found = Vec::new();
    let mut request = ListPipelinesRequest { page_size: 2, ..Default::default() };
    loop {
        let page = caller.pipelines().list_pipelines(request.clone()).await.unwrap().into_inner();
        assert!(page.pipelines.len() <= 2);
        found.extend(page.pipelines.into_iter().map(|pipeline| pipeline.name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, names);

    let mut found = Vec::new();
    let mut request = ListRunsRequest { page_size: 2, ..Default::default() };
    loop {
        let page = caller.runs().list_runs(request.clone()).await.unwrap().into_inner();
        assert!(page.runs.iter().all(|run| run.config.is_empty() && run.nodes.is_empty()), "lists are brief");
        found.extend(page.runs.into_iter().map(|run| run.id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    ids.reverse();
    assert_eq!(found, ids, "the latest is first");

    let mut found = Vec::new();
    let mut request = ListPluginsRequest { page_size: 1, ..Default::default() };
    loop {
        let page = caller.plugins().list_plugins(request.clone()).await.unwrap().into_inner();
        found.extend(page.plugins.into_iter().map(|plugin| plugin.id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["numbers", "memory"]);

    let mut found = Vec::new();
    let mut request = ListRunEventsRequest { id: ids[0].clone(), page_size: 1, ..Default::default() };
    loop {
        let page = caller.runs().list_run_events(request.clone()).await.unwrap().into_inner();
        found.extend(page.events.into_iter().map(|event| event.number));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
    assert!(!found.is_empty());
    host.end().await;
}

#[tokio::test]
async fn a_token_that_no_page_gave_out_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    for name in ["a", "b"] {
        let id = caller.apply(&format!("name={name} events=1")).await.unwrap().id;
        caller.until(&id, RunStatus::Completed).await;
    }
    let first = ListPipelinesRequest { page_size: 1, ..Default::default() };
    let of_pipelines = caller.pipelines().list_pipelines(first).await.unwrap().into_inner().next_page_token;
    for page_token in [of_pipelines, "nonsense".to_owned(), "cnVucwp4".to_owned(), "A".repeat(4_000)] {
        let request = ListRunsRequest { page_token: page_token.clone(), ..Default::default() };
        let refused = caller.runs().list_runs(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{page_token}");
    }
    host.end().await;
}

#[tokio::test]
async fn what_runs_can_be_listed_alone() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let ended = caller.apply("name=a events=1").await.unwrap().id;
    caller.until(&ended, RunStatus::Completed).await;
    let goes_on = caller.apply("name=b").await.unwrap().id;
    caller.until(&goes_on, RunStatus::Running).await;
    let active = ListPipelinesRequest { is_active: true, ..Default::default() };
    let pipelines = caller.pipelines().list_pipelines(active).await.unwrap().into_inner().pipelines;
    assert_eq!(pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect::<Vec<_>>(), ["b"]);
    let active = ListRunsRequest { is_active: true, ..Default::default() };
    let runs = caller.runs().list_runs(active).await.unwrap().into_inner().runs;
    assert_eq!(runs.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), [goes_on]);
    host.end().await;
}
