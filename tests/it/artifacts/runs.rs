//! Pipelines whose plugins are artifacts: pulled, kept, compiled once, found by short names.

use std::fs;

use flowctl_test_support::registry::digest;
use libtest_mimic::Trial;

use super::market::{Market, held, order_filter, orders, run_orders, stamped, store};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::a_run_pulls_what_is_missing_and_the_next_asks_nobody", pulls_once),
        fact("artifacts::after_a_pull_the_first_start_compiles_nothing", compiled_at_pull),
        fact("artifacts::a_plugin_that_cannot_be_had_is_a_fault_at_its_line", missing),
        fact("artifacts::images_and_versioned_types_of_v1_are_pulled", v1),
        fact("artifacts::short_names_are_looked_for_in_the_default_registry", short_names),
        fact("artifacts::a_plugin_of_the_store_is_known_by_its_name", of_the_store),
        fact("artifacts::a_chain_is_found_over_the_store", discovered),
        fact("artifacts::validate_finds_the_tag_of_a_layout_that_was_pulled", layout_offline),
        fact("artifacts::validate_and_show_ask_no_registry", offline),
    ]
}

/// Two processors of two artifacts, and one of them twice.
fn pulls_once() {
    let mut market = Market::new();
    market.push(&stamped(b"a"), "acme/a:1");
    market.push(&stamped(b"b"), "acme/b:1");
    let pipeline = format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: orders}}
spec:
  sources: [{{id: orders, type: generate, config: {{type: example.order.v1, count: 20}}}}]
  processors:
    - {{id: first, plugin: '{a}', inputs: [orders], config: {{minimum: 0}}}}
    - {{id: second, plugin: '{b}', inputs: [first], config: {{minimum: 0}}}}
    - {{id: third, plugin: '{a}', inputs: [second], config: {{minimum: 0}}}}
  sinks: [{{id: out, type: file, config: {{path: out.jsonl}}, inputs: [third]}}]
",
        a = market.at("acme/a:1"),
        b = market.at("acme/b:1")
    );
    market.flowctl.write("orders.yaml", pipeline);
    let answer = run_orders(&market.flowctl, "");
    for rest in ["acme/a:1", "acme/b:1"] {
        assert!(answer.stderr.contains(&format!("Pulled {}", market.at(rest))), "{}", answer.stderr);
    }
    // all of it again, once the store is gone
    fs::remove_dir_all(store(&market.flowctl)).unwrap();
    let answer = run_orders(&market.flowctl, "");
    assert_eq!(answer.stderr.matches("Pulled ").count(), 2, "{}", answer.stderr);
    for component in [stamped(b"a"), stamped(b"b")] {
        assert_eq!(market.downloads(&component).len(), 2);
    }
    let (n_requests, n_logged) = (market.n_requests(), market.registry.requests().len());
    let answer = run_orders(&market.flowctl, "");
    assert!(!answer.stderr.contains("Pulled"), "{}", answer.stderr);
    // without a lock file too: the store knows the tags
    fs::remove_file(market.flowctl.path("orders.lock")).unwrap();
    run_orders(&market.flowctl, "");
    assert_eq!((market.n_requests(), market.registry.requests().len()), (n_requests, n_logged));
    market.registry.kill();
    run_orders(&market.flowctl, "");
}

fn compiled_at_pull() {
    let market = Market::new();
    market.push(&stamped(b"compiled at pull"), "acme/a:1");
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    let command = |arguments: &str| {
        let mut command = market.flowctl.command(arguments);
        Answer::of(command.env("XDG_CACHE_HOME", market.flowctl.path("cache")).output().unwrap()).success()
    };
    let pull = format!("pull {}", market.at("acme/a:1"));
    let pulled = command(&pull);
    assert!(pulled.stderr.contains("Compiled 1, kept for every start"), "{}", pulled.stderr);
    assert!(!command(&pull).stderr.contains("Compiled"));
    let run = command("run orders.yaml");
    assert!(run.stderr.contains("All components running") && !run.stderr.contains("Compiled"), "{}", run.stderr);
    fs::remove_dir_all(market.flowctl.path("cache")).unwrap();
    let run = command("run orders.yaml --fresh");
    assert!(run.stderr.contains("Compiled 1 of the plugins"), "{}", run.stderr);
}

fn missing() {
    let market = Market::new();
    let reference = market.at("acme/none:1");
    market.pipeline(&format!("plugin: '{reference}'"));
    let answer = market.flowctl.run("run orders.yaml");
    let answer = answer.failure(&["orders.yaml:6:", &reference, "no manifest `1`", "spelled right"]);
    assert!(!answer.stderr.contains("unknown plugin"), "{}", answer.stderr);
    assert!(!market.flowctl.path("orders.lock").exists());
}

