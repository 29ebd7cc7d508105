//! Push and pull: by tag, by digest, to layouts; what is the same stays the same.

use std::fs;

use flowctl_test_support::registry::{CONFIG_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, digest};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::market::{
    Market, assert_nothing_held, held, json as printed, order_filter, orders, run_orders, stamped, store,
};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::what_was_pushed_is_pulled_by_tag_and_by_digest", by_tag_and_by_digest),
        fact("artifacts::the_same_bytes_have_the_same_digest_and_travel_once", same_bytes),
        fact("artifacts::the_time_of_an_artifact_is_source_date_epoch", source_date_epoch),
        fact("artifacts::a_manifest_is_that_of_a_wasm_artifact_with_the_plugins_types", manifest),
        fact("artifacts::inspect_reads_no_component_and_makes_no_store", inspect),
        fact("artifacts::a_digest_that_is_held_is_never_asked_for", held_digest),
        fact("artifacts::of_several_pulls_each_that_fails_is_named_and_the_others_stay", several),
        fact("artifacts::a_layout_serves_where_there_is_no_registry", layout),
        fact("artifacts::what_cannot_be_pushed_is_told_before_anything_is_sent", unpushable),
        fact("artifacts::quiet_says_nothing_and_json_says_all", quiet),
    ]
}

fn by_tag_and_by_digest() {
    let market = Market::new();
    let pushed = market.push(&order_filter(), "acme/filter:1.0");
    assert_eq!(market.registry.tags("acme/filter"), ["1.0"]);
    let component = digest(&order_filter());
    for rest in ["acme/filter:1.0".to_owned(), format!("acme/filter@{pushed}"), format!("acme/filter:1.0@{pushed}")] {
        let _ = fs::remove_dir_all(store(&market.flowctl));
        let answer = market.pull(&format!("{rest} --to copy.wasm")).success();
        let row = &printed(&answer)[0];
        assert_eq!(row["digest"], pushed);
        assert_eq!(row["component"], component);
        assert_eq!((&row["name"], &row["was_cached"]), (&json!("order-filter"), &json!(false)));
        assert_eq!(row["input_types"], json!(["example.order.v1"]));
        assert_eq!(fs::read(market.flowctl.path("copy.wasm")).unwrap(), order_filter());
        assert_eq!(fs::read(row["path"].as_str().unwrap()).unwrap(), order_filter());
        assert_eq!(held(&market.flowctl)[0]["digest"], pushed);
    }
}

fn same_bytes() {
    let market = Market::new();
    let first = market.push(&order_filter(), "acme/filter:a");
    let n_first = market.n_requests();
    assert_eq!(market.push(&order_filter(), "acme/filter:b"), first);
    let again = market.proxy.passages().split_off(n_first);
    assert!(again.iter().all(|passage| !passage.path.contains("/uploads/")), "{again:?}");
    assert_eq!(market.registry.tags("acme/filter"), ["a", "b"]);
    assert_ne!(market.push(&stamped(b"other"), "acme/filter:b"), first);
    // another user, another folder, another name of the file
    let other = Flowctl::new();
    other.write("elsewhere/renamed.wasm", order_filter());
    let answer = other.run(&format!("push elsewhere/renamed.wasm {}", market.at("acme/other:1"))).success();
    assert_eq!(answer.stdout.trim(), first);
}

