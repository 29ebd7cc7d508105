//! Signatures: made at push, demanded at pull, by keys of the command line and by a policy.

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use serde_json::Value;

use super::market::{Market, assert_nothing_held, held, json, order_filter, run_orders, stamped, store};
use crate::fact;
use crate::flowctl::Answer;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::what_was_signed_is_verified_by_its_key_alone", by_its_key),
        fact("artifacts::a_signature_lies_where_cosign_looks_and_openssl_accepts_it", as_cosign),
        fact("artifacts::an_encrypted_key_opens_with_its_password", encrypted),
        fact("artifacts::a_signature_of_another_artifact_is_none", of_another),
        fact("artifacts::what_cosign_signed_is_accepted_whoever_signed_before", of_cosign),
        fact("artifacts::a_policy_denies_what_no_rule_is_about", denied),
        fact("artifacts::a_policy_demands_its_keys_and_lets_through_what_it_names", policy),
        fact("artifacts::the_rule_about_the_name_that_is_used_counts_whatever_else_holds_the_bytes", by_the_name),
        fact("artifacts::what_is_held_unsigned_is_refused_once_a_policy_demands_a_key", held_unsigned),
        fact("artifacts::a_policy_that_is_none_lets_nothing_through", no_policy),
        fact("artifacts::a_key_that_is_none_is_named_before_anything_is_asked", no_key),
        fact("artifacts::layouts_have_no_signatures_and_are_refused_where_some_are_due", layouts),
    ]
}

/// The path of a key for tests.
pub(super) fn key(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oci/testdata/sign");
    folder.join(name).canonicalize().unwrap().display().to_string()
}

/// Pushes a component, signed by the key of that name. Answers the digest.
fn sign(market: &Market, component: &[u8], rest: &str, name: &str) -> String {
    market.flowctl.write("pushed.wasm", component);
    let push = format!("push pushed.wasm {} --sign {} -o json", market.at(rest), key(name));
    let mut push = market.flowctl.command(&push);
    let answer = Answer::of(push.env("COSIGN_PASSWORD", "for tests only").output().unwrap()).success();
    assert!(!answer.stderr.contains("for tests only"));
    let said = json(&answer);
    let (repository, _) = rest.split_once(':').unwrap();
    let tag = said["digest"].as_str().unwrap().replace(':', "-");
    assert_eq!(said["signature"], format!("{}:{tag}.sig", market.at(repository)));
    said["digest"].as_str().unwrap().to_owned()
}

fn verify(market: &Market, rest: &str, keys: &[&str]) -> Answer {
    let keys: String = keys.iter().map(|name| format!(" --verify-key {}", key(name))).collect();
    market.pull(&format!("{rest}{keys}"))
}

fn by_its_key() {
    let market = Market::new();
    let signed = sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key");
    let unsigned = market.push(&stamped(b"unsigned"), "acme/b:1");
    let wrong = verify(&market, "acme/a:1", &["sigstore.pub"]);
    wrong.failure(&[&market.at("acme/a:1"), "has no signature by a wanted key", "1 by another key", &signed]);
    let none = verify(&market, "acme/b:1", &["openssl-p256.pub"]);
    none.failure(&[&market.at("acme/b:1"), &format!("`{unsigned}` is not signed")]);
    assert_nothing_held(&market.flowctl);
    assert!(market.downloads(&order_filter()).is_empty());
    verify(&market, "acme/a:1", &["sigstore.pub", "openssl-p256.pub"]).success();
    let row = &held(&market.flowctl)[0];
    assert!(row["signed_by"].as_str().unwrap().len() > 20, "{row}");
    // who verified it once does not ask again, who wants another key does
    let n_requests = market.n_requests();
    verify(&market, &format!("acme/a:1@{signed}"), &["openssl-p256.pub"]).success();
    assert_eq!(market.n_requests(), n_requests);
    verify(&market, &format!("acme/a:1@{signed}"), &["sigstore.pub"]).failure(&["no signature by a wanted key"]);
    assert_eq!(held(&market.flowctl).len(), 1);
    // a run asks for it too
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    run_orders(&market.flowctl, &format!("--verify-key {}", key("openssl-p256.pub")));
    let run = market.flowctl.run(&format!("run orders.yaml --fresh --verify-key {}", key("sigstore.pub")));
    run.failure(&["orders.yaml:6:", "no signature by a wanted key"]);
}

