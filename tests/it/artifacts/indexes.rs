//! Indexes: plugins that nobody named.

use std::process::Stdio;

use flowctl_test_support::fault_proxy::FaultProxy;
use flowctl_test_support::registry::{Access, PASSWORD, Registry, Transport, USERNAME};
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::market::{held, runtime, store};
use crate::fact;
use crate::flowctl::{Answer, Flowctl, plugins};

/// A registry, and somebody who fills it.
struct Shelf {
    registry: Registry,
    flowctl: Flowctl,
}

/// A proxy before a registry, which counts.
struct Counted {
    proxy: FaultProxy,
    _runtime: Runtime,
}

impl Shelf {
    fn new() -> Self {
        Self { registry: Registry::start(), flowctl: Flowctl::new() }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/acme/{name}", self.registry.address())
    }

    /// Pushes a first-party plugin as version 0.1.0.
    fn push(&self, plugin: &str) {
        let file = plugins().join(format!("{plugin}.wasm"));
        self.flowctl.run(&format!("push {} {}", file.display(), self.at(&format!("{plugin}:0.1.0")))).success();
    }
}

impl Counted {
    fn before(registry: &Registry) -> Self {
        let runtime = runtime();
        let proxy = runtime.block_on(FaultProxy::start(registry.address()));
        Self { proxy, _runtime: runtime }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/acme/{name}", self.proxy.address())
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::an_index_is_added_to_searched_and_taken_from", edit),
        fact("artifacts::a_chain_is_found_in_an_index_pulled_and_locked", chain),
        fact("artifacts::two_who_add_at_once_are_both_listed", two_writers),
        fact("artifacts::a_registry_that_an_index_lists_is_shown_no_password", no_password),
        fact("artifacts::an_index_that_is_none_is_told", wrong),
    ]
}

fn edit() {
    let shelf = Shelf::new();
    shelf.push("order-filter");
    shelf.push("ttp-processor");
    let index = format!("--index {}", shelf.at("index:latest"));
    let both = format!("{} {}", shelf.at("order-filter:0.1.0"), shelf.at("ttp-processor:0.1.0"));
    let flowctl = &shelf.flowctl;
    flowctl.run(&format!("index add {both} {index}")).success();
    let again = flowctl.run(&format!("index add {both} {index}")).success();
    assert!(again.stderr.contains("is listed already"), "{}", again.stderr);
    let found = |arguments: &str| {
        let answer = flowctl.run(&format!("search {arguments} {index} -o json")).success();
        let rows: Vec<Value> = serde_json::from_str(&answer.stdout).unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(""), ["order-filter", "ttp-processor"]);
    assert_eq!(found("--input stellar.ledger.v1"), ["ttp-processor"]);
    assert_eq!(found("--output example.order.v1"), ["order-filter"]);
    assert_eq!(found("--input stellar.ledger.v1 --output example.order.v1"), [""; 0]);
    assert_eq!(found("minimum total"), ["order-filter"]);
    flowctl.run(&format!("index remove {} {index}", shelf.at("order-filter:0.1.0"))).success();
    assert_eq!(found(""), ["ttp-processor"]);
    flowctl.run(&format!("index remove {} {index}", shelf.at("order-filter:0.1.0"))).failure(&["order-filter"]);
    flowctl.run("search").failure(&["no index", "--index"]);
}

