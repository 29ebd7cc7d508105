//! The lock file: what it fixes, who may change it, and what is said of tags that move.

use std::fs;

use flowctl_test_support::registry::digest;
use libtest_mimic::Trial;

use super::market::{Market, assert_nothing_held, order_filter, orders, run_orders, stamped, store};
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::a_run_locks_what_it_runs_and_a_second_one_changes_nothing", written_by_run),
        fact("artifacts::a_tag_that_moved_is_reported_and_followed_when_asked", moved),
        fact("artifacts::a_lock_brings_back_what_a_tag_has_left", brings_back),
        fact("artifacts::locked_runs_what_the_lock_says_and_nothing_else", locked),
        fact("artifacts::a_lock_moves_no_reference_to_another_place", other_place),
        fact("artifacts::locked_needs_a_lock", no_lock),
        fact("artifacts::a_file_of_a_plugin_is_locked_by_its_bytes", of_files),
        fact("artifacts::check_fails_where_the_lock_would_change_and_writes_nothing", check),
        fact("artifacts::a_reference_with_a_digest_needs_no_lock_to_stay", by_digest),
        fact("artifacts::a_lock_that_is_none_is_named_and_stays", damaged),
        fact("artifacts::a_lock_that_names_another_component_is_found_out", forged),
        fact("artifacts::a_folder_that_cannot_be_written_to_is_warned_of", unwritable),
    ]
}

/// A market with `acme/a:1` of the bytes `old`, and a pipeline of it.
fn place() -> (Market, String) {
    let market = Market::new();
    let old = market.push(&stamped(b"old"), "acme/a:1");
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    (market, old)
}

fn lock(market: &Market) -> String {
    market.flowctl.read("orders.lock")
}

fn written_by_run() {
    let (market, old) = place();
    let answer = run_orders(&market.flowctl, "");
    let line = format!("+ locked {} as {old}", market.at("acme/a:1"));
    assert!(answer.stderr.contains(&line), "{}", answer.stderr);
    let written = lock(&market);
    for wanted in [&market.at("acme/a:1"), &old, &digest(&stamped(b"old")), "order-filter", "example.order.v1"] {
        assert!(written.contains(wanted), "no `{wanted}` in {written}");
    }
    let answer = run_orders(&market.flowctl, "");
    assert!(!answer.stderr.contains("locked"), "{}", answer.stderr);
    assert_eq!(lock(&market), written);
    // by the command it is the same, byte for byte
    fs::remove_file(market.flowctl.path("orders.lock")).unwrap();
    market.flowctl.run("lock orders.yaml").success();
    assert_eq!(lock(&market), written);
    run_orders(&market.flowctl, "--locked");
}

fn moved() {
    let (market, old) = place();
    run_orders(&market.flowctl, "");
    let written = lock(&market);
    let new = market.push(&stamped(b"new"), "acme/a:1");
    // a run does not even ask
    let n_requests = market.n_requests();
    run_orders(&market.flowctl, "");
    run_orders(&market.flowctl, "--locked");
    assert_eq!(market.n_requests(), n_requests);
    let answer = market.flowctl.run("lock orders.yaml").success();
    for wanted in ["moved", &new, &old, "lock --update"] {
        assert!(answer.stderr.contains(wanted), "no `{wanted}` in {}", answer.stderr);
    }
    assert_eq!(lock(&market), written);
    let answer = market.pull("acme/a:1").success();
    assert!(answer.stderr.contains("moved") && answer.stderr.contains(&old), "{}", answer.stderr);
    // the store knows better by now, the lock counts
    run_orders(&market.flowctl, "");
    assert_eq!(lock(&market), written);
    let answer = market.flowctl.run("lock --update orders.yaml").success();
    assert!(answer.stderr.contains(&format!("as {new}, was {old}")), "{}", answer.stderr);
    assert!(lock(&market).contains(&new) && !lock(&market).contains(&old));
    let n_requests = market.n_requests();
    run_orders(&market.flowctl, "--locked");
    assert_eq!(market.n_requests(), n_requests);
    let answer = market.flowctl.run("lock orders.yaml").success();
    assert!(!answer.stderr.contains("moved"), "{}", answer.stderr);
    market.registry.delete_manifest("acme/a", &new);
    let answer = market.flowctl.run("lock orders.yaml").success();
    assert!(answer.stderr.contains("is gone; it stays locked as"), "{}", answer.stderr);
}