fn manifest(market: &Market, repository: &str, tag: &str) -> Value {
    serde_json::from_slice(&market.registry.manifest(repository, tag).unwrap()).unwrap()
}

fn as_cosign() {
    let market = Market::new();
    let signed = sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key");
    let tag = format!("{}.sig", signed.replace(':', "-"));
    assert_eq!(market.registry.tags("acme/a"), ["1", &tag]);
    let signatures = manifest(&market, "acme/a", &tag);
    let layer = &signatures["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let payload = market.registry.blob("acme/a", layer["digest"].as_str().unwrap()).unwrap();
    let said: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(said["critical"]["type"], "cosign container image signature");
    assert_eq!(said["critical"]["image"]["docker-manifest-digest"], signed);
    assert_eq!(said["critical"]["identity"]["docker-reference"], market.at("acme/a"));
    // openssl holds the signature against the payload
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    market.flowctl.write("payload", &payload);
    market.flowctl.write("signature.base64", format!("{signature}\n"));
    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(market.flowctl.path(""));
        Answer::of(command.output().unwrap())
    };
    openssl("base64 -d -A -in signature.base64 -out signature").success();
    let verify = |name: &str| openssl(&format!("dgst -sha256 -verify {} -signature signature payload", key(name)));
    assert_eq!(verify("openssl-p256.pub").success().stdout, "Verified OK\n");
    assert_eq!(verify("sigstore.pub").code, Some(1));
    // signed once more by the same key, nothing changes
    let before = market.registry.manifest("acme/a", &tag);
    sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key");
    assert_eq!(market.registry.manifest("acme/a", &tag), before);
}

fn encrypted() {
    let market = Market::new();
    market.flowctl.write("pushed.wasm", order_filter());
    let push = format!("push pushed.wasm {} --sign {}", market.at("acme/a:1"), key("sigstore.key"));
    let answer = market.flowctl.run(&push);
    answer.failure(&["sigstore.key` is encrypted", "set COSIGN_PASSWORD"]);
    let mut command = market.flowctl.command(&push);
    let answer = Answer::of(command.env("COSIGN_PASSWORD", "something wrong").output().unwrap());
    let answer = answer.failure(&["cannot sign with", "sigstore.key"]);
    assert!(!answer.stderr.contains("something wrong"), "{}", answer.stderr);
    // nothing is pushed that cannot be signed
    assert_eq!(market.n_requests(), 0);
    sign(&market, &order_filter(), "acme/a:1", "sigstore.key");
    verify(&market, "acme/a:1", &["sigstore.pub"]).success();
}

/// Its signatures are put where those of another would be.
fn of_another() {
    let market = Market::new();
    let signed = sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key");
    let other = market.push(&stamped(b"other"), "acme/a:2");
    let [from, to] = [&signed, &other].map(|digest| format!("{}.sig", digest.replace(':', "-")));
    let signatures = market.registry.manifest("acme/a", &from).unwrap();
    market.registry.push_manifest("acme/a", &to, "application/vnd.oci.image.manifest.v1+json", &signatures);
    let answer = verify(&market, "acme/a:2", &["openssl-p256.pub"]);
    answer.failure(&["no signature by a wanted key", "1 of another artifact"]);
    // nor does one help whose payload was changed
    let layer = &manifest(&market, "acme/a", &from)["layers"][0];
    let layer = layer["digest"].as_str().unwrap();
    let payload = String::from_utf8(market.registry.blob("acme/a", layer).unwrap()).unwrap();
    market.registry.replace_blob(layer, payload.replace(&signed, &other).as_bytes());
    verify(&market, "acme/a:1", &["openssl-p256.pub"]).failure(&["acme/a:1"]);
    assert_nothing_held(&market.flowctl);
}

/// A second key signs beside the first, as `cosign sign` by several people does.
fn of_cosign() {
    let market = Market::new();
    let signed = sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key");
    assert_eq!(sign(&market, &order_filter(), "acme/a:1", "sigstore.key"), signed);
    let tag = format!("{}.sig", signed.replace(':', "-"));
    assert_eq!(manifest(&market, "acme/a", &tag)["layers"].as_array().unwrap().len(), 2);
    for name in ["openssl-p256.pub", "sigstore.pub"] {
        let _ = fs::remove_dir_all(store(&market.flowctl));
        verify(&market, "acme/a:1", &[name]).success();
    }
    let said = market.flowctl.run(&format!("inspect {}", market.at("acme/a:1"))).success().stdout;
    assert!(said.contains(&tag), "{said}");
}

