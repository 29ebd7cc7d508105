//! Who may call what: every method with every kind of credential that is not enough.

use std::future::poll_fn;

use bytes::Bytes;
use flowctl_control_plane::tenants::Role;
use flowctl_proto::FILE_DESCRIPTOR_SET;
use flowctl_proto::admin::change_topology_request::Change;
use flowctl_proto::admin::{
    ChangeTopologyRequest, DeletePipelineRequest, GetHostRequest, GetPipelineRequest, GetPluginRequest, GetRunRequest,
    GetTopologyRequest, ListPipelinesRequest, ListPluginsRequest, ListRevisionsRequest, ListRunEventsRequest,
    ListRunsRequest, RemoveNode, RunStatus, StopRunRequest, TapNodeRequest, WatchRunEventsRequest, WatchRunRequest,
    WatchTopologyRequest,
};
use flowctl_proto::v1::{
    ComponentInfo, ComponentStatusRequest, DiscoveryRequest, HeartbeatRequest, ListComponentsRequest, RegisterRequest,
    UnregisterRequest,
};
use http_body_util::Full;
use jiff::{Timestamp, ToSpan as _};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tonic::codegen::{Service as _, http};

use crate::support::{Caller, Host, eventually};

/// Every method that is served, from the protocol files.
fn methods() -> Vec<String> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = vec![
        "/grpc.health.v1.Health/Check".to_owned(),
        "/grpc.health.v1.Health/Watch".to_owned(),
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned(),
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo".to_owned(),
    ];
    for file in &set.file {
        let served = file
            .service
            .iter()
            .filter(|service| file.package() == "flowctl.admin.v1" || service.name() == "ControlPlaneService");
        for service in served {
            let names = service.method.iter().map(|method| method.name());
            methods.extend(names.map(|method| format!("/{}.{}/{method}", file.package(), service.name())));
        }
    }
    methods
}