fn brings_back() {
    let (market, old) = place();
    market.flowctl.run("lock orders.yaml").success();
    let written = lock(&market);
    market.push(&stamped(b"new"), "acme/a:1");
    for options in ["", "--locked"] {
        fs::remove_dir_all(store(&market.flowctl)).unwrap();
        let answer = run_orders(&market.flowctl, options);
        assert!(answer.stderr.contains(&old), "{}", answer.stderr);
        assert_eq!(lock(&market), written);
    }
    // another machine with the two files
    let other = Flowctl::new();
    for name in ["orders.yaml", "orders.lock"] {
        fs::copy(market.flowctl.path(name), other.path(name)).unwrap();
    }
    run_orders(&other, "--locked");
    assert_eq!(other.read("orders.lock"), written);
    // where the registry has lost it, nothing else is taken for it
    market.registry.delete_manifest("acme/a", &old);
    fs::remove_dir_all(store(&market.flowctl)).unwrap();
    for options in ["", "--locked"] {
        market.flowctl.run(&format!("run orders.yaml --fresh {options}")).failure(&["orders.yaml:6:", &old]);
    }
    assert_nothing_held(&market.flowctl);
}

fn locked() {
    let (market, _) = place();
    market.flowctl.run("lock orders.yaml").success();
    let written = lock(&market);
    market.push(&stamped(b"b"), "acme/b:1");
    let answer = |wanted: &[&str]| {
        market.flowctl.run("run orders.yaml --locked").failure(wanted);
        assert!(!market.flowctl.path("out.jsonl").exists());
        assert_eq!(lock(&market), written);
    };
    // another reference, another digest of the same, a file in its place
    let b = market.at("acme/b:1");
    market.pipeline(&format!("plugin: '{b}'"));
    answer(&[
        "the plugins are not those of `orders.lock`",
        &format!("`{b}` is not locked"),
        "flowctl lock orders.yaml",
    ]);
    market.flowctl.write("mine.wasm", order_filter());
    market.pipeline("plugin: ./mine.wasm");
    answer(&["the plugins are not those of `orders.lock`", "`./mine.wasm` is not locked"]);
    let a = market.at("acme/a:1");
    answer(&[&format!("`{a}` is locked, and not used")]);
    market.pipeline(&format!("plugin: '{a}'"));
    run_orders(&market.flowctl, "--locked");
}

fn no_lock() {
    let (market, _) = place();
    let n_requests = market.n_requests();
    let answer = market.flowctl.run("run orders.yaml --locked");
    answer.failure(&["there is no lock file `orders.lock`", "`flowctl lock orders.yaml` writes it"]);
    let text = fs::read_to_string(market.flowctl.path("orders.yaml")).unwrap();
    let answer = market.flowctl.run_with_input("run - --locked", &text);
    answer.misuse(&["a pipeline from standard input has no lock file", "hint: put it into a file"]);
    market.flowctl.run("lock -").misuse(&["a pipeline from standard input has no lock file"]);
    assert_eq!(market.n_requests(), n_requests);
    assert!(!market.flowctl.path("orders.lock").exists());
}

fn of_files() {
    let flowctl = Flowctl::new();
    flowctl.write("mine.wasm", stamped(b"a"));
    flowctl.write("orders.yaml", orders("plugin: ./mine.wasm"));
    run_orders(&flowctl, "");
    assert!(flowctl.read("orders.lock").contains(&digest(&stamped(b"a"))));
    run_orders(&flowctl, "--locked");
    flowctl.write("mine.wasm", stamped(b"b"));
    let (a, b) = (digest(&stamped(b"a")), digest(&stamped(b"b")));
    let wanted = format!("`./mine.wasm` is locked as {a}, and is {b}");
    flowctl.run("run orders.yaml --fresh --locked").failure(&[&wanted]);
    // who builds it runs it, and is told
    let answer = run_orders(&flowctl, "");
    assert!(answer.stderr.contains(&format!("as {b}, was {a}")), "{}", answer.stderr);
    // a plugin of a folder, too
    let flowctl = Flowctl::new();
    flowctl.write("plugins/order-filter.wasm", stamped(b"a"));
    flowctl.write("orders.yaml", orders("plugin: order-filter"));
    run_orders(&flowctl, "--plugins plugins");
    flowctl.write("plugins/order-filter.wasm", stamped(b"b"));
    let answer = flowctl.run("run orders.yaml --fresh --locked --plugins plugins");
    answer.failure(&[&format!("`order-filter` is locked as {a}, and is {b}")]);
}

