//! Components: registered, silent, back, forgotten, known after a restart.

use std::collections::HashMap;
use std::time::Duration;

use flowctl_control_plane::directory::DirectorySettings;
use flowctl_control_plane::tenants::Tenant;
use flowctl_proto::admin::{GetPluginRequest, ListPluginsRequest, WatchPluginsRequest};
use flowctl_proto::v1::{
    ComponentInfo, ComponentStatusRequest, ComponentType, DiscoveryRequest, HealthStatus, HeartbeatRequest,
    ListComponentsRequest, RegisterRequest, UnregisterRequest,
};
use tonic::Code;

use crate::support::{Caller, Host, Setup, eventually, within};

const TTP: &str = "stellar.token.transfer.v1";
const LEDGER: &str = "stellar.ledger.v1";

fn info(id: &str, kind: ComponentType, reads: &[&str], emits: &[&str]) -> ComponentInfo {
    let names = |types: &[&str]| types.iter().map(|name| (*name).to_owned()).collect();
    ComponentInfo {
        id: id.to_owned(),
        r#type: kind.into(),
        input_event_types: names(reads),
        output_event_types: names(emits),
        endpoint: ":50051".to_owned(),
        metadata: HashMap::from([("network".to_owned(), "pubnet".to_owned())]),
        ..ComponentInfo::default()
    }
}

async fn register(caller: &Caller, info: ComponentInfo, node: &str) -> String {
    let request = RegisterRequest { component: Some(info), component_id: node.to_owned() };
    caller.components().register_component(request).await.unwrap().into_inner().service_id
}

async fn beat(caller: &Caller, id: &str, status: HealthStatus) {
    let metrics = HashMap::from([("n_events".to_owned(), "7".to_owned())]);
    let request = HeartbeatRequest { service_id: id.to_owned(), status: status.into(), metrics };
    caller.components().heartbeat(request).await.unwrap();
}

async fn status(caller: &Caller, id: &str) -> HealthStatus {
    let request = ComponentStatusRequest { service_id: id.to_owned() };
    caller.components().get_component_status(request).await.unwrap().into_inner().status()
}

async fn discovered(caller: &Caller, request: DiscoveryRequest) -> Vec<String> {
    let found = caller.components().discover_components(request).await.unwrap().into_inner().components;
    found.into_iter().map(|component| component.id).collect()
}

fn quick() -> Setup {
    let directory = DirectorySettings {
        ttl: Duration::from_secs(2),
        janitor_period: Duration::from_millis(20),
        ..DirectorySettings::default()
    };
    Setup { directory, ..Setup::default() }
}

#[tokio::test]
async fn who_misses_its_time_is_unhealthy_and_back_when_it_beats() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::with(dir.path(), quick()).await;
    let caller = host.caller().await;
    let id = register(&caller, info("ttp", ComponentType::Processor, &[LEDGER], &[TTP]), "").await;
    let mut changes = host.plane.directory.watch();
    assert_eq!(status(&caller, &id).await, HealthStatus::Healthy, "who reports nothing is well");
    assert_eq!(discovered(&caller, DiscoveryRequest::default()).await, ["ttp"]);
    within(changes.changed()).await.unwrap();
    assert_eq!(status(&caller, &id).await, HealthStatus::Unhealthy);
    assert_eq!(discovered(&caller, DiscoveryRequest::default()).await, [""; 0]);
    let listed = |include_unhealthy| ListComponentsRequest { include_unhealthy, ..Default::default() };
    let components = caller.components().list_components(listed(false)).await.unwrap().into_inner().components;
    assert_eq!(components, []);
    let components = caller.components().list_components(listed(true)).await.unwrap().into_inner().components;
    assert_eq!(components.len(), 1);
    changes.mark_unchanged();
    beat(&caller, &id, HealthStatus::Unknown).await;
    assert!(changes.has_changed().unwrap(), "who watches is told at once");
    assert_eq!(discovered(&caller, DiscoveryRequest::default()).await, ["ttp"]);
    // it may say so itself
    beat(&caller, &id, HealthStatus::Stopping).await;
    assert_eq!(status(&caller, &id).await, HealthStatus::Stopping);
    assert_eq!(discovered(&caller, DiscoveryRequest::default()).await, [""; 0]);
    host.end().await;
}

