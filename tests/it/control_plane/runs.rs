//! Runs and pipelines as an operator lists, shows, watches, stops and deletes them.

use flowctl_test_support::{Port, postgres};
use libtest_mimic::Trial;
use serde_json::Value;

use super::server::{Server, until};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("control_plane::pipelines_and_runs_are_listed_shown_stopped_and_deleted", life),
        fact("control_plane::a_run_that_is_stopped_at_once_counts_what_its_sinks_took", at_once),
        fact("control_plane::a_state_directory_is_served_by_one_process", served_once),
        fact("control_plane::what_there_is_not_is_named_and_exits_with_1", unknown),
        fact("control_plane::a_command_without_a_control_plane_says_how_to_name_one", nobody),
        fact("control_plane::a_port_that_is_taken_is_named", busy),
        fact("control_plane::a_tap_shows_events_as_lines_of_json_and_ends_at_its_limit", tap),
        fact("control_plane::a_run_without_a_server_is_found_at_its_address", embedded),
        fact("control_plane::a_secret_of_the_client_is_neither_stored_nor_shown", secret),
    ]
}

/// Writes a pipeline of this name that makes orders, so many or without end.
fn orders(flowctl: &Flowctl, name: &str, count: Option<u64>, sink: &str) {
    let count = count.map(|count| format!(", count: {count}")).unwrap_or_default();
    let text = format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: {name}}}
spec:
  sources: [{{id: orders, type: generate, config: {{type: example.order.v1, rate: 2000{count}}}}}]
  sinks: [{{id: out, inputs: [orders], {sink}}}]
"
    );
    flowctl.write(&format!("{name}.yaml"), text);
}

const NOWHERE: &str = "type: blackhole";
const MISSING: &str = "type: file, config: {path: nowhere/out.jsonl}";

fn column<'a>(rows: &'a Value, name: &str) -> Vec<&'a str> {
    rows.as_array().unwrap().iter().map(|row| row[name].as_str().unwrap_or_default()).collect()
}

fn life() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    orders(&flowctl, "done", Some(100), NOWHERE);
    orders(&flowctl, "endless", None, NOWHERE);
    orders(&flowctl, "failing", Some(100), MISSING);
    assert_eq!(server.json("pipelines list"), Value::Array(Vec::new()));

    let answer = server.run("run done.yaml --summary summary.json").success();
    assert!(answer.stderr.contains("Completed `done`: 100 events in, 100 out, 0 rejected"), "{}", answer.stderr);
    server.run("run failing.yaml").failure(&["`out`", "nowhere/out.jsonl"]);
    let answer = server.run("run endless.yaml --detach").success();
    assert!(answer.stderr.contains("`flowctl pipelines stop endless` stops it"), "{}", answer.stderr);
    server.run("run endless.yaml").failure(&["`endless`", "runs already"]);

    let list = server.json("pipelines list");
    assert_eq!(column(&list, "name"), ["done", "endless", "failing"]);
    assert_eq!(column(&list, "status"), ["completed", "running", "failed"]);
    assert_eq!(column(&server.json("pipelines active"), "name"), ["endless"]);
    let table = server.run("pipelines list").success().stdout;
    assert!(table.starts_with("NAME"), "{table}");
    let status = server.json("status");
    assert_eq!((&status["active_runs"], &status["tenant"]), (&1.into(), &"default".into()), "{status:#}");
    assert_eq!(column(&status["pipelines"], "name"), ["done", "endless", "failing"]);

    let info = server.json("pipelines info done");
    assert_eq!((&info["events_in"], &info["events_out"]), (&100.into(), &100.into()), "{info:#}");
    assert_eq!(column(&info["nodes"], "node"), ["orders", "out"]);
    assert_eq!(info["config"], flowctl.read("done.yaml"));
    let summary: Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!(summary["run_id"], info["id"]);
    let failed = server.json("pipelines info failing");
    assert!(failed["error"].as_str().unwrap().contains("nowhere/out.jsonl"), "{failed:#}");

    server.run("pipelines delete endless").failure(&["`endless`"]);
    let answer = server.run("pipelines stop endless --drain-timeout 30s").success();
    assert!(answer.stderr.contains("endless: stopped"), "{}", answer.stderr);
    assert_eq!(server.json("pipelines info endless")["status"], "stopped");
    let answer = server.run("pipelines stop endless").success();
    assert!(answer.stderr.contains("has ended: stopped"), "{}", answer.stderr);
    server.run("run endless.yaml --detach").success();
    server.run("pipelines stop endless --drain-timeout 0s").success();
    assert_eq!(column(&server.json("pipelines runs endless"), "status"), ["stopped", "stopped"]);
    assert_eq!(server.json("pipelines runs endless --limit 1").as_array().unwrap().len(), 1);
    let log = server.run("pipelines logs endless").success().stdout;
    assert!(log.contains("stopping") && log.contains("stopped"), "{log}");
    server.run("pipelines delete endless").success();
    assert_eq!(column(&server.json("pipelines list"), "name"), ["done", "failing"]);
    server.run("pipelines info endless").failure(&["there is no run or pipeline `endless`"]);
}

