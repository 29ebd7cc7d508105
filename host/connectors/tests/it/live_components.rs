//! Components of other processes beside the connectors of this binary: a pipeline that
//! names neither means those that are live.

use std::collections::BTreeMap;

use flowctl_connectors::catalogue;
use flowctl_intent::parse;
use flowctl_registry::{Entry, LiveComponent, Registry};
use flowctl_schema::{Conversion, Role, Schema};
use flowctl_topology::{Component, Topology, plan, render};

use crate::support::{ledger, schema};

fn transfer() -> Schema {
    schema(include_str!("../../../../wit/events/stellar-token-transfer/event.wit"))
}

fn component(id: &str, role: Role, input_types: &[&str], output_types: &[&str], endpoint: &str) -> LiveComponent {
    let types = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    LiveComponent {
        id: id.to_owned(),
        name: String::new(),
        description: String::new(),
        version: "1.0.0".to_owned(),
        role,
        input_types: types(input_types),
        output_types: types(output_types),
        endpoint: endpoint.to_owned(),
        metadata: BTreeMap::from([("network".to_owned(), "testnet".to_owned())]),
        status: "healthy".to_owned(),
    }
}

fn planned(live: &[LiveComponent], text: &str) -> Result<Topology, String> {
    let mut entries = catalogue();
    entries.extend(live.iter().map(|component| Entry::live(component, &|_| None)));
    let registry = Registry::build(entries, [transfer()]);
    plan(&parse("transfers.yaml", text, &|_| None).unwrap(), &registry, &|_| None).map_err(|faults| faults.to_string())
}

const LEDGER: &str = "stellar.ledger.v1";
const TRANSFER: &str = "stellar.token.transfer.v1";
const PIPELINE: &str = "apiVersion: flowctl/v2\nkind: Topology\nspec: {from: stellar.ledger.v1, to: postgres, where: {network: testnet}}\n";

fn three() -> [LiveComponent; 3] {
    [
        component("stellar-live-source", Role::Source, &[], &[LEDGER], "127.0.0.1:50051"),
        component("ttp-processor-v1", Role::Processor, &[LEDGER], &[TRANSFER], "127.0.0.1:50052"),
        component("postgres-sink-v1", Role::Sink, &[TRANSFER], &[], "127.0.0.1:50053"),
    ]
}

#[test]
fn a_chain_of_live_components_is_found_before_built_in_ends() {
    let topology = planned(&three(), PIPELINE).unwrap();
    assert_eq!(render::line(&topology), "stellar-live-source → ttp-processor → postgres-sink");
    let endpoints: Vec<&str> = topology
        .nodes
        .iter()
        .map(|node| match &node.component {
            Component::Remote { endpoint, .. } => endpoint.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(endpoints, ["127.0.0.1:50051", "127.0.0.1:50052", "127.0.0.1:50053"]);
    assert_eq!((&topology.nodes[1].inputs, &topology.nodes[1].outputs), (&vec![ledger()], &vec![transfer()]));
    let routes = topology.edges.iter().flat_map(|edge| &edge.routes);
    assert!(routes.map(|route| &route.conversion).all(Conversion::is_same));
}

#[test]
fn several_live_sources_are_told_apart_by_the_author() {
    let [source, processor, sink] = three();
    let other = component("another-source-v1", Role::Source, &[], &[LEDGER], "127.0.0.1:50054");
    let faults = planned(&[source, processor, sink, other], PIPELINE).unwrap_err();
    let message = "several sources emit `stellar.ledger.v1`: another-source-v1, stellar-live-source";
    assert!(faults.contains(message), "{faults}");
}

#[test]
fn live_and_built_in_nodes_stand_in_one_chain() {
    let [_, processor, _] = three();
    let configured = "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: stellar.ledger.v1\n  to: postgres\n  \
        config: {stellar-ledgers: {generate: {ledgers: 1}}, postgres: {url: 'postgres://db/shop'}}\n";
    let topology = planned(&[processor], configured).unwrap();
    assert_eq!(render::line(&topology), "stellar-ledgers → ttp-processor → postgres");
    assert_eq!(topology.nodes[2].inputs, [transfer()]);
}
