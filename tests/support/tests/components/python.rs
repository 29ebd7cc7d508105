//! The programs in Python: what they put on the wire is what ours is read as.

use flowctl_proto::v1::ComponentType;
use flowctl_test_support::components::{Component, client_answers, python_packages};
use flowctl_test_support::must_have_data;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tonic::Code;

use crate::calls::{consume, ids, open, process, stream};
use crate::control_plane::{ControlPlane, Told};
use crate::fact;

pub(crate) fn trials() -> Vec<Trial> {
    let trials = vec![
        fact("python::orders_pass_from_source_to_sink", orders_pass_from_source_to_sink),
        fact("python::a_source_goes_on_behind_its_token", a_source_goes_on_behind_its_token),
        fact("python::a_component_registers_beats_and_takes_leave", registers_beats_and_takes_leave),
        fact("python::the_client_is_read_as_it_speaks", the_client_is_read_as_it_speaks),
    ];
    let is_ignored = python_packages().is_none() && !must_have_data();
    trials.into_iter().map(|trial| trial.with_ignored_flag(is_ignored)).collect()
}

async fn orders_pass_from_source_to_sink() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let source = Component::start_python("source.py", [("COUNT", "6")]);
    let processor = Component::start_python("processor.py", [("PORT", ":0")]);
    let sink = Component::start_python("sink.py", [("OUTPUT", &output)]);
    let (orders, end) = stream(&source, None).await;
    end.unwrap();
    assert_eq!(ids(&orders), ["order-1", "order-2", "order-3", "order-4", "order-5", "order-6"]);
    assert_eq!(orders[1].timestamp.unwrap().seconds, 1_764_000_002);
    let (doubled, end) = process(&processor, orders).await;
    end.unwrap();
    let wanted = ["order-2-doubled", "order-4-doubled", "order-6-doubled"];
    assert_eq!(ids(&doubled), wanted);
    assert_eq!(doubled[0].metadata["resume_token"], "2");
    assert_eq!(consume(&sink, doubled).await.unwrap().events_consumed, 3);
    let lines = std::fs::read_to_string(&output).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["id"].as_str().unwrap()).collect::<Vec<_>>(), wanted);
    // 102 cents each, three of them, doubled
    assert_eq!(lines[0]["order"]["total_cents"], 612);
    assert_eq!(lines[0]["content_type"], "application/json");
}

async fn a_source_goes_on_behind_its_token() {
    let source = Component::start_python("source.py", [("COUNT", "5"), ("STAY", "1")]);
    let mut first = open(&source, Some("3")).await.unwrap();
    assert_eq!(first.message().await.unwrap().unwrap().id, "order-4");
    assert_eq!(first.message().await.unwrap().unwrap().id, "order-5");
    let refused = stream(&source, None).await.1.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "already streaming events"));
    drop(first);
    // cancelled, it makes room, though not at once; a refusal comes before the stream or in it
    let again = loop {
        let answered = match open(&source, Some("4")).await {
            Ok(mut stream) => stream.message().await,
            Err(status) => Err(status),
        };
        match answered {
            Ok(event) => break event.unwrap(),
            Err(status) => assert_eq!(status.code(), Code::Unknown),
        }
    };
    assert_eq!(again.id, "order-5");
}

async fn registers_beats_and_takes_leave() {
    let control_plane = ControlPlane::start().await;
    let settings = Component::registers_at(control_plane.address);
    let mut processor = Component::start_python("processor.py", settings);
    control_plane.wait_for(|told| matches!(told, Told::Heartbeat(beat) if beat.service_id == "service-1")).await;
    assert!(processor.stop().success());
    let told = control_plane.told();
    assert_eq!(told.last(), Some(&Told::Unregister("service-1".to_owned())));
    let Told::Register(request) = &told[0] else { panic!("{told:?}") };
    let info = request.component.as_ref().unwrap();
    assert_eq!((info.id.as_str(), info.r#type()), ("even-orders-v1", ComponentType::Processor));
    assert_eq!(info.endpoint, format!(":{}", processor.address().port()));
    let health = reqwest_status(&processor).await;
    assert!(health.is_none(), "it has ended, and answers {health:?}");
}

/// What HTTP health answers, where anything does.
async fn reqwest_status(component: &Component) -> Option<u16> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::get(format!("http://{}/health", component.health_address())).await;
    answer.ok().map(|answer| answer.status().as_u16())
}

async fn the_client_is_read_as_it_speaks() {
    let control_plane = ControlPlane::start().await;
    let endpoint = control_plane.address.to_string();
    let answers = tokio::task::spawn_blocking(move || client_answers(&endpoint)).await.unwrap();
    assert_eq!(answers["register source"], json!({"service_id": "service-1"}));
    assert_eq!(
        answers["status of source"],
        json!({
            "component": {
                "id": "witness-source", "name": "Witness Source", "description": "Emits nothing", "version": "1.2.3",
                "type": "COMPONENT_TYPE_SOURCE", "output_event_types": ["witness.raw.v1"],
                "endpoint": "127.0.0.1:50071", "metadata": {"network": "testnet", "language": "python"},
            },
            "status": "HEALTH_STATUS_HEALTHY", "last_heartbeat": true, "registered_at": true,
        })
    );
    assert_eq!(answers["status of nobody"], json!({"code": "NOT_FOUND"}));
    assert_eq!(answers["discover"], json!({"code": "UNIMPLEMENTED"}));
    let told = control_plane.told();
    let Told::Register(sink) = &told[2] else { panic!("{told:?}") };
    assert_eq!((sink.component_id.as_str(), sink.component.as_ref().unwrap().id.as_str()), ("witness-sink", ""));
    let beat = told.iter().find_map(|told| match told {
        Told::Heartbeat(beat) => Some(beat),
        _ => None,
    });
    assert_eq!(beat.unwrap().metrics["events"], "7");
}