fn source_date_epoch() {
    let market = Market::new();
    let constant = market.push(&order_filter(), "acme/filter:0");
    let push = |epoch: &str| {
        let mut command = market.flowctl.command(&format!("push pushed.wasm {}", market.at("acme/filter:1")));
        Answer::of(command.env("SOURCE_DATE_EPOCH", epoch).output().unwrap())
    };
    let dated = push("1700000000").success().stdout;
    assert_eq!(push("1700000000").success().stdout, dated);
    assert_eq!(push("").success().stdout.trim(), constant);
    let manifest = market.registry.manifest("acme/filter", dated.trim()).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["annotations"]["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
    push("yesterday").failure(&["SOURCE_DATE_EPOCH is `yesterday`"]);
    push("99999999999999999").failure(&["99999999999999999 seconds since 1970"]);
}

fn manifest() {
    let market = Market::new();
    market.push(&order_filter(), "acme/filter:1");
    let manifest = market.registry.manifest("acme/filter", "1").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let component = order_filter();
    assert_eq!(manifest["mediaType"], MANIFEST_MEDIA_TYPE);
    assert_eq!(manifest["config"]["mediaType"], CONFIG_MEDIA_TYPE);
    let layers = json!([{
        "mediaType": "application/wasm",
        "digest": digest(&component),
        "size": component.len(),
        "annotations": {"org.opencontainers.image.title": "order-filter.wasm"},
    }]);
    assert_eq!(manifest["layers"], layers);
    let annotations = &manifest["annotations"];
    for (key, value) in [
        ("io.flowctl.name", "order-filter"),
        ("io.flowctl.role", "processor"),
        ("io.flowctl.input", "example.order.v1"),
        ("io.flowctl.output", "example.order.v1"),
        ("io.flowctl.abi", "0.1.0"),
        ("org.opencontainers.image.version", "0.1.0"),
        ("org.opencontainers.image.created", "1970-01-01T00:00:00Z"),
    ] {
        assert_eq!(annotations[key], value, "{key}");
    }
    assert!(annotations["org.opencontainers.image.description"].as_str().unwrap().starts_with("Passes orders"));
    let config = market.registry.blob("acme/filter", manifest["config"]["digest"].as_str().unwrap()).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    assert_eq!(config["layerDigests"], json!([digest(&component)]));
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    for list in ["exports", "imports"] {
        assert!(!config["component"][list].as_array().unwrap().is_empty(), "{config}");
    }
}

fn inspect() {
    let market = Market::new();
    let pushed = market.push(&order_filter(), "acme/filter:1");
    let reference = market.at("acme/filter:1");
    let answer = market.flowctl.run(&format!("inspect {reference} -o json")).success();
    let said = printed(&answer);
    assert_eq!(said["digest"], pushed);
    assert_eq!(said["size_bytes"], order_filter().len());
    assert_eq!(said["input_types"], json!(["example.order.v1"]));
    assert_eq!(said["signatures"], Value::Null);
    let table = market.flowctl.run(&format!("inspect {reference}")).success().stdout;
    for wanted in ["order-filter", "processor", "example.order.v1", &pushed, "none"] {
        assert!(table.contains(wanted), "no `{wanted}` in {table}");
    }
    assert!(market.downloads(&order_filter()).is_empty());
    assert!(!store(&market.flowctl).exists());
    market.flowctl.run(&format!("inspect {}", market.at("acme/filter:2"))).failure(&["no manifest `2`"]);
}

fn held_digest() {
    let mut market = Market::new();
    let pushed = market.push(&order_filter(), "acme/filter:1");
    market.pull("acme/filter:1").success();
    let n_requests = market.n_requests();
    for rest in [format!("acme/filter@{pushed}"), format!("acme/filter:1@{pushed}"), format!("acme/other@{pushed}")] {
        let answer = market.pull(&rest).success();
        assert_eq!(printed(&answer)[0]["was_cached"], true);
    }
    assert_eq!(market.n_requests(), n_requests);
    // the tag may have moved: it is asked for, the component is not
    let answer = market.pull("acme/filter:1").success();
    assert_eq!(printed(&answer)[0]["was_cached"], true);
    assert_eq!(market.downloads(&order_filter()).len(), 1);
    market.registry.kill();
    market.pull(&format!("acme/filter@{pushed}")).success();
}

fn several() {
    let market = Market::new();
    market.push(&stamped(b"a"), "acme/a:1");
    market.push(&stamped(b"b"), "acme/b:1");
    let [a, b] = ["acme/a:1", "acme/b:1"].map(|rest| market.at(rest));
    let (gone, nowhere) = (market.at("acme/a:9"), market.at("acme/none:1"));
    let answer = market.flowctl.run(&format!("pull --no-compile -o json {a} {gone} {nowhere} {b}"));
    let answer = answer.failure(&[&gone, &nowhere, "has no manifest `9` in `acme/a`", "repository and tag"]);
    let rows = printed(&answer);
    let pulled: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["reference"].as_str().unwrap()).collect();
    assert_eq!(pulled, [&a, &b]);
    assert_eq!(held(&market.flowctl).len(), 2);
}

