//! Clients that others wrote: what we push, they read; what they push, we run.

use libtest_mimic::Trial;

use super::{Shelf, pipeline, plugin};
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registries::skopeo_copies_what_is_pushed_without_a_change", skopeo),
        fact("registries::wkg_pulls_what_is_pushed_and_pushes_what_is_run", wkg),
    ]
}

/// Runs ten orders through the plugin, and answers what came out.
fn run(plugin: &str) -> String {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{plugin}\"")));
    flowctl.run("run p.yaml").success();
    flowctl.read("out.jsonl")
}

fn skopeo() {
    let shelf = Shelf::new();
    let digest = shelf.push("f:1");
    let flowctl = &shelf.flowctl;
    let folder = flowctl.path("shelf");
    let skopeo = shelf.registry.skopeo();
    skopeo.copy(&format!("docker://{}", shelf.at("f:1")), &format!("oci:{}:1", folder.display()));
    let want = run(&shelf.at("f:1"));
    assert_eq!(want.lines().count(), 10);
    assert_eq!(run(&format!("oci-layout:{}:1", folder.display())), want);
    assert_eq!(run(&format!("oci-layout:{}@{digest}", folder.display())), want);
    // and back, under another name
    skopeo.copy(&format!("oci:{}:1", folder.display()), &format!("docker://{}", shelf.at("g:1")));
    assert_eq!(run(&format!("{}@{digest}", shelf.at("g"))), want);
    // a layout of ours goes where skopeo takes it
    let file = plugin("order-filter");
    flowctl.run(&format!("push {} oci-layout:ours:2", file.display())).success();
    let ours = flowctl.path("ours");
    skopeo.copy(&format!("oci:{}:2", ours.display()), &format!("docker://{}", shelf.at("h:1")));
    assert_eq!(run(&shelf.at("h:1")), want);
}

fn wkg() {
    let shelf = Shelf::new();
    shelf.push("f:1.0.0");
    let wkg = shelf.registry.wkg();
    let got = shelf.flowctl.path("got.wasm");
    wkg.pull(&shelf.at("f:1.0.0"), &got);
    assert!(std::fs::read(got).unwrap() == std::fs::read(plugin("order-filter")).unwrap());
    let digest = wkg.push(&shelf.at("w:1.0.0"), &plugin("order-filter"));
    assert_eq!(run(&shelf.at("w:1.0.0")), run(&format!("{}@{digest}", shelf.at("w"))));
}
