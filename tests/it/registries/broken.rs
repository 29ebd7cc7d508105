//! Artifacts that are not what they should be: a clear error each, and nothing in the store.

use flowctl_test_support::registry::{Artifact, CONFIG_MEDIA_TYPE, digest};
use libtest_mimic::Trial;

use super::{Shelf, left_in_store, listed, plugin};
use crate::fact;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registries::an_artifact_that_is_wrong_is_named_and_leaves_nothing", wrong_artifacts),
        fact("registries::a_blob_that_was_tampered_with_is_named_and_leaves_nothing", tampered),
        fact("registries::an_artifact_of_another_client_is_read_from_its_bytes", no_annotations),
    ]
}

fn component() -> Vec<u8> {
    std::fs::read(plugin("order-filter")).unwrap()
}

/// With the annotations that the plugin has, but for those changed.
fn annotated(changes: &[(&str, Option<&str>)]) -> Artifact {
    let mut artifact = Artifact::of(component());
    let right = [
        ("io.flowctl.name", "order-filter"),
        ("io.flowctl.role", "processor"),
        ("io.flowctl.input", "example.order.v1"),
        ("io.flowctl.output", "example.order.v1"),
        ("io.flowctl.abi", "0.1.0"),
    ];
    for (key, value) in right {
        let value = changes.iter().find(|(changed, _)| *changed == key).map_or(Some(value), |(_, value)| *value);
        artifact.annotations.extend(value.map(|value| (key.to_owned(), value.to_owned())));
    }
    artifact
}

fn wrong_artifacts() {
    let layers = |count: usize| {
        let mut artifact = Artifact::of(component());
        artifact.layers = vec![artifact.layers[0].clone(); count];
        artifact
    };
    let config = |media_type: &str, text: &str| {
        let mut artifact = Artifact::of(component());
        artifact.config = (media_type.to_owned(), text.as_bytes().to_vec());
        artifact
    };
    let mut image = Artifact::of(component());
    image.layers[0].0 = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
    let mut docker = Artifact::of(component());
    docker.media_type = "application/vnd.docker.distribution.manifest.v2+json".to_owned();
    let cases: Vec<(&str, Artifact, &[&str])> = vec![
        ("two-layers", layers(2), &["2 layers"]),
        ("no-layer", layers(0), &["0 layers"]),
        ("image", image, &["tar+gzip", "application/wasm"]),
        ("docker", docker, &["docker"]),
        ("config-type", config("application/vnd.oci.image.config.v1+json", "{}"), &["config.v1+json"]),
        ("config-text", config(CONFIG_MEDIA_TYPE, "no JSON"), &["config"]),
        ("config-digest", config(CONFIG_MEDIA_TYPE, &wrong_config()), &["layer"]),
        ("core-module", Artifact::of(*b"\0asm\x01\0\0\0"), &["core"]),
        ("text", Artifact::of(*b"hello"), &["no plugin"]),
        ("empty", Artifact::of(*b""), &["hint:"]),
        ("no-output", annotated(&[("io.flowctl.output", None)]), &["io.flowctl.output", "missing"]),
        ("no-name", annotated(&[("io.flowctl.name", None)]), &["io.flowctl.name"]),
        (
            "other-input",
            annotated(&[("io.flowctl.input", Some("acme.thing.v1"))]),
            &["acme.thing.v1", "example.order.v1"],
        ),
        ("other-role", annotated(&[("io.flowctl.role", Some("sink"))]), &["sink"]),
        ("other-abi", annotated(&[("io.flowctl.abi", Some("9.0.0"))]), &["9.0.0"]),
        ("bad-type", annotated(&[("io.flowctl.input", Some("???"))]), &["io.flowctl.input"]),
    ];
    let shelf = Shelf::new();
    for (name, artifact, wanted) in cases {
        shelf.registry.push(&format!("acme/{name}"), "1", &artifact);
        let reference = shelf.at(&format!("{name}:1"));
        let answer = shelf.flowctl.run(&format!("pull {reference}"));
        let lowered = answer.stderr.to_lowercase();
        let answer = answer.failure(&[&reference]);
        let lacks = wanted.iter().find(|text| !lowered.contains(&text.to_lowercase()));
        assert_eq!(lacks, None, "{name}: {}", answer.stderr);
        assert!(listed(&shelf.flowctl).is_empty() && left_in_store(&shelf.flowctl).is_empty(), "{name}");
    }
}

/// A configuration that names another layer.
fn wrong_config() -> String {
    let text = String::from_utf8(Artifact::of(component()).config.1).unwrap();
    text.replace(&digest(&component()), &digest(b"other"))
}

fn tampered() {
    let shelf = Shelf::new();
    let right = component();
    let mut flipped = right.clone();
    flipped[1_000] ^= 1;
    let cases: [(&str, Vec<u8>); 4] = [
        ("a byte flipped", flipped),
        ("cut short", right[..right.len() - 1].to_vec()),
        ("too long", [right.as_slice(), b"x"].concat()),
        ("empty", Vec::new()),
    ];
    for (what, bytes) in cases {
        shelf.push("f:1");
        let digest = digest(&right);
        shelf.registry.replace_blob(&digest, &bytes);
        shelf.flowctl.run(&format!("pull {}", shelf.at("f:1"))).failure(&["acme/f:1"]);
        assert!(listed(&shelf.flowctl).is_empty(), "{what}");
        shelf.flowctl.run("plugins gc").success();
        assert!(left_in_store(&shelf.flowctl).is_empty(), "{what}: {:?}", left_in_store(&shelf.flowctl));
        shelf.registry.replace_blob(&digest, &right);
    }
    // a manifest, asked for by digest
    let manifest = shelf.push("f:1");
    shelf.registry.replace_blob(&manifest, b"{}");
    let reference = format!("{}@{manifest}", shelf.at("f"));
    shelf.flowctl.run(&format!("pull {reference}")).failure(&[&reference]);
    assert!(left_in_store(&shelf.flowctl).is_empty());
}

fn no_annotations() {
    let shelf = Shelf::new();
    shelf.registry.push("acme/plain", "1", &Artifact::of(component()));
    shelf.flowctl.run(&format!("pull {}", shelf.at("plain:1"))).success();
    assert_eq!(listed(&shelf.flowctl)[0]["name"], "order-filter");
    let shown = shelf.flowctl.run(&format!("inspect {}", shelf.at("plain:1"))).success();
    assert!(shown.stdout.contains("no annotations of flowctl"), "{}", shown.stdout);
}
