//! What is read from components made for the purpose, good ones and bad ones.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use flowctl_schema::{Contract, Type};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

const EVENTS: [&str; 2] = [
    include_str!("../../../wit/events/example-order/event.wit"),
    include_str!("../../../wit/events/stellar-ledger/event.wit"),
];

const PROCESSOR: &str = "
    include flowctl:processor/processor@0.1.0;
    export input: interface { use stellar:ledger/event@1.0.0.{ledger}; type event = ledger; }
    export output: interface { use example:order/event@1.0.0.{order}; type event = order; }
";

/// A component of a world with these items, which may use the contract, the
/// first-party events and `packages`.
fn component(packages: &[&str], world: &str, manifests: &[&str]) -> Vec<u8> {
    let mut resolve = Resolve::new();
    resolve.push_dir("../../wit/flowctl-processor").unwrap();
    for text in EVENTS.iter().chain(packages) {
        resolve.push_source("event.wit", text).unwrap();
    }
    let text = format!("package test:plugin; world plugin {{ {world} }}");
    let package = resolve.push_source("world.wit", &text).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    for manifest in manifests {
        push_section(&mut module, "flowctl:manifest", manifest.as_bytes());
    }
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

fn push_section(module: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    module.push(0);
    let mut length = section.len();
    while length >= 0x80 {
        module.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    module.push(length as u8);
    module.extend_from_slice(&section);
}

fn show(contract: &Contract) -> String {
    let types = |schemas: &[flowctl_schema::Schema]| {
        let types = schemas.iter().map(|schema| format!("{}@{}", schema.event_type(), schema.version()));
        if schemas.is_empty() { "nothing".to_owned() } else { types.collect::<Vec<_>>().join(" ") }
    };
    let mut lines = vec![
        format!("{} {} {:?}", contract.role, contract.name, contract.version),
        format!("{} -> {}", types(&contract.inputs), types(&contract.outputs)),
        format!(
            "state {} timer {} keys {} asks {:?}",
            contract.has_state, contract.has_timer, contract.brings_keys, contract.asks
        ),
    ];
    for field in contract.config.iter().flat_map(|config| &config.fields) {
        lines.push(format!(
            "{}: {} optional {} default {:?} docs {:?}",
            field.name, field.ty, field.is_optional, field.default, field.docs
        ));
    }
    lines.join("\n")
}

fn check(bytes: &[u8], expect: &Expect) {
    let text = match Contract::read(bytes, "fallback") {
        Ok(contract) => show(&contract),
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text.push_str(&format!("\ncaused by: {source}"));
                cause = source.source();
            }
            if let Some(hint) = error.hint() {
                text.push_str(&format!("\nhint: {hint}"));
            }
            text
        }
    };
    expect.assert_eq(&text);
}

fn check_world(world: &str, expect: &Expect) {
    check(&component(&[], world, &[]), expect);
}

fn check_event(package: &str, name: &str, expect: &Expect) {
    let world = format!(
        "include flowctl:processor/sink@0.1.0;
        export input: interface {{ use test:thing/event@1.2.0.{{{name}}}; type event = {name}; }}"
    );
    let package = format!("package test:thing@1.2.0; interface event {{ {package} }}");
    check(&component(&[&package], &world, &[]), expect);
}