/// Writes the policy beside the settings.
fn rule(market: &Market, rules: &str) {
    market.flowctl.write(".config/flowctl/policy.yaml", format!("rules:{rules}\n"));
}

fn denied() {
    let market = Market::new();
    sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key");
    for rules in [" []", "\n  - {match: ghcr.io/acme/**, unsigned: allow}"] {
        rule(&market, rules);
        let name = market.at("acme/a");
        let answer = market.pull("acme/a:1");
        answer.failure(&["policy.yaml", &format!("is about `{name}`"), &market.at("acme/a:1")]);
        market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
        market.flowctl.run("run orders.yaml").failure(&["orders.yaml:6:", &name]);
        // a key of the command line does not open what the policy shuts
        verify(&market, "acme/a:1", &["openssl-p256.pub"]).failure(&["policy.yaml"]);
    }
    assert_nothing_held(&market.flowctl);
    assert!(market.downloads(&order_filter()).is_empty());
}

fn policy() {
    let market = Market::new();
    sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key");
    market.push(&stamped(b"unsigned"), "acme/b:1");
    market.push(&stamped(b"trial"), "acme/try/c:1");
    fs::create_dir_all(market.flowctl.path(".config/flowctl")).unwrap();
    fs::copy(key("openssl-p256.pub"), market.flowctl.path(".config/flowctl/acme.pub")).unwrap();
    let acme = market.at("acme");
    rule(
        &market,
        &format!("\n  - {{match: '{acme}/**', keys: [acme.pub]}}\n  - {{match: '{acme}/try/*', unsigned: allow}}"),
    );
    market.pull("acme/a:1").success();
    market.pull("acme/try/c:1").success();
    market.pull("acme/b:1").failure(&["is not signed", &market.at("acme/b:1")]);
    assert_eq!(held(&market.flowctl).len(), 2);
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    run_orders(&market.flowctl, "");
    // beside the policy's key, the command line's
    verify(&market, "acme/a:1", &["sigstore.pub"]).failure(&["no signature by a wanted key"]);
    // files that were named are whoever named them
    market.flowctl.write("mine.wasm", order_filter());
    market.pipeline("plugin: ./mine.wasm");
    run_orders(&market.flowctl, "");
    // where the settings say, too
    fs::rename(market.flowctl.path(".config/flowctl/policy.yaml"), market.flowctl.path(".config/flowctl/rules.yaml"))
        .unwrap();
    market.flowctl.write(".config/flowctl/config.yaml", "policy: rules.yaml\n");
    market.pull("acme/b:1").failure(&["is not signed"]);
}

/// The same artifact, free under one name and to be signed under another.
fn by_the_name() {
    let market = Market::new();
    let digest = market.push(&order_filter(), "acme/try/c:1");
    assert_eq!(market.push(&order_filter(), "acme/b:1"), digest);
    fs::create_dir_all(market.flowctl.path(".config/flowctl")).unwrap();
    fs::copy(key("openssl-p256.pub"), market.flowctl.path(".config/flowctl/acme.pub")).unwrap();
    let acme = market.at("acme");
    rule(
        &market,
        &format!("\n  - {{match: '{acme}/**', keys: [acme.pub]}}\n  - {{match: '{acme}/try/*', unsigned: allow}}"),
    );
    market.pull("acme/try/c:1").success();
    market.pipeline(&format!("plugin: '{}@{digest}'", market.at("acme/b")));
    market.flowctl.run("validate orders.yaml").failure(&["orders.yaml:6:", "is not here"]);
    market.flowctl.run("run orders.yaml").failure(&["orders.yaml:6:", "is not signed"]);
    market.pipeline(&format!("plugin: '{}@{digest}'", market.at("acme/try/c")));
    run_orders(&market.flowctl, "");
}

