//! Runs that end and go on: where a run goes on from, what it refuses, and putting back
//! what was set aside.

use std::process::Child;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("resumes::a_run_goes_on_where_the_last_one_ended_and_fresh_starts_over", goes_on),
        fact("resumes::a_second_process_is_refused_with_the_first_ones_number", second_process),
        fact("resumes::a_node_that_is_gone_is_named_unless_its_state_may_go", orphans),
        fact("resumes::a_damaged_checkpoint_database_is_named_and_nothing_is_lost", damage),
        fact("resumes::a_state_directory_that_cannot_be_made_is_named", no_state_dir),
        fact("resumes::a_second_signal_stops_a_run_whose_output_nobody_reads", second_signal),
        fact("dead_letters::are_listed_shown_mended_and_put_back", dead_letters),
        fact("dead_letters::of_a_processor_come_back_to_it_with_its_state", letters_of_a_processor),
    ]
}

/// Between two looks at what another process does.
const PAUSE: Duration = Duration::from_millis(2);

const ORDERS: &str = "package shop:order@1.0.0; interface event { record order { id: u64, total: u32 } }";

/// A pipeline `shop` from `in.jsonl` to `out.jsonl`, both of them lines of orders.
pub(crate) fn shop() -> Flowctl {
    let flowctl = Flowctl::new();
    flowctl.write("orders.wit", ORDERS);
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: shop}
spec:
  types: ./orders.wit
  sources: [{id: orders, type: file, config: {path: in.jsonl, type: shop.order.v1}}]
  sinks: [{id: out, type: file, config: {path: out.jsonl}, inputs: [orders]}]
",
    );
    flowctl
}

pub(crate) fn order(id: u64) -> String {
    format!("{{\"id\":{id},\"total\":{}}}\n", id * 10)
}

fn goes_on() {
    let flowctl = shop();
    flowctl.write("in.jsonl", order(1) + &order(2));
    flowctl.run("run p.yaml").success();
    flowctl.write("in.jsonl", order(1) + &order(2) + &order(3));
    let answer = flowctl.run("run p.yaml").success();
    assert!(answer.stderr.contains("Going on from checkpoint"), "{}", answer.stderr);
    assert!(answer.stderr.contains("where `orders` stood"), "{}", answer.stderr);
    assert_eq!(flowctl.read("out.jsonl"), order(1) + &order(2) + &order(3));
    let answer = flowctl.run("run p.yaml --fresh").success();
    assert!(answer.stderr.contains("Starting over, without checkpoint"), "{}", answer.stderr);
    assert!(answer.stderr.contains("what sinks hold stays there"), "{}", answer.stderr);
    assert_eq!(flowctl.read("out.jsonl").lines().count(), 6);
}

/// Starts a pipeline that goes on until it is told to stop.
fn endless(flowctl: &Flowctl) -> Child {
    flowctl.write(
        "endless.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: endless}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 1000}}]
  sinks: [{id: out, type: file, config: {path: endless.jsonl}, inputs: [orders]}]
",
    );
    // what an earlier one wrote says nothing of this one
    let _ = std::fs::remove_file(flowctl.path("endless.jsonl"));
    let mut child = flowctl.start("run endless.yaml");
    while std::fs::metadata(flowctl.path("endless.jsonl")).map_or(0, |metadata| metadata.len()) == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it wrote anything");
        std::thread::park_timeout(PAUSE);
    }
    child
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn second_process() {
    let flowctl = Flowctl::new();
    let child = endless(&flowctl);
    let pid = format!("in process {}", child.id());
    flowctl.run("run endless.yaml").failure(&["the pipeline runs already", &pid, "hint: stop that process first"]);
    signal(&child, "-INT");
    Answer::of(child.wait_with_output().unwrap()).success();
    let child = endless(&flowctl);
    signal(&child, "-KILL");
    child.wait_with_output().unwrap();
    let child = endless(&flowctl);
    signal(&child, "-INT");
    let answer = Answer::of(child.wait_with_output().unwrap()).success();
    assert!(answer.stderr.contains("Stopped `endless`"), "{}", answer.stderr);
}

fn orphans() {
    let flowctl = shop();
    flowctl.write("in.jsonl", order(1));
    flowctl.run("run p.yaml").success();
    let renamed = flowctl.read("p.yaml").replace("id: orders", "id: renamed").replace("[orders]", "[renamed]");
    flowctl.write("p.yaml", renamed);
    flowctl.run("run p.yaml").failure(&["`orders`", "no such node any more", "--discard-state", "--fresh"]);
    flowctl.run("run p.yaml --discard-state").success();
    assert_eq!(flowctl.read("out.jsonl"), order(1) + &order(1), "a source without a position starts over");
}

fn damage() {
    let flowctl = shop();
    flowctl.write("in.jsonl", order(1));
    flowctl.run("run p.yaml").success();
    let database = flowctl.path("state/flowctl/shop/state.db");
    let copy = std::fs::read(&database).unwrap();
    std::fs::write(&database, "what is this").unwrap();
    flowctl.run("run p.yaml").failure(&["state.db", "is damaged", "hint: restore"]);
    std::fs::write(&database, copy).unwrap();
    flowctl.write("in.jsonl", order(1) + &order(2));
    flowctl.run("run p.yaml").success();
    assert_eq!(flowctl.read("out.jsonl"), order(1) + &order(2));
}

