//! Plugins in registries: a real one on loopback, and a proxy before it that fails.

mod access;
mod broken;
mod clients;
mod faults;
mod locks;
mod market;
mod travel;
mod trust;

use std::path::{Path, PathBuf};

use flowctl_test_support::fault_proxy::FaultProxy;
use flowctl_test_support::registry::Registry;
use libtest_mimic::Trial;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::flowctl::{Flowctl, plugins};

pub(crate) fn trials() -> Vec<Trial> {
    [
        travel::trials(),
        locks::trials(),
        access::trials(),
        broken::trials(),
        faults::trials(),
        clients::trials(),
        trust::trials(),
        market::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A registry, and somebody who uses it.
struct Shelf {
    registry: Registry,
    flowctl: Flowctl,
}

/// A proxy before a registry.
struct Faulty {
    proxy: FaultProxy,
    /// What the proxy lives in.
    _runtime: Runtime,
}

impl Shelf {
    fn new() -> Self {
        Self { registry: Registry::start(), flowctl: Flowctl::new() }
    }

    /// `127.0.0.1:PORT/acme/NAME`.
    fn at(&self, name: &str) -> String {
        format!("{}/acme/{name}", self.registry.address())
    }

    /// Pushes the first-party plugin order-filter; answers the digest.
    fn push(&self, name: &str) -> String {
        push(&self.flowctl, &plugin("order-filter"), &self.at(name))
    }

    /// How many requests the registry answered.
    fn n_requests(&self) -> usize {
        self.registry.requests().len()
    }
}

impl Faulty {
    fn before(registry: &Registry) -> Self {
        let runtime = Runtime::new().unwrap();
        let proxy = runtime.block_on(FaultProxy::start(registry.address()));
        Self { proxy, _runtime: runtime }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/acme/{name}", self.proxy.address())
    }
}

/// The file of a first-party plugin.
fn plugin(name: &str) -> PathBuf {
    plugins().join(format!("{name}.wasm"))
}

fn push(flowctl: &Flowctl, file: &Path, reference: &str) -> String {
    let pushed = flowctl.run(&format!("push {} {reference}", file.display())).success();
    pushed.stdout.trim().to_owned()
}

/// A pipeline of ten orders through a plugin into `out.jsonl`.
fn pipeline(plugin: &str) -> String {
    format!(
        "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: p}}\nspec:\n  \
         sources: [{{id: orders, type: generate, config: {{type: example.order.v1, count: 10}}}}]\n  \
         processors: [{{id: f, {plugin}, inputs: [orders], config: {{minimum: 1}}}}]\n  \
         sinks: [{{id: out, type: file, inputs: [f], config: {{path: out.jsonl, append: false}}}}]\n"
    )
}

/// What the store lists.
fn listed(flowctl: &Flowctl) -> Vec<Value> {
    serde_json::from_str(&flowctl.run("plugins list -o json").success().stdout).unwrap()
}

/// Every file of the store beyond what an empty one has.
fn left_in_store(flowctl: &Flowctl) -> Vec<PathBuf> {
    let mut left = Vec::new();
    let mut folders = vec![flowctl.path(".local/share/flowctl/plugins")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                folders.push(path);
            } else if !["oci-layout", "index.json", ".lock"].iter().any(|known| name == *known) {
                left.push(path);
            }
        }
    }
    left
}

fn remove_store(flowctl: &Flowctl) {
    std::fs::remove_dir_all(flowctl.path(".local/share/flowctl")).unwrap();
}
