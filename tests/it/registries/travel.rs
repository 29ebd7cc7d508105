//! There and back: push, pull, inspect, the store, and runs that pull.

use libtest_mimic::Trial;
use serde_json::Value;

use super::{Faulty, Shelf, listed, pipeline, plugin, push, remove_store};
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registries::the_same_bytes_twice_have_one_digest", same_digest),
        fact("registries::what_is_pushed_comes_back_by_tag_and_by_digest", there_and_back),
        fact("registries::inspect_asks_for_no_component", inspect),
        fact("registries::run_pulls_what_is_missing_and_the_second_start_asks_nobody", run_pulls),
        fact("registries::a_pulled_plugin_is_compiled_already", compiled),
        fact("registries::a_held_digest_is_never_asked_for", held_digest),
        fact("registries::every_kind_of_reference_stands_for_a_plugin", references),
        fact("registries::a_layout_holds_plugins_without_a_registry", layout),
        fact("registries::what_is_removed_is_gone_and_gc_frees_it", remove_and_gc),
        fact("registries::what_names_no_artifact_is_told", nonsense),
    ]
}

fn same_digest() {
    let shelf = Shelf::new();
    let digest = shelf.push("f:1");
    assert_eq!(shelf.push("f:2"), digest);
    let file = plugin("order-filter");
    let command = format!("push {} {}", file.display(), shelf.at("f:3"));
    let dated = shelf.flowctl.command(&command).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap();
    assert_ne!(String::from_utf8(dated.stdout).unwrap().trim(), digest);
    let shown = shelf.flowctl.run(&format!("inspect {}", shelf.at("f:3"))).success();
    assert!(shown.stdout.contains("2023-11-14T22:13:20Z"), "{}", shown.stdout);
    let wrong = shelf.flowctl.command(&command).env("SOURCE_DATE_EPOCH", "soon").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
}

fn there_and_back() {
    let shelf = Shelf::new();
    let digest = shelf.push("order-filter:0.1.0");
    let other = Flowctl::new();
    let by_digest = format!("{}@{digest}", shelf.at("order-filter"));
    for reference in [shelf.at("order-filter:0.1.0"), by_digest] {
        other.run(&format!("pull {reference} --to got.wasm")).success();
        assert!(std::fs::read(other.path("got.wasm")).unwrap() == std::fs::read(plugin("order-filter")).unwrap());
    }
    let pulled = other.run(&format!("pull {} -o json", shelf.at("order-filter:0.1.0"))).success();
    let pulled: Value = serde_json::from_str(&pulled.stdout).unwrap();
    assert_eq!(pulled[0]["digest"], digest);
    assert_eq!(pulled[0]["input_types"][0], "example.order.v1");
    assert!(pulled[0]["was_cached"].as_bool().unwrap());
    other.run(&format!("pull {} --quiet", shelf.at("order-filter:9"))).failure(&["acme/order-filter:9", "hint:"]);
}

fn inspect() {
    let shelf = Shelf::new();
    let digest = shelf.push("order-filter:0.1.0");
    let before = shelf.n_requests();
    let shown = shelf.flowctl.run(&format!("inspect {} -o json", shelf.at("order-filter:0.1.0"))).success();
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["digest"], digest);
    assert_eq!(shown["annotations"]["io.flowctl.input"], "example.order.v1");
    assert_eq!(shown["exports"][0], "input");
    let component = shown["component"].as_str().unwrap();
    let requests = shelf.registry.requests();
    assert!(requests[before..].iter().all(|request| !request.path.contains(component)), "{requests:?}");
    assert!(listed(&shelf.flowctl).is_empty());
}

fn run_pulls() {
    let shelf = Shelf::new();
    shelf.push("order-filter:0.1.0");
    let faulty = Faulty::before(&shelf.registry);
    let flowctl = &shelf.flowctl;
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", faulty.at("order-filter:0.1.0"))));
    flowctl.run("validate p.yaml").failure(&["is not here", "flowctl pull"]);
    for round in 0..2 {
        let answer = flowctl.run("run p.yaml --fresh").success();
        assert!(answer.stderr.contains("Pulled"), "{}", answer.stderr);
        assert_eq!(flowctl.read("out.jsonl").lines().count(), 10, "round {round}");
        // the store is gone, the lock is not
        remove_store(flowctl);
    }
    flowctl.run("run p.yaml --fresh").success();
    let before = faulty.proxy.passages().len();
    for command in ["run p.yaml --fresh", "run p.yaml --fresh --locked", "validate p.yaml", "topology show p.yaml"] {
        let answer = flowctl.run(command).success();
        assert!(!answer.stderr.contains("Pulled"), "{}", answer.stderr);
    }
    assert_eq!(faulty.proxy.passages().len(), before, "a second start asked the registry");
}

