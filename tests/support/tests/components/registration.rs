//! What components tell the control plane, and how they end.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use flowctl_proto::v1::HealthStatus;
use flowctl_proto::v1::source_service_client::SourceServiceClient;
use flowctl_test_support::Port;
use flowctl_test_support::components::{Component, Role};
use libtest_mimic::Trial;

use crate::calls::{channel, write_ledgers};
use crate::control_plane::{ControlPlane, Told};
use crate::fact;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registration::a_component_registers_beats_and_takes_leave", registers_beats_and_takes_leave),
        fact("registration::a_sink_beats_under_its_own_id_without_health", a_sink_beats_bare),
        fact("registration::a_component_waits_for_a_control_plane_that_comes_late", waits_for_the_control_plane),
        fact("registration::a_killed_component_takes_no_leave", killed_takes_no_leave),
        fact("registration::without_flowctl_a_component_only_listens", without_flowctl_it_only_listens),
        fact("registration::health_is_told_everywhere_while_the_file_is_there", health_is_told_everywhere),
        fact("registration::a_component_that_lacks_a_setting_says_which", lacks_a_setting),
        fact("registration::a_component_ends_when_whoever_started_it_does", ends_with_its_parent),
    ]
}

async fn registers_beats_and_takes_leave() {
    let control_plane = ControlPlane::start().await;
    let settings = Component::registers_at(control_plane.address).into_iter();
    let own = [("FLOWCTL_COMPONENT_ID", "ttp"), ("NETWORK", "testnet")].map(|(name, value)| (name, value.to_owned()));
    let mut processor = Component::start(Role::Processor, settings.chain(own));
    assert_eq!(processor.service_id(), Some("service-1"));

    let beat = control_plane.wait_for(|told| matches!(told, Told::Heartbeat(_))).await;
    let Told::Heartbeat(beat) = beat else { unreachable!() };
    assert_eq!((beat.service_id.as_str(), beat.status()), ("service-1", HealthStatus::Healthy));
    assert!(processor.stop().success());
    // a heartbeat that was on its way may be told behind it
    let told = control_plane.told();
    assert!(told.contains(&Told::Unregister("service-1".to_owned())), "{told:?}");

    let Told::Register(request) = &told[0] else { panic!("{told:?}") };
    assert_eq!(request.component_id, "ttp");
    let info = request.component.as_ref().unwrap();
    assert_eq!((info.id.as_str(), info.r#type), ("ttp-processor-v1", 2));
    assert_eq!(info.endpoint, format!(":{}", processor.address().port()));
    assert_eq!(info.input_event_types, ["stellar.ledger.v1"]);
    assert_eq!(info.output_event_types, ["stellar.token.transfer.v1"]);
    assert_eq!(info.metadata["network"], "testnet");
}

async fn a_sink_beats_bare() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out").display().to_string();
    let settings = Component::registers_at(control_plane.address).into_iter();
    let sink = Component::start(Role::Sink, settings.chain([("OUTPUT", output), ("COMPONENT_ID", "mine".to_owned())]));
    let beat = control_plane.wait_for(|told| matches!(told, Told::Heartbeat(_))).await;
    let Told::Heartbeat(beat) = beat else { unreachable!() };
    assert_eq!(sink.service_id(), Some("service-1"));
    assert_eq!((beat.service_id.as_str(), beat.status(), beat.metrics.len()), ("mine", HealthStatus::Unknown, 0));
}

async fn waits_for_the_control_plane() {
    let port = Port::take();
    let (mut child, mut said) = on_a_leash(Component::registers_at(port.address()));
    assert!(said.any(|line| line.starts_with("not registered yet")));
    let control_plane = ControlPlane::start_at(port.address()).await;
    control_plane.wait_for(|told| matches!(told, Told::Register(_))).await;
    assert!(said.any(|line| line == "registered as service-1"));
    drop(child.stdin.take());
    child.wait().unwrap();
}

async fn killed_takes_no_leave() {
    let control_plane = ControlPlane::start().await;
    let mut processor = Component::start(Role::Processor, Component::registers_at(control_plane.address));
    assert_eq!(processor.kill().signal(), Some(9));
    assert!(control_plane.told().iter().all(|told| !matches!(told, Told::Unregister(_))));
}

async fn without_flowctl_it_only_listens() {
    let kept = Port::take();
    let port = kept.address().port();
    let settings = [("PORT", format!(":{port}")), ("FLOWCTL_ENDPOINT", "127.0.0.1:1".to_owned())];
    let mut processor = Component::start(Role::Processor, settings);
    assert_eq!((processor.address().port(), processor.service_id()), (port, None));
    assert!(processor.stop().success());
    assert!(processor.lines()[0].starts_with(&format!("listening on :{port}, health on :")), "{:?}", processor.lines());
    // the next one has the same port at once
    let next = Component::start(Role::Processor, [("PORT", format!("0.0.0.0:{port}"))]);
    assert_eq!(next.address().port(), port);
}

async fn health_is_told_everywhere() {
    let control_plane = ControlPlane::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [ledgers, file] = ["ledgers", "unhealthy"].map(|name| folder.path().join(name));
    write_ledgers(&ledgers, 1, 1);
    let own = [("LEDGERS", &ledgers), ("UNHEALTHY_FILE", &file)].map(|(name, path)| (name, path.display().to_string()));
    let settings = Component::registers_at(control_plane.address).into_iter().chain(own);
    let source = Component::start(Role::Source, settings);
    let mut client = SourceServiceClient::new(channel(&source).await);
    let http = |path: &str| {
        let url = format!("http://{}{path}", source.health_address());
        // installed already is just as well
        let _ = rustls::crypto::ring::default_provider().install_default();
        async move { reqwest::get(url).await.unwrap().status().as_u16() }
    };
    let health = client.health_check(flowctl_proto::v1::HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(health.status(), HealthStatus::Unknown);
    assert_eq!((http("/health").await, http("/other").await), (200, 404));

    std::fs::write(&file, "").unwrap();
    let health = client.health_check(flowctl_proto::v1::HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(health.status(), HealthStatus::Unhealthy);
    assert_eq!(http("/health").await, 503);
    let is_told = |told: &Told| matches!(told, Told::Heartbeat(beat) if beat.status() == HealthStatus::Unhealthy);
    control_plane.wait_for(is_told).await;
}

async fn lacks_a_setting() {
    let (name, role) = Role::Sink.variable();
    let ended = Command::new(std::env::current_exe().unwrap()).env(name, role).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "error: `OUTPUT` is missing\n");
}

async fn ends_with_its_parent() {
    let (mut child, mut said) = on_a_leash([]);
    assert!(said.next().unwrap().starts_with("listening on "));
    assert_eq!(child.try_wait().unwrap(), None);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// A processor whose registration nobody waits for, and the lines that it says. It ends
/// when its stdin does.
fn on_a_leash<const N: usize>(settings: [(&str, String); N]) -> (Child, impl Iterator<Item = String>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.envs([Role::Processor.variable(), ("FLOWCTL_TEST_LEASH", "1")]).envs(settings);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, said)
}
