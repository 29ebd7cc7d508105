//! Components that run in other processes: which of them a name or a wish means, and what
//! their types are taken to be.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ask, entries, explain, registry, schema};
use expect_test::{Expect, expect};
use flowctl_registry::{Accepts, Emits, Entry, Registry};
use flowctl_schema::{Conversion, Role, Schema};

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(entries: &str, question: &str, expected: Expect) {
    let found = ask(&registry(entries), question);
    expected.assert_eq(&found.unwrap_or_else(|error| explain(&error, error.hint())));
}

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check_name(entries: &str, role: Role, name: &str, expected: Expect) {
    expected.assert_eq(&match registry(entries).find_component(role, name) {
        Ok(entry) => format!("{}{}", if entry.is_live() { "live " } else { "" }, entry.name),
        Err(error) => explain(&error, error.hint()),
    });
}

const LIVE: &str = "
    ^stellar-live-source: -> ledger
    ^ttp-processor-v1: ledger -> transfer
    ^postgres-sink-v1: transfer ->
";

const BUILT_IN: &str = "
    %stellar-ledgers[path: option<string>]: -> ledger!
    %stellar-rpc[url: string]: -> ledger!
    %postgres: record ->
    %file[path: string]: * ->
";

#[test]
fn live_components_come_before_plugins_and_connectors() {
    let all = format!("{LIVE}{BUILT_IN}ttp-processor: ledger! -> transfer");
    check(&all, "ledger -> postgres", expect!["stellar-live-source → ttp-processor-v1 → postgres-sink-v1"]);
    let plugin = format!("{BUILT_IN}ttp-processor: ledger! -> transfer");
    check(&plugin, "ledger -> postgres", expect!["stellar-ledgers → ttp-processor → postgres"]);
    let mixed = format!("{BUILT_IN}^ttp-processor-v1: ledger -> transfer, knows: transfer -> volume");
    check(
        &mixed,
        "ledger -> postgres via ttp-processor",
        expect![[r#"stellar-ledgers → ttp-processor-v1 → postgres"#]],
    );
}

#[test]
fn a_source_that_is_configured_is_meant_though_another_is_live() {
    let all = format!("{LIVE}{BUILT_IN}");
    check(
        &all,
        "ledger -> postgres configured stellar-ledgers",
        expect!["stellar-ledgers → ttp-processor-v1 → postgres-sink-v1"],
    );
    let two = format!("{all}^other-source-v1: -> ledger");
    check(
        &two,
        "ledger -> postgres configured other-source",
        expect!["other-source-v1 → ttp-processor-v1 → postgres-sink-v1"],
    );
}

#[test]
fn of_several_live_components_none_is_chosen() {
    check(
        &format!("{LIVE}{BUILT_IN}^other-source-v1: -> ledger"),
        "ledger -> postgres",
        expect![[r#"
            error: several sources emit `test.ledger.v1`: other-source-v1, stellar-live-source
            hint: choose one: write `from: {type: test.ledger.v1, source: other-source-v1}`"#]],
    );
    check(
        &format!("{LIVE}^ttp-processor-v2: ledger -> transfer"),
        "ledger -> postgres",
        expect![[r#"
            error: 2 chains from `test.ledger.v1` to `postgres-sink-v1` are equally short:
              stellar-live-source → ttp-processor-v1 → postgres-sink-v1
              stellar-live-source → ttp-processor-v2 → postgres-sink-v1
            hint: choose one with `via: [ttp-processor-v1]`, or with `where:` if their metadata differ"#]],
    );
    check(
        &format!("{LIVE}^postgres-consumer-v1: transfer ->"),
        "ledger -> postgres",
        expect![[r#"
            error: several sinks answer to `postgres`: postgres-consumer-v1, postgres-sink-v1
            hint: write `postgres-consumer-v1` or `postgres-sink-v1`"#]],
    );
}

#[test]
fn filters_see_what_a_live_component_says_of_itself() {
    let networks = "^a-source-v1{network=pubnet}: -> ledger, ^b-source-v1{network=testnet}: -> ledger,
        %file: * ->, %postgres: record ->, knows: transfer -> volume, ^p{network=pubnet}: ledger -> transfer, ^q{network=testnet}: ledger -> transfer";
    check(networks, "ledger -> postgres where network=testnet", expect!["b-source-v1 → q → postgres"]);
    check(networks, "ledger -> postgres where network=pubnet", expect!["a-source-v1 → p → postgres"]);
    let local = "^a-source-v1{network=pubnet}: -> ledger, ledgers: -> ledger!, %file: * ->";
    check(local, "ledger -> file where network=testnet", expect!["ledgers → file"]);
}

#[test]
fn what_is_unhealthy_is_not_discovered_and_the_error_names_it() {
    let no_processor =
        "^s: -> ledger, ^!ttp-processor-v1: ledger -> transfer, %postgres: record ->, knows: transfer -> x";
    check(
        no_processor,
        "ledger -> postgres",
        expect![[r#"
            error: no chain from `test.ledger.v1` to `postgres` within 8 hops: `ttp-processor-v1` would do and is unhealthy
            hint: start it anew, or use it as it is: write `via: [ttp-processor-v1]`"#]],
    );
    check(no_processor, "ledger -> postgres via ttp-processor", expect!["s → ttp-processor-v1 → postgres"]);
    let no_source = "^!live-source-v1: -> ledger, %file: * ->";
    check(
        no_source,
        "ledger -> file",
        expect![[r#"
            error: no source emits `test.ledger.v1`: `live-source-v1` would do and is unhealthy
            hint: start it anew, or use it as it is: write `from: {type: test.ledger.v1, source: live-source-v1}`"#]],
    );
    check(no_source, "ledger -> file source live-source", expect!["live-source-v1 → file"]);
    check(
        "^s: -> ledger, ^!postgres-sink-v1: ledger ->",
        "ledger -> postgres",
        expect![[r#"
            error: no sink answers to `postgres`: `postgres-sink-v1` would do and is unhealthy
            hint: start it anew, or write `postgres-sink-v1` to use it as it is"#]],
    );
    check(
        "^s: -> ledger, ^!postgres-sink-v1: ledger ->",
        "ledger -> postgres-sink-v1",
        expect!["s → postgres-sink-v1"],
    );
}

#[test]
fn what_is_unhealthy_stands_behind_plugins_and_connectors() {
    let all = "^!stellar-live-source: -> ledger, ^!ttp-processor: ledger -> transfer, ^!postgres-sink-v1: transfer ->";
    let all = format!("{all}{BUILT_IN}ttp-processor: ledger! -> transfer");
    check(&all, "ledger -> postgres", expect!["stellar-ledgers → ttp-processor → postgres"]);
    check_name(&all, Role::Processor, "ttp-processor", expect!["ttp-processor"]);
}

#[test]
fn a_live_component_is_found_by_id_name_and_kind() {
    for name in ["ttp-processor-v1", "ttp-processor", "The ttp-processor-v1", "ttp"] {
        check_name(LIVE, Role::Processor, name, expect!["live ttp-processor-v1"]);
    }
    check_name("^ttp-processor-v1@1.2: a -> b", Role::Processor, "ttp-processor@1.2", expect!["live ttp-processor-v1"]);
    check_name(
        LIVE,
        Role::Processor,
        "postgres-sink-v1",
        expect!["error: `postgres-sink-v1` is a sink, not a processor"],
    );
    check_name(
        LIVE,
        Role::Processor,
        "ttp-procesor",
        expect![[r#"
            error: unknown processor `ttp-procesor`
            hint: did you mean `ttp-processor-v1`?"#]],
    );
}

#[test]
fn a_reference_to_a_plugin_means_no_live_component() {
    let find = |entries: &str, name: &str| {
        let registry = registry(entries);
        let found = registry.find_reference(Role::Processor, &name.parse().unwrap());
        found.map(|entry| entry.origin.clone()).map_err(|error| explain(&error, error.hint()))
    };
    let both = format!("{LIVE}ttp-processor: ledger! -> transfer");
    assert!(matches!(find(&both, "ttp-processor"), Ok(flowctl_registry::Origin::Plugin { .. })));
    expect![[r#"
        error: `ttp-processor` is a live component, not a plugin
        hint: write `type: ttp-processor`"#]]
    .assert_eq(&find(LIVE, "ttp-processor").unwrap_err());
}

#[test]
fn a_component_that_registers_with_nothing_takes_any_type() {
    let registry = registry("^s: -> raw, ^any: * ->, %file: * ->");
    let sink = registry.find(Role::Sink, "any").unwrap();
    assert!(matches!(sink.accepts, Accepts::Any));
    assert_eq!(sink.takes(&schema("raw")).unwrap().0, 0);
}

fn emitted(entry: &Entry) -> &Schema {
    let Emits::Types(types) = &entry.emits else { panic!("{}", entry.name) };
    &types[0]
}

#[test]
fn a_live_type_has_the_structure_that_is_known_under_its_name() {
    let registry = registry("^live: -> raw, ^unknown: -> nobody, old: raw -> x, new: raw+ -> y");
    let of = |name| emitted(registry.find(Role::Source, name).unwrap()).clone();
    assert_eq!(of("live"), schema("raw+"));
    assert!(of("unknown").is_opaque());
    assert_eq!(registry.event_type(of("unknown").event_type()).unwrap(), &of("unknown"));
}

#[test]
fn a_live_component_agrees_with_every_structure_of_a_name() {
    let both = "^live: -> raw, a: raw -> mid, b: raw~ -> end, %out: * ->, ends: end ->";
    check(both, "raw -> out via a", expect!["live → a → out"]);
    check(both, "raw -> ends", expect!["live → b → ends"]);
    let through = "s: -> raw~, ^live: raw -> mid, sink: mid~ ->, %other: record ->, t: -> mid";
    check(through, "raw -> sink", expect!["s → live → sink"]);
    let registry = registry(through);
    let live = registry.find(Role::Processor, "live").unwrap();
    for word in ["raw", "raw~", "raw!"] {
        assert!(matches!(live.takes(&schema(word)), Ok((0, Conversion::Same))), "{word}");
    }
}

#[test]
fn disagreement_is_told_of_those_that_disagree() {
    check(
        "^live: -> raw, a: raw -> mid, b: mid~ -> end, ends: end ->",
        "raw -> ends",
        expect![[r#"
            error: `a` and `b` disagree about `test.mid.v1`
              caused by: `value` is expected as `u64`, emitted as `string`
            hint: build `a` and `b` against one version of the type's WIT package"#]],
    );
}

#[test]
fn the_structure_that_a_caller_knows_is_kept_where_the_registry_knows_none() {
    let component = flowctl_registry::LiveComponent {
        id: "s".to_owned(),
        name: String::new(),
        description: String::new(),
        version: String::new(),
        role: Role::Source,
        input_types: Vec::new(),
        output_types: vec![schema("raw").event_type().clone()],
        endpoint: "127.0.0.1:1".to_owned(),
        metadata: std::collections::BTreeMap::new(),
        status: "unknown".to_owned(),
    };
    let live = Entry::live(&component, &|_| Some(schema("raw+")));
    assert!(live.is_healthy());
    let alone = Registry::build([live.clone()], []);
    assert_eq!(emitted(alone.find(Role::Source, "s").unwrap()), &schema("raw+"));
    let mut all = entries("p: raw -> x");
    all.push(live);
    let beside = Registry::build(all, []);
    assert_eq!(emitted(beside.find(Role::Source, "s").unwrap()), &schema("raw"));
}
