//! The demonstration: components of other processes register, an intent finds the chain
//! over them, it runs, and a processor is added while it does.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use flowctl_test_support::components::{Received, Role};
use flowctl_test_support::{Event, postgres};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use super::components::{INTENT, Trio, aggregate, expected};
use super::server::{Server, until};
use crate::flowctl::{Answer, Flowctl};
use crate::stellar::with_data;

pub(crate) fn trials() -> Vec<Trial> {
    vec![with_data(
        "control_plane::a_processor_is_added_to_an_intent_over_three_processes_that_registered",
        demonstration,
    )]
}

const TRANSFER: &str = "stellar.token.transfer.v1";
const VOLUME: &str = "stellar.volume.v1";

fn demonstration(folder: &Path) -> Result<(), Failed> {
    let database = postgres::Server::shared();
    let url = database.create_database("demonstration");
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);

    let go_file = flowctl.path("go");
    let go_text = go_file.display().to_string();
    let settings = [
        (Role::Source, "GO_FILE", go_text.as_str()),
        (Role::Sink, "DATABASE_URL", url.as_str()),
        (Role::Sink, "INPUT_TYPES", VOLUME),
    ];
    let trio = Trio::start(&flowctl, server.address(), folder, &settings);
    for component in [&trio.source, &trio.processor, &trio.sink] {
        assert!(component.service_id().is_some());
    }

    let listed = server.run("processors list").success().stdout;
    for row in [
        "stellar-live-source source - stellar.ledger.v1 healthy",
        "ttp-processor-v1 processor stellar.ledger.v1 stellar.token.transfer.v1 healthy",
        "postgres-sink-v1 sink stellar.token.transfer.v1, stellar.volume.v1 - healthy",
    ] {
        let is_there =
            listed.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(row));
        assert!(is_there, "no `{row}` in\n{listed}");
    }

    let chain = "stellar-live-source → ttp-processor → postgres-sink";
    let suggested = server.run("topology suggest --from stellar.ledger.v1 --to postgres").success().stdout;
    assert!(suggested.contains(&format!("Chain found: {chain}")), "{suggested}");

    flowctl.write("pipeline.yaml", INTENT);
    let mut run = server.command_at("run pipeline.yaml --summary summary.json");
    let run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let received = || {
        let is_there = !database.psql(&url, "SELECT to_regclass('received')").trim().is_empty();
        let rows = is_there.then(|| database.psql(&url, "SELECT event FROM received ORDER BY number"));
        Received::parse(&rows.unwrap_or_default())
    };
    until("transfers are in the database", || (!received().is_empty()).then_some(()));

    let said = aggregate(&server, &go_file)?;
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("Reconfiguring topology..."), "{said}");
    let chain_after = "stellar-live-source → ttp-processor → volume-aggregator → postgres-sink";
    assert_eq!(lines.next(), Some(format!("  ✓ Topology updated: {chain_after}").as_str()), "{said}");
    let measured = lines.next().unwrap_or_default();
    assert!(measured.starts_with("  ✓ no events lost, pause ") && measured.ends_with(" ms"), "{said}");

    let said = Answer::of(run.wait_with_output()?).success().stderr;
    let mut lines = said.lines();
    for line in
        [format!("Discovered chain: {chain}"), "Starting topology...".into(), "  ✓ All components running".into()]
    {
        assert!(lines.any(|said| said == line), "no `{line}` at its place in\n{said}");
    }
    assert!(said.contains("Completed `pipeline`"), "{said}");
    let summary: Value = serde_json::from_str(&flowctl.read("summary.json"))?;
    assert_eq!((&summary["status"], &summary["rejected"]), (&"completed".into(), &0.into()), "{summary:#}");
    first_transfers_then_volumes(&received(), &expected(folder)?)
}

/// Each transfer came once, in order, until the aggregator was there; from then on the
/// volumes of all others did.
fn first_transfers_then_volumes(received: &[Received], expected: &[Event]) -> Result<(), Failed> {
    let n_first = received.iter().take_while(|event| event.event_type == TRANSFER).count();
    let (first, then) = received.split_at(n_first);
    let transfers: Vec<Event> =
        first.iter().flat_map(|event| event.transfers().unwrap_or_else(|| panic!("no transfers: {event:?}"))).collect();
    assert!(transfers.len() < expected.len(), "the aggregator came too late");
    let (before, after) = expected.split_at(transfers.len());
    if let Some(at) = transfers.iter().zip(before).position(|(found, expected)| found != expected) {
        return Err(format!("transfer {at}\n   found {:?}\nexpected {:?}", transfers[at], before[at]).into());
    }
    let mut volumes = Vec::new();
    for event in then {
        assert_eq!(event.event_type, VOLUME, "a transfer came behind a volume");
        volumes.push(serde_json::from_slice::<Value>(&event.payload())?);
    }
    let wanted = aggregated(after)?;
    match volumes.iter().zip(&wanted).find(|(found, expected)| found != expected) {
        Some((found, expected)) => Err(format!("   found {found}\nexpected {expected}").into()),
        None if volumes.len() != wanted.len() => {
            Err(format!("{} volumes, where {} are expected", volumes.len(), wanted.len()).into())
        }
        None => Ok(()),
    }
}

/// The volumes of windows of one ledger, as the aggregator emits them.
fn aggregated(transfers: &[Event]) -> Result<Vec<Value>, Failed> {
    let mut windows: BTreeMap<(u32, &str), (u64, i128)> = BTreeMap::new();
    for transfer in transfers {
        let asset = transfer.asset.as_deref().unwrap_or(&transfer.contract_address);
        let (count, sum) = windows.entry((transfer.ledger_sequence, asset)).or_default();
        *count += 1;
        *sum += transfer.amount.parse::<i128>()?;
    }
    let volume = |((ledger, asset), (count, sum)): ((u32, &str), (u64, i128))| json!({"asset": asset, "from_ledger": ledger, "to_ledger": ledger, "count": count, "sum": sum.to_string()});
    Ok(windows.into_iter().map(volume).collect())
}