fn held_unsigned() {
    let market = Market::new();
    let unsigned = market.push(&order_filter(), "acme/a:1");
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    run_orders(&market.flowctl, "");
    let acme = market.at("acme/**");
    rule(&market, &format!("\n  - {{match: '{acme}', keys: ['{}']}}", key("openssl-p256.pub")));
    let digest_in_lock = market.flowctl.read("orders.lock");
    for options in ["", "--locked"] {
        let answer = market.flowctl.run(&format!("run orders.yaml --fresh {options}"));
        answer.failure(&["orders.yaml:6:", &format!("`{unsigned}` is not signed")]);
    }
    market.pull(&format!("acme/a@{unsigned}")).failure(&["is not signed"]);
    // neither by its name, which the store knows
    market.pipeline("plugin: order-filter");
    fs::remove_file(market.flowctl.path("orders.lock")).unwrap();
    market.flowctl.run("run orders.yaml --fresh").failure(&["orders.yaml:6:", "order-filter"]);
    // signed afterwards, it is used, and is not downloaded again
    let n_downloads = market.downloads(&order_filter()).len();
    assert_eq!(sign(&market, &order_filter(), "acme/a:1", "openssl-p256.key"), unsigned);
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    market.flowctl.write("orders.lock", digest_in_lock);
    run_orders(&market.flowctl, "--locked");
    assert_eq!(market.downloads(&order_filter()).len(), n_downloads);
    let n_requests = market.n_requests();
    run_orders(&market.flowctl, "--locked");
    assert_eq!(market.n_requests(), n_requests);
}

fn no_policy() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    for (text, wanted) in [
        ("rules: [{match: 'r.example/*', keys: [none.pub]}]\n", "none.pub"),
        ("rules: [{match: 'r.example/*'}]\n", "policy.yaml"),
        ("rule: []\n", "policy.yaml"),
        ("", "policy.yaml"),
    ] {
        market.flowctl.write(".config/flowctl/policy.yaml", text);
        let n_requests = market.n_requests();
        market.pull("acme/a:1").failure(&[wanted]);
        assert_eq!(market.n_requests(), n_requests, "{text}");
    }
    market.flowctl.write(".config/flowctl/config.yaml", "policy: none.yaml\n");
    market.pull("acme/a:1").failure(&["none.yaml"]);
    assert!(!store(&market.flowctl).exists());
}

fn no_key() {
    let market = Market::new();
    market.flowctl.write("pushed.wasm", order_filter());
    let reference = market.at("acme/a:1");
    for (command, wanted) in [
        (format!("pull {reference} --verify-key none.pub"), "cannot use `none.pub` as a public key"),
        (format!("pull {reference} --verify-key pushed.wasm"), "cannot use `pushed.wasm` as a public key"),
        (format!("pull {reference} --verify-key {}", key("openssl-p256.key")), "as a public key"),
        (format!("push pushed.wasm {reference} --sign none.key"), "cannot sign with `none.key`"),
        (format!("push pushed.wasm {reference} --sign pushed.wasm"), "cannot sign with `pushed.wasm`"),
        (format!("push pushed.wasm {reference} --sign {}", key("openssl-p256.pub")), "cannot sign with"),
        (format!("push pushed.wasm {reference} --sign {}", key("openssl-rsa.key")), "ECDSA on P-256"),
    ] {
        market.flowctl.run(&command).failure(&[wanted]);
    }
    assert_eq!(market.n_requests(), 0);
}

fn layouts() {
    let market = Market::new();
    market.flowctl.write("pushed.wasm", order_filter());
    let (private, public) = (key("openssl-p256.key"), key("openssl-p256.pub"));
    let answer = market.flowctl.run(&format!("push pushed.wasm oci-layout:shelf:1 --sign {private}"));
    answer.misuse(&["a layout has no place for signatures"]);
    market.flowctl.run("push pushed.wasm oci-layout:shelf:1").success();
    let answer = market.flowctl.run(&format!("pull oci-layout:shelf:1 --verify-key {public}"));
    answer.failure(&["`shelf` have no signatures", "--verify-key"]);
    rule(&market, " []");
    market.flowctl.run("pull oci-layout:shelf:1").failure(&["`shelf` have no signatures", "policy.yaml"]);
    market.pipeline("plugin: oci-layout:shelf:1");
    market.flowctl.run("run orders.yaml").failure(&["orders.yaml:6:", "have no signatures"]);
    assert_nothing_held(&market.flowctl);
    assert!(!market.flowctl.path("orders.lock").exists());
}
