//! Components that die, break and are unwell while a pipeline runs over them: it waits,
//! goes on, and misses nothing.

use std::path::Path;
use std::process::{Child, Stdio};

use flowctl_test_support::components::Role;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::components::{INTENT, Trio, expected, none_missing, received, start};
use super::policies::everything_at;
use super::server::{Server, until};
use crate::flowctl::{Answer, Flowctl};
use crate::stellar::with_data;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with_data("control_plane::a_processor_that_dies_in_a_batch_is_waited_for", dies),
        with_data("control_plane::a_processor_that_is_killed_and_comes_back_loses_nothing", killed),
        with_data("control_plane::a_sink_that_breaks_its_stream_loses_nothing", breaks),
        with_data("control_plane::an_unhealthy_processor_pauses_its_pipeline", unhealthy),
    ]
}

/// Submits the intent, and follows it.
fn submit(flowctl: &Flowctl, server: &Server<'_>) -> Child {
    flowctl.write("pipeline.yaml", INTENT);
    server.command_at("run pipeline.yaml").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A server whose pipelines read so many events a second.
fn slow_server(flowctl: &Flowctl, events_per_second: u64) -> Server<'_> {
    flowctl.write("policy.yaml", everything_at(events_per_second));
    Server::new(flowctl, "--policy policy.yaml").and_start()
}

fn dies(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let mut trio = Trio::start(&flowctl, server.address(), folder, &[(Role::Processor, "DIE_AFTER", "100")]);
    let n_expected = expected(folder)?.len();
    let run = submit(&flowctl, &server);
    assert!(!trio.processor.wait().success());
    assert!(received(&flowctl).len() < n_expected);
    let info = server.info_when("pipeline", |info| waiting(info, "ttp-processor").is_some());
    assert_eq!(info["status"], "running", "{info:#}");
    let port = trio.processor.address().port().to_string();
    let _again = start(&flowctl, server.address(), folder, Role::Processor, &[(Role::Processor, "PORT", &port)]);
    Answer::of(run.wait_with_output().unwrap()).success();
    none_missing(&flowctl, folder)
}

fn killed(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    let server = slow_server(&flowctl, 80);
    let mut trio = Trio::start(&flowctl, server.address(), folder, &[]);
    let n_expected = expected(folder)?.len();
    let run = submit(&flowctl, &server);
    until("the sink receives something", || (!received(&flowctl).is_empty()).then_some(()));
    trio.processor.kill();
    assert!(received(&flowctl).len() < n_expected);
    let port = trio.processor.address().port().to_string();
    let _again = start(&flowctl, server.address(), folder, Role::Processor, &[(Role::Processor, "PORT", &port)]);
    Answer::of(run.wait_with_output().unwrap()).success();
    none_missing(&flowctl, folder)
}

fn breaks(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let trio = Trio::start(&flowctl, server.address(), folder, &[(Role::Sink, "BREAK_AFTER", "200")]);
    let run = submit(&flowctl, &server);
    trio.sink.wait_for("breaking the stream");
    Answer::of(run.wait_with_output().unwrap()).success();
    none_missing(&flowctl, folder)
}

fn unhealthy(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    let server = slow_server(&flowctl, 20);
    let unwell = flowctl.path("unwell");
    let unwell_text = unwell.display().to_string();
    let _trio = Trio::start(&flowctl, server.address(), folder, &[(Role::Processor, "UNHEALTHY_FILE", &unwell_text)]);
    let n_expected = expected(folder)?.len();
    let run = submit(&flowctl, &server);
    until("the sink receives something", || (!received(&flowctl).is_empty()).then_some(()));
    std::fs::write(&unwell, "").unwrap();
    let is_unhealthy = |info: &Value| waiting(info, "ttp-processor").is_some_and(|why| why.contains("is unhealthy"));
    let info = server.info_when("pipeline", is_unhealthy);
    assert_eq!(info["status"], "running", "{info:#}");
    let shown = server.run("pipelines info pipeline").success().stdout;
    assert!(shown.contains("waits: component is unhealthy"), "{shown}");
    let listed = server.run("processors list --all").success().stdout;
    assert!(listed.contains("unhealthy"), "{listed}");
    assert!(received(&flowctl).len() < n_expected);
    std::fs::remove_file(&unwell).unwrap();
    Answer::of(run.wait_with_output().unwrap()).success();
    none_missing(&flowctl, folder)
}

/// What a node waits for, its id given without what numbers it.
fn waiting<'a>(info: &'a Value, node: &str) -> Option<&'a str> {
    let mut nodes = info["nodes"].as_array()?.iter();
    let found = nodes.find(|found| found["node"].as_str().is_some_and(|id| id.starts_with(node)))?;
    found["waiting"].as_str()
}
