//! One chain of all three kinds: a source in another process, a processor in the sandbox,
//! a built-in sink.

use std::path::Path;

use flowctl_test_support::components::Role;
use flowctl_test_support::postgres;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::components::{LEDGERS, start};
use super::server::Server;
use crate::flowctl::{Answer, Flowctl};
use crate::stellar::with_data;

pub(crate) fn trials() -> Vec<Trial> {
    vec![with_data("control_plane::remote_wasm_and_built_in_nodes_make_one_chain", mixed)]
}

fn mixed(folder: &Path) -> Result<(), Failed> {
    let database = postgres::Server::shared();
    let url = database.create_database("control_plane_mixed");
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    let _source = start(&flowctl, server.address(), folder, Role::Source, &[]);
    flowctl.write(
        "p.yaml",
        format!(
            "apiVersion: flowctl/v2
kind: Topology
metadata: {{name: mixed}}
spec:
  from: {{type: stellar.ledger.v1, source: stellar-live-source}}
  via: [ttp-processor]
  to: postgres
  config:
    ttp-processor: {{network: '{}'}}
    postgres: {{url: '${{DATABASE}}'}}
",
            LEDGERS.passphrase
        ),
    );
    let answer = Answer::of(server.command_at("run p.yaml").env("DATABASE", &url).output()?).success();
    let chain = "Discovered chain: stellar-live-source → ttp-processor → postgres";
    assert!(answer.stderr.contains(chain), "{}", answer.stderr);

    let info = server.json("pipelines info mixed");
    let origins: Vec<&str> =
        info["nodes"].as_array().unwrap().iter().filter_map(|node| node["origin"].as_str()).collect();
    let kinds: Vec<_> = origins.iter().map(|origin| origin.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(kinds, ["remote", "wasm", "built-in"], "{origins:?}");

    // rows of a table have no order, so both are sorted
    let parse = |line: &str| serde_json::from_str::<Value>(line).map(|row| row.to_string());
    let text = database.psql(&url, "SELECT row_to_json(t) FROM stellar_token_transfer_v1 AS t");
    let mut rows = text.lines().map(parse).collect::<Result<Vec<_>, _>>()?;
    let expected = LEDGERS.expected_events(folder)?;
    let mut expected = expected.iter().map(|event| parse(&event.to_json_line())).collect::<Result<Vec<_>, _>>()?;
    rows.sort_unstable();
    expected.sort_unstable();
    if let Some((row, event)) = rows.iter().zip(&expected).find(|(row, event)| row != event) {
        return Err(format!("   found {row}\nexpected {event}").into());
    }
    assert_eq!(rows.len(), expected.len());
    Ok(())
}
