//! Pipelines over the built-in connectors and the small plugins: every event arrives, in
//! order, or is a dead letter.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Command;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("pipelines::json_lines_go_through_a_processor_in_order", json_lines_in_order),
        fact("pipelines::rejected_lines_are_dead_letters_with_reason_and_payload", rejected_lines),
        fact("pipelines::fan_out_and_fan_in_lose_nothing", fan_out_and_fan_in),
        fact("pipelines::interrupt_drains_an_endless_source", interrupt_drains),
        fact("pipelines::closed_stdout_ends_the_run", closed_stdout),
        fact("pipelines::parallel_instances_keep_the_order", parallel_keeps_order),
        fact("pipelines::aggregator_counts_what_the_ledgers_hold", aggregator),
        fact("pipelines::ledgers_of_another_network_end_the_run", other_network),
        fact("pipelines::generated_orders_pass_the_example_filter", generated_orders),
        fact("pipelines::second_start_is_fast_by_the_compiled_plugin", warm_start_uses_the_cache),
    ]
}

fn order(id: usize, total_cents: u64) -> String {
    format!(
        r#"{{"id":"o-{id}","customer":"c","status":"{status}","total_cents":{total_cents},"currency":"EUR","items":[],"note":null,"placed_at":1}}"#,
        status = "paid"
    )
}

const FILTER: &str = "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {name: orders}\nspec:\n  \
    sources: [{id: orders, type: file, config: {path: orders.jsonl, type: example.order.v1}}]\n  \
    processors: [{id: filter, plugin: order-filter, inputs: [orders], config: {minimum: 50}}]\n  \
    sinks: [{id: out, type: stdout, inputs: [filter]}]\n";

fn json_lines_in_order() {
    let flowctl = Flowctl::new();
    let lines: Vec<String> = (0..5000).map(|n| order(n, n as u64 % 100)).collect();
    flowctl.write("orders.jsonl", lines.join("\n"));
    flowctl.write("p.yaml", FILTER);
    let answer = flowctl.run_with_plugins("run p.yaml --summary summary.json").success();
    let wanted: Vec<&String> = lines.iter().enumerate().filter(|(n, _)| n % 100 >= 50).map(|(_, line)| line).collect();
    let found: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(found, wanted);
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!((&summary["events_in"], &summary["events_out"]), (&5000.into(), &2500.into()));
    assert_eq!(summary["status"], "completed");
    assert_eq!(summary["per_node"]["filter"]["events_in"], 5000);
}

fn rejected_lines() {
    let flowctl = Flowctl::new();
    let lines = [order(1, 90), "not json".to_owned(), order(2, 95), r#"{"id":"o-3"}"#.to_owned()];
    flowctl.write("orders.jsonl", lines.join("\n"));
    flowctl.write("p.yaml", FILTER);
    let answer = flowctl.run_with_plugins("run p.yaml --summary summary.json --state-dir state").success();
    assert_eq!(answer.stdout.lines().count(), 2);
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!(summary["rejected"], 2);
    let letters = flowctl.read("state/orders/dead-letters.jsonl");
    let letters: Vec<serde_json::Value> = letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0]["payload_text"], "not json");
    for letter in &letters {
        assert_eq!(letter["node"], "orders");
        assert!(letter["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{letter}");
    }
}

fn fan_out_and_fan_in() {
    let flowctl = Flowctl::new();
    flowctl.write("a.jsonl", (0..3000).map(|n| order(n, 90) + "\n").collect::<String>());
    flowctl.write("b.jsonl", (3000..6000).map(|n| order(n, 10) + "\n").collect::<String>());
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sources:\n    \
         - {id: a, type: file, config: {path: a.jsonl, type: example.order.v1}}\n    \
         - {id: b, type: file, config: {path: b.jsonl, type: example.order.v1}}\n  processors:\n    \
         - {id: all, plugin: order-filter, inputs: [a, b], config: {minimum: 0}}\n    \
         - {id: large, plugin: order-filter, inputs: [a, b], config: {minimum: 50}}\n  sinks:\n    \
         - {id: everything, type: file, inputs: [all], config: {path: everything.jsonl}}\n    \
         - {id: some, type: file, inputs: [large, b], config: {path: some.jsonl}}\n",
    );
    flowctl.run_with_plugins("run p.yaml").success();
    let ids = |name: &str| -> Vec<u64> {
        let number = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["id"].as_str().unwrap()[2..].parse().unwrap()
        };
        flowctl.read(name).lines().map(number).collect()
    };
    for (name, n_wanted) in [("everything.jsonl", 6000), ("some.jsonl", 6000)] {
        let ids = ids(name);
        let (a, b): (Vec<u64>, Vec<u64>) = ids.iter().partition(|id| **id < 3000);
        assert_eq!(a.len() + b.len(), n_wanted, "{name}");
        assert!(a.is_sorted() && b.is_sorted(), "{name}: each input's order is kept");
    }
}

