//! The codes of errors: everything that can be explained is an error that something here
//! meets, and every error that is met by its code can be explained.
//!
//! Faults of pipeline files are those of the golden files; all others are produced below.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use flowctl_test_support::registry::{Access, Registry, Transport};
use flowctl_types::Code;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::control_plane::policies::{run_as, token};
use crate::control_plane::server::{Server, until};
use crate::fact;
use crate::flowctl::{Answer, Flowctl, guests, plugins};

/// Errors that commands end with, each with what produces it.
const PRODUCED: [(Code, fn() -> Answer); 24] = [
    (Code::NoSource, no_source),
    (Code::StdinTwice, stdin_twice),
    (Code::NotAPlugin, not_a_plugin),
    (Code::PluginNotFound, plugin_not_found),
    (Code::PluginDamaged, plugin_damaged),
    (Code::SignatureMissing, signature_missing),
    (Code::RegistryUnreachable, registry_unreachable),
    (Code::RegistryRefuses, registry_refuses),
    (Code::LockMismatch, lock_mismatch),
    (Code::PluginCrashed, plugin_crashed),
    (Code::StateInUse, state_in_use),
    (Code::StateDamaged, state_damaged),
    (Code::StateUnusable, state_unusable),
    (Code::OrphanedState, orphaned_state),
    (Code::UnknownDeadLetter, unknown_dead_letter),
    (Code::NoControlPlane, no_control_plane),
    (Code::Unauthenticated, unauthenticated),
    (Code::Forbidden, forbidden),
    (Code::PolicyViolation, policy_violation),
    (Code::QuotaExceeded, quota_exceeded),
    (Code::NotThere, not_there),
    (Code::RunsAlready, runs_already),
    (Code::PlanMoved, plan_moved),
    (Code::ChangeRefused, change_refused),
];

pub(crate) fn trials() -> Vec<Trial> {
    let produced = PRODUCED.iter().map(|(code, produce)| {
        Trial::test(format!("codes::{code}_is_the_code_of_what_produces_it"), move || {
            produce().failure(&[&format!("error[{code}]: ")]);
            Ok(())
        })
    });
    let facts = [
        fact("codes::every_code_is_produced_and_nothing_else_is", every_code),
        fact("codes::explain_lists_all_and_expands_each", explained),
        fact("codes::an_unknown_code_is_answered_with_the_nearest", unknown),
        fact("codes::faults_come_over_the_wire_with_their_codes", over_the_wire),
    ];
    produced.chain(facts).collect()
}

/// The codes in the golden files of a folder.
fn golden(folder: &str) -> BTreeSet<String> {
    let folder: PathBuf = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder);
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "expected" || extension == "txt") {
            let text = std::fs::read_to_string(path).unwrap();
            let labels = text.lines().filter_map(|line| line.strip_prefix("error[")?.split(']').next());
            found.extend(labels.map(str::to_owned));
        }
    }
    assert!(!found.is_empty());
    found
}

fn every_code() {
    let folders = ["tests/pipelines/invalid", "tests/pipelines/mixed", "host/topology/tests/plans"];
    let mut found: BTreeSet<String> = folders.into_iter().flat_map(golden).collect();
    found.extend(PRODUCED.iter().map(|(code, _)| code.to_string()));
    let known: BTreeSet<String> = Code::ALL.iter().map(Code::to_string).collect();
    assert_eq!(found, known);
}

fn explained() {
    let flowctl = Flowctl::new();
    let list: Value = serde_json::from_str(&flowctl.run("explain -o json").success().stdout).unwrap();
    let listed: Vec<&str> = list.as_array().unwrap().iter().map(|row| row["code"].as_str().unwrap()).collect();
    assert_eq!(listed, Code::ALL.iter().map(|code| code.name()).collect::<Vec<_>>());
    let table = flowctl.run("explain").success().stdout;
    assert!(table.starts_with("CODE") && table.lines().count() == Code::ALL.len() + 1, "{table}");
    for code in Code::ALL {
        let text = flowctl.run(&format!("explain {code}")).success().stdout;
        for wanted in [code.name(), "\nWhy\n", "\nExample\n", "\nWhat to do\n", &*format!("    error[{code}]: ")] {
            assert!(text.contains(wanted), "no `{wanted}` in {text}");
        }
        let is_long = |line: &&str| line.chars().count() > 80 && !line.starts_with("    ");
        assert_eq!(text.lines().find(is_long), None);
    }
    let one: Value = serde_json::from_str(&flowctl.run("explain no-chain -o json").success().stdout).unwrap();
    assert_eq!((&one["code"], one["text"].as_str()), (&"no-chain".into(), Some(Code::NoChain.text())));
}

