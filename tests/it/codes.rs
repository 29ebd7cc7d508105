//! The codes of errors: `flowctl explain`, and codes that come from a control plane. That each
//! of them comes about is seen where their texts are followed, in `guide`.

use flowctl_types::Code;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::control_plane::server::Server;
use crate::fact;
use crate::flowctl::{Flowctl, guests};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("codes::explain_lists_all_and_expands_each", explained),
        fact("codes::an_unknown_code_is_answered_with_the_nearest", unknown),
        fact("codes::faults_come_over_the_wire_with_their_codes", over_the_wire),
        fact("codes::a_run_that_fails_in_a_control_plane_keeps_its_code", failed_there),
        fact("codes::as_many_faults_come_over_the_wire_as_it_takes", many_over_the_wire),
    ]
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

fn many_over_the_wire() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let keys: String = (0..200).map(|n| format!("  key{n}: 1\n")).collect();
    flowctl.write("p.yaml", format!("{ENDLESS}{keys}"));
    let answer = server.run("run p.yaml").failure(&["unknown key `key0`", "more faults follow; correct these first"]);
    assert!(answer.stderr.matches("error[unknown-key]").count() > 10, "{}", answer.stderr);
}

fn over_the_wire() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    flowctl.write("p.yaml", ENDLESS.replace("example.order.v1", "example.ordre.v1").replace("blackhole", "blackhloe"));
    let answer = server.run("run p.yaml");
    answer.failure(&["error[unknown-event-type]: ", "error[unknown-component]: ", "p.yaml:5:", "p.yaml:6:"]);
}

fn failed_there() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let plugin = guests().join("exits.wasm");
    let text = ENDLESS.replace("example.order.v1", "test.bytes.v1").replace("endless", "crashing").replace(
        "  sinks: [{id: out, type: blackhole, inputs: [orders]}]",
        &format!(
            "  processors: [{{id: filter, plugin: '{}', inputs: [orders]}}]
  sinks: [{{id: out, type: blackhole, inputs: [filter]}}]",
            plugin.display()
        ),
    );
    flowctl.write("p.yaml", text);
    let answer = server.run("run p.yaml").failure(&["error[plugin-crashed]: node `filter` failed"]);
    assert!(answer.stderr.matches("wasm trap").count() < 2 && answer.stderr.lines().count() < 40, "{}", answer.stderr);
    assert_eq!(server.json("pipelines info crashing")["error_code"], "plugin-crashed");
    assert_eq!(server.json("pipelines runs crashing")[0]["error_code"], "plugin-crashed");
    let text = server.run("pipelines info crashing").success().stdout;
    assert!(text.contains("\ncode      plugin-crashed\n"), "{text}");
    // here it is a run of its own, with the same code
    let answer = flowctl.run("run p.yaml --state-dir own").failure(&["error[plugin-crashed]: node `filter` failed"]);
    assert!(answer.stderr.lines().count() < 60, "one backtrace is enough: {}", answer.stderr);
    flowctl.write("p.yaml", flowctl.read("p.yaml").replace("exits.wasm", "panics.wasm"));
    for answer in [flowctl.run("run p.yaml --state-dir own --fresh"), server.run("run p.yaml --fresh")] {
        let is_told = answer.stderr.contains("last lines of its log:") && answer.stderr.contains("is no number");
        assert!(answer.code == Some(1) && is_told, "what the guest panicked with: {}", answer.stderr);
    }
}

const ENDLESS: &str = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: endless}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 100}}]
  sinks: [{id: out, type: blackhole, inputs: [orders]}]
";
