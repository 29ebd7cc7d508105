//! Processors in JavaScript and Python: the same contract, the same host, the same output
//! as the plugin in Rust.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::fact;
use crate::flowctl::{Answer, Flowctl, built, plugins};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("languages::codecs_in_javascript_read_and_write_what_the_host_does", javascript_tests),
        fact("languages::codecs_in_python_read_and_write_what_the_host_does", python_tests),
        fact("languages::filter_in_javascript_gives_what_the_one_in_rust_gives", || filter("javascript")),
        fact("languages::filter_in_python_gives_what_the_one_in_rust_gives", || filter("python")),
        fact("languages::javascript_turns_one_event_type_into_another", || alerts("javascript")),
        fact("languages::python_turns_one_event_type_into_another", || alerts("python")),
        fact("languages::what_configure_throws_in_javascript_is_told", || refused_settings("javascript")),
        fact("languages::what_configure_raises_in_python_is_told", || refused_settings("python")),
        fact("languages::a_fault_in_javascript_is_told_with_its_message_and_place", || {
            fault("javascript", "RangeError: an order has no id (process@");
        }),
        fact("languages::a_fault_in_python_is_told_with_its_message_and_place", || {
            fault("python", "ValueError: an order has no id (processor.py:");
        }),
        fact("languages::a_memory_limit_below_their_start_is_told_with_the_node", || {
            small_memory("javascript");
            small_memory("python");
        }),
    ]
}

/// What every case reads: orders that pass, orders that do not, and one that is refused.
fn orders() -> Vec<Value> {
    let statuses = ["placed", "paid", "shipped", "cancelled"];
    (0..400u64)
        .map(|number| {
            json!({
                "id": format!("o-{number}"),
                "customer": if number % 3 == 0 { "ada" } else { "größer 🦀" },
                "status": statuses[(number % 4) as usize],
                "total_cents": if number == 399 { u64::MAX } else { number * 977 % 1000 },
                "currency": match number { 77 => "", _ if number % 2 == 0 => "EUR", _ => "CHF" },
                "items": (0..number % 4).map(|item| {
                    json!({"sku": format!("s-{item}"), "quantity": number * 1_000_003, "price_cents": 1u64 << (number % 64)})
                }).collect::<Vec<_>>(),
                "note": if number % 5 == 0 { Value::Null } else { json!("no sugar\nplease") },
                "placed_at": 1_700_000_000 + number,
            })
        })
        .collect()
}

/// Runs the plugin over the orders: what came out, the dead letters, and the summary.
fn run(plugin: &Path, config: &str, orders: &[Value]) -> (String, String, Value) {
    let flowctl = pipeline(plugin, config, "", orders);
    flowctl.run("run p.yaml --summary summary.json").success();
    let summary = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    let letters = std::fs::read_to_string(flowctl.path("rejected.jsonl")).unwrap_or_default();
    (flowctl.read("out.jsonl"), letters, summary)
}

fn pipeline(plugin: &Path, config: &str, limits: &str, orders: &[Value]) -> Flowctl {
    let flowctl = Flowctl::new();
    let lines: String = orders.iter().map(|order| format!("{order}\n")).collect();
    flowctl.write("orders.jsonl", lines);
    flowctl.write(
        "p.yaml",
        format!(
            "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: orders}}\nspec:\n  batch: {{max_events: 64}}\n  \
             sources: [{{id: orders, type: file, config: {{path: orders.jsonl, type: example.order.v1}}}}]\n  \
             processors: [{{id: node, plugin: '{}', inputs: [orders], config: {config}{limits}}}]\n  \
             sinks: [{{id: out, type: file, inputs: [node], config: {{path: out.jsonl}}}}]\n  \
             dead_letter: {{type: file, config: {{path: rejected.jsonl}}}}\n",
            plugin.display()
        ),
    );
    flowctl
}

fn example(language: &str, name: &str) -> PathBuf {
    let folder = built("FLOWCTL_TEST_LANGUAGES", "languages", "cargo xtask languages");
    folder.join(language).join(format!("{name}.wasm"))
}

fn filter(language: &str) {
    for config in ["{minimum: 500, currencies: [CHF]}", "{minimum: 0, currencies: []}"] {
        let rust = run(&plugins().join("order-filter.wasm"), config, &orders());
        let other = run(&example(language, "order-filter"), config, &orders());
        assert!(rust.0.lines().count() > 100, "{}", rust.0);
        assert_eq!(other.0, rust.0);
        for figure in ["events_in", "events_out", "rejected"] {
            assert_eq!(other.2[figure], rust.2[figure], "{figure} with {config}");
        }
        assert_eq!(reasons(&other.1), reasons(&rust.1));
        assert_eq!(reasons(&other.1), ["it has no currency"]);
    }
}

fn reasons(letters: &str) -> Vec<String> {
    let reason = |line| serde_json::from_str::<Value>(line).unwrap()["reason"].as_str().unwrap().to_owned();
    letters.lines().map(reason).collect()
}

fn alerts(language: &str) {
    let flowctl = pipeline(&example(language, "order-alerts"), "{minimum: 700}", "", &orders());
    let answer = Answer::of(flowctl.command("run p.yaml").env("FLOWCTL_LOG", "info").output().unwrap()).success();
    let is_alert = |order: &&Value| order["status"] != "cancelled" && order["total_cents"].as_u64() >= Some(700);
    let alert = |order: &Value| json!({"order": order["id"], "total_cents": order["total_cents"]});
    let expected: Vec<Value> = orders().iter().filter(is_alert).map(alert).collect();
    let lines = flowctl.read("out.jsonl");
    let found: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(expected.len() > 50);
    assert_eq!(found, expected);
    // what it logs is told with the node's name
    let line = answer.stderr.lines().find(|line| line.contains("alerts from 700 cents"));
    assert!(line.is_some_and(|line| line.contains("node=node")), "{}", answer.stderr);
}

fn refused_settings(language: &str) {
    let flowctl = pipeline(&example(language, "order-alerts"), "{minimum: 0}", "", &orders());
    flowctl.run("run p.yaml").failure(&["node `node`", "`minimum` is 0: every order would raise an alert"]);
    let flowctl = pipeline(&example(language, "order-alerts"), "{minimum: few}", "", &orders());
    flowctl.run("run p.yaml").failure(&["minimum", "few"]);
}

/// An exception sets aside the event that brought it, and no other.
fn fault(language: &str, message: &str) {
    let mut orders = orders();
    orders[5]["id"] = json!("");
    orders[5]["total_cents"] = json!(999);
    let (out, letters, summary) = run(&example(language, "order-alerts"), "{minimum: 700}", &orders);
    assert_eq!(summary["rejected"], 1, "{letters}");
    assert!(reasons(&letters)[0].contains(message), "{letters}");
    assert!(out.lines().count() > 50 && !out.contains("999"), "{out}");
}

fn small_memory(language: &str) {
    let limits = ", limits: {memory: 1MiB}";
    let flowctl = pipeline(&example(language, "order-alerts"), "{minimum: 700}", limits, &orders());
    flowctl.run("run p.yaml").failure(&["node `node`", "memory"]);
}

fn javascript_tests() {
    let mut node = Command::new("node");
    let tests = ["tests/codec.test.js", "tests/processor.test.js"];
    Answer::of(node.arg("--test").args(tests).current_dir(sdk("javascript")).output().unwrap()).success();
}

fn python_tests() {
    let mut python = Command::new("python3");
    python.args(["-B", "-m", "unittest", "discover", "-s", "tests"]).current_dir(sdk("python"));
    Answer::of(python.output().unwrap()).success();
}

fn sdk(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk").join(name)
}