#[tokio::test]
async fn components_are_found_by_what_they_read_emit_and_say() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    register(&caller, info("ledgers", ComponentType::Source, &[], &[LEDGER]), "").await;
    register(&caller, info("ttp", ComponentType::Processor, &[LEDGER], &[TTP]), "").await;
    register(&caller, info("out", ComponentType::Consumer, &[TTP], &[]), "").await;
    let found = async |change: &dyn Fn(&mut DiscoveryRequest)| {
        let mut request = DiscoveryRequest::default();
        change(&mut request);
        discovered(&caller, request).await
    };
    assert_eq!(found(&|_| {}).await, ["ledgers", "out", "ttp"]);
    assert_eq!(found(&|request| request.event_types = vec![TTP.to_owned()]).await, ["out", "ttp"]);
    assert_eq!(found(&|request| request.r#type = ComponentType::Source.into()).await, ["ledgers"]);
    let network = |value: &str| HashMap::from([("network".to_owned(), value.to_owned())]);
    assert_eq!(found(&|request| request.metadata_filters = network("pubnet")).await.len(), 3);
    assert_eq!(found(&|request| request.metadata_filters = network("testnet")).await, [""; 0]);
    // as nodes they are beside plugins and connectors
    let reads = ListPluginsRequest { input_type: LEDGER.to_owned(), ..Default::default() };
    let plugins = caller.plugins().list_plugins(reads).await.unwrap().into_inner().plugins;
    assert_eq!(plugins.iter().map(|plugin| plugin.id.as_str()).collect::<Vec<_>>(), ["ttp", "memory"]);
    assert_eq!(plugins[0].origin, "remote 127.0.0.1:50051");
    assert_eq!((plugins[0].role.as_str(), plugins[0].status.as_str()), ("processor", "healthy"));
    let one = caller.plugins().get_plugin(GetPluginRequest { id: "numbers".to_owned() }).await.unwrap().into_inner();
    assert_eq!((one.origin.as_str(), one.role.as_str()), ("built-in", "source"));
    host.end().await;
}

#[tokio::test]
async fn components_are_known_after_a_restart_with_their_last_beat() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    register(&caller, info("ttp", ComponentType::Processor, &[LEDGER], &[TTP]), "stage").await;
    register(&caller, info("gone", ComponentType::Source, &[], &[TTP]), "").await;
    beat(&caller, "ttp", HealthStatus::Degraded).await;
    caller.components().unregister_component(UnregisterRequest { service_id: "gone".to_owned() }).await.unwrap();
    let asked = || ComponentStatusRequest { service_id: "ttp".to_owned() };
    let before = caller.components().get_component_status(asked()).await.unwrap().into_inner();
    host.end().await;
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let after = caller.components().get_component_status(asked()).await.unwrap().into_inner();
    // the store keeps milliseconds
    let millis = |at: Option<prost_types::Timestamp>| at.map(|at| (at.seconds, at.nanos / 1_000_000));
    assert_eq!(millis(after.last_heartbeat), millis(before.last_heartbeat));
    assert_eq!(millis(after.registered_at), millis(before.registered_at));
    assert_eq!((after.component, after.metrics, after.status), (before.component, before.metrics, before.status));
    assert_eq!(host.plane.directory.count(&Tenant::unnamed()), 1);
    host.end().await;
}

#[tokio::test]
async fn a_node_waits_for_the_component_that_was_started_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let (directory, tenant) = (host.plane.directory.clone(), Tenant::unnamed());
    assert!(directory.wait_for_node(&tenant, "stage", Duration::from_millis(1)).await.is_none());
    let waiting = directory.wait_for_node(&tenant, "stage", Duration::from_secs(30));
    let registering = register(&caller, info("any-id", ComponentType::Processor, &[LEDGER], &[TTP]), "stage");
    let (found, _) = within(async { tokio::join!(waiting, registering) }).await;
    assert_eq!(found.unwrap().registration.id, "any-id");
    // what says no node is known by its id
    let registering = register(&caller, info("other", ComponentType::Source, &[], &[LEDGER]), "");
    let waiting = directory.wait_for_node(&tenant, "other", Duration::from_secs(30));
    let (found, _) = within(async { tokio::join!(waiting, registering) }).await;
    assert_eq!(found.unwrap().registration.id, "other");
    let live: Vec<_> = directory.live(&tenant).into_iter().map(|live| (live.id, live.endpoint)).collect();
    let at = "127.0.0.1:50051".to_owned();
    assert_eq!(live, [("any-id".to_owned(), at.clone()), ("other".to_owned(), at)]);
    host.end().await;
}

#[tokio::test]
async fn a_tenant_has_a_bounded_number_of_components_and_may_replace_them() {
    let dir = tempfile::tempdir().unwrap();
    let directory = DirectorySettings { max_components: 1, ..DirectorySettings::default() };
    let host = Host::with(dir.path(), Setup { directory, ..Setup::default() }).await;
    let caller = host.caller().await;
    register(&caller, info("a", ComponentType::Source, &[], &[LEDGER]), "").await;
    register(&caller, info("a", ComponentType::Source, &[], &[TTP]), "").await;
    let second = RegisterRequest {
        component: Some(info("b", ComponentType::Source, &[], &[LEDGER])),
        component_id: String::new(),
    };
    let refused = caller.components().register_component(second).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let request = ComponentStatusRequest { service_id: "a".to_owned() };
    let found = caller.components().get_component_status(request).await.unwrap().into_inner();
    assert_eq!(found.component.unwrap().output_event_types, [TTP]);
    let nameless = RegisterRequest { component: Some(ComponentInfo::default()), component_id: String::new() };
    let refused = caller.components().register_component(nameless).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    host.end().await;
}

#[tokio::test]
async fn who_is_silent_for_too_long_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = quick();
    setup.directory.forget_after = Duration::from_millis(100);
    let host = Host::with(dir.path(), setup).await;
    let caller = host.caller().await;
    register(&caller, info("a", ComponentType::Source, &[], &[LEDGER]), "").await;
    eventually(async || (host.plane.directory.count(&Tenant::unnamed()) == 0).then_some(())).await;
    let beat = HeartbeatRequest { service_id: "a".to_owned(), ..Default::default() };
    assert_eq!(caller.components().heartbeat(beat).await.unwrap_err().code(), Code::NotFound);
    host.end().await;
}

#[tokio::test]
async fn who_watches_sees_components_come() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let mut watch = caller.plugins().watch_plugins(WatchPluginsRequest {}).await.unwrap().into_inner();
    let first = within(watch.message()).await.unwrap().unwrap();
    assert_eq!(first.plugins.len(), 2);
    register(&caller, info("ttp", ComponentType::Processor, &[LEDGER], &[TTP]), "").await;
    let second = within(watch.message()).await.unwrap().unwrap();
    let ids: Vec<_> = second.plugins.iter().map(|plugin| plugin.id.as_str()).collect();
    assert_eq!(ids, ["numbers", "ttp", "memory"]);
    host.end().await;
}