/// What a call with an empty message is answered, where it is answered at once.
async fn call(caller: &Caller, method: &str, authorization: &[&str]) -> Option<Code> {
    let mut channel = caller.channel.clone();
    poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let mut request = http::Request::post(format!("http://flowctl{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for value in authorization {
        request = request.header("authorization", *value);
    }
    let body = tonic::body::Body::new(Full::new(Bytes::from_static(&[0; 5])));
    let response = channel.call(request.body(body).unwrap()).await.unwrap();
    let status = response.headers().get("grpc-status")?;
    Some(Code::from_bytes(status.as_bytes()))
}

#[tokio::test]
async fn no_method_answers_a_credential_that_is_not_enough() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let credentials = &host.plane.credentials;
    let tenant = "acme".parse().unwrap();
    let past = Timestamp::now() - 1.second();
    let expired = credentials.create_token(&tenant, Role::Admin, "", Some(past)).await.unwrap().token;
    let revoked = credentials.create_token(&tenant, Role::Admin, "", None).await.unwrap();
    credentials.revoke(&revoked.id).await.unwrap();
    let good = credentials.create_token(&tenant, Role::Admin, "", None).await.unwrap().token;
    let other = format!("{}A", &good[..good.len() - 1]);
    let other = if other == good { format!("{}B", &good[..good.len() - 1]) } else { other };
    let bearer = |token: &str| format!("Bearer {token}");
    let refused = [
        ("none", vec![]),
        ("empty", vec![bearer("")]),
        ("wrong", vec![bearer("flowctl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]),
        ("one letter off", vec![bearer(&other)]),
        ("longer", vec![bearer(&format!("{good}A"))]),
        ("expired", vec![bearer(&expired)]),
        ("revoked", vec![bearer(&revoked.token)]),
        ("another scheme", vec![format!("Basic {good}")]),
        ("without a scheme", vec![good.clone()]),
        ("two of them", vec![bearer(&good), bearer(&good)]),
    ];
    let caller = host.caller().await;
    for method in methods() {
        for (what, values) in &refused {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            assert_eq!(call(&caller, &method, &values).await, Some(Code::Unauthenticated), "{method}: {what}");
        }
        let let_in = call(&caller, &method, &[&bearer(&good)]).await;
        assert_ne!(let_in, Some(Code::Unauthenticated), "{method}");
    }
    let unknown = call(&caller, "/flowctl.admin.v1.RunService/DropRun", &[&bearer(&good)]).await;
    assert_eq!(unknown, Some(Code::Unimplemented));
    host.end().await;
}

#[tokio::test]
async fn a_role_may_what_is_below_it_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let credentials = &host.plane.credentials;
    let tenant = "acme".parse().unwrap();
    let caller = host.caller().await;
    let of_operators = ["Apply", "Change", "Stop", "Tap", "Register", "Unregister", "Heartbeat"];
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        let token = credentials.create_token(&tenant, role, "", None).await.unwrap().token;
        for method in methods() {
            let name = method.rsplit('/').next().unwrap();
            let least = if name.starts_with("Delete") {
                Role::Admin
            } else if of_operators.iter().any(|verb| name.starts_with(verb)) {
                Role::Operator
            } else {
                Role::Viewer
            };
            let answer = call(&caller, &method, &[&format!("Bearer {token}")]).await;
            assert_eq!(answer == Some(Code::PermissionDenied), role < least, "{role}: {method}: {answer:?}");
        }
    }
    host.end().await;
}

#[tokio::test]
async fn without_a_credential_in_the_store_this_machine_is_the_unnamed_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let told = caller.host().get_host(GetHostRequest {}).await.unwrap().into_inner();
    assert_eq!((told.tenant.as_str(), told.role.as_str()), ("default", "admin"));
    assert!(told.is_serving);
    // as soon as there is one, it is over
    let viewer = host.caller_of("acme", Role::Viewer).await;
    let refused = caller.host().get_host(GetHostRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let told = viewer.host().get_host(GetHostRequest {}).await.unwrap().into_inner();
    assert_eq!((told.tenant.as_str(), told.role.as_str()), ("acme", "viewer"));
    host.end().await;
}

#[tokio::test]
async fn a_foreign_object_is_as_if_it_were_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let policies = flowctl_control_plane::tenants::Policies::parse(
        "tenants: {acme: {connectors: ['*']}, evil: {connectors: ['*']}}",
    );
    let setup = crate::support::Setup { policies: policies.unwrap(), ..Default::default() };
    let host = Host::with(dir.path(), setup).await;
    let owner = host.caller_of("acme", Role::Admin).await;
    let id = owner.apply("name=a").await.unwrap().id;
    owner.until(&id, RunStatus::Running).await;
    let component = || ComponentInfo {
        id: "ttp".to_owned(),
        r#type: 1,
        endpoint: ":50051".to_owned(),
        output_event_types: vec!["stellar.token.transfer.v1".to_owned()],
        ..ComponentInfo::default()
    };
    let register = || RegisterRequest { component: Some(component()), component_id: String::new() };
    owner.components().register_component(register()).await.unwrap();

    let evil = host.caller_of("evil", Role::Admin).await;
    let name = || "a".to_owned();
    let ttp = || "ttp".to_owned();
    let mut codes = Vec::new();
    macro_rules! code {
        ($client:ident.$method:ident($request:expr)) => {
            codes.push((stringify!($method), evil.$client().$method($request).await.err().map(|error| error.code())))
        };
    }
    code!(pipelines.get_pipeline(GetPipelineRequest { name: name() }));
    code!(pipelines.delete_pipeline(DeletePipelineRequest { name: name() }));
    code!(runs.get_run(GetRunRequest { id: id.clone() }));
    code!(runs.watch_run(WatchRunRequest { id: id.clone() }));
    code!(runs.stop_run(StopRunRequest { id: id.clone(), drain_timeout: None }));
    code!(runs.list_run_events(ListRunEventsRequest { id: id.clone(), ..Default::default() }));
    code!(runs.watch_run_events(WatchRunEventsRequest { id: id.clone(), ..Default::default() }));
    code!(topologies.get_topology(GetTopologyRequest { pipeline: name() }));
    code!(topologies.watch_topology(WatchTopologyRequest { pipeline: name() }));
    let change = |change| ChangeTopologyRequest { pipeline: name(), change: Some(change), ..Default::default() };
    let removal = RemoveNode { node: "in".to_owned() };
    code!(topologies.change_topology(change(Change::Remove(removal))));
    code!(topologies.list_revisions(ListRevisionsRequest { pipeline: name() }));
    code!(topologies.tap_node(TapNodeRequest { pipeline: name(), node: "in".to_owned(), limit: 1 }));
    code!(plugins.get_plugin(GetPluginRequest { id: ttp() }));
    code!(components.heartbeat(HeartbeatRequest { service_id: ttp(), ..Default::default() }));
    code!(components.unregister_component(UnregisterRequest { service_id: ttp() }));
    code!(components.get_component_status(ComponentStatusRequest { service_id: ttp() }));
    for (method, code) in codes {
        assert_eq!(code, Some(Code::NotFound), "{method}");
    }

    let pipelines = evil.pipelines().list_pipelines(ListPipelinesRequest::default()).await.unwrap().into_inner();
    assert_eq!(pipelines.pipelines, []);
    let runs = evil.runs().list_runs(ListRunsRequest::default()).await.unwrap().into_inner();
    assert_eq!(runs.runs, []);
    let of_a = ListRunsRequest { pipeline: name(), ..Default::default() };
    assert_eq!(evil.runs().list_runs(of_a).await.unwrap().into_inner().runs, []);
    let plugins = evil.plugins().list_plugins(ListPluginsRequest::default()).await.unwrap().into_inner();
    assert!(plugins.plugins.iter().all(|plugin| plugin.registered_at.is_none()));
    let all = ListComponentsRequest { include_unhealthy: true, ..Default::default() };
    assert_eq!(evil.components().list_components(all).await.unwrap().into_inner().components, []);
    let found = evil.components().discover_components(DiscoveryRequest::default()).await.unwrap().into_inner();
    assert_eq!(found.components, []);
    let told = evil.host().get_host(GetHostRequest {}).await.unwrap().into_inner();
    assert_eq!((told.n_active_runs, told.n_components), (0, 0));

    // names are each tenant's own
    evil.components().register_component(register()).await.unwrap();
    let its_own = evil.apply("name=a").await.unwrap().id;
    evil.until(&its_own, RunStatus::Running).await;
    evil.runs().stop_run(StopRunRequest { id: its_own.clone(), drain_timeout: None }).await.unwrap();
    evil.until(&its_own, RunStatus::Stopped).await;
    eventually(async || evil.pipelines().delete_pipeline(DeletePipelineRequest { name: name() }).await.ok()).await;
    evil.components().unregister_component(UnregisterRequest { service_id: ttp() }).await.unwrap();
    assert_eq!(owner.run(&id).await.status(), RunStatus::Running);
    owner.components().get_component_status(ComponentStatusRequest { service_id: ttp() }).await.unwrap();
    host.end().await;
}
