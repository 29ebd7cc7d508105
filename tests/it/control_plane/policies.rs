//! What the policy of a tenant does not allow does not run, and is told.

use libtest_mimic::Trial;
use serde_json::Value;

use super::server::Server;
use crate::fact;
use crate::flowctl::{Answer, Flowctl, plugins};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("control_plane::nothing_outside_a_tenants_policy_runs", outside),
        fact("control_plane::a_tenant_at_its_quota_is_told_and_the_other_is_not_held", quota),
        fact("control_plane::after_a_restart_a_variable_that_is_not_allowed_is_named", variables),
        fact("control_plane::a_policy_that_cannot_be_read_is_named", unreadable),
    ]
}

/// A policy file in which the tenant `default` may everything, and reads so many events a
/// second.
pub(crate) fn everything_at(events_per_second: u64) -> String {
    format!(
        "tenants:
  default:
    connectors: ['*']
    read: ['*']
    write: ['*']
    commands: ['*']
    registries: ['*']
    addresses: ['*']
    env: ['*']
    grants: {{hosts: ['*'], dirs: ['*'], env: ['*']}}
    quotas: {{events_per_second: {events_per_second}}}
"
    )
}

/// A token of a tenant, as `tokens create` prints it.
pub(crate) fn token(flowctl: &Flowctl, tenant: &str, role: &str, more: &str) -> String {
    let command = format!("tokens create --tenant {tenant} --role {role} --state-dir host {more}");
    flowctl.run(&command).success().stdout.trim().to_owned()
}

/// Runs a command with a token.
pub(crate) fn run_as(server: &Server<'_>, token: &str, command: &str) -> Answer {
    Answer::of(server.command_at(command).env("FLOWCTL_TOKEN", token).output().unwrap())
}

/// A pipeline whose spec has these parts where others stand otherwise.
fn pipeline(source: &str, processor: &str, sink: &str, more: &str) -> String {
    let or = |part: &str, other: &str| if part.is_empty() { other.to_owned() } else { part.to_owned() };
    let source = or(source, "type: generate, config: {type: example.order.v1, count: 10}");
    let sink = or(sink, "type: file, config: {path: out.jsonl}");
    let processor = or(processor, "plugin: order-filter, config: {minimum: 0}");
    format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: mine}}
spec:
  sources: [{{id: orders, {source}}}]
  processors: [{{id: filter, inputs: [orders], {processor}}}]
  sinks: [{{id: out, inputs: [filter], {sink}}}]
{more}"
    )
}

fn outside() {
    let flowctl = Flowctl::new();
    let mine = flowctl.path("mine").canonicalize().unwrap_or_else(|_| {
        std::fs::create_dir_all(flowctl.path("mine")).unwrap();
        flowctl.path("mine").canonicalize().unwrap()
    });
    flowctl.write("secret.jsonl", "{}\n");
    flowctl.write("secret.wit", "package a:b@1.0.0;");
    flowctl.write("secret.wasm", "");
    flowctl.write("mine/in.jsonl", "");
    std::os::unix::fs::symlink(flowctl.path("secret.jsonl"), mine.join("link.jsonl")).unwrap();
    let policy = format!(
        "tenants: {{acme: {{connectors: [generate, file, http], read: ['{0}'], write: ['{0}'], \
         addresses: ['127.0.0.1:9'], grants: {{hosts: ['api.example.com:443'], env: [GRANTED]}}}}}}",
        mine.display()
    );
    flowctl.write("policy.yaml", policy);
    let token = token(&flowctl, "acme", "admin", "");
    let server = Server::new(&flowctl, "--policy policy.yaml");
    let server = server.env("FLOWCTL_PLUGINS", &plugins().display().to_string()).and_start();
    let parent = mine.parent().unwrap().display().to_string();
    let cases = [
        (pipeline("", "", "type: sqlite, config: {path: a.db}", ""), "node `out`: connector `sqlite`", "connectors"),
        (
            pipeline("type: file, config: {path: ../secret.jsonl, type: example.order.v1}", "", "", ""),
            "node `orders`: reading `PARENT/secret.jsonl`",
            "read",
        ),
        (
            pipeline("type: file, config: {path: link.jsonl, type: example.order.v1}", "", "", ""),
            "node `orders`: reading `PARENT/secret.jsonl`",
            "read",
        ),
        (
            pipeline("type: file, config: {path: /etc/passwd, type: example.order.v1}", "", "", ""),
            "node `orders`: reading `/etc/passwd`",
            "read",
        ),
        (pipeline("", "", "", "  types: ../secret.wit\n"), "reading `PARENT/secret.wit`", "read"),
        (pipeline("", "plugin: ../secret.wasm", "", ""), "node `filter`: reading `PARENT/secret.wasm`", "read"),
        (
            pipeline("", "", "type: file, config: {path: ../out.jsonl}", ""),
            "node `out`: writing `PARENT/out.jsonl`",
            "write",
        ),
        (pipeline("", "", "command: [/bin/sh, -c, exit]", ""), "node `out`: starting `/", "commands"),
        (pipeline("", "", "command: [./sink.sh]", ""), "node `out`: starting `PARENT/mine/sink.sh`", "commands"),
        (
            pipeline("", "plugin: '127.0.0.1:9/evil/filter:1'", "", ""),
            "node `filter`: a plugin from `127.0.0.1:9/evil/filter`",
            "registries",
        ),
        (
            pipeline("", "", "type: http, config: {url: 'http://127.0.0.1:10/'}", ""),
            "node `out`: address `127.0.0.1:10`",
            "addresses",
        ),
        (
            pipeline("", "", "type: http, config: {url: 'http://169.254.169.254/'}", ""),
            "node `out`: address `169.254.169.254:80`",
            "addresses",
        ),
        (
            pipeline(
                "",
                "plugin: order-filter, config: {minimum: 0}, allow: {hosts: ['other.example.com:443']}",
                "",
                "",
            ),
            "node `filter`: access of a plugin to `other.example.com:443`",
            "grants.hosts",
        ),
        (
            pipeline("", "plugin: order-filter, config: {minimum: 0}, allow: {dirs: [../]}", "", ""),
            "node `filter`: access of a plugin to folder `PARENT`",
            "grants.dirs",
        ),
        (
            pipeline("", "plugin: order-filter, config: {minimum: 0}, allow: {env: [HOME]}", "", ""),
            "node `filter`: access of a plugin to variable `HOME`",
            "grants.env",
        ),
    ];
    for (text, what, field) in cases {
        flowctl.write("mine/p.yaml", &text);
        let mut command = server.command_at("run p.yaml");
        let answer = Answer::of(command.env("FLOWCTL_TOKEN", &token).current_dir(&mine).output().unwrap());
        let what = what.replace("PARENT", &parent);
        let rest = "is not allowed by the policy of the tenant";
        let hint = format!("hint: whoever runs the control plane can allow it in the tenant's policy: {field}");
        assert!(answer.stderr.contains(&what), "no `{what}` of\n{text}\nin {}", answer.stderr);
        answer.failure(&[rest, &hint]);
    }
    assert_eq!(run_as(&server, &token, "pipelines list --output json").success().stdout.trim(), "[]");
    for path in ["out.jsonl", "mine/out.jsonl", "mine/a.db"] {
        assert!(!flowctl.path(path).exists(), "{path}");
    }
    // what is allowed runs, with the variable of whoever submits it
    let granted = "plugin: order-filter, config: {minimum: 0}, allow: {env: [GRANTED]}";
    flowctl.write("mine/p.yaml", pipeline("", granted, "", ""));
    let mut command = server.command_at("run p.yaml");
    command.env("FLOWCTL_TOKEN", &token).env("GRANTED", "s3cr3t").current_dir(&mine);
    Answer::of(command.output().unwrap()).success();
    let info = run_as(&server, &token, "pipelines info mine --output json").success().stdout;
    assert!(info.contains("GRANTED") && !info.contains("s3cr3t"), "{info}");
    assert_eq!(flowctl.read("mine/out.jsonl").lines().count(), 10);
}