fn compiled() {
    let shelf = Shelf::new();
    shelf.push("order-filter:0.1.0");
    let flowctl = &shelf.flowctl;
    let cold = |arguments: &str| {
        let output = flowctl.command(arguments).env("XDG_CACHE_HOME", flowctl.path("cold")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = cold(&format!("pull {}", shelf.at("order-filter:0.1.0")));
    assert!(said.contains("Compiled 1"), "{said}");
    flowctl.write("p.yaml", pipeline(&format!("plugin: \"{}\"", shelf.at("order-filter:0.1.0"))));
    let said = cold("run p.yaml");
    assert!(!said.contains("Compiled"), "{said}");
}

fn held_digest() {
    let shelf = Shelf::new();
    let digest = shelf.push("order-filter:0.1.0");
    let reference = format!("{}@{digest}", shelf.at("order-filter"));
    shelf.flowctl.run(&format!("pull {reference}")).success();
    let before = shelf.n_requests();
    shelf.flowctl.run(&format!("pull {reference}")).success();
    assert_eq!(shelf.n_requests(), before);
}

fn references() {
    let shelf = Shelf::new();
    let digest = shelf.push("order-filter:0.1.0");
    shelf.push("order-filter:latest");
    let flowctl = &shelf.flowctl;
    flowctl.write("config.yaml", format!("registry: {}/acme\n", shelf.registry.address()));
    let at = shelf.at("order-filter");
    let written = [
        format!("plugin: \"{at}:0.1.0\""),
        format!("plugin: \"{at}\""),
        format!("plugin: \"{at}@{digest}\""),
        format!("plugin: \"{at}:0.1.0@{digest}\""),
        format!("image: \"{at}:0.1.0\""),
        "type: order-filter@0.1.0".to_owned(),
        "plugin: order-filter".to_owned(),
        "plugin: acme/order-filter:0.1.0".to_owned(),
    ];
    for (index, written) in written.iter().enumerate() {
        let user = Flowctl::new();
        user.write("p.yaml", pipeline(written));
        let config = match index {
            // beside the registry's host alone
            7 => user.write("config.yaml", format!("registry: {}\n", shelf.registry.address())),
            _ => flowctl.path("config.yaml"),
        };
        let output = user.command("run p.yaml").env("FLOWCTL_CONFIG", config).output().unwrap();
        assert!(output.status.success(), "{written}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(user.read("out.jsonl").lines().count(), 10, "{written}");
        assert!(user.read("p.lock").contains(&digest), "{written}");
    }
}

fn layout() {
    let flowctl = Flowctl::new();
    let digest = push(&flowctl, &plugin("order-filter"), "oci-layout:shelf:0.1.0");
    for reference in
        ["oci-layout:shelf:0.1.0".to_owned(), "oci-layout:shelf".to_owned(), format!("oci-layout:shelf@{digest}")]
    {
        flowctl.write("p.yaml", pipeline(&format!("plugin: \"{reference}\"")));
        flowctl.run("run p.yaml --fresh").success();
        assert_eq!(flowctl.read("out.jsonl").lines().count(), 10, "{reference}");
        flowctl.run(&format!("inspect {reference}")).success();
    }
    // locked: the layout may go
    std::fs::remove_dir_all(flowctl.path("shelf")).unwrap();
    flowctl.run("run p.yaml --fresh --locked").success();
    flowctl.run("pull oci-layout:nowhere:1").failure(&["nowhere"]);
}

fn remove_and_gc() {
    let shelf = Shelf::new();
    let digest = shelf.push("order-filter:0.1.0");
    let flowctl = &shelf.flowctl;
    flowctl.run(&format!("pull {}", shelf.at("order-filter:0.1.0"))).success();
    assert_eq!(listed(flowctl).len(), 1);
    flowctl.run(&format!("plugins remove {}", shelf.at("order-filter:7"))).failure(&["order-filter:7", "plugins list"]);
    flowctl.run(&format!("plugins remove {digest}")).success();
    assert!(listed(flowctl).is_empty());
    let freed = flowctl.run("plugins gc -o json").success();
    let freed: Value = serde_json::from_str(&freed.stdout).unwrap();
    assert_eq!(freed["n_files"], 3);
    assert!(super::left_in_store(flowctl).is_empty());
}

fn nonsense() {
    let flowctl = Flowctl::new();
    let file = plugin("order-filter");
    for (arguments, wanted) in [
        (format!("push {} other.wasm", file.display()), "is a file"),
        (format!("push {} acme/f:1", file.display()), "does not say which registry"),
        (format!("push {} localhost:1/Acme/f:1", file.display()), "repository"),
        ("push nothing.wasm localhost:1/acme/f:1".to_owned(), "nothing.wasm"),
        ("pull localhost:1/acme/f:1".to_owned(), "localhost:1"),
        ("pull ./f.wasm".to_owned(), "is a file"),
    ] {
        flowctl.run(&arguments).failure(&[wanted]);
    }
}