fn unknown() {
    let answer = Flowctl::new().run("explain ambigous-chain");
    answer.failure(&["there is no code `ambigous-chain`", "hint: did you mean `ambiguous-chain`?"]);
}

fn over_the_wire() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    flowctl.write("p.yaml", ENDLESS.replace("example.order.v1", "example.ordre.v1").replace("blackhole", "blackhloe"));
    let answer = server.run("run p.yaml");
    answer.failure(&["error[unknown-event-type]: ", "error[unknown-component]: ", "p.yaml:5:", "p.yaml:6:"]);
}

const ENDLESS: &str = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: endless}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 100}}]
  sinks: [{id: out, type: blackhole, inputs: [orders]}]
";

/// Ten orders through a processor.
fn through(processor: &str) -> String {
    format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: orders}}
spec:
  sources: [{{id: orders, type: generate, config: {{type: example.order.v1, count: 10}}}}]
  processors: [{{id: filter, {processor}, inputs: [orders]}}]
  sinks: [{{id: out, type: file, inputs: [filter], config: {{path: out.jsonl}}}}]
"
    )
}

fn no_source() -> Answer {
    Flowctl::new().run("topology suggest --from example.order.v1 --to stdout")
}

fn stdin_twice() -> Answer {
    let text = ENDLESS.replace(
        "type: generate, config: {type: example.order.v1, rate: 100}",
        "type: stdin, config: {type: example.order.v1}",
    );
    Flowctl::new().run_with_input("validate -", &text)
}

fn not_a_plugin() -> Answer {
    let flowctl = Flowctl::new();
    flowctl.write("broken.wasm", "no component");
    flowctl.run("inspect broken.wasm")
}

fn plugin_not_found() -> Answer {
    let registry = Registry::start();
    Flowctl::new().run(&format!("pull {}/acme/nothing:1", registry.address()))
}

/// A registry that has the plugin `acme/filter:1`, and what it is called.
fn stocked(flowctl: &Flowctl) -> (Registry, String) {
    let registry = Registry::start();
    let reference = format!("{}/acme/filter:1", registry.address());
    flowctl.run(&format!("push --quiet {} {reference}", plugins().join("order-filter.wasm").display())).success();
    (registry, reference)
}

fn plugin_damaged() -> Answer {
    let flowctl = Flowctl::new();
    let (registry, reference) = stocked(&flowctl);
    let mut changed = std::fs::read(plugins().join("order-filter.wasm")).unwrap();
    let digest = flowctl_test_support::registry::digest(&changed);
    *changed.last_mut().unwrap() ^= 1;
    registry.replace_blob(&digest, &changed);
    flowctl.run(&format!("pull {reference}"))
}

fn signature_missing() -> Answer {
    let flowctl = Flowctl::new();
    let (_registry, reference) = stocked(&flowctl);
    flowctl.write(".config/flowctl/policy.yaml", "rules: [{match: elsewhere.example/**, unsigned: allow}]");
    flowctl.run(&format!("pull {reference}"))
}

fn registry_unreachable() -> Answer {
    let registry = Registry::start();
    let address = registry.address();
    drop(registry);
    Flowctl::new().run_with_input(&format!("login {address} -u me --password-stdin"), "secret")
}

fn registry_refuses() -> Answer {
    let registry = Registry::start_with(Transport::Plain, Access::Password);
    Flowctl::new().run(&format!("pull {}/acme/filter:1", registry.address()))
}

fn lock_mismatch() -> Answer {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", through("plugin: order-filter, config: {minimum: 0}"));
    flowctl.run_with_plugins("run p.yaml --locked")
}

fn plugin_crashed() -> Answer {
    let flowctl = Flowctl::new();
    let guest = guests().join("exits.wasm");
    let processor = format!("plugin: '{}', retry: {{max_attempts: 1, on_failure: stop}}", guest.display());
    flowctl.write(
        "p.yaml",
        through(&processor)
            .replace("example.order.v1", "test.bytes.v1")
            .replace("type: file", "type: blackhole")
            .replace(", config: {path: out.jsonl}", ""),
    );
    flowctl.run("run p.yaml")
}

