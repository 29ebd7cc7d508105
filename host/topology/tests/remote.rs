//! What the types of components in other processes are planned to be.
#![allow(clippy::unwrap_used)]

#[path = "../../registry/tests/common/mod.rs"]
mod common;

use common::schema;
use flowctl_intent::parse;
use flowctl_topology::{Topology, plan};

fn topology(entries: &str, nodes: &str) -> Topology {
    let text = format!("apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n{nodes}");
    plan(&parse("pipeline.yaml", &text, &|_| None).unwrap(), &common::registry(entries), &|_| None).unwrap()
}

/// Of each edge whether payloads go through as they are.
fn sameness(topology: &Topology) -> Vec<bool> {
    topology.edges.iter().flat_map(|edge| &edge.routes).map(|route| route.conversion.is_same()).collect()
}

const THROUGH: &str = "
  sources: [{id: s, type: s}]
  processors:
    - {id: live, type: live, inputs: [s]}
    - {id: p, type: p, inputs: [live]}
  sinks: [{id: out, type: out, inputs: [p]}]
";

#[test]
fn both_sides_of_a_remote_node_have_the_structure_of_its_neighbours() {
    for (emitted, wanted) in [("a", "b"), ("a+", "b+"), ("a~", "b~"), ("a!", "b!")] {
        // what others know under the names is not what counts
        let others = "x: a+ -> c, y: b+ -> c, z: b -> c, %out: * ->";
        let entries = format!("s: -> {emitted}, ^live-v1: a -> b, p: {wanted} -> c, {others}");
        let topology = topology(&entries, THROUGH);
        let live = topology.nodes.iter().find(|node| node.id.as_str() == "live").unwrap();
        assert_eq!((&live.inputs, &live.outputs), (&vec![schema(emitted)], &vec![schema(wanted)]));
        assert_eq!(sameness(&topology), [true; 3]);
    }
}

#[test]
fn a_type_that_two_emit_differently_reaches_a_remote_node_as_two() {
    let nodes = "
  sources: [{id: s, type: s}, {id: t, type: t}, {id: u, type: u}]
  sinks: [{id: live, type: live, inputs: [s, t, u]}]
";
    let topology = topology("s: -> a, t: -> a+, u: -> a, ^live: a ->", nodes);
    assert_eq!(topology.nodes.last().unwrap().inputs, [schema("a"), schema("a+")]);
    let kinds: Vec<u32> = topology.edges.iter().map(|edge| edge.routes[0].input_kind).collect();
    assert_eq!(kinds, [0, 1, 0]);
    assert_eq!(sameness(&topology), [true; 3]);
}

#[test]
fn readers_that_differ_are_served_from_the_highest_version() {
    let nodes = "
  sources: [{id: live, type: live}]
  processors: [{id: p, type: p, inputs: [live]}, {id: q, type: q, inputs: [live]}]
  sinks: [{id: out, type: out, inputs: [p, q]}]
";
    let topology = topology("^live: -> a, p: a -> c, q: a+ -> c, %out: * ->", nodes);
    assert_eq!(topology.nodes[0].outputs, [schema("a+")]);
    assert_eq!(sameness(&topology), [false, true, true, true]);
}

#[test]
fn between_remote_nodes_types_match_by_name() {
    let nodes = "
  sources: [{id: s, command: [./s], output_event_types: [test.nobody.v1, test.known.v1]}]
  sinks: [{id: live, type: live, inputs: [s]}, {id: mine, command: [./sink], inputs: [s]}]
";
    let topology = topology("^live: nobody ->", nodes);
    let inputs: Vec<Vec<String>> = topology.nodes[1..]
        .iter()
        .map(|node| {
            node.inputs.iter().map(|schema| format!("{} {}", schema.event_type(), schema.is_opaque())).collect()
        })
        .collect();
    assert_eq!(inputs, [vec!["test.nobody.v1 true"], vec!["test.nobody.v1 true", "test.known.v1 false"]]);
}

#[test]
fn the_configuration_of_a_remote_source_is_texts() {
    let nodes = "
  sources: [{id: live, type: live, config: {start: 100, rate: 0.5, follow: true, text: '007', none: null}}]
  sinks: [{id: out, type: out, inputs: [live]}]
";
    let topology = topology("^live: -> a, %out: * ->", nodes);
    let want = serde_json::json!({"start": "100", "rate": "0.5", "follow": "true", "text": "007"});
    assert_eq!((&topology.nodes[0].config, &topology.nodes[0].shown_config), (&want, &want));
}
