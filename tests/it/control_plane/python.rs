//! Components and a client in Python, written against the wire alone.

use std::path::Path;

use flowctl_test_support::components::{Component, client_answers};
use libtest_mimic::Trial;
use serde_json::Value;

use super::server::Server;
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("control_plane::components_in_python_make_a_pipeline", pipeline),
        fact("control_plane::a_client_in_python_is_answered_as_the_wire_says", client),
    ]
}

/// Compares with a file of `tests/components/expected`.
fn check(name: &str, found: &Value) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/components/expected")).join(name);
    let text = serde_json::to_string_pretty(found).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default());
}

fn client() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    check("client.json", &client_answers(server.address()));
}

fn pipeline() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let start = |script: &str, name: &'static str, value: &str| {
        let mut settings = Component::registers_at(server.address()).to_vec();
        settings.push((name, value.to_owned()));
        Component::start_python(script, settings)
    };
    let output = flowctl.path("orders.jsonl");
    let _source = start("source.py", "COUNT", "25");
    let _processor = start("processor.py", "OUTPUT", "");
    let _sink = start("sink.py", "OUTPUT", &output.display().to_string());
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v2
kind: Topology
metadata: {name: orders}
spec:
  from: {type: example.order.v1, source: order-source-v1}
  via: [even-orders-v1]
  to: order-sink-v1
",
    );
    let said = server.run("run p.yaml").success().stderr;
    assert!(said.contains("Discovered chain: order-source → even-orders → order-sink"), "{said}");
    let lines: Vec<Value> =
        flowctl.read("orders.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    check("orders.json", &lines.into());
}