#[test]
fn a_processor_tells_its_types_and_its_fallback_name() {
    check_world(
        PROCESSOR,
        &expect![[r#"
            processor fallback None
            stellar.ledger.v1@1.0.0 -> example.order.v1@1.0.0
            state false timer false keys false asks []"#]],
    );
}

#[test]
fn the_types_are_those_of_the_package() {
    let contract = Contract::read(&component(&[], PROCESSOR, &[]), "x").unwrap();
    for (text, schema) in EVENTS.iter().zip([&contract.outputs[0], &contract.inputs[0]]) {
        let from_text = &flowctl_schema::Schema::from_wit(text).unwrap()[0];
        assert_eq!(schema, from_text);
        assert_eq!(schema.root().name(), from_text.root().name());
        assert_eq!(schema.root().canonical(), from_text.root().canonical());
    }
}

#[test]
fn sources_sinks_state_timer_and_several_types() {
    check_world(
        "include flowctl:processor/source@0.1.0;
        export output: interface { use stellar:ledger/event@1.0.0.{ledger}; type event = ledger; }",
        &expect![[r#"
            source fallback None
            nothing -> stellar.ledger.v1@1.0.0
            state false timer false keys false asks []"#]],
    );
    check_world(
        "include flowctl:processor/sink@0.1.0; export flowctl:processor/state@0.1.0; export flowctl:processor/timer@0.1.0;
        import secrets: interface { get: func() -> string; }
        export input: interface {
            use stellar:ledger/event@1.0.0.{ledger};
            use example:order/event@1.0.0.{order};
            variant event { order(order), ledger(ledger) }
        }",
        &expect![[r#"
            sink fallback None
            example.order.v1@1.0.0 stellar.ledger.v1@1.0.0 -> nothing
            state true timer true keys false asks ["secrets"]"#]],
    );
}

#[test]
fn an_event_that_is_a_variant_is_one_type() {
    check_event(
        "variant change { made(u32), gone }",
        "change",
        &expect![[r#"
            sink fallback None
            test.thing.v1@1.2.0 -> nothing
            state false timer false keys false asks []"#]],
    );
}

#[test]
fn the_manifest_adds_names_docs_and_defaults() {
    let world = format!(
        "{PROCESSOR} export config: interface {{
            enum mode {{ by-hand, derive }}
            record retry {{ times: u32, pause: option<u32> }}
            record config {{ network: string, mode: mode, batch-size: u32, retry: retry, note: option<string> }}
            configure: func(c: config) -> result<_, string>;
        }}"
    );
    let manifest = r#"{
        "schema": 1, "name": "ttp", "version": "1.2.3", "description": "", "later": [1], "metadata": {"network": "pubnet"},
        "types": {"example:order/event@1.0.0": {"order": {"docs": "One order.", "members": {"total-cents": "In all."}}}},
        "config": {
            "docs": "",
            "fields": {"network": {"docs": "Which."}, "mode": {"default": "by-hand"}, "batch-size": {"default": 10}}
        }
    }"#;
    let bytes = component(&[], &world, &[manifest]);
    check(
        &bytes,
        &expect![[r#"
            processor ttp Some("1.2.3")
            stellar.ledger.v1@1.0.0 -> example.order.v1@1.0.0
            state false timer false keys false asks []
            network: string optional false default None docs Some("Which.")
            mode: mode optional true default Some(String("by_hand")) docs None
            batch_size: u32 optional true default Some(Number(10)) docs None
            retry: retry optional false default None docs None
            note: option<string> optional true default None docs None"#]],
    );
    let contract = Contract::read(&bytes, "x").unwrap();
    assert_eq!(contract.description, None);
    assert_eq!(contract.metadata["network"], "pubnet");
    assert_eq!(contract.outputs[0].docs(), Some("One order."));
    let Type::Record(order) = contract.outputs[0].root() else { panic!("a record") };
    assert_eq!(order.fields[3].docs.as_deref(), Some("In all."));
    let config = contract.config.unwrap();
    let complete = config.complete(&serde_json::json!({"network": "n", "retry": {"times": 3}})).unwrap();
    expect![[r#"{"batch_size":10,"mode":"by_hand","network":"n","note":null,"retry":{"pause":null,"times":3}}"#]]
        .assert_eq(&serde_json::Value::Object(complete).to_string());
    check(
        &component(&[], &world, &[&manifest.replace("10}", "-1}")]),
        &expect![[r#"
        error: section `flowctl:manifest` gives the configuration field `batch_size` a default that it cannot have
        caused by: -1 is out of range: a `u32` is 0 to 4294967295
        hint: build the plugin again with the SDK of this host's version"#]],
    );
    check(
        &component(&[], &world, &["{\"name\": 1}"]),
        &expect![[r#"
        error: section `flowctl:manifest` cannot be read
        caused by: invalid type: integer `1`, expected a string at line 1 column 10
        hint: build the plugin again with the SDK of this host's version"#]],
    );
    check(
        &component(&[], &world, &["{}", "{}"]),
        &expect![[r#"
        error: section `flowctl:manifest` stands 2 times, and there may be one, of at most 1048576 bytes
        hint: build the plugin again with the SDK of this host's version"#]],
    );
    check(
        &component(&[], &world, &[&" ".repeat(2 << 20)]),
        &expect![[r#"
        error: section `flowctl:manifest` has 2097152 bytes, and there may be one, of at most 1048576 bytes
        hint: build the plugin again with the SDK of this host's version"#]],
    );
}

#[test]
fn files_that_are_no_components_are_told_apart() {
    check(
        b"",
        &expect![[r#"
        error: the file is empty
        hint: build or pull the plugin again: the file was not written completely, or was changed since"#]],
    );
    check(
        b"\x7fELF\x02\x01\x01\0\0",
        &expect![[r#"
        error: the file is not WebAssembly: it starts with `\x7fELF\x02\x01\x01\x00`
        hint: give the path of a plugin's `.wasm` file"#]],
    );
    check(
        b"  (component)",
        &expect![[r#"
        error: the file is WebAssembly text, not binary
        hint: assemble it first, with `wasm-tools parse`"#]],
    );
    check(
        b"\0asm",
        &expect![[r#"
        error: the component ends in the middle
        hint: build or pull the plugin again: the file was not written completely, or was changed since"#]],
    );
    check(
        b"\0asm\x01\0\0\0",
        &expect![[r#"
        error: the file is a core WebAssembly module, not a component
        hint: build for the target `wasm32-wasip2`, which gives components (`wasm32-wasip1` and `wasm32-unknown-unknown` give modules)"#]],
    );
    check(b"\0asm\x0c\0\x01\0", &expect!["error: the file is WebAssembly of binary version 65548, which is not known"]);
    check(
        b"\0asm\x0d\0\x01\0",
        &expect![[r#"
        error: the component exports none of `handler`, `producer` and `consumer` of `flowctl:processor`: it exports nothing
        hint: a plugin includes the world `processor`, `source` or `sink` of `flowctl:processor`: with the SDK, a module under `#[flowctl_sdk::processor]`"#]],
    );
    let whole = component(&[], PROCESSOR, &[]);
    check(
        &whole[..whole.len() / 2],
        &expect![[r#"
        error: the component is damaged or not valid at byte 0x8f9
        caused by: unexpected end-of-file (at offset 0x8f9)
        hint: build or pull the plugin again: the file was not written completely, or was changed since"#]],
    );
    let mut flipped = whole;
    flipped[40] ^= 0x10;
    check(
        &flipped,
        &expect![[r#"
        error: the component is damaged or not valid at byte 0x3e
        caused by: invalid leading byte (0x73) for component external kind (at offset 0x3e)
        hint: build or pull the plugin again: the file was not written completely, or was changed since"#]],
    );
}

#[test]
fn components_without_the_contract_are_refused() {
    check_world(
        "export run: func();",
        &expect![[r#"
        error: the component exports none of `handler`, `producer` and `consumer` of `flowctl:processor`: it exports `run`
        hint: a plugin includes the world `processor`, `source` or `sink` of `flowctl:processor`: with the SDK, a module under `#[flowctl_sdk::processor]`"#]],
    );
    let other = "package flowctl:processor@0.2.0; interface handler { process: func(n: u32) -> u32; }";
    check(
        &component(&[other], "export flowctl:processor/handler@0.2.0;", &[]),
        &expect![[r#"
        error: the component was built for another version of the contract: it has `flowctl:processor/handler@0.2.0`, this host has `flowctl:processor@0.1.0`
        hint: build the plugin again with the SDK of this host's version"#]],
    );
    check_world(
        "include flowctl:processor/source@0.1.0; include flowctl:processor/sink@0.1.0;",
        &expect![[r#"
        error: the component is source and sink at once
        hint: split it into two components, one role each"#]],
    );
    check_world(
        "include flowctl:processor/processor@0.1.0;",
        &expect![[r#"
        error: the processor does not export an interface `input`, which names its event type
        hint: export `interface { use namespace:name/event@1.0.0.{name}; type event = name; }` under this name"#]],
    );
    check_world(
        "include flowctl:processor/processor@0.1.0;
        export input: interface { use stellar:ledger/event@1.0.0.{ledger}; type event = ledger; }
        export output: interface { use example:order/event@1.0.0.{order}; type other = order; }",
        &expect![[r#"
            error: interface `output` has no type `event`
            hint: export `interface { use namespace:name/event@1.0.0.{name}; type event = name; }` under this name"#]],
    );
    check_world(
        "include flowctl:processor/source@0.1.0;
        export input: interface { use stellar:ledger/event@1.0.0.{ledger}; type event = ledger; }
        export output: interface { use stellar:ledger/event@1.0.0.{ledger}; type event = ledger; }",
        &expect![[r#"
            error: the source exports an interface `input`, which a source cannot have
            hint: a source has `output`, a sink has `input`, a processor has both"#]],
    );
    check_world(
        "include flowctl:processor/source@0.1.0; export output: interface { record event { a: u32 } }",
        &expect![[r#"
            error: type `event` of interface `output` does not come from the interface `event` of a versioned WIT package
            hint: define it in `interface event` of `package namespace:name@1.0.0`, and `use` it from there"#]],
    );
}

#[test]
fn configurations_that_are_not_the_contracts_are_refused() {
    check_world(
        &format!("{PROCESSOR} export config: interface {{ configure: func(c: string) -> result<_, string>; }}"),
        &expect![[r#"
            error: interface `config` has no record `config`
            hint: export `record config { … }` and `configure: func(c: config) -> result<_, string>`"#]],
    );
    check_world(
        &format!("{PROCESSOR} export config: interface {{ record config {{ a: u32 }} configure: func(c: config); }}"),
        &expect![[r#"
            error: interface `config` has no function `configure: func(c: config) -> result<_, string>`
            hint: export `record config { … }` and `configure: func(c: config) -> result<_, string>`"#]],
    );
}

#[test]
fn types_that_events_cannot_have_are_refused_by_their_place() {
    check_event(
        "flags mode { a, b }  record thing { inner: list<mode> }",
        "thing",
        &expect![[r#"
        error: event type `test:thing@1.2.0` of interface `input` cannot be used
        caused by: `inner[]` is of type `flags`, which events and configurations cannot hold
        hint: use one `bool` field a flag, or a `list` of an `enum`"#]],
    );
    check_event(
        "record thing { deep: option<option<u32>> }",
        "thing",
        &expect![[r#"
        error: event type `test:thing@1.2.0` of interface `input` cannot be used
        caused by: `deep` is an option of an option, which JSON cannot tell apart
        hint: use a `variant` with a case for each meaning of nothing"#]],
    );
    check_event(
        "resource thing;",
        "thing",
        &expect![[r#"
        error: event type `test:thing@1.2.0` of interface `input` cannot be used
        caused by: `event` is of type `resource`, which events and configurations cannot hold
        hint: an event is a value: keep to records, variants, enums, options, results, tuples, lists, strings, numbers, bool and char"#]],
    );
    check_event(
        "resource r; record thing { handle: r }",
        "thing",
        &expect![[r#"
        error: event type `test:thing@1.2.0` of interface `input` cannot be used
        caused by: `handle` is of type `own`, which events and configurations cannot hold
        hint: an event is a value: keep to records, variants, enums, options, results, tuples, lists, strings, numbers, bool and char"#]],
    );
    let doubled = (1..16).map(|n| format!("record t{n} {{ a: t{0}, b: t{0} }}", n - 1)).collect::<String>();
    check_event(
        &format!("record t0 {{ a: u32 }} {doubled}"),
        "t15",
        &expect![[r#"
        error: event type `test:thing@1.2.0` of interface `input` cannot be used
        caused by: the type has more than 10000 parts"#]],
    );
    let nested = format!("type thing = {}u32{};", "list<".repeat(40), ">".repeat(40));
    check_event(
        &nested,
        "thing",
        &expect![[r#"
        error: event type `test:thing@1.2.0` of interface `input` cannot be used
        caused by: the type nests deeper than 32"#]],
    );
}

#[test]
fn no_damaged_component_panics() {
    let whole = component(&[], PROCESSOR, &[r#"{"name": "x"}"#]);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        let _ = Contract::read(&damaged, "x");
        let _ = Contract::read(&whole[..at], "x");
    }
}