fn layout() {
    let flowctl = Flowctl::new();
    flowctl.write("a.wasm", order_filter());
    flowctl.write("b.wasm", stamped(b"b"));
    let first = flowctl.run("push a.wasm oci-layout:shelf:1").success().stdout;
    assert_eq!(flowctl.run("push a.wasm oci-layout:shelf:1").success().stdout, first);
    assert_ne!(flowctl.run("push b.wasm oci-layout:shelf:2").success().stdout, first);
    let said = printed(&flowctl.run("inspect oci-layout:shelf:1 -o json").success());
    assert_eq!((&said["digest"], &said["name"]), (&json!(first.trim()), &json!("order-filter")));
    for reference in ["oci-layout:shelf:1".to_owned(), format!("oci-layout:shelf@{}", first.trim())] {
        flowctl.write("orders.yaml", orders(&format!("plugin: '{reference}'")));
        run_orders(&flowctl, "");
        flowctl.run(&format!("pull --no-compile {reference}")).success();
    }
    // what a layout has by a tag now is what runs, and the lock says that it is another
    flowctl.write("orders.yaml", orders("plugin: oci-layout:shelf:2"));
    run_orders(&flowctl, "");
    flowctl.run("pull oci-layout:shelf:3").failure(&["0 of tag `3`", "its tags: 1, 2"]);
    flowctl.run("pull oci-layout:shelf").failure(&["2 of manifest"]);
    flowctl.run("pull oci-layout:nowhere:1").failure(&["`nowhere` is no OCI image layout"]);
    flowctl.write("full/letter.txt", "mine");
    flowctl.run("push a.wasm oci-layout:full:1").failure(&["`full` holds other files"]);
    assert_eq!(flowctl.read("full/letter.txt"), "mine");
}

fn unpushable() {
    let market = Market::new();
    market.flowctl.write("pushed.wasm", order_filter());
    market.flowctl.write("module.wasm", b"\0asm\x01\0\0\0");
    market.flowctl.write("text.wasm", "no component");
    let somewhere = market.at("acme/filter:1");
    let digest = market.at(&format!("acme/filter@{}", digest(b"x")));
    for (arguments, wanted) in [
        (format!("push module.wasm {somewhere}"), "`module.wasm` is no plugin"),
        (format!("push text.wasm {somewhere}"), "`text.wasm` is no plugin"),
        (format!("push none.wasm {somewhere}"), "cannot read plugin `none.wasm`"),
        ("push pushed.wasm acme/filter:1".to_owned(), "does not say which registry"),
    ] {
        market.flowctl.run(&arguments).failure(&[wanted]);
    }
    market.flowctl.run(&format!("push pushed.wasm {digest}")).misuse(&["push to a tag"]);
    market.flowctl.run("push pushed.wasm ./here.wasm").misuse(&["no place in a registry"]);
    assert_eq!(market.n_requests(), 0);
    assert_nothing_held(&market.flowctl);
}

fn quiet() {
    let market = Market::new();
    market.flowctl.write("pushed.wasm", order_filter());
    let reference = market.at("acme/filter:1");
    let answer = market.flowctl.run(&format!("push --quiet pushed.wasm {reference} -o json")).success();
    assert_eq!(answer.stderr, "");
    let said = printed(&answer);
    assert_eq!((&said["reference"], &said["size_bytes"]), (&json!(reference), &json!(order_filter().len())));
    let answer = market.flowctl.run(&format!("pull --quiet {reference}")).success();
    assert_eq!(answer.stderr, "");
    assert!(answer.stdout.starts_with("REFERENCE") && answer.stdout.contains(said["digest"].as_str().unwrap()));
    // not a terminal: no bars, but a line of status
    let answer = market.flowctl.run(&format!("push pushed.wasm {reference}")).success();
    assert!(answer.stderr.contains("Pushed ") && !answer.stderr.contains('\r'), "{}", answer.stderr);
}