fn check() {
    let (market, old) = place();
    let answer = market.flowctl.run("lock --check orders.yaml");
    answer.failure(&["`orders.lock` is not up to date", &old, "`flowctl lock orders.yaml` writes it"]);
    assert!(!market.flowctl.path("orders.lock").exists());
    market.flowctl.run("lock --quiet orders.yaml").success();
    let written = lock(&market);
    let answer = market.flowctl.run("lock --check orders.yaml").success();
    assert!(answer.stderr.contains("is up to date"), "{}", answer.stderr);
    market.push(&stamped(b"b"), "acme/b:1");
    market.pipeline(&format!("plugin: '{}'", market.at("acme/b:1")));
    market.flowctl.run("lock --check orders.yaml").failure(&["is not up to date", "is locked, and not used"]);
    assert_eq!(lock(&market), written);
}

fn by_digest() {
    let (market, old) = place();
    market.push(&stamped(b"new"), "acme/a:1");
    market.pipeline(&format!("plugin: '{}'", market.at(&format!("acme/a:1@{old}"))));
    run_orders(&market.flowctl, "");
    assert!(lock(&market).contains(&digest(&stamped(b"old"))));
    let answer = market.flowctl.run("lock orders.yaml").success();
    assert!(!answer.stderr.contains("moved"), "{}", answer.stderr);
    market.flowctl.run("lock --update orders.yaml").success();
    assert!(lock(&market).contains(&old));
}

fn damaged() {
    let (market, _) = place();
    for text in ["version: 9\nplugins: []\n", "plugins: 3\n", "version: 1\nplugins: []\nmore: x\n"] {
        market.flowctl.write("orders.lock", text);
        for command in ["run orders.yaml", "run orders.yaml --locked", "lock orders.yaml"] {
            market.flowctl.run(command).failure(&["cannot read the lock file `orders.lock`", "version control"]);
        }
        assert_eq!(lock(&market), text);
    }
}

/// The digest of the artifact is right, that of its component is not.
fn forged() {
    let (market, _) = place();
    market.flowctl.run("lock orders.yaml").success();
    let (component, other) = (digest(&stamped(b"old")), digest(b"other"));
    market.flowctl.write("orders.lock", lock(&market).replace(&component, &other));
    let answer = market.flowctl.run("run orders.yaml --locked");
    answer.failure(&["the plugins are not those of `orders.lock`"]);
}

fn unwritable() {
    let (market, _) = place();
    // whoever may do everything may write anywhere: a folder stands in its place
    fs::create_dir(market.flowctl.path("orders.lock")).unwrap();
    let answer = market.flowctl.run("run orders.yaml");
    answer.failure(&["cannot read the lock file `orders.lock`"]);
    fs::remove_dir(market.flowctl.path("orders.lock")).unwrap();
    std::os::unix::fs::symlink("nowhere/else", market.flowctl.path("orders.lock")).unwrap();
    let answer = market.flowctl.run("run orders.yaml").success();
    assert!(answer.stderr.contains("cannot write the lock file `orders.lock`"), "{}", answer.stderr);
    assert!(answer.stderr.contains("what runs is not locked"), "{}", answer.stderr);
    // where the link leads, once it leads somewhere
    fs::create_dir(market.flowctl.path("nowhere")).unwrap();
    run_orders(&market.flowctl, "");
    assert!(market.flowctl.read("nowhere/else").contains("sha256:"));
}

/// A policy's rules are by name: a lock that names another repository would pass by them.
fn other_place() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    let evil = market.push(&stamped(b"evil"), "evil/a:1");
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    market.flowctl.run("lock orders.yaml --quiet").success();
    let lock = market.flowctl.read("orders.lock");
    let right = lock.split_whitespace().find(|word| word.contains("acme/a:1@")).unwrap().to_owned();
    let n_requests = market.n_requests();
    for wrong in
        [format!("{}@{evil}", market.at("evil/a:1")), format!("oci-layout:shelf:1@{evil}"), market.at("acme/a:1")]
    {
        market.flowctl.write("orders.lock", lock.replace(&right, &wrong));
        for command in ["run orders.yaml", "run orders.yaml --locked", "validate orders.yaml"] {
            market.flowctl.run(command).failure(&["orders.yaml:6:", "of another place", "flowctl lock --update"]);
        }
    }
    assert_eq!(market.n_requests(), n_requests);
    market.flowctl.write("orders.lock", lock);
    run_orders(&market.flowctl, "--locked");
}