fn endless(flowctl: &Flowctl, name: &str) -> String {
    let file = format!("{name}.yaml");
    let text = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: NAME}
spec:
  sources:
    - id: orders
      type: generate
      config:
        type: example.order.v1
        rate: 100
  sinks: [{id: out, type: blackhole, inputs: [orders]}]
";
    flowctl.write(&file, text.replace("NAME", name));
    format!("run {file} --detach")
}

fn quota() {
    let flowctl = Flowctl::new();
    flowctl.write(
        "policy.yaml",
        "tenants:
  acme: {connectors: ['*'], quotas: {pipelines: 1}}
  umbrella: {connectors: ['*'], quotas: {pipelines: 1}}
",
    );
    let tokens = ["acme", "umbrella"].map(|tenant| token(&flowctl, tenant, "operator", ""));
    let server = Server::new(&flowctl, "--policy policy.yaml").and_start();
    let (first, second) = (endless(&flowctl, "first"), endless(&flowctl, "second"));
    run_as(&server, &tokens[0], &first).success();
    run_as(&server, &tokens[0], &second).failure(&["the quota of tenant `acme` is used up"]);
    run_as(&server, &tokens[1], &first).success();
    run_as(&server, &tokens[0], "pipelines stop first").success();
    run_as(&server, &tokens[0], &second).success();
}

fn variables() {
    let flowctl = Flowctl::new();
    flowctl.write("policy.yaml", "tenants: {default: {connectors: ['*'], env: [ALLOWED]}}");
    let mut server = Server::new(&flowctl, "--policy policy.yaml");
    server = server.env("ALLOWED", "50").env("DENIED", "50").and_start();
    for name in ["allowed", "denied"] {
        let command = endless(&flowctl, name);
        let text = flowctl.read(&format!("{name}.yaml")).replace("100", &format!("${{{}}}", name.to_uppercase()));
        flowctl.write(&format!("{name}.yaml"), text);
        let mut command = server.command_at(&command);
        Answer::of(command.env(name.to_uppercase(), "100").output().unwrap()).success();
    }
    server.kill();
    server.restart();
    server.info_at("allowed", "running");
    let denied = |info: &Value| info["error"].as_str().is_some_and(|error| error.contains("DENIED"));
    let info = server.info_when("denied", denied);
    assert_eq!((&info["status"], &info["error_code"]), (&"failed".into(), &"variable-not-set".into()), "{info:#}");
}

fn unreadable() {
    let flowctl = Flowctl::new();
    for (text, wanted) in [("tenants: {acme: {conectors: []}}", "conectors"), ("- a", "policy")] {
        flowctl.write("policy.yaml", text);
        let answer = Answer::of(Server::new(&flowctl, "--policy policy.yaml").command().output().unwrap());
        answer.failure(&["`policy.yaml` is no policy", wanted]);
    }
    let answer = Answer::of(Server::new(&flowctl, "--policy none.yaml").command().output().unwrap());
    answer.failure(&["cannot read `none.yaml`"]);
}
