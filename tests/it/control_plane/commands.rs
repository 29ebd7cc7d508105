//! `command:` nodes: flowctl starts their processes, hears them, starts them anew, and
//! leaves none behind.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use flowctl_test_support::components::Role;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::components::{each_once, none_missing, received, variables};
use super::server::{Server, descendants, signal, until};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};
use crate::stellar::with_data;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with_data("control_plane::commands_of_a_run_without_a_server_start_and_end_with_it", embedded),
        with_data("control_plane::commands_on_a_server_start_and_end_with_their_run", on_a_server),
        with_data("control_plane::a_command_that_dies_is_started_again", dies),
        fact("control_plane::a_command_that_is_not_there_is_named", absent),
    ]
}

/// A pipeline of three commands, each this program with a role; `settings` are variables
/// more.
fn pipeline(flowctl: &Flowctl, folder: &Path, settings: &[(Role, &str, &str)]) -> String {
    let program = std::env::current_exe().unwrap();
    let node = |id: &str, role: Role, rest: &str| {
        let (name, value) = role.variable();
        let mut env = format!("{name}: '{value}'");
        let own = settings.iter().filter(|(of, ..)| *of == role);
        let own = own.map(|(_, name, value)| ((*name).to_owned(), (*value).to_owned()));
        for (name, value) in variables(flowctl, folder, role).into_iter().chain(own) {
            let _ = write!(env, ", {name}: '{value}'");
        }
        format!("[{{id: {id}, command: ['{}'], env: {{{env}}}, {rest}}}]\n", program.display())
    };
    let (ledger, transfer) = ("stellar.ledger.v1", "stellar.token.transfer.v1");
    let source = node("ledgers", Role::Source, &format!("output_event_types: [{ledger}]"));
    let types = format!("input_event_types: [{ledger}], output_event_types: [{transfer}]");
    let processor = node("ttp", Role::Processor, &format!("{types}, inputs: [ledgers]"));
    let sink = node("out", Role::Sink, &format!("input_event_types: [{transfer}], inputs: [ttp]"));
    format!(
        "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: commands}}\nspec:\n  \
         sources: {source}  processors: {processor}  sinks: {sink}"
    )
}

/// The process of a role among those that `pid` started.
fn of_role(pid: u32, role: Role) -> Option<u32> {
    let (name, value) = role.variable();
    let wanted = format!("{name}={value}");
    let is_it = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    };
    descendants(pid).into_iter().find(is_it)
}

fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

const ROLES: [Role; 3] = [Role::Source, Role::Processor, Role::Sink];

fn embedded(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", pipeline(&flowctl, folder, &[(Role::Source, "STAY", "1")]));
    let mut command = flowctl.command("run p.yaml --state-dir host");
    let run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let n_expected = super::components::expected(folder)?.len();
    until("the sink receives everything", || (received(&flowctl).len() == n_expected).then_some(()));
    let children: Vec<u32> = ROLES.iter().map(|role| of_role(run.id(), *role).unwrap()).collect();
    signal(run.id(), "-INT");
    Answer::of(run.wait_with_output()?).success();
    assert!(children.into_iter().all(is_gone));
    each_once(&flowctl, folder)
}

fn on_a_server(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    flowctl.write("p.yaml", pipeline(&flowctl, folder, &[(Role::Source, "STAY", "1")]));
    server.run("run p.yaml --detach").success();
    let n_expected = super::components::expected(folder)?.len();
    until("the sink receives everything", || (received(&flowctl).len() == n_expected).then_some(()));
    let children: Vec<u32> = ROLES.iter().map(|role| of_role(server.pid(), *role).unwrap()).collect();
    let info = server.json("pipelines info commands");
    let origin = info["nodes"][0]["origin"].as_str().unwrap();
    assert!(origin.starts_with("command "), "{info:#}");
    server.run("pipelines stop commands").success();
    for child in children {
        until("a command's process ends with its run", || is_gone(child).then_some(()));
    }
    each_once(&flowctl, folder)?;
    let run = info["id"].as_str().unwrap();
    for node in ["ledgers", "ttp", "out"] {
        let log = server.run(&format!("pipelines logs {run} --node {node}")).success().stdout;
        assert!(log.contains(&format!("stdout {node}: listening on :")), "{log}");
        assert!(log.contains(&format!("stdout {node}: registered as ")), "{log}");
        assert!(log.contains(&format!("stdout {node}: unregistered ")), "{log}");
        assert!(log.lines().all(|line| line.contains(node)), "{log}");
    }
    Ok(())
}

fn dies(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    // each life of it is good for 200 of 320 ledgers
    let settings = [(Role::Processor, "DIE_AFTER", "200")];
    let text = pipeline(&flowctl, folder, &settings);
    flowctl.write("p.yaml", text.replace("spec:\n", "spec:\n  batch: {max_events: 20}\n"));
    server.run("run p.yaml").success();
    none_missing(&flowctl, folder)?;
    let log = server.run("pipelines logs commands --node ttp --output json").success().stdout;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let n_of = |words: &str| lines.iter().filter(|line| line["message"].as_str().unwrap().contains(words)).count();
    assert_eq!((n_of("listening on :"), n_of("dying at ")), (2, 1), "{log}");
    Ok(())
}

fn absent() {
    let flowctl = Flowctl::new();
    let text = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: absent}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, count: 1}}]
  sinks: [{id: out, command: [./nothing], inputs: [orders]}]
";
    flowctl.write("p.yaml", text);
    flowctl.run("run p.yaml --state-dir embedded").failure(&["`out`", "there is no program `./nothing`"]);
    let server = Server::start(&flowctl);
    server.run("run p.yaml").failure(&["`out`", "there is no program `./nothing`"]);
    let info = server.json("pipelines info absent");
    assert_eq!(info["status"], "failed");
    assert!(info["error"].as_str().unwrap().contains("./nothing"), "{info:#}");
}