fn v1() {
    let market = Market::new();
    market.push(&stamped(b"image"), "acme/order-filter:2");
    market.push(&stamped(b"type"), "acme/order-filter:0.1.0");
    settings(&market.flowctl, &format!("registry: {}\n", market.at("acme")));
    for (processor, component) in [
        (format!("image: '{}'", market.at("acme/order-filter:2")), stamped(b"image")),
        ("type: order-filter@0.1.0".to_owned(), stamped(b"type")),
    ] {
        let _ = fs::remove_dir_all(store(&market.flowctl));
        market.pipeline(&processor);
        run_orders(&market.flowctl, "");
        assert!(market.flowctl.read("orders.lock").contains(&digest(&component)), "{processor}");
    }
    market.pipeline("type: order-filter@0.2.0");
    market.flowctl.run("run orders.yaml").failure(&["orders.yaml:6:", "order-filter@0.2.0"]);
}

fn short_names() {
    let market = Market::new();
    market.push(&order_filter(), "acme/order-filter:latest");
    let n_requests = market.n_requests();
    market.pipeline("plugin: order-filter");
    // nobody knows the name
    market.flowctl.run("run orders.yaml").failure(&["order-filter"]);
    market.flowctl.run("pull order-filter").failure(&["order-filter"]);
    market.flowctl.run("pull acme/order-filter").failure(&["does not say which registry", "default registry"]);
    assert_eq!(market.n_requests(), n_requests);
    let registry = format!("registry: {}\n", market.at("acme"));
    settings(&market.flowctl, &registry);
    run_orders(&market.flowctl, "");
    let listed = held(&market.flowctl);
    assert_eq!(listed[0]["reference"], market.at("acme/order-filter:latest"));
    market.flowctl.run("pull --no-compile order-filter").success();
    market.flowctl.run("inspect order-filter").success();
    // the file that is named counts alone
    let named = market.flowctl.write("mine.yaml", format!("registry: {}\n", market.at("nobody")));
    let mut pull = market.flowctl.command("pull order-filter");
    let answer = Answer::of(pull.env("FLOWCTL_CONFIG", &named).output().unwrap());
    answer.failure(&[&market.at("nobody/order-filter")]);
    let mut pull = market.flowctl.command("pull order-filter");
    let answer = Answer::of(pull.env("FLOWCTL_CONFIG", "none.yaml").output().unwrap());
    answer.failure(&["cannot read the settings in `none.yaml`"]);
    settings(&market.flowctl, "registri: x\n");
    market.flowctl.run("pull order-filter").failure(&["config.yaml", "registri", "known here: `registry`"]);
}

fn of_the_store() {
    let market = Market::new();
    market.push(&order_filter(), "acme/anything:1");
    market.pull("acme/anything:1").success();
    let n_requests = market.n_requests();
    market.pipeline("plugin: order-filter");
    run_orders(&market.flowctl, "");
    let listed = market.flowctl.run("processors list").success().stdout;
    assert!(listed.contains("order-filter"), "{listed}");
    market.flowctl.run("processors show order-filter").success();
    assert_eq!(market.n_requests(), n_requests);
}

fn discovered() {
    let market = Market::new();
    market.push(&fs::read(crate::flowctl::plugins().join("ttp-processor.wasm")).unwrap(), "acme/ttp:1");
    market.flowctl.run("topology suggest --from stellar.ledger.v1 --to postgres").failure(&["no chain"]);
    market.pull("acme/ttp:1").success();
    let answer = market.flowctl.run("topology suggest --from stellar.ledger.v1 --to postgres").success();
    assert_eq!(answer.stdout, "Chain found: stellar-ledgers → ttp-processor → postgres\n");
}

fn offline() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    let n_requests = market.n_requests();
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    let answer = market.flowctl.run("validate orders.yaml");
    answer.failure(&["orders.yaml:6:", &market.at("acme/a:1")]);
    assert_eq!(market.n_requests(), n_requests);
    market.pull("acme/a:1").success();
    let n_requests = market.n_requests();
    market.flowctl.run("validate orders.yaml").success();
    market.flowctl.run("topology show orders.yaml").success();
    assert_eq!(market.n_requests(), n_requests);
    assert!(!market.flowctl.path("orders.lock").exists());
    // a folder that was given stands in for it
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", orders("plugin: order-filter"));
    flowctl.run_with_plugins("validate orders.yaml").success();
}

/// Writes the user's settings.
fn settings(flowctl: &Flowctl, text: &str) {
    flowctl.write(".config/flowctl/config.yaml", text);
}

fn layout_offline() {
    let flowctl = Flowctl::new();
    flowctl.write("a.wasm", order_filter());
    flowctl.run("push --quiet a.wasm oci-layout:shelf:1").success();
    flowctl.write("orders.yaml", orders("plugin: 'oci-layout:shelf:1'"));
    flowctl.run("validate orders.yaml").failure(&["is not here", "flowctl pull oci-layout:shelf:1"]);
    flowctl.run("pull oci-layout:shelf:1").success();
    flowctl.run("validate orders.yaml").success();
    // another artifact at the tag is another one to pull
    flowctl.write("a.wasm", stamped(b"other"));
    flowctl.run("push --quiet a.wasm oci-layout:shelf:1").success();
    flowctl.run("validate orders.yaml").failure(&["is not here"]);
    run_orders(&flowctl, "");
}
