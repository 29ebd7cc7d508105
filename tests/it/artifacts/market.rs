//! A registry, a proxy before it, and a user with an empty store.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flowctl_test_support::fault_proxy::{FaultProxy, Passage};
use flowctl_test_support::registry::{Access, Registry, Transport, digest};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::flowctl::{Answer, Flowctl, plugins};

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A registry of its own, reached through a proxy, and a folder to work in.
pub(super) struct Market {
    pub(super) flowctl: Flowctl,
    pub(super) registry: Registry,
    pub(super) proxy: FaultProxy,
    // last: the proxy runs on it
    pub(super) runtime: Runtime,
}

impl Market {
    /// A registry that serves anyone.
    pub(super) fn new() -> Self {
        Self::with(Access::Anyone)
    }

    /// A registry that serves whom `access` says.
    pub(super) fn with(access: Access<'_>) -> Self {
        let runtime = runtime();
        let registry = Registry::start_with(Transport::Plain, access);
        let proxy = runtime.block_on(FaultProxy::start(registry.address()));
        Self { flowctl: Flowctl::new(), registry, proxy, runtime }
    }

    /// What `rest` is called in the registry, by way of the proxy.
    pub(super) fn at(&self, rest: &str) -> String {
        format!("{}/{rest}", self.proxy.address())
    }

    /// Writes a plugin into the folder, and pushes it. Answers the digest of its manifest.
    pub(super) fn push(&self, component: &[u8], rest: &str) -> String {
        self.flowctl.write("pushed.wasm", component);
        let answer = self.flowctl.run(&format!("push --quiet pushed.wasm {}", self.at(rest))).success();
        answer.stdout.trim().to_owned()
    }

    /// Pulls, without compiling.
    pub(super) fn pull(&self, rest: &str) -> Answer {
        self.flowctl.run(&format!("pull --no-compile -o json {}", self.at(rest)))
    }

    /// The requests for the bytes of a blob.
    pub(super) fn downloads(&self, blob: &[u8]) -> Vec<Passage> {
        let path = format!("/blobs/{}", digest(blob));
        let passages = self.proxy.passages().into_iter();
        passages.filter(|passage| passage.method == "GET" && passage.path.ends_with(&path)).collect()
    }

    /// How many requests of any kind there were.
    pub(super) fn n_requests(&self) -> usize {
        self.proxy.passages().len()
    }

    /// A pipeline `orders.yaml` of 20 orders through `processor`, as
    /// `plugin: REFERENCE`, into `out.jsonl`.
    pub(super) fn pipeline(&self, processor: &str) {
        self.flowctl.write("orders.yaml", orders(processor));
    }
}

/// A runtime for servers.
pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Twenty orders through a processor, given as `plugin: REFERENCE`.
pub(super) fn orders(processor: &str) -> String {
    format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: orders}}
spec:
  sources: [{{id: orders, type: generate, config: {{type: example.order.v1, count: 20}}}}]
  processors: [{{id: filter, {processor}, inputs: [orders], config: {{minimum: 0}}}}]
  sinks: [{{id: out, type: file, config: {{path: out.jsonl}}, inputs: [filter]}}]
"
    )
}

/// Runs `orders.yaml` from its beginning, and sees that all orders came through.
#[track_caller]
pub(super) fn run_orders(flowctl: &Flowctl, options: &str) -> Answer {
    let _ = std::fs::remove_file(flowctl.path("out.jsonl"));
    let answer = flowctl.run(&format!("run orders.yaml --fresh {options}")).success();
    assert_eq!(flowctl.read("out.jsonl").lines().count(), 20, "{}", answer.stderr);
    answer
}

/// The plugin that filters orders.
pub(super) fn order_filter() -> Vec<u8> {
    std::fs::read(plugins().join("order-filter.wasm")).unwrap()
}

/// The same plugin in other bytes.
pub(super) fn stamped(stamp: &[u8]) -> Vec<u8> {
    let mut component = order_filter();
    let mut section = vec![5];
    section.extend_from_slice(b"stamp");
    section.extend_from_slice(stamp);
    component.push(0);
    let mut length = section.len();
    while length >= 0x80 {
        component.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    component.push(length as u8);
    component.extend_from_slice(&section);
    component
}

/// The folder of a user's store.
pub(super) fn store(flowctl: &Flowctl) -> PathBuf {
    flowctl.path(".local/share/flowctl/plugins")
}

/// What `plugins list` says.
#[track_caller]
pub(super) fn held(flowctl: &Flowctl) -> Vec<Value> {
    let answer = flowctl.run("plugins list -o json").success();
    assert!(!answer.stderr.contains("cannot be used"), "{}", answer.stderr);
    json(&answer).as_array().unwrap().clone()
}

/// What a command printed, as JSON.
#[track_caller]
pub(super) fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", answer.stdout))
}

/// Sees that the store lists nothing, and holds no file but those of an empty layout.
#[track_caller]
pub(super) fn assert_nothing_held(flowctl: &Flowctl) {
    assert_eq!(held(flowctl), Vec::<Value>::new());
    let left = files(&store(flowctl));
    let is_ours = |path: &PathBuf| ["oci-layout", "index.json", ".lock"].iter().any(|name| path.ends_with(name));
    assert!(left.iter().all(is_ours), "{left:?}");
}

/// Every file below a folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Waits until a fact holds that another process makes.
#[track_caller]
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