/// A run that goes on, with its state.
fn endless(flowctl: &Flowctl) -> Child {
    flowctl.write("endless.yaml", ENDLESS);
    let mut child = flowctl.command("run endless.yaml").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    until("the state is held", || {
        assert!(child.try_wait().unwrap().is_none(), "the run ended");
        let lock = std::fs::read_to_string(flowctl.path("state/flowctl/endless/lock")).ok()?;
        (lock.trim() == child.id().to_string()).then_some(())
    });
    child
}

fn state_in_use() -> Answer {
    let flowctl = Flowctl::new();
    let mut child = endless(&flowctl);
    let answer = flowctl.run("run endless.yaml");
    child.kill().unwrap();
    child.wait().unwrap();
    answer
}

fn state_damaged() -> Answer {
    let flowctl = Flowctl::new();
    flowctl.write("endless.yaml", ENDLESS);
    flowctl.write("state/flowctl/endless/state.db", "no database".repeat(1000));
    flowctl.run("run endless.yaml")
}

fn state_unusable() -> Answer {
    let flowctl = Flowctl::new();
    flowctl.write("endless.yaml", ENDLESS);
    flowctl.write("file", "no folder");
    flowctl.run("run endless.yaml --state-dir file")
}

fn orphaned_state() -> Answer {
    let flowctl = Flowctl::new();
    let text = ENDLESS.replace("rate: 100", "count: 10");
    flowctl.write("p.yaml", &text);
    flowctl.run("run p.yaml").success();
    flowctl.write("p.yaml", text.replace("id: orders", "id: renamed").replace("[orders]", "[renamed]"));
    flowctl.run("run p.yaml")
}

fn unknown_dead_letter() -> Answer {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", ENDLESS.replace("rate: 100", "count: 10"));
    flowctl.run("run p.yaml").success();
    flowctl.run("dead-letters show endless nothing")
}

fn no_control_plane() -> Answer {
    let flowctl = Flowctl::new();
    let mut server = Server::start(&flowctl);
    server.kill();
    server.run("pipelines list")
}

fn unauthenticated() -> Answer {
    let flowctl = Flowctl::new();
    token(&flowctl, "default", "viewer", "");
    Server::start(&flowctl).run("pipelines list")
}

fn forbidden() -> Answer {
    let flowctl = Flowctl::new();
    let viewer = token(&flowctl, "default", "viewer", "");
    let server = Server::start(&flowctl);
    flowctl.write("endless.yaml", ENDLESS);
    run_as(&server, &viewer, "run endless.yaml --detach")
}

fn policy_violation() -> Answer {
    let flowctl = Flowctl::new();
    flowctl.write("policy.yaml", "tenants: {default: {connectors: [blackhole]}}");
    flowctl.write("endless.yaml", ENDLESS);
    let server = Server::new(&flowctl, "--policy policy.yaml").and_start();
    server.run("run endless.yaml --detach")
}

fn quota_exceeded() -> Answer {
    let flowctl = Flowctl::new();
    flowctl.write("policy.yaml", "tenants: {default: {connectors: ['*'], quotas: {pipelines: 0}}}");
    flowctl.write("endless.yaml", ENDLESS);
    let server = Server::new(&flowctl, "--policy policy.yaml").and_start();
    server.run("run endless.yaml --detach")
}

fn not_there() -> Answer {
    let flowctl = Flowctl::new();
    Server::start(&flowctl).run("pipelines stop nothing")
}

/// A control plane that runs the endless pipeline.
fn running(flowctl: &Flowctl) -> Server<'_> {
    let server = Server::start_with_plugins(flowctl);
    flowctl.write("endless.yaml", ENDLESS);
    server.run("run endless.yaml --detach").success();
    server.info_at("endless", "running");
    server
}

fn runs_already() -> Answer {
    let flowctl = Flowctl::new();
    running(&flowctl).run("run endless.yaml --detach")
}

fn plan_moved() -> Answer {
    let flowctl = Flowctl::new();
    let add = "topology add order-filter --id second --after orders --config minimum=0";
    running(&flowctl).run(&format!("{add} --plan-hash 0123456789abcdef"))
}

fn change_refused() -> Answer {
    let flowctl = Flowctl::new();
    running(&flowctl).run("topology add order-filter --id orders --after orders --config minimum=0")
}
