//! The lock file: what it holds to, what it refuses, and tags that move.

use libtest_mimic::Trial;

use super::{Shelf, pipeline, plugin, push};
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registries::a_moved_tag_is_told_and_followed_only_when_asked", moved_tag),
        fact("registries::locked_refuses_whatever_the_lock_does_not_say", locked_refuses),
        fact("registries::a_lock_file_that_is_damaged_is_told", damaged),
        fact("registries::a_plugin_of_a_folder_is_locked_by_its_bytes", local_plugins),
    ]
}

/// A plugin that does the same, of other bytes.
fn other(flowctl: &Flowctl) -> std::path::PathBuf {
    let bytes = std::fs::read(plugin("order-filter")).unwrap();
    // a custom section more
    flowctl.write("other.wasm", [bytes.as_slice(), &[0, 2, 1, b'x']].concat())
}

fn moved_tag() {
    let shelf = Shelf::new();
    let flowctl = &shelf.flowctl;
    let first = shelf.push("f:1");
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", shelf.at("f:1"))));
    flowctl.run("run p.yaml").success();
    let second = push(flowctl, &other(flowctl), &shelf.at("f:1"));
    assert_ne!(first, second);

    flowctl.run("run p.yaml --fresh").success();
    assert!(flowctl.read("p.lock").contains(&first));
    let answer = flowctl.run("lock p.yaml").success();
    assert!(answer.stderr.contains("moved") && answer.stderr.contains(&second), "{}", answer.stderr);
    assert!(flowctl.read("p.lock").contains(&first));
    let answer = flowctl.run(&format!("pull {}", shelf.at("f:1"))).success();
    assert!(answer.stderr.contains("moved") && answer.stderr.contains(&first), "{}", answer.stderr);
    // what is locked is still what runs
    flowctl.run("run p.yaml --fresh --locked").success();
    assert!(flowctl.read("p.lock").contains(&first));

    flowctl.run("lock p.yaml --check").success();
    let answer = flowctl.run("lock p.yaml --update").success();
    assert!(answer.stderr.contains(&second), "{}", answer.stderr);
    assert!(flowctl.read("p.lock").contains(&second) && !flowctl.read("p.lock").contains(&first));
    flowctl.run("run p.yaml --fresh --locked").success();
}

fn locked_refuses() {
    let shelf = Shelf::new();
    let flowctl = &shelf.flowctl;
    shelf.push("f:1");
    shelf.push("f:2");
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", shelf.at("f:1"))));
    flowctl.run("run p.yaml --locked").failure(&["p.lock", "flowctl lock"]);
    assert!(!flowctl.path("out.jsonl").exists());
    flowctl.run("lock p.yaml").success();
    flowctl.run("lock p.yaml --check").success();
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", shelf.at("f:2"))));
    flowctl.run("lock p.yaml --check").failure(&["f:2", "not up to date"]);
    flowctl.run("run p.yaml --locked").failure(&["f:2", "is not locked"]);
    assert!(!flowctl.path("out.jsonl").exists());
    flowctl.run("run p.yaml").success();
    flowctl.run("run p.yaml --locked --fresh").success();
    assert!(!flowctl.read("p.lock").contains("f:1"));
}

fn damaged() {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", pipeline(&format!("plugin: {}", plugin("order-filter").display())));
    for text in ["version: 7\nplugins: []\n", "{", "version: 1\nplugins: [{reference: x}]\n"] {
        flowctl.write("p.lock", text);
        flowctl.run("run p.yaml").failure(&["p.lock", "hint:"]);
        assert_eq!(flowctl.read("p.lock"), text);
    }
}

fn local_plugins() {
    let flowctl = Flowctl::new();
    flowctl.write("plugins/f.wasm", std::fs::read(plugin("order-filter")).unwrap());
    flowctl.write("p.yaml", pipeline("plugin: order-filter"));
    flowctl.run("run p.yaml --plugins plugins").success();
    assert!(flowctl.read("p.lock").contains("reference: order-filter"), "{}", flowctl.read("p.lock"));
    flowctl.run("run p.yaml --plugins plugins --fresh --locked").success();
    std::fs::rename(other(&flowctl), flowctl.path("plugins/f.wasm")).unwrap();
    flowctl.run("run p.yaml --plugins plugins --fresh --locked").failure(&["order-filter", "is locked as"]);
    let answer = flowctl.run("run p.yaml --plugins plugins --fresh").success();
    assert!(answer.stderr.contains("~ locked order-filter"), "{}", answer.stderr);
}
