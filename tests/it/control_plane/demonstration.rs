//! The demonstration: components of other processes register, an intent finds the chain
//! over them, and runs.

use std::path::Path;

use libtest_mimic::{Failed, Trial};

use super::components::{INTENT, Trio, each_once, expected};
use super::server::Server;
use crate::flowctl::Flowctl;
use crate::stellar::with_data;

pub(crate) fn trials() -> Vec<Trial> {
    vec![with_data("control_plane::an_intent_runs_over_three_processes_that_registered", demonstration)]
}

fn demonstration(folder: &Path) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let trio = Trio::start(&flowctl, server.address(), folder, &[]);
    for component in [&trio.source, &trio.processor, &trio.sink] {
        assert!(component.service_id().is_some());
    }

    let listed = server.run("processors list").success().stdout;
    for row in [
        "stellar-live-source source - stellar.ledger.v1 healthy",
        "ttp-processor-v1 processor stellar.ledger.v1 stellar.token.transfer.v1 healthy",
        "postgres-sink-v1 sink stellar.token.transfer.v1 - healthy",
    ] {
        let is_there =
            listed.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(row));
        assert!(is_there, "no `{row}` in\n{listed}");
    }

    let chain = "stellar-live-source → ttp-processor → postgres-sink";
    let suggested = server.run("topology suggest --from stellar.ledger.v1 --to postgres").success().stdout;
    assert!(suggested.contains(&format!("Chain found: {chain}")), "{suggested}");

    flowctl.write("pipeline.yaml", INTENT);
    let said = server.run("run pipeline.yaml --summary summary.json").success().stderr;
    let mut lines = said.lines();
    for line in
        [format!("Discovered chain: {chain}"), "Starting topology...".into(), "  ✓ All components running".into()]
    {
        assert!(lines.any(|said| said == line), "no `{line}` at its place in\n{said}");
    }
    let n_events = expected(folder)?.len();
    assert!(said.contains("Completed `pipeline`"), "{said}");
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json"))?;
    assert_eq!((&summary["status"], &summary["events_out"]), (&"completed".into(), &n_events.into()));
    each_once(&flowctl, folder)
}