fn chain() {
    let shelf = Shelf::new();
    shelf.push("order-filter");
    shelf.push("ttp-processor");
    let both = format!("{} {}", shelf.at("order-filter:0.1.0"), shelf.at("ttp-processor:0.1.0"));
    shelf.flowctl.run(&format!("index add {both} --index {}", shelf.at("index:latest"))).success();

    let counted = Counted::before(&shelf.registry);
    let flowctl = Flowctl::new();
    let suggest = "topology suggest --from stellar.ledger.v1 --to sqlite";
    flowctl.run(suggest).failure(&["no chain"]);
    // the index names plugins by the registry that they were added from
    flowctl.write(".config/flowctl/config.yaml", format!("indexes: [{}]\n", counted.at("index:latest")));
    let answer = flowctl.run(suggest).success();
    assert_eq!(answer.stdout, "Chain found: stellar-ledgers → ttp-processor → sqlite\n");
    assert_eq!(held(&flowctl).len(), 1, "only what lies on the way is pulled");
    std::fs::remove_dir_all(store(&flowctl)).unwrap();

    flowctl.write(
        "t.yaml",
        "apiVersion: flowctl/v2\nkind: Topology\nmetadata: {name: t}\nspec:\n  from: stellar.ledger.v1\n  to: sqlite\n  \
         config:\n    stellar-ledgers: {generate: {ledgers: 2}, network: testnet}\n    \
         ttp-processor: {network: testnet}\n    sqlite: {path: t.db}\n",
    );
    let answer = flowctl.run("run t.yaml").success();
    assert!(answer.stderr.contains("Pulled"), "{}", answer.stderr);
    assert!(flowctl.read("t.lock").contains("ttp-processor"), "{}", flowctl.read("t.lock"));
    // the index is not asked any more, whether the plugin is here or has to be pulled
    let before = counted.proxy.passages().len();
    let requests = shelf.registry.requests().len();
    flowctl.run("run t.yaml --fresh --locked").success();
    assert_eq!(shelf.registry.requests().len(), requests);
    std::fs::remove_dir_all(store(&flowctl)).unwrap();
    flowctl.run("run t.yaml --fresh --locked").success();
    assert_eq!(counted.proxy.passages().len(), before);
}

fn two_writers() {
    let shelf = Shelf::new();
    shelf.push("order-filter");
    shelf.push("ttp-processor");
    let add = |name: &str| {
        let command = format!("index add {} --index {}", shelf.at(name), shelf.at("index:latest"));
        shelf.flowctl.command(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let writers = [add("order-filter:0.1.0"), add("ttp-processor:0.1.0")];
    for writer in writers {
        Answer::of(writer.wait_with_output().unwrap()).success();
    }
    let answer = shelf.flowctl.run(&format!("search --index {} -o json", shelf.at("index:latest"))).success();
    let rows: Vec<Value> = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(rows.len(), 2, "{}", answer.stdout);
}

/// The login of the command line is for the registry that the command names.
fn no_password() {
    let (home, away) = (
        Registry::start_with(Transport::Plain, Access::Password),
        Registry::start_with(Transport::Plain, Access::Password),
    );
    let counted = Counted::before(&away);
    let owner = Flowctl::new();
    for registry in [home.address(), away.address(), counted.proxy.address()] {
        owner.run_with_input(&format!("login {registry} -u {USERNAME} --password-stdin"), PASSWORD).success();
    }
    let listed = counted.at("ttp-processor:0.1.0");
    owner.run(&format!("push {} {listed}", plugins().join("ttp-processor.wasm").display())).success();
    let index = format!("{}/acme/index:latest", home.address());
    owner.run(&format!("index add {listed} --index {index}")).success();
    let before = counted.proxy.passages().len();
    let user = Flowctl::new();
    let suggest = format!(
        "topology suggest --from stellar.ledger.v1 --to sqlite --index {index} --username {USERNAME} --password-stdin"
    );
    let answer = user.run_with_input(&suggest, PASSWORD);
    assert!(answer.stderr.contains(&counted.proxy.address().to_string()), "{}", answer.stderr);
    assert_eq!(answer.code, Some(1));
    let passages = counted.proxy.passages();
    assert!(passages.len() > before, "nobody asked the registry that is listed");
    assert!(passages[before..].iter().all(|passage| passage.header("authorization").is_none()), "{passages:?}");
    // one password for two registries would be shown to both
    let pull = format!("pull {listed} {}/acme/a:1 --username {USERNAME} --password-stdin", home.address());
    user.run_with_input(&pull, PASSWORD).failure(&["for one registry", "flowctl login"]);
}

fn wrong() {
    let shelf = Shelf::new();
    shelf.push("order-filter");
    let flowctl = &shelf.flowctl;
    flowctl.run(&format!("search --index {}", shelf.at("order-filter:0.1.0"))).failure(&["order-filter:0.1.0"]);
    let plain = flowctl_test_support::registry::Artifact::of(*b"\0asm\x0d\0\x01\0");
    shelf.registry.push("acme/plain", "1", &plain);
    let add = format!("index add {} --index {}", shelf.at("plain:1"), shelf.at("index:latest"));
    flowctl.run(&add).failure(&["plain:1", "flowctl push"]);
    let answer = flowctl.run(&format!("search --index {}", shelf.at("nothing:1"))).success();
    assert!(answer.stderr.contains("no index"), "{}", answer.stderr);
}