fn interrupt_drains() {
    let flowctl = Flowctl::new();
    flowctl.write(
        "p.yaml",
        format!(
            "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  \
             sources: [{{id: bytes, type: generate, config: {{type: test.bytes.v1, rate: 2000}}}}]\n  \
             processors: [{{id: same, plugin: '{}', inputs: [bytes]}}]\n  \
             sinks: [{{id: out, type: stdout, inputs: [same]}}]\n",
            crate::flowctl::guests().join("identity.wasm").display()
        ),
    );
    let mut child = flowctl.start("run p.yaml --summary summary.json");
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    interrupt(child.id());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!(summary["status"], "stopped");
    assert_eq!(summary["events_out"], 1 + rest.lines().count(), "{stderr}");
    assert_eq!(summary["events_in"], summary["events_out"]);
}

fn interrupt(pid: u32) {
    let status = Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

fn closed_stdout() {
    let flowctl = Flowctl::new();
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: {type: example.order.v1, source: generate}\n  to: stdout\n  \
         config: {generate: {type: example.order.v1}}\n",
    );
    let mut child = flowctl.start("run p.yaml");
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let answer = Answer::of(child.wait_with_output().unwrap());
    assert_eq!(answer.code, Some(1), "{}", answer.stderr);
    assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
}

fn parallel_keeps_order() {
    let flowctl = Flowctl::new();
    let lines: Vec<String> = (0..20_000).map(|n| order(n, 90)).collect();
    flowctl.write("orders.jsonl", lines.join("\n"));
    flowctl.write("p.yaml", FILTER.replace("config: {minimum: 50}", "config: {minimum: 50}, parallelism: 3"));
    let answer = flowctl.run_with_plugins("run p.yaml").success();
    assert!(answer.stdout.lines().eq(lines.iter().map(String::as_str)));
}

fn aggregator() {
    let flowctl = Flowctl::new();
    let head = "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: stellar.ledger.v1\n";
    let config = "  config:\n    stellar-ledgers: {generate: {ledgers: 40}, network: testnet}\n    ttp-processor: {network: testnet}\n";
    flowctl.write("t.yaml", format!("{head}  to: stdout\n  via: [ttp-processor]\n{config}"));
    let chain = "  to: stdout\n  via: [ttp-processor, volume-aggregator]\n";
    flowctl.write("v.yaml", format!("{head}{chain}{config}    volume-aggregator: {{window: 10}}\n"));
    let transfers = flowctl.run_with_plugins("run t.yaml").success().stdout.lines().count();
    let volumes = flowctl.run_with_plugins("run v.yaml").success().stdout;
    let counts = volumes.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["count"].as_u64());
    assert_eq!(counts.sum::<Option<u64>>(), Some(transfers as u64), "{volumes}");
}

fn other_network() {
    let flowctl = Flowctl::new();
    let text = "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: stellar.ledger.v1\n  to: stdout\n  \
        via: [ttp-processor]\n  config:\n    stellar-ledgers: {generate: {ledgers: 40}, network: testnet}\n    \
        ttp-processor: {network: pubnet}\n";
    flowctl.write("p.yaml", text);
    let answer = flowctl.run_with_plugins("run p.yaml");
    let answer = answer.failure(&["`ttp-processor`", "the ledgers are of the network `testnet`"]);
    assert_eq!(answer.stdout, "");
}

fn generated_orders() {
    let flowctl = Flowctl::new();
    let source = "type: generate, config: {count: 500, type: example.order.v1}";
    flowctl.write("p.yaml", FILTER.replace("type: file, config: {path: orders.jsonl, type: example.order.v1}", source));
    let answer = flowctl.run_with_plugins("run p.yaml --summary summary.json").success();
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!((&summary["events_in"], &summary["rejected"]), (&500.into(), &0.into()));
    assert!(answer.stdout.lines().count() > 400, "most totals are above the minimum");
}

/// The second start finds the compiled plugin: said by the program, not timed here.
fn warm_start_uses_the_cache() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.jsonl", order(1, 90));
    flowctl.write("p.yaml", FILTER);
    let run = || {
        let mut command = flowctl.command("run p.yaml");
        command.env("FLOWCTL_PLUGINS", crate::flowctl::plugins()).env("XDG_CACHE_HOME", flowctl.path("cache"));
        Answer::of(command.output().unwrap()).success().stderr
    };
    let (cold, warm) = (run(), run());
    assert!(cold.contains("Compiled 1 "), "{cold}");
    assert!(!warm.contains("Compiled"), "{warm}");
}
