//! The local store: listed, cleaned, and shared by many processes.

use std::fs;
use std::process::{Child, Stdio};

use libtest_mimic::Trial;

use super::market::{Market, files, held, json, order_filter, run_orders, stamped, store};
use crate::fact;
use crate::flowctl::Answer;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::twenty_processes_pull_one_artifact_and_it_travels_once", twenty),
        fact("artifacts::what_is_removed_is_gone_from_the_list_and_with_gc_from_the_disk", remove),
        fact("artifacts::gc_keeps_what_a_tag_left_behind_unless_told", untagged),
        fact("artifacts::a_store_that_is_damaged_is_mended_by_a_pull", damaged),
        fact("artifacts::a_component_that_was_changed_in_the_store_is_fetched_anew", changed),
        fact("artifacts::whatever_is_listed_can_be_removed_as_it_is_listed", as_listed),
        fact("artifacts::gc_of_what_a_tag_left_keeps_what_never_had_one", never_tagged),
        fact("artifacts::the_newest_of_a_moved_tag_is_known_by_its_name", newest),
        fact("artifacts::lists_without_a_store_are_empty_and_make_none", without),
    ]
}

fn twenty() {
    let market = Market::new();
    // large enough that all are there before the first one is through
    let component = stamped(&noise(4 << 20));
    let pushed = market.push(&component, "acme/large:1");
    let reference = market.at("acme/large:1");
    let pulls: Vec<Child> = (0..20)
        .map(|_| {
            let mut pull = market.flowctl.command(&format!("pull --no-compile -o json {reference}"));
            pull.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for pull in pulls {
        let answer = Answer::of(pull.wait_with_output().unwrap()).success();
        assert_eq!(json(&answer)[0]["digest"], pushed);
        assert_eq!(answer.stderr, "");
    }
    assert_eq!(market.downloads(&component).len(), 1);
    let listed = held(&market.flowctl);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(fs::read(listed[0]["path"].as_str().unwrap()).unwrap(), component);
    // manifest, configuration, component, and the layout's own three
    assert_eq!(files(&store(&market.flowctl)).len(), 6);
}

fn remove() {
    let market = Market::new();
    let a = market.push(&stamped(b"a"), "acme/a:1");
    market.push(&stamped(b"b"), "acme/b:1");
    market.push(&stamped(b"c"), "acme/c:1");
    for name in ["a", "b", "c"] {
        market.pull(&format!("acme/{name}:1")).success();
    }
    let listed = market.flowctl.run("plugins list").success().stdout;
    assert!(listed.starts_with("REFERENCE") && listed.contains(&market.at("acme/b:1")), "{listed}");
    let (b, nothing) = (market.at("acme/b:1"), market.at("acme/d:1"));
    market.flowctl.run(&format!("plugins remove {a} {b}")).success();
    market.flowctl.run(&format!("plugins remove {nothing}")).failure(&[&format!("the store has no `{nothing}`")]);
    let left = held(&market.flowctl);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["reference"], market.at("acme/c:1"));
    let collected = json(&market.flowctl.run("plugins gc -o json").success());
    // the configurations are the same but for the layer's digest: three files each
    assert_eq!((&collected["n_entries"], &collected["n_files"]), (&0.into(), &6.into()));
    assert_eq!(files(&store(&market.flowctl)).len(), 6);
    market.flowctl.run(&format!("pull --no-compile {}", market.at("acme/a:1"))).success();
    assert_eq!(held(&market.flowctl).len(), 2);
}

fn untagged() {
    let market = Market::new();
    let old = market.push(&stamped(b"old"), "acme/a:1");
    market.pull("acme/a:1").success();
    let new = market.push(&stamped(b"new"), "acme/a:1");
    let answer = market.pull("acme/a:1").success();
    assert!(answer.stderr.contains("moved") && answer.stderr.contains(&old), "{}", answer.stderr);
    assert_eq!(json(&answer)[0]["moved_from"], old);
    let digests = || held(&market.flowctl).iter().map(|row| row["digest"].to_string()).collect::<Vec<_>>();
    let quoted = |digest: &str| format!("\"{digest}\"");
    market.flowctl.run("plugins gc").success();
    assert_eq!(digests(), [quoted(&old), quoted(&new)]);
    market.flowctl.run("plugins gc --untagged").success();
    assert_eq!(digests(), [quoted(&new)]);
}

fn damaged() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    market.pull("acme/a:1").success();
    let path = held(&market.flowctl)[0]["path"].as_str().unwrap().to_owned();
    fs::remove_file(&path).unwrap();
    assert!(held(&market.flowctl).is_empty());
    market.pull("acme/a:1").success();
    assert_eq!(fs::read(&path).unwrap(), order_filter());
    assert_eq!(held(&market.flowctl).len(), 1);
    // an index that is none is named, and nothing is thrown away
    market.flowctl.write(".local/share/flowctl/plugins/index.json", "{");
    market.pull("acme/a:1").failure(&["index.json` is no index of an OCI image layout"]);
    market.flowctl.run("plugins list").failure(&["index.json` is no index of an OCI image layout"]);
    assert!(fs::exists(&path).unwrap());
}

