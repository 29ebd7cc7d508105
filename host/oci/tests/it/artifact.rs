//! What an artifact looks like, byte for byte, and which manifests are none.
//!
//! `BLESS=1` rewrites the expected files in `tests/golden`.

use expect_test::{Expect, expect};
use flowctl_oci::{Artifact, ArtifactManifest, Created, Facts, WasmConfig};
use flowctl_schema::{Contract, Listing};
use flowctl_types::Digest;

use crate::plugin;

fn golden(name: &str, found: &[u8]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    // the digest of the component changes with the crates that build it, its form does not
    let found = String::from_utf8(found.to_vec()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), found, "BLESS=1 rewrites `{path}`");
}

#[test]
fn manifest_and_config_are_the_same_bytes_every_time() {
    let artifact = plugin::artifact("1.2.0");
    golden("manifest.json", artifact.manifest());
    golden("config.json", artifact.config());
    assert_eq!(artifact.digest(), plugin::artifact("1.2.0").digest());
    assert_eq!(artifact.digest(), Digest::of(artifact.manifest()));
}

#[test]
fn lists_are_those_of_the_component_s_world() {
    let component = plugin::component("1.2.0");
    let wit_component::DecodedWasm::Component(resolve, world) = wit_component::decode(&component).unwrap() else {
        panic!("it is a component")
    };
    let names = |items: Vec<&wit_parser::WorldKey>| -> Vec<String> {
        items.into_iter().map(|key| resolve.name_world_key(key)).collect()
    };
    let listing = Listing::read(&component).unwrap();
    assert_eq!(listing.imports, names(resolve.worlds[world].imports.keys().collect()));
    assert_eq!(listing.exports, names(resolve.worlds[world].exports.keys().collect()));
}

#[test]
fn the_time_it_was_made_is_written_as_it_was_given() {
    let component = plugin::component("1.2.0");
    let contract = Contract::read(&component, "plugin").unwrap();
    let created = Created::from_unix_seconds(1_714_000_000).unwrap();
    let artifact = Artifact::pack(component, &contract, created).unwrap();
    let config = WasmConfig::read(artifact.config()).unwrap();
    assert_eq!(config.created, "2024-04-24T23:06:40Z");
    assert_eq!(artifact.annotations()["org.opencontainers.image.created"], config.created);
    assert!(Created::from_unix_seconds(i64::MAX).is_err());
}

#[test]
fn facts_survive_annotations() {
    let component = plugin::component("1.2.0");
    let contract = Contract::read(&component, "plugin").unwrap();
    let artifact = plugin::pack(component);
    assert_eq!(artifact.parsed().facts, Some(Facts::of(&contract)));
    artifact.parsed().open(artifact.component(), "plugin").unwrap();
}

/// Replaces text in the manifest, reads it and opens the component by it.
fn check(from: &str, to: &str, expect: &Expect) {
    let artifact = plugin::artifact("1.2.0");
    let text = String::from_utf8(artifact.manifest().to_vec()).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    let read = ArtifactManifest::read(text.replace(from, to).as_bytes());
    let error = match read.map(|manifest| manifest.open(artifact.component(), "plugin")) {
        Err(error) | Ok(Err(error)) => error.to_string(),
        Ok(Ok(_)) => "it is fine".to_owned(),
    };
    expect.assert_eq(&error);
}

#[test]
fn manifests_that_are_none_of_a_plugin_are_refused() {
    let config = "application/vnd.wasm.config.v0+json";
    check(
        config,
        "application/vnd.oci.image.config.v1+json",
        &expect![
            "its config is of type `application/vnd.oci.image.config.v1+json`, where a plugin has `application/vnd.wasm.config.v0+json`"
        ],
    );
    check(
        "\"application/wasm\"",
        "\"application/vnd.oci.image.layer.v1.tar+gzip\"",
        &expect![
            "its layer is of type `application/vnd.oci.image.layer.v1.tar+gzip`, where a plugin has `application/wasm`"
        ],
    );
    check(
        "\"layers\":[",
        "\"layers\":[{\"mediaType\":\"application/wasm\",\"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"size\":0},",
        &expect!["it has 2 layers, where a plugin has one"],
    );
    check(
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        &expect![
            "it is an index of several manifests (`application/vnd.oci.image.index.v1+json`), and not one artifact"
        ],
    );
    check("sha256:", "sha512:", &expect!["the manifest cannot be read"]);
    check(
        "\"schemaVersion\":2",
        "\"schemaVersion\":1",
        &expect![
            "its manifest is of type `version 1`, where a plugin has `application/vnd.oci.image.manifest.v1+json`"
        ],
    );
    check("\"size\":", "\"size\":999999", &expect!["its config has 999999432 bytes, the limit is 1048576"]);
    check("\"layers\":[{", "\"layers\":[],\"x\":[{", &expect!["it has 0 layers, where a plugin has one"]);
}

#[test]
fn annotations_that_lie_or_lack_are_refused() {
    check(
        "stellar.ledger.v1",
        "stellar.ledger.v2",
        &expect![
            "its annotation `io.flowctl.input` says `stellar.ledger.v2`, but the component says `stellar.ledger.v1`"
        ],
    );
    check(
        "\"io.flowctl.role\":\"processor\"",
        "\"io.flowctl.role\":\"cook\"",
        &expect!["its annotation `io.flowctl.role` cannot be read: `cook`"],
    );
    check("io.flowctl.output", "io.flowctl.exit", &expect!["its annotation `io.flowctl.output` is missing"]);
    check(
        "\"io.flowctl.abi\":\"0.1.0\"",
        "\"io.flowctl.abi\":\"0.2.0\"",
        &expect!["its annotation `io.flowctl.abi` says `0.2.0`, but the component says `0.1.0`"],
    );
    check(
        "testnet",
        "pubnet",
        &expect!["its annotation `io.flowctl.meta.network` says `pubnet`, but the component says `testnet`"],
    );
    check(
        "image.version\":\"1.2.0\"",
        "image.version\":\"1.3.0\"",
        &expect!["its annotation `org.opencontainers.image.version` says `1.3.0`, but the component says `1.2.0`"],
    );
    // another client's artifact: its bytes tell
    check("io.flowctl.", "org.example.", &expect!["it is fine"]);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_reading_panic(cut in 0_usize..4000, byte: u8) {
        let mut bytes = plugin::artifact("1.2.0").manifest().to_vec();
        let at = cut % bytes.len();
        bytes[at] = byte;
        let _ = ArtifactManifest::read(&bytes);
        let _ = ArtifactManifest::read(&bytes[..at]);
        let _ = WasmConfig::read(&bytes);
    }
}