fn no_state_dir() {
    let flowctl = shop();
    flowctl.write("in.jsonl", order(1));
    flowctl.write("occupied", "");
    flowctl
        .run("run p.yaml --state-dir occupied/state")
        .failure(&["cannot use the pipeline's state", "occupied/state"]);
    assert!(!flowctl.path("out.jsonl").exists(), "nothing ran");
}

fn second_signal() {
    let flowctl = Flowctl::new();
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: blocked}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1}}]
  sinks: [{id: out, type: stdout, inputs: [orders]}]
",
    );
    // its stdout is a pipe that nobody reads, so a write to it blocks
    let mut child = flowctl.start("run p.yaml");
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut until = |wanted: &str| {
        use std::io::BufRead as _;
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it said `{wanted}`");
        }
    };
    until("All components running");
    signal(&child, "-INT");
    until("Draining");
    signal(&child, "-INT");
    until("Stopping at once");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline, "it is stopped and does not end");
        std::thread::park_timeout(PAUSE);
    }
}

fn dead_letters() {
    let flowctl = shop();
    flowctl.write("in.jsonl", order(1) + "nonsense\n" + "{\"id\":3,\"total\":-1}\n" + &order(4));
    flowctl.run("run p.yaml").success();
    let listed = flowctl.run("dead-letters list p.yaml -o json").success();
    let letters: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!([&letters[0]["event_id"], &letters[1]["event_id"]], ["orders/in.jsonl/2", "orders/in.jsonl/3"]);
    let by_name = flowctl.run("dead-letters list shop --event orders/in.jsonl/3").success();
    assert_eq!(by_name.stdout.lines().count(), 2, "{}", by_name.stdout);
    let shown = flowctl.run("dead-letters show shop orders/in.jsonl/2").success();
    assert!(shown.stdout.contains("as read    nonsense"), "{}", shown.stdout);
    flowctl.run("dead-letters show shop nobody/1").failure(&["no letter of event `nobody/1`", "dead-letters list"]);
    flowctl.run("dead-letters list no-such-pipeline").failure(&["has no state", "--state-dir"]);
    flowctl.run("dead-letters replay shop").failure(&["is no pipeline file", "name its file"]);

    // one is mended, the other is not
    let letters = flowctl.path("state/flowctl/shop/dead-letters.jsonl");
    let mended =
        std::fs::read_to_string(&letters).unwrap().replace("\"nonsense\"", "\"{\\\"id\\\":2,\\\"total\\\":20}\"");
    std::fs::write(&letters, mended).unwrap();
    let answer = flowctl.run("dead-letters replay p.yaml").success();
    assert!(answer.stderr.contains("1 letters stay"), "{}", answer.stderr);
    assert_eq!(flowctl.read("out.jsonl"), order(1) + &order(4) + &order(2));
    let listed = flowctl.run("dead-letters list p.yaml").success();
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);

    // the sources' positions are as they were
    flowctl.write("in.jsonl", order(1) + "nonsense\n" + "{\"id\":3,\"total\":-1}\n" + &order(4) + &order(5));
    flowctl.run("run p.yaml").success();
    assert_eq!(flowctl.read("out.jsonl"), order(1) + &order(4) + &order(2) + &order(5));
}

fn letters_of_a_processor() {
    let flowctl = Flowctl::new();
    let transfer = |ledger: u64, amount: &str| {
        format!(
            "{{\"kind\":\"transfer\",\"ledger_sequence\":{ledger},\"closed_at\":0,\"tx_hash\":\"t\",\"transaction_index\":1,\"contract_address\":\"C\",\"asset\":\"native\",\"amount\":\"{amount}\"}}\n"
        )
    };
    flowctl.write("in.jsonl", transfer(1, "5") + &transfer(2, "much") + &transfer(3, "7"));
    flowctl.write(
        "p.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: sums}
spec:
  sources: [{id: transfers, type: file, config: {path: in.jsonl, type: stellar.token.transfer.v1}}]
  processors: [{id: sums, plugin: volume-aggregator, inputs: [transfers], config: {window: 10}}]
  sinks: [{id: out, type: file, config: {path: out.jsonl}, inputs: [sums]}]
",
    );
    flowctl.run_with_plugins("run p.yaml").success();
    let letters = flowctl.path("state/flowctl/sums/dead-letters.jsonl");
    let text = std::fs::read_to_string(&letters).unwrap();
    assert!(text.contains("amount `much` is no integer"), "{text}");
    std::fs::write(&letters, text.replace("\"amount\":\"much\"", "\"amount\":\"30\"")).unwrap();
    flowctl.run_with_plugins("dead-letters replay p.yaml").success();
    assert_eq!(std::fs::read_to_string(&letters).unwrap(), "");
    // a transfer of a later window closes the one that the letter's event is in
    let all = transfer(1, "5") + &transfer(2, "much") + &transfer(3, "7") + &transfer(25, "1");
    flowctl.write("in.jsonl", all);
    flowctl.run_with_plugins("run p.yaml").success();
    let sums: Vec<serde_json::Value> =
        flowctl.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sums: Vec<_> =
        sums.iter().map(|sum| (sum["from_ledger"].clone(), sum["sum"].as_str().unwrap().to_owned())).collect();
    assert_eq!(sums, [(0.into(), "12".into()), (0.into(), "30".into()), (20.into(), "1".into())], "sums of each close");
}
