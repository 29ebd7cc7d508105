//! What goes on showing while something runs: `status --watch` and `pipelines logs --follow`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use libtest_mimic::Trial;
use serde_json::{Deserializer, Value};

use super::server::{Server, signal, until};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("control_plane::a_watched_status_follows_pipelines_until_nobody_answers", watched),
        fact("control_plane::a_watched_status_ends_with_whom_it_is_shown_to", unread),
        fact("control_plane::a_followed_log_shows_what_was_and_what_comes_until_the_run_ends", followed),
    ]
}

/// A pipeline that makes orders without end.
pub(super) fn endless(flowctl: &Flowctl) {
    flowctl.write(
        "endless.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: endless}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 1000}}]
  sinks: [{id: out, inputs: [orders], type: blackhole}]
",
    );
}

fn watched() {
    let flowctl = Flowctl::new();
    let mut server = Server::start(&flowctl);
    endless(&flowctl);
    let mut watch = server.command_at("status --watch --output json");
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut shown = Deserializer::from_reader(watch.stdout.take().unwrap()).into_iter::<Value>();
    let mut next = || shown.next().unwrap().unwrap();
    assert_eq!(next()["pipelines"], Value::Array(Vec::new()));
    server.run("run endless.yaml --detach").success();
    while next()["pipelines"][0]["status"] != "running" {}
    server.run("pipelines stop endless").success();
    while next()["pipelines"][0]["status"] != "stopped" {}
    server.kill();
    // what was under way is printed whole
    assert!(shown.all(|overview| overview.is_ok()));
    Answer::of(watch.wait_with_output().unwrap()).failure(&["error: "]);
}

fn unread() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let mut watch = server.command_at("status --watch").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("flowctl ") && first.contains(server.address()), "{first}");
    // the second time it is shown, below an empty line
    assert!(lines.by_ref().map(Result::unwrap).any(|line| line == first));
    drop(lines);
    until("it ends, as nobody reads it", || watch.try_wait().unwrap());
    let mut watch = server.command_at("status --watch").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), first);
    signal(watch.id(), "-INT");
    until("it ends with Ctrl-C", || watch.try_wait().unwrap());
}

fn followed() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    endless(&flowctl);
    server.run("run endless.yaml --detach").success();
    let mut follow = server.command_at("pipelines logs endless --follow --output json");
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let first = events.next().unwrap();
    server.run("pipelines stop endless").success();
    let rest: Vec<Value> = events.collect();
    assert!(rest.iter().any(|event| event["kind"] == "stopping"), "{rest:#?}");
    assert_eq!(rest.last().unwrap()["kind"], "stopped", "{rest:#?}");
    Answer::of(follow.wait_with_output().unwrap()).success();
    // the same as it is told afterwards, each event once and in order
    let told = server.run("pipelines logs endless --follow --output json").success().stdout;
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([vec![first], rest].concat(), told);
    let of_node = server.run("pipelines logs endless --node out").success().stdout;
    assert!(of_node.lines().all(|line| line.contains("out")), "{of_node}");
}
