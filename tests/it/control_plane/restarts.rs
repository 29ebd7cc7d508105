//! `flowctl serve` that is killed, and told to end, while pipelines run: they go on.

use std::time::Duration;

use flowctl_test_support::postgres;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::policies::everything_at;
use super::server::{Server, until};
use crate::fact;
use crate::flowctl::{Flowctl, plugins};
use crate::kills::{Numbers, in_postgres, in_sqlite, missing_in_file, moment, pipeline};

/// How often the control plane is killed.
const KILLS: usize = 20;

/// The pipelines, in the order of their names.
const NAMES: [&str; 3] = ["to-file", "to-postgres", "to-sqlite"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("control_plane::pipelines_go_on_however_often_the_server_is_killed", killed),
        fact("control_plane::a_server_that_is_told_to_end_drains_and_goes_on_where_it_was", told_to_end),
    ]
}

fn killed() -> Result<(), Failed> {
    let database = postgres::Server::shared();
    let url = database.create_database("kills_of_the_control_plane");
    let mut numbers = Numbers::empty();
    numbers.append(60_000);
    let flowctl = &numbers.flowctl;
    let inputs = "inputs: [filter, sums]";
    let sinks = [
        "    - {id: out, type: file, config: {path: out.jsonl}, inputs: [filter]}\n    \
         - {id: nowhere, type: blackhole, inputs: [sums]}\n"
            .to_owned(),
        format!("    - {{id: pg, type: postgres, config: {{url: '{url}'}}, {inputs}}}\n"),
        format!("    - {{id: lite, type: sqlite, config: {{path: numbers.db}}, {inputs}}}\n"),
    ];
    // so slow that none of the three ends before the last kill, also where commands take seconds
    flowctl.write("policy.yaml", everything_at(1_000));
    let mut server = Server::new(flowctl, "--policy policy.yaml");
    server = server.env("FLOWCTL_PLUGINS", &plugins().display().to_string()).and_start();
    for (name, sinks) in NAMES.iter().zip(sinks) {
        let file = format!("{name}.yaml");
        flowctl.write(&file, pipeline(name, &sinks));
        server.run(&format!("run {file} --detach")).success();
    }
    for _ in 0..KILLS {
        all_run(&server);
        std::thread::park_timeout(moment(Duration::from_millis(300)));
        server.kill();
        server.restart();
    }
    all_run(&server);
    // from here on as fast as they can
    server.kill();
    flowctl.write("policy.yaml", everything_at(10_000_000));
    server.restart();
    for name in NAMES {
        server.info_at(name, "completed");
        ended_but_for_the_last(&server, name);
    }
    assert_eq!(server.json("pipelines active"), Value::Array(Vec::new()));
    let n_events = numbers.n_events;
    assert_eq!(in_postgres(&database, &url, n_events), (0, 0, 0), "postgres: lost, doubled, wrong sums");
    assert_eq!(in_sqlite(flowctl, n_events), (0, 0, 0), "sqlite: lost, doubled, wrong sums");
    assert_eq!(missing_in_file(flowctl, n_events), 0);
    Ok(())
}

/// Waits until all three run, and nothing else does.
fn all_run(server: &Server<'_>) {
    until("all pipelines run", || {
        let active = server.json("pipelines active");
        let active = active.as_array().unwrap();
        let runs = |name: &&str| active.iter().any(|row| row["name"] == **name && row["status"] == "running");
        NAMES.iter().all(runs).then_some(())
    });
    for name in NAMES {
        let runs = server.json(&format!("pipelines runs {name}"));
        let going = runs.as_array().unwrap().iter().filter(|run| run["ended_at"].is_null()).count();
        assert_eq!(going, 1, "{runs:#}");
    }
}

/// Every run but the last was found dead, and says so.
fn ended_but_for_the_last(server: &Server<'_>, name: &str) {
    let runs = server.json(&format!("pipelines runs {name}"));
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), KILLS + 2);
    assert_eq!(runs[0]["status"], "completed");
    for run in &runs[1..] {
        let reason = run["error"].as_str().unwrap_or_default();
        assert!(run["status"] == "failed" && reason.contains("host"), "{run:#}");
    }
}

fn told_to_end() {
    let mut numbers = Numbers::empty();
    numbers.append(20_000);
    let flowctl: &Flowctl = &numbers.flowctl;
    // so slow that it does not end before it is told to
    flowctl.write("policy.yaml", everything_at(1_000));
    let mut server = Server::new(flowctl, "--policy policy.yaml");
    server = server.env("FLOWCTL_PLUGINS", &plugins().display().to_string()).and_start();
    let sink = "    - {id: lite, type: sqlite, config: {path: numbers.db}, inputs: [filter, sums]}\n";
    flowctl.write("p.yaml", pipeline("to-sqlite", sink));
    server.run("run p.yaml --detach").success();
    server.info_when("to-sqlite", |info| info["events_out"].as_u64() > Some(0));
    let (status, said) = server.terminate();
    assert!(status.success() && said.contains("Draining all pipelines"), "{said}");
    // from here on as fast as it can
    flowctl.write("policy.yaml", everything_at(10_000_000));
    server.restart();
    let runs = server.json("pipelines runs to-sqlite");
    assert_eq!(runs.as_array().unwrap().last().unwrap()["status"], "stopped", "{runs:#}");
    let info = server.info_at("to-sqlite", "completed");
    assert!(info["events_in"].as_u64() < Some(20_000), "it went on where it was: {info:#}");
    assert_eq!(in_sqlite(flowctl, numbers.n_events), (0, 0, 0));
}
