//! What differs between two pipelines.
#![allow(clippy::unwrap_used)]

#[path = "../../registry/tests/common/mod.rs"]
mod common;

use std::path::Path;

use expect_test::{Expect, expect};
use flowctl_intent::parse;
use flowctl_registry::{Origin, Registry};
use flowctl_topology::{Topology, diff, plan};

const REGISTRY: &str = "
    s: -> a
    p@1.0.0[limit: option<u32>]: a -> a
    p@1.1.0[limit: option<u32>]: a -> a
    %out: * ->
    %file[path: string]: * ->
";

fn topology(spec: &str) -> Topology {
    let text = format!("apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n{spec}");
    let environment = |name: &str| Some(format!("the value of {name}"));
    let document = parse("pipeline.yaml", &text, &environment).unwrap();
    plan(&document, &common::registry(REGISTRY), &environment).unwrap()
}

const BASE: &str = "
  sources: [{id: s, type: s}]
  processors: [{id: p, plugin: p@1.0.0, inputs: [s]}]
  sinks: [{id: out, type: out, inputs: [p]}]
";

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(old: &Topology, new: &Topology, expected: Expect) {
    let found = diff(old, new);
    assert_eq!(found.is_empty(), old.digest() == new.digest());
    expected.assert_eq(&found.to_string());
}

#[test]
fn a_start_is_the_difference_from_nothing() {
    let base = topology(BASE);
    check(
        &Topology::empty(base.name.clone()),
        &base,
        expect![[r#"
        + s
        + p
        + out
        + s → p
        + p → out"#]],
    );
    check(
        &base,
        &Topology::empty(base.name.clone()),
        expect![[r#"
        - s
        - p
        - out
        - s → p
        - p → out"#]],
    );
}

#[test]
fn the_same_file_differs_by_nothing() {
    check(&topology(BASE), &topology(BASE), expect!["no change"]);
}

#[test]
fn a_node_between_two_others_moves_an_edge() {
    let between = BASE
        .replace("inputs: [s]}]", "inputs: [s]}, {id: q, plugin: p, inputs: [p]}]")
        .replace("out, inputs: [p]", "out, inputs: [q]");
    check(
        &topology(BASE),
        &topology(&between),
        expect![[r#"
        + q
        - p → out
        + p → q
        + q → out"#]],
    );
    check(
        &topology(&between),
        &topology(BASE),
        expect![[r#"
        - q
        - p → q
        - q → out
        + p → out"#]],
    );
}

#[test]
fn what_changes_about_a_node_is_named() {
    let changed = BASE.replace(
        "plugin: p@1.0.0, inputs: [s]",
        "plugin: p, inputs: [s], config: {limit: 3}, parallelism: 2, key: value, allow: {env: [HOME]}, limits: {cpu: 1s}, queue: 3",
    );
    check(
        &topology(BASE),
        &topology(&changed),
        expect![
            "~ p: component p 1.0.0 (9f7bed9faede) → p 1.1.0 (7564da5d35d4), config limit, grants, parallelism 1 → 2, key, limits, settings"
        ],
    );
}

#[test]
fn settings_and_the_dead_letter_sink_are_compared() {
    let changed = format!("{BASE}  checkpoint: {{interval: 1s}}\n  dead_letter: {{type: file, config: {{path: x}}}}\n");
    check(
        &topology(BASE),
        &topology(&changed),
        expect![[r#"
        ~ s: settings
        ~ p: settings
        ~ out: settings
        ~ settings
        ~ dead-letter sink"#]],
    );
}

#[test]
fn how_a_command_is_started_is_compared_by_value_and_shown_as_written() {
    let with = |value: &str, text: &str| {
        let environment = |_: &str| Some(value.to_owned());
        let document = parse("pipeline.yaml", text, &environment).unwrap();
        plan(&document, &common::registry("%out: * ->"), &environment).unwrap()
    };
    let text = |command: &str| {
        format!(
            "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sources: [{{id: s, command: {command}, output_event_types: [test.a.v1]}}]\n  sinks: [{{id: out, type: out, inputs: [s]}}]\n"
        )
    };
    let base = with("hunter2", &text("[./s, '${TOKEN}']"));
    check(&base, &with("hunter2", &text("[./s, '${TOKEN}']")), expect!["no change"]);
    check(&base, &with("hunter3", &text("[./s, '${TOKEN}']")), expect!["~ s: command"]);
    check(&base, &with("hunter2", &text("[./s, '${TOKEN}'], env: {A: b}")), expect!["~ s: command"]);
    check(&base, &with("hunter2", &text("[./t, '${TOKEN}']")), expect!["~ s: component command ./s → command ./t"]);
    assert!(!format!("{:?}", base.nodes[0].component).contains("hunter2"));
}

#[test]
fn where_a_remote_component_is_belongs_to_it() {
    let at = |endpoint: &str| {
        let mut entries = common::entries("^s-v1: -> a, %out: * ->");
        if let Origin::Live(origin) = &mut entries[0].origin {
            origin.endpoint = endpoint.to_owned();
        }
        let text = "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sources: [{id: s, type: s}]\n  sinks: [{id: out, type: out, inputs: [s]}]\n";
        plan(&parse("pipeline.yaml", text, &|_| None).unwrap(), &Registry::build(entries, []), &|_| None).unwrap()
    };
    check(&at("a:1"), &at("a:1"), expect!["no change"]);
    check(&at("a:1"), &at("a:2"), expect!["~ s: component s-v1 (remote a:1) → s-v1 (remote a:2)"]);
}

#[test]
fn granted_directories_start_at_a_base_where_there_is_one() {
    let granted = BASE.replace("inputs: [s]}", "inputs: [s], allow: {dirs: [a/./b, ../c, /d/../e]}}");
    let dirs = |topology: &Topology| -> Vec<String> {
        topology.nodes[1].grants.dirs.iter().map(|dir| dir.display().to_string()).collect()
    };
    let planned = topology(&granted);
    assert_eq!(dirs(&planned), ["a/./b", "../c", "/d/../e"]);
    assert_eq!(dirs(&planned.with_dirs_below(Path::new("/srv/t"))), ["/srv/t/a/b", "/srv/c", "/e"]);
}

#[test]
fn types_that_no_edge_takes_are_known() {
    let all = plan_of("s: -> a|b, p: a -> c, out: c ->");
    let untaken: Vec<String> =
        all.untaken().map(|(node, schema)| format!("{} {}", node.id, schema.event_type())).collect();
    assert_eq!(untaken, ["s test.b.v1"]);
}

fn plan_of(entries: &str) -> Topology {
    let text = format!("apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n{}", BASE.replace("p@1.0.0", "p"));
    let document = parse("pipeline.yaml", &text, &|_| None).unwrap();
    plan(&document, &common::registry(entries), &|_| None).unwrap()
}
