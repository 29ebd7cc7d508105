//! The README, followed to the letter by somebody who has nothing else.

use std::process::Command;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::{Answer, Flowctl};

const README: &str = include_str!("../../README.md");

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("tutorial::processor_of_the_readme_builds_and_runs", processor_builds_and_runs),
        fact("tutorial::event_type_of_the_readme_builds", event_type_of_ones_own_builds),
        fact("tutorial::pipeline_of_the_readme_runs", pipeline_runs),
        fact("tutorial::own_event_types_of_the_readme_run", own_types_run),
    ]
}

fn pipeline_runs() {
    let flowctl = Flowctl::new();
    flowctl.write("transfers.yaml", block("yaml", "# transfers.yaml"));
    flowctl.run_with_plugins("validate transfers.yaml").success();
    let shown = flowctl.run_with_plugins("topology show transfers.yaml").success();
    assert!(shown.stdout.contains("ttp-processor"), "{}", shown.stdout);
    let answer = flowctl.run_with_plugins("run transfers.yaml --summary summary.json").success();
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!(summary["events_in"], 100);
    assert_eq!(summary["events_out"], answer.stdout.lines().count());
    assert_eq!(summary["rejected"], 0);
}

fn own_types_run() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.wit", block("wit", "// orders.wit"));
    flowctl.write("orders.yaml", block("yaml", "# orders.yaml"));
    let echo = README.lines().find_map(|line| line.strip_prefix("$ echo '")?.strip_suffix("' > orders.jsonl"));
    flowctl.write("orders.jsonl", format!("{}\n", echo.unwrap()));
    let answer = flowctl.run("run orders.yaml").success();
    let printed = README.lines().skip_while(|line| *line != "$ flowctl run orders.yaml").nth(1).unwrap();
    assert_eq!(answer.stdout, format!("{printed}\n"));
}

fn processor_builds_and_runs() {
    let flowctl = Flowctl::new();
    author_crate(&flowctl, "big-orders");
    let (processor, tests) = (block("rust", "#[flowctl_sdk::processor"), block("rust", "#[cfg(test)]"));
    flowctl.write("src/lib.rs", format!("{processor}\n{tests}"));
    flowctl.write("big-orders.yaml", block("yaml", "# big-orders.yaml"));
    let build = ["build", "--release", "--target", "wasm32-wasip2"];
    cargo(&flowctl, &build);
    let tested = cargo(&flowctl, &["test"]).stdout;
    assert!(tested.contains("small_orders_are_left_out_and_strange_ones_refused ... ok"), "{tested}");

    let described = flowctl.run("inspect target/wasm32-wasip2/release/big_orders.wasm").success();
    for wanted in ["big-orders", "example.order.v1", "minimum", "100000", "Smallest total that passes, in cents."] {
        assert!(described.stdout.contains(wanted), "no `{wanted}` in {}", described.stdout);
    }
    let answer = flowctl.run("run big-orders.yaml --summary summary.json").success();
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!(summary["events_in"], 1000);
    let n_out = answer.stdout.lines().count();
    assert!(n_out > 0 && n_out + summary["rejected"].as_u64().unwrap() as usize <= 1000, "{n_out} lines, {summary}");
}

fn event_type_of_ones_own_builds() {
    let flowctl = Flowctl::new();
    author_crate(&flowctl, "alerts");
    flowctl.write("wit/alert/event.wit", block("wit", "package acme:alert"));
    flowctl
        .write("src/lib.rs", block("rust", "#[flowctl_sdk::processor(input = \"example.order.v1\", output = \"acme"));
    cargo(&flowctl, &["build", "--release", "--target", "wasm32-wasip2"]);
    let described = flowctl.run("inspect target/wasm32-wasip2/release/alerts.wasm").success();
    for wanted in ["acme.alert.v1", "total_cents", "The order's id."] {
        assert!(described.stdout.contains(wanted), "no `{wanted}` in {}", described.stdout);
    }
}

/// The manifest of a crate as the README has it.
fn author_crate(flowctl: &Flowctl, name: &str) {
    let sdk = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/flowctl-sdk");
    let lib = block("toml", "[lib]");
    flowctl.write(
        "Cargo.toml",
        format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
             flowctl-sdk = {{ path = \"{sdk}\" }}\n\n{lib}\n[workspace]\n"
        ),
    );
    // the versions that this repository is locked to, so that nothing new is fetched
    flowctl.write("Cargo.lock", include_str!("../../Cargo.lock"));
}

/// Runs cargo in the author's crate. Whoever follows the README sees no warning.
fn cargo(flowctl: &Flowctl, arguments: &[&str]) -> Answer {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).current_dir(flowctl.path("")).env("CARGO_TARGET_DIR", flowctl.path("target"));
    let answer = Answer::of(cargo.output().unwrap()).success();
    assert!(!answer.stderr.contains("warning"), "{}", answer.stderr);
    answer
}

/// The code block of this language whose first line starts like this.
fn block(language: &str, first_line: &str) -> String {
    let fence = format!("```{language}\n");
    let mut blocks = README.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|text| text.starts_with(first_line)).unwrap_or_else(|| panic!("no such block: {first_line}")).to_owned()
}
