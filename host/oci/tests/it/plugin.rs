//! Components to pack, made for the purpose.

use bytes::Bytes;
use flowctl_oci::{Artifact, Created};
use flowctl_schema::Contract;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

const EVENTS: [&str; 2] = [
    include_str!("../../../../wit/events/example-order/event.wit"),
    include_str!("../../../../wit/events/stellar-ledger/event.wit"),
];

const PROCESSOR: &str = "
    include flowctl:processor/processor@0.1.0;
    export input: interface { use stellar:ledger/event@1.0.0.{ledger}; type event = ledger; }
    export output: interface { use example:order/event@1.0.0.{order}; type event = order; }
";

/// A processor of this version, from ledgers to orders.
pub(crate) fn component(version: &str) -> Bytes {
    let mut resolve = Resolve::new();
    resolve.push_dir("../../wit/flowctl-processor").unwrap();
    for text in EVENTS {
        resolve.push_source("event.wit", text).unwrap();
    }
    let package = resolve.push_source("world.wit", &format!("package test:plugin; world plugin {{ {PROCESSOR} }}"));
    let world = resolve.select_world(&[package.unwrap()], None).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let manifest = format!(
        r#"{{"name":"order-maker","version":"{version}","description":"Makes orders of ledgers","metadata":{{"network":"testnet"}}}}"#
    );
    push_section(&mut module, "flowctl:manifest", manifest.as_bytes());
    let mut component = ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap();
    push_section(&mut component, "licenses", b"Apache-2.0");
    push_section(&mut component, "source", b"https://example.org/order-maker");
    push_section(&mut component, "authors", b"Ada");
    component.into()
}

/// The artifact of [`component`].
pub(crate) fn artifact(version: &str) -> Artifact {
    pack(component(version))
}

/// The artifact of any plugin.
pub(crate) fn pack(component: Bytes) -> Artifact {
    let contract = Contract::read(&component, "plugin").unwrap();
    Artifact::pack(component, &contract, Created::default()).unwrap()
}

/// Appends a custom section.
pub(crate) fn push_section(module: &mut Vec<u8>, name: &str, content: &[u8]) {
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
