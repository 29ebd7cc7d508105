//! What leaves a run for those who watch it: traces, and lines of log.

use std::collections::BTreeMap;

use flowctl_test_support::Collector;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::fact;
use crate::flowctl::{Answer, Flowctl, guests};

const N_EVENTS: u64 = 2_500;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("observability::batches_leave_as_spans_over_otlp", batches_leave),
        fact("observability::nothing_is_traced_unless_asked_for", || {
            let collector = Collector::start();
            let answer = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()), ("FLOWCTL_TRACE_EVERY", "0")]);
            answer.success();
            assert_eq!(collector.spans(), Vec::<Value>::new());
        }),
        fact("observability::a_trace_setting_that_cannot_be_used_is_said_and_the_run_goes_on", || {
            let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
            for (setting, said) in [
                (("FLOWCTL_TRACE_EVERY", "often"), "FLOWCTL_TRACE_EVERY is `often`, not a number of batches"),
                (("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), "OTEL_EXPORTER_OTLP_PROTOCOL is `http/json`"),
                (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not an address"), "OTEL_EXPORTER_OTLP_ENDPOINT"),
            ] {
                let answer = run(&[endpoint, setting]).success();
                assert!(answer.stderr.contains("no traces are exported: "), "{}", answer.stderr);
                assert!(answer.stderr.contains(said), "no `{said}` in {}", answer.stderr);
            }
        }),
        fact("observability::a_collector_that_is_away_costs_spans_and_no_events", || {
            // a port where nobody listens
            let answer = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("FLOWCTL_TRACE_EVERY", "1")]);
            let answer = answer.success();
            assert!(answer.stderr.contains("ExportError"), "{}", answer.stderr);
        }),
        fact("observability::json_lines_name_run_and_node", json_lines),
    ]
}

/// A run of three nodes, with these variables in its environment.
fn run(variables: &[(&str, &str)]) -> Answer {
    let flowctl = Flowctl::new();
    let guest = guests().join("identity.wasm");
    flowctl.write("p.yaml", pipeline(&guest, N_EVENTS));
    let mut command = flowctl.command("run p.yaml");
    Answer::of(command.envs(variables.iter().copied()).output().unwrap())
}

fn pipeline(guest: &std::path::Path, n_events: u64) -> String {
    format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: watched}}
spec:
  sources: [{{id: source, type: generate, config: {{type: test.bytes.v1, count: {n_events}}}}}]
  processors: [{{id: guest, plugin: '{}', inputs: [source]}}]
  sinks: [{{id: out, type: blackhole, inputs: [guest]}}]
",
        guest.display()
    )
}

fn batches_leave() {
    let collector = Collector::start();
    let endpoint = collector.endpoint();
    let variables = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()), ("FLOWCTL_TRACE_EVERY", "1")];
    run(&variables).success();
    let spans = collector.spans();
    let mut n_events: BTreeMap<&str, u64> = BTreeMap::new();
    for span in &spans {
        assert_eq!((&span["name"], &span["is_root"]), (&json!("batch"), &json!(true)), "{span}");
        assert_eq!(span["service.name"], "flowctl", "{span}");
        assert!(span["n_bytes"].as_u64().unwrap() > 0, "{span}");
        assert_eq!(span["run"], spans[0]["run"]);
        *n_events.entry(span["node"].as_str().unwrap()).or_default() += span["n_events"].as_u64().unwrap();
    }
    assert_eq!(n_events, BTreeMap::from([("source", N_EVENTS), ("guest", N_EVENTS), ("out", N_EVENTS)]));
}

fn json_lines() {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", pipeline(&guests().join("log_flood.wasm"), 1));
    let mut command = flowctl.command("run p.yaml --quiet");
    let answer = Answer::of(command.env("FLOWCTL_LOG_FORMAT", "json").output().unwrap()).success();
    let lines: Vec<Value> = answer.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_guest: Vec<&Value> = lines.iter().filter(|line| line["span"]["node"] == "guest").collect();
    assert!(!of_guest.is_empty(), "{}", answer.stderr);
    for line in of_guest {
        assert!(!line["span"]["run"].as_str().unwrap().is_empty(), "{line}");
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}