fn at_once() {
    let flowctl = Flowctl::new();
    let sink = "type: sqlite, config: {path: rows.db}";
    let rows = || {
        let database = rusqlite::Connection::open(flowctl.path("rows.db")).unwrap();
        let count = database.query_row("SELECT count(*) FROM example_order_v1", [], |row| row.get::<_, i64>(0));
        count.unwrap_or_default()
    };
    let server = Server::start(&flowctl);
    orders(&flowctl, "orders", None, sink);
    // no barrier comes
    let text = flowctl.read("orders.yaml").replace("spec:\n", "spec:\n  checkpoint: {interval: 1h}\n");
    flowctl.write("orders.yaml", text);
    server.run("run orders.yaml --detach").success();
    server.info_when("orders", |info| info["events_out"].as_u64() > Some(0));
    server.run("pipelines stop orders --drain-timeout 0s").success();
    let info = server.json("pipelines info orders");
    // what the sink keeps at the very end it may not be able to tell any more
    let told = if info["epoch"] == 0 { 0 } else { rows() };
    assert_eq!(info["events_out"], told, "{info:#}");
    let sink = info["nodes"].as_array().unwrap().iter().find(|node| node["node"] == "out").unwrap();
    assert_eq!(sink["events_out"], told, "{info:#}");
}

fn served_once() {
    let flowctl = Flowctl::new();
    let mut server = Server::start(&flowctl);
    let second = |server: &Server<'_>| Answer::of(server.command().output().unwrap());
    let pid = server.pid().to_string();
    second(&server).failure(&["error[state-in-use]: ", "is served already, by process", &pid, "another `--state-dir`"]);
    server.kill();
    server.restart();
    let serve = |rest: &str| flowctl.run(&format!("serve --state-dir other {rest}"));
    serve("--plugins nowhere").failure(&["cannot read the plugin folder", "nowhere"]);
    serve("--listen localhost:8080").misuse(&["write an IP address and a port"]);
    serve("--keep-runs 0").misuse(&["--keep-runs"]);
}

fn unknown() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    for command in ["info", "stop", "logs"] {
        let hint = "`flowctl pipelines list`";
        server.run(&format!("pipelines {command} nope")).failure(&["no run or pipeline `nope`", hint]);
    }
    for command in ["runs", "delete"] {
        server.run(&format!("pipelines {command} nope")).failure(&["`nope`"]);
    }
    server.run("tap nope orders").failure(&["`nope`"]);
    orders(&flowctl, "endless", None, NOWHERE);
    server.run("run endless.yaml --detach").success();
    server.run("tap endless nope").failure(&["`nope`"]);
    assert_eq!(server.run("pipelines info endless --output poem").code, Some(2));
    assert_eq!(server.run("pipelines stop endless --drain-timeout soon").code, Some(2));
}

fn nobody() {
    let flowctl = Flowctl::new();
    orders(&flowctl, "done", Some(1), NOWHERE);
    let port = Port::take();
    let address = port.address();
    for command in ["pipelines list", "pipelines info a", "status", "tap a b", "run done.yaml", "processors list"] {
        let answer = flowctl.run(&format!("{command} --control-plane {address}"));
        answer.failure(&[&format!("no control plane answers at `{address}`"), "`flowctl serve` starts one"]);
    }
    flowctl.run("pipelines list").failure(&["needs a control plane", "`--control-plane ADDR`"]);
    flowctl.run("run done.yaml --detach").failure(&["no control plane runs", "`flowctl serve` starts one"]);
}

