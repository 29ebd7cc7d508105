//! Artifacts that are wrong in one way: each is named, and nothing of it stays.

use flowctl_test_support::fault_proxy::{Fault, Rule};
use flowctl_test_support::registry::{Artifact, MANIFEST_MEDIA_TYPE, Registry, digest};
use libtest_mimic::{Failed, Trial};

use super::market::{Market, assert_nothing_held, held, json, order_filter, run_orders, stamped};
use crate::fact;

const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MEDIA_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What is wrong, how it comes to be, and what the error says.
type Case = (&'static str, fn(&Market), &'static [&'static str]);

const CASES: [Case; 24] = [
    (
        "tampered_blob",
        |market| tamper(market, |bytes| bytes[5000] ^= 1),
        &["tampered blob `sha256:", "nothing of it was kept"],
    ),
    ("tampered_on_the_way", on_the_way, &["tampered blob `sha256:"]),
    ("shorter_blob", |market| tamper(market, |bytes| bytes.truncate(5000)), &["it has 5000 bytes, its manifest says "]),
    ("longer_blob", |market| tamper(market, |bytes| bytes.push(0)), &["wrong blob `sha256:", "its manifest says"]),
    ("blob_that_is_gone", lost, &["no blob `sha256:"]),
    ("tampered_config", tampered_config, &["tampered blob `sha256:"]),
    (
        "manifest_that_is_no_json",
        |market| tamper_manifest(market, b"{\"schemaVersion\":"),
        &["manifest cannot be read"],
    ),
    ("size_too_small", |market| resize(market, -1), &["wrong blob", "its manifest says"]),
    ("size_too_large", |market| resize(market, 1), &["wrong blob", "its manifest says"]),
    ("size_beyond_the_limit", oversize, &["its layer has 1000000000000 bytes, the limit is"]),
    (
        "two_layers",
        |market| forge(market, |artifact| artifact.layers.push(artifact.layers[0].clone())),
        &["it has 2 layers, where a plugin has one"],
    ),
    (
        "no_layer",
        |market| forge(market, |artifact| artifact.layers.clear()),
        &["it has 0 layers, where a plugin has one"],
    ),
    (
        "wrong_config_type",
        |market| forge(market, |artifact| artifact.config.0 = "application/vnd.oci.image.config.v1+json".into()),
        &["config is of type `application/vnd.oci.image.config.v1+json`", "`application/vnd.wasm.config.v0+json`"],
    ),
    (
        "wrong_layer_type",
        |market| forge(market, |artifact| artifact.layers[0].0 = "application/octet-stream".into()),
        &["layer is of type `application/octet-stream`", "`application/wasm`"],
    ),
    (
        "docker_manifest",
        |market| forge(market, |artifact| artifact.media_type = DOCKER_MEDIA_TYPE.into()),
        &["manifest is of type `application/vnd.docker.distribution.manifest.v2+json`"],
    ),
    ("index", index, &["an index of several manifests"]),
    ("core_module", |market| component(market, b"\0asm\x01\0\0\0"), &["its layer is no plugin", "core"]),
    ("layer_of_text", |market| component(market, b"to whom it may concern"), &["its layer is no plugin"]),
    ("empty_layer", |market| component(market, b""), &["its layer is no plugin"]),
    (
        "config_of_another_system",
        |market| config(market, "wasip2", "linux"),
        &["config says `os: linux`, where `wasip2` is due"],
    ),
    (
        "config_of_another_layer",
        |market| config(market, "\"layerDigests\":[\"sha256:", "\"layerDigests\":[\"sha256:0"),
        &["config says `layerDigests"],
    ),
    (
        "config_that_is_no_json",
        |market| forge(market, |artifact| artifact.config.1 = b"{}".to_vec()),
        &["config cannot be read"],
    ),
    ("some_annotations", some_annotations, &["its annotation `io.flowctl.role` is missing", "push it again"]),
    (
        "contradicting_annotations",
        contradicting,
        &["its annotation `io.flowctl.output` says `example.order.v2`", "the component says `example.order.v1`"],
    ),
];

pub(crate) fn trials() -> Vec<Trial> {
    let cases = CASES.into_iter().map(|case| {
        Trial::test(format!("artifacts::of_what_is_wrong_nothing_stays::{}", case.0), move || is_refused(&case))
    });
    let facts = [
        fact("artifacts::an_artifact_without_flowctls_annotations_is_taken", bare),
        fact("artifacts::a_run_names_what_is_wrong_at_its_line", in_a_run),
    ];
    cases.chain(facts).collect()
}

/// Makes `acme/a:1` wrong, pulls it by tag and by digest, and finds nothing of it.
fn is_refused((_, make, wanted): &Case) -> Result<(), Failed> {
    let market = Market::new();
    make(&market);
    let reference = market.at("acme/a:1");
    let answer = market.pull("acme/a:1").failure(wanted);
    if !answer.stderr.contains(&format!("`{reference}`")) {
        return Err(format!("`{reference}` is not named: {}", answer.stderr).into());
    }
    assert_eq!(answer.stdout.trim(), "[]");
    assert_nothing_held(&market.flowctl);
    // what is right there is got, whatever went wrong before
    market.proxy.heal();
    market.push(&stamped(b"right"), "acme/right:1");
    market.pull("acme/right:1").success();
    assert_eq!(held(&market.flowctl).len(), 1);
    Ok(())
}

fn tamper(market: &Market, change: impl FnOnce(&mut Vec<u8>)) {
    market.push(&order_filter(), "acme/a:1");
    let mut bytes = order_filter();
    change(&mut bytes);
    market.registry.replace_blob(&digest(&order_filter()), &bytes);
}

fn lost(market: &Market) {
    market.push(&order_filter(), "acme/a:1");
    market.registry.lose_blob(&digest(&order_filter()));
}

fn on_the_way(market: &Market) {
    market.push(&order_filter(), "acme/a:1");
    let fault = Fault::Replace { at: 5000, with: b"something else".to_vec() };
    market.proxy.inject(Rule::new(fault).path(&digest(&order_filter())));
}

fn tampered_config(market: &Market) {
    let manifest = manifest(market, &market.push(&order_filter(), "acme/a:1"));
    let config = manifest["config"]["digest"].as_str().unwrap().to_owned();
    let bytes = market.registry.blob("acme/a", &config).unwrap();
    let other = String::from_utf8(bytes).unwrap().replace("1970", "1971");
    market.registry.replace_blob(&config, other.as_bytes());
}

fn manifest(market: &Market, digest: &str) -> serde_json::Value {
    serde_json::from_slice(&market.registry.manifest("acme/a", digest).unwrap()).unwrap()
}

/// The registry checks what it is given: the way it answers is changed instead.
fn tamper_manifest(market: &Market, bytes: &[u8]) {
    market.push(&order_filter(), "acme/a:1");
    let headers = vec![("Content-Type", MANIFEST_MEDIA_TYPE.to_owned())];
    let fault = Fault::Answer { status: 200, headers, body: bytes.to_vec() };
    market.proxy.inject(Rule::new(fault).path("/manifests/"));
}

/// Has the manifest say another size of the layer than it has.
fn resize(market: &Market, by: i64) {
    let pushed = market.push(&order_filter(), "acme/a:1");
    let mut manifest = manifest(market, &pushed);
    let size = manifest["layers"][0]["size"].as_i64().unwrap();
    manifest["layers"][0]["size"] = (size + by).into();
    tamper_manifest(market, manifest.to_string().as_bytes());
}

fn oversize(market: &Market) {
    let pushed = market.push(&order_filter(), "acme/a:1");
    let mut manifest = manifest(market, &pushed);
    manifest["layers"][0]["size"] = 1_000_000_000_000_u64.into();
    tamper_manifest(market, manifest.to_string().as_bytes());
    // it must not even be asked for
    market.proxy.inject(Rule::new(Fault::status(418)).path("/blobs/"));
}

/// Pushes an artifact that is right but for what `change` does.
fn forge(market: &Market, change: impl FnOnce(&mut Artifact)) {
    let mut artifact = Artifact::of(order_filter());
    change(&mut artifact);
    push(&market.registry, &artifact);
}

fn push(registry: &Registry, artifact: &Artifact) {
    registry.push("acme/a", "1", artifact);
}

fn component(market: &Market, bytes: &[u8]) {
    push(&market.registry, &Artifact::of(bytes));
}

fn config(market: &Market, from: &str, to: &str) {
    forge(market, |artifact| {
        let text = String::from_utf8(artifact.config.1.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        artifact.config.1 = text.replace(from, to).into_bytes();
    });
}

fn index(market: &Market) {
    let artifact = Artifact::of(order_filter());
    let one = market.registry.push("acme/a", "one", &artifact);
    let size = artifact.manifest().len();
    let entry = serde_json::json!({"mediaType": MANIFEST_MEDIA_TYPE, "digest": one, "size": size});
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": [entry]});
    market.registry.push_manifest("acme/a", "1", INDEX_MEDIA_TYPE, index.to_string().as_bytes());
}

const ANNOTATIONS: [(&str, &str); 5] = [
    ("io.flowctl.name", "order-filter"),
    ("io.flowctl.role", "processor"),
    ("io.flowctl.input", "example.order.v1"),
    ("io.flowctl.output", "example.order.v1"),
    ("io.flowctl.abi", "0.1.0"),
];

fn annotate(market: &Market, change: impl Fn(&mut (String, String)) -> bool) {
    let all = ANNOTATIONS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let kept = all.into_iter().filter_map(|mut annotation| change(&mut annotation).then_some(annotation));
    forge(market, |artifact| artifact.annotations = kept.collect());
}

fn some_annotations(market: &Market) {
    annotate(market, |(key, _)| key != "io.flowctl.role");
}

fn contradicting(market: &Market) {
    annotate(market, |(key, value)| {
        if key == "io.flowctl.output" {
            *value = "example.order.v2".to_owned();
        }
        true
    });
}

fn bare() {
    let market = Market::new();
    push(&market.registry, &Artifact::of(order_filter()));
    let row = &json(&market.pull("acme/a:1").success())[0];
    assert_eq!((&row["name"], &row["output_types"][0]), (&"order-filter".into(), &"example.order.v1".into()));
    let said = market.flowctl.run(&format!("inspect {}", market.at("acme/a:1"))).success().stdout;
    assert!(said.contains("no annotations of flowctl"), "{said}");
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    run_orders(&market.flowctl, "");
    // all of them, and right
    annotate(&market, |_| true);
    market.pull("acme/a:1").success();
}

fn in_a_run() {
    let market = Market::new();
    tamper(&market, |bytes| bytes[5000] ^= 1);
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    let answer = market.flowctl.run("run orders.yaml");
    answer.failure(&["orders.yaml:6:", &market.at("acme/a:1"), "tampered blob"]);
    assert!(!market.flowctl.path("out.jsonl").exists());
    assert!(!market.flowctl.path("orders.lock").exists());
    assert_nothing_held(&market.flowctl);
}
