//! Signatures: made, demanded by a key, and demanded by a policy.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use super::{Shelf, left_in_store, listed, pipeline, plugin};
use crate::fact;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registries::a_signature_is_demanded_by_key", by_key),
        fact("registries::a_policy_denies_what_it_has_no_rule_for", by_policy),
        fact("registries::what_was_pulled_before_a_policy_is_looked_at_anew", anew),
    ]
}

/// A key that an independent program made.
fn key(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../oci/testdata/sign")).join(name)
}

/// Pushes order-filter, signed with a key.
fn push_signed(shelf: &Shelf, name: &str, key_name: &str) {
    let command =
        format!("push {} {} --sign {}", plugin("order-filter").display(), shelf.at(name), key(key_name).display());
    let output = shelf.flowctl.command(&command).env("COSIGN_PASSWORD", "for tests only").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn by_key() {
    let shelf = Shelf::new();
    let flowctl = &shelf.flowctl;
    shelf.push("unsigned:1");
    push_signed(&shelf, "signed:1", "sigstore.key");
    let with = |name: &str, key_name: &str| {
        flowctl.run(&format!("pull {} --verify-key {}", shelf.at(name), key(key_name).display()))
    };
    with("signed:1", "openssl-p256.pub").failure(&["acme/signed:1", "not admitted"]);
    assert!(listed(flowctl).is_empty() && left_in_store(flowctl).is_empty());
    with("signed:1", "sigstore.pub").success();
    with("other:1", "sigstore.pub").failure(&["acme/other:1"]);
    assert!(listed(flowctl)[0]["signed_by"].as_str().unwrap().starts_with("sha256:"));
    let shown = flowctl.run(&format!("inspect {}", shelf.at("signed:1"))).success();
    assert!(shown.stdout.contains(".sig"), "{}", shown.stdout);
    // the same bytes have the same digest: without its tag the signature is the same too
    with("unsigned:1", "sigstore.pub").failure(&["acme/unsigned:1"]);
    // keys of openssl as well
    push_signed(&shelf, "openssl:1", "openssl-p256.key");
    with("openssl:1", "openssl-p256.pub").success();

    let push = format!("push {} {}", plugin("order-filter").display(), shelf.at("f:1"));
    flowctl.run(&format!("{push} --sign {}", key("sigstore.key").display())).failure(&["COSIGN_PASSWORD"]);
    let wrong = flowctl.command(&format!("{push} --sign {}", key("sigstore.key").display()));
    let mut wrong = wrong;
    let output = wrong.env("COSIGN_PASSWORD", "wrong").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    flowctl.run(&format!("{push} --sign {}", key("sigstore.pub").display())).failure(&["sigstore.pub"]);
    assert!(shelf.registry.tags("acme/f").is_empty(), "something was pushed that could not be signed");
}

fn by_policy() {
    let shelf = Shelf::new();
    let flowctl = &shelf.flowctl;
    shelf.push("unsigned:1");
    shelf.push("free/f:1");
    push_signed(&shelf, "signed:1", "sigstore.key");
    flowctl.write(".config/flowctl/acme.pub", std::fs::read(key("sigstore.pub")).unwrap());
    let host = shelf.registry.address();
    let rules = format!(
        "rules:\n  - match: {host}/acme/**\n    keys: [acme.pub]\n  - match: {host}/acme/free/*\n    unsigned: allow\n"
    );
    flowctl.write(".config/flowctl/policy.yaml", rules);
    flowctl.run(&format!("pull {}", shelf.at("signed:1"))).success();
    flowctl.run(&format!("pull {}", shelf.at("free/f:1"))).success();
    flowctl.run(&format!("pull {}", shelf.at("unsigned:1"))).failure(&["acme/unsigned:1", "not admitted"]);
    shelf.registry.push("other/f", "1", &flowctl_test_support::registry::Artifact::of(*b"\0asm\x0d\0\x01\0"));
    flowctl.run(&format!("pull {host}/other/f:1")).failure(&["no rule", "policy.yaml"]);
    flowctl.run(&format!("push {} oci-layout:shelf:1", plugin("order-filter").display())).success();
    flowctl.run("pull oci-layout:shelf:1").failure(&["no signatures", "policy.yaml"]);
    // a pipeline too
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", shelf.at("unsigned:1"))));
    flowctl.run("run p.yaml").failure(&["p.yaml:6:", "not admitted"]);
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", shelf.at("signed:1"))));
    flowctl.run("run p.yaml").success();
    // a start without the registry can tell, by the mark of the pull
    let before = shelf.n_requests();
    flowctl.run("run p.yaml --fresh").success();
    assert_eq!(shelf.n_requests(), before);
    flowctl.write(".config/flowctl/policy.yaml", "rules: [{match: x, kyes: []}]\n");
    flowctl.run(&format!("pull {}", shelf.at("signed:1"))).failure(&["policy.yaml:1:"]);
}

fn anew() {
    let shelf = Shelf::new();
    let flowctl = &shelf.flowctl;
    shelf.push("f:1");
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", shelf.at("f:1"))));
    flowctl.run("run p.yaml").success();
    let host = shelf.registry.address();
    flowctl.write(".config/flowctl/acme.pub", std::fs::read(key("sigstore.pub")).unwrap());
    let rules = format!("rules:\n  - match: {host}/acme/f\n    keys: [acme.pub]\n");
    flowctl.write(".config/flowctl/policy.yaml", rules);
    flowctl.run("run p.yaml --fresh").failure(&["not admitted"]);
    flowctl.run("run p.yaml --fresh --locked").failure(&["not admitted"]);
    flowctl.run("validate p.yaml").failure(&["is not here"]);
    push_signed(&shelf, "f:1", "sigstore.key");
    flowctl.run("run p.yaml --fresh").success();
}