fn busy() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let address = server.address();
    let port = address.rsplit(':').next().unwrap();
    orders(&flowctl, "done", Some(1), NOWHERE);
    let wanted = format!("cannot listen on `{address}`: the port is in use");
    flowctl.run(&format!("serve --listen {address} --state-dir other")).failure(&[&wanted, "port 0 picks a free one"]);
    flowctl.run(&format!("run done.yaml --control-plane-port {port}")).failure(&[&wanted, "port 0 picks a free one"]);
    flowctl.run("run done.yaml --control-plane-port 0").success();
}

fn tap() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    orders(&flowctl, "endless", None, NOWHERE);
    server.run("run endless.yaml --detach").success();
    for node in ["orders", "out"] {
        let answer = server.run(&format!("tap endless {node} --limit 5")).success();
        let events: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 5, "{}", answer.stdout);
        for event in &events {
            assert!(event.to_string().contains("total_cents"), "{event}");
        }
    }
    assert_eq!(server.json("pipelines info endless")["status"], "running");
    server.run("pipelines stop endless").success();
    server.run("tap endless orders").failure(&["`endless`"]);
}

fn embedded() {
    let flowctl = Flowctl::new();
    orders(&flowctl, "endless", None, NOWHERE);
    let run = flowctl.start("run endless.yaml --state-dir host");
    let address = until("the run says where it answers", || {
        let text = std::fs::read_to_string(flowctl.path("host/endless/endpoint")).unwrap_or_default();
        text.strip_suffix('\n').map(str::to_owned)
    });
    let at = |command: &str| flowctl.run(&format!("{command} --control-plane {address}"));
    until("the run is shown", || at("pipelines active").success().stdout.contains("running").then_some(()));
    let tapped = at("tap endless orders --limit 2").success().stdout;
    assert_eq!(tapped.lines().count(), 2);
    at("pipelines stop endless").success();
    let answer = Answer::of(run.wait_with_output().unwrap()).success();
    assert!(answer.stderr.contains("Stopped `endless`"), "{}", answer.stderr);
    assert!(!flowctl.path("host/endless/endpoint").exists());
    at("pipelines list").failure(&["no control plane answers"]);

    let server = Server::start(&flowctl);
    assert_eq!(column(&server.json("pipelines runs endless"), "status"), ["stopped"]);
    assert_eq!(server.json("pipelines active"), Value::Array(Vec::new()));
}

fn secret() {
    let database = postgres::Server::shared();
    let url = database.create_database("control_plane_secret");
    let password = url.split_once('@').unwrap().0.rsplit(':').next().unwrap().to_owned();
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    // nobody listens there
    let wrong = "postgres://flowctl:s3cr3t-and-wrong@127.0.0.1:9/nowhere";
    orders(&flowctl, "good", Some(100), "type: postgres, config: {url: '${URL}'}");
    orders(&flowctl, "bad", Some(100), "type: postgres, config: {url: '${URL}'}");
    Answer::of(server.command_at("run good.yaml").env("URL", &url).output().unwrap()).success();
    let failed = Answer::of(server.command_at("run bad.yaml").env("URL", wrong).output().unwrap()).failure(&[]);
    assert!(!failed.stderr.contains("s3cr3t-and-wrong"), "{}", failed.stderr);
    assert_eq!(database.psql(&url, "SELECT count(*) FROM example_order_v1").trim(), "100");
    // where no secret is expected, and an error quotes what is there
    let misplaced = "s3cr3t-and-misplaced";
    orders(&flowctl, "odd", Some(100), "type: file, config: {path: 'nowhere/${KEY}/out.jsonl'}");
    let failed = Answer::of(server.command_at("run odd.yaml").env("KEY", misplaced).output().unwrap());
    failed.failure(&["nowhere/${KEY}/out.jsonl"]);
    for name in ["good", "bad", "odd"] {
        let shown = ["info", "logs"].map(|command| server.run(&format!("pipelines {command} {name}")).stdout);
        let shown = shown.concat() + &server.run(&format!("pipelines info {name} --output json")).stdout;
        assert!(!shown.contains(&password) && !shown.contains("s3cr3t"), "{shown}");
    }
    let mut n_files = 0;
    for entry in std::fs::read_dir(flowctl.path("host")).unwrap().map_while(Result::ok) {
        let Ok(bytes) = std::fs::read(entry.path()) else { continue };
        n_files += 1;
        for hidden in [&password, "s3cr3t-and-wrong", misplaced] {
            let is_there = bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes());
            assert!(!is_there, "`{hidden}` is in {}", entry.path().display());
        }
    }
    assert!(n_files > 0);
}
