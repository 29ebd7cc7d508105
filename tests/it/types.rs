//! Event types of a pipeline's own: WIT text and YAML, no code.

use std::io::Write as _;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("types::json_orders_reach_a_file_without_code", json_orders),
        fact("types::a_folder_brings_its_dependencies_and_first_party_types", folder),
        fact("types::declared_types_pass_plugins_and_the_generator", plugins_and_generator),
        fact("types::every_fault_of_types_has_a_place_in_both_files", faults),
        fact("types::a_plugin_that_disagrees_is_named_with_the_field", contradiction),
        fact("types::show_and_suggest_know_declared_types", show_and_suggest),
    ]
}

const ORDERS: &str = "package shop:order@1.0.0;

interface event {
  enum status { placed, paid }
  record item { sku: string, quantity: u32 }

  /// One order.
  record order {
    id: string,
    status: status,
    total-cents: u64,
    items: list<item>,
    note: option<string>,
  }
}
";

/// A pipeline from `orders.jsonl` to `out.jsonl`, with this `types`.
fn pipeline(types: &str) -> String {
    format!(
        "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: orders}}\nspec:\n  types: {types}\n  \
         sources: [{{id: orders, type: file, config: {{path: orders.jsonl, type: shop.order.v1}}}}]\n  \
         sinks: [{{id: out, type: file, inputs: [orders], config: {{path: out.jsonl}}}}]\n"
    )
}

fn json_orders() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.wit", ORDERS);
    flowctl.write("p.yaml", pipeline("./orders.wit"));
    flowctl.write(
        "orders.jsonl",
        r#"{"id":"o-1","status":"paid","total_cents":1999,"items":[{"sku":"a","quantity":2}],"note":"quick"}
{"note":null,"items":[],"total_cents":18446744073709551615,"status":"placed","id":"o-2"}
{"id":"o-3","status":"shipped","total_cents":1,"items":[]}
{"id":"o-4","status":"placed","total_cents":0,"items":[]}
"#,
    );
    flowctl.run("validate p.yaml").success();
    flowctl.run("run p.yaml --summary summary.json").success();
    let wanted = r#"{"id":"o-1","status":"paid","total_cents":1999,"items":[{"sku":"a","quantity":2}],"note":"quick"}
{"id":"o-2","status":"placed","total_cents":18446744073709551615,"items":[],"note":null}
{"id":"o-4","status":"placed","total_cents":0,"items":[],"note":null}
"#;
    assert_eq!(flowctl.read("out.jsonl"), wanted);
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!(summary["rejected"], 1);
    let letter: serde_json::Value =
        serde_json::from_str(&flowctl.read("state/flowctl/orders/dead-letters.jsonl")).unwrap();
    assert!(letter["reason"].as_str().unwrap().contains("status"), "{letter}");
}

fn folder() {
    let flowctl = Flowctl::new();
    flowctl.write("wit/deps/order.wit", ORDERS);
    flowctl.write("wit/reason.wit", "interface reasons { variant reason { late(u32), broken } }");
    flowctl.write(
        "wit/refund.wit",
        "package shop:refund@2.0.0;\ninterface event {\n  use shop:order/event@1.0.0.{order};\n  use reasons.{reason};\n  \
         use stellar:token-transfer/event@1.0.0.{kind};\n  record refund { of: order, why: reason, by: kind }\n}\n",
    );
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  types: [\"${WIT}\"]\n  \
         from: {type: shop.refund.v2, source: stdin}\n  to: stdout\n",
    );
    let order = r#"{"id":"o-1","status":"paid","total_cents":5,"items":[],"note":null}"#;
    let line = format!("{{\"of\":{order},\"why\":{{\"late\":3}},\"by\":\"transfer\"}}\n");
    let mut command = flowctl.command("run p.yaml");
    command.env("WIT", flowctl.path("wit")).stdin(std::process::Stdio::piped());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    assert_eq!(Answer::of(child.wait_with_output().unwrap()).success().stdout, line);
}

fn plugins_and_generator() {
    let flowctl = Flowctl::new();
    // the type of a plugin may be declared as well, as long as it is the same
    flowctl.write("order.wit", include_str!("../../wit/events/example-order/event.wit"));
    flowctl.write("orders.wit", ORDERS);
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  types: [order.wit, orders.wit]\n  sources:\n    \
         - {id: examples, type: generate, config: {type: example.order.v1, count: 20}}\n    \
         - {id: orders, type: generate, config: {type: shop.order.v1, count: 30}}\n  processors:\n    \
         - {id: filter, plugin: order-filter, inputs: [examples], config: {minimum: 0}}\n  sinks:\n    \
         - {id: out, type: file, inputs: [orders], config: {path: out.jsonl}}\n    \
         - {id: filtered, type: blackhole, inputs: [filter]}\n",
    );
    flowctl.run_with_plugins("run p.yaml --summary summary.json").success();
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!(summary["per_node"]["filter"]["events_in"], 20);
    assert_eq!(flowctl.read("out.jsonl").lines().count(), 30);
}

fn faults() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.wit", ORDERS.replace("total-cents: u64", "total-cents u64"));
    flowctl.write("flags.wit", "package shop:a@1.0.0;\ninterface event { flags f { x } record a { f: f } }\n");
    flowctl.write(
        "p.yaml",
        pipeline("[orders.wit, flags.wit, nowhere.wit]").replace("type: file, inp", "type: flie, inp"),
    );
    let answer = flowctl.run("validate p.yaml").failure(&[
        "orders.wit:11:17: ",
        "p.yaml:5:11",
        "flags.wit:2:40: ",
        "`f` is of type `flags`",
        "p.yaml:5:23",
        "cannot read `nowhere.wit`",
        "p.yaml:5:34",
        "unknown sink `flie`",
    ]);
    // that the type is unknown has a reason, which is told
    assert_eq!(answer.stderr.matches("error[").count(), 4, "{}", answer.stderr);
}

fn contradiction() {
    let flowctl = Flowctl::new();
    let order = include_str!("../../wit/events/example-order/event.wit");
    flowctl.write("order.wit", order.replace("total-cents: u64", "total-cents: u32"));
    flowctl.write("p.yaml", pipeline("order.wit").replace("shop.order", "example.order"));
    let wanted =
        ["`order.wit` and plugin `order-filter`", "`total-cents` is `u32` in the first", "p.yaml:5:10", "hint:"];
    flowctl.run_with_plugins("validate p.yaml").failure(&wanted);
    flowctl.run("validate p.yaml").failure(&["`order.wit` and flowctl itself", "`total-cents`", "p.yaml:5:10"]);
}

fn show_and_suggest() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.wit", ORDERS);
    flowctl.write("p.yaml", pipeline("orders.wit"));
    let shown = flowctl.run("topology show p.yaml").success().stdout;
    assert!(shown.contains("shop.order.v1 → out"), "{shown}");
    let suggest = "topology suggest --types orders.wit --from shop.order.v1 --source file --to postgres";
    assert_eq!(flowctl.run(suggest).success().stdout, "Chain found: file → postgres\n");
    let wrong = "topology suggest --types nowhere.wit --types p.yaml --from shop.order.v1 --source file --to postgres";
    flowctl.run(wrong).failure(&["cannot read `nowhere.wit`", "p.yaml:1:", "hint:"]);
}