/// The same size, so that only its digest tells.
fn changed() {
    let market = Market::new();
    let digest = market.push(&order_filter(), "acme/a:1");
    let flip = || {
        let path = files(&store(&market.flowctl)).into_iter().find(|path| fs::read(path).unwrap() == order_filter());
        let path = path.unwrap();
        let mut bytes = order_filter();
        bytes[5_000] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    market.pull("acme/a:1").success();
    market.pipeline(&format!("plugin: '{}@{digest}'", market.at("acme/a")));
    run_orders(&market.flowctl, "");
    flip();
    let answer = market.flowctl.run("plugins list -o json").success();
    assert!(answer.stderr.contains("its layer has digest") && answer.stdout.trim() == "[]", "{}", answer.stderr);
    flip_is_mended(&market, "run orders.yaml --fresh");
    flip();
    flip_is_mended(&market, &format!("pull {}@{digest}", market.at("acme/a")));
    // nobody to ask: it does not run
    flip();
    market.flowctl.run("validate orders.yaml").failure(&["is not here"]);
}

#[track_caller]
fn flip_is_mended(market: &Market, command: &str) {
    market.flowctl.run(command).success();
    let listed = held(&market.flowctl);
    assert_eq!(fs::read(listed[0]["path"].as_str().unwrap()).unwrap(), order_filter());
}

fn as_listed() {
    let market = Market::new();
    let old = market.push(&stamped(b"old"), "acme/a:1");
    market.pull("acme/a:1").success();
    market.push(&stamped(b"new"), "acme/a:1");
    market.pull("acme/a:1").success();
    let by_digest = market.push(&stamped(b"c"), "acme/c:1");
    market.pull(&format!("acme/c@{by_digest}")).success();
    market.flowctl.write("l.wasm", stamped(b"l"));
    market.flowctl.run("push --quiet l.wasm oci-layout:shelf").success();
    market.flowctl.run("pull oci-layout:shelf").success();
    let listed = held(&market.flowctl);
    assert_eq!(listed.len(), 4, "{listed:?}");
    assert!(listed.iter().any(|row| row["reference"] == format!("{}@{old}", market.at("acme/a"))), "{listed:?}");
    for (n_removed, row) in listed.iter().enumerate() {
        market.flowctl.run(&format!("plugins remove {}", row["reference"].as_str().unwrap())).success();
        assert_eq!(held(&market.flowctl).len(), 3 - n_removed);
    }
}

fn never_tagged() {
    let market = Market::new();
    market.push(&stamped(b"old"), "acme/a:1");
    market.pull("acme/a:1").success();
    market.push(&stamped(b"new"), "acme/a:1");
    market.pull("acme/a:1").success();
    let by_digest = market.push(&stamped(b"c"), "acme/c:1");
    market.pull(&format!("acme/c@{by_digest}")).success();
    market.flowctl.write("l.wasm", stamped(b"l"));
    market.flowctl.run("push --quiet l.wasm oci-layout:shelf:1").success();
    market.flowctl.run("pull oci-layout:shelf:1").success();
    assert_eq!(held(&market.flowctl).len(), 4);
    market.flowctl.run("plugins gc --untagged").success();
    let left = held(&market.flowctl);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.iter().any(|row| row["digest"] == by_digest));
}

/// Two of one name and version, as `:latest` and `:dev` leave them.
fn newest() {
    let market = Market::new();
    for stamp in [b"old", b"new"] {
        market.push(&stamped(stamp), "acme/a:latest");
        market.pull("acme/a:latest").success();
    }
    market.pipeline("plugin: order-filter");
    run_orders(&market.flowctl, "");
    let locked = market.flowctl.read("orders.lock");
    let newest = held(&market.flowctl).into_iter().find(|row| row["reference"] == market.at("acme/a:latest")).unwrap();
    assert!(locked.contains(newest["digest"].as_str().unwrap()), "{locked}");
}

fn without() {
    let flowctl = crate::flowctl::Flowctl::new();
    assert_eq!(flowctl.run("plugins list -o json").success().stdout.trim(), "[]");
    flowctl.run("plugins gc").success();
    flowctl.run("plugins remove r.example/a:1").failure(&["the store has no `r.example/a:1`"]);
    assert!(!store(&flowctl).exists());
    let mut list = flowctl.command("plugins list");
    let answer = Answer::of(list.env("HOME", "").output().unwrap());
    answer.success();
    let mut pull = flowctl.command("pull 127.0.0.1:1/a:1");
    Answer::of(pull.env("HOME", "").output().unwrap()).failure(&["no place for the store", "XDG_DATA_HOME"]);
}

/// Bytes that no two places of are alike, the same each time.
pub(super) fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..n_bytes.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(n_bytes).collect()
}
