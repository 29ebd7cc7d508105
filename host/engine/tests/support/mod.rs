//! Nodes that run the guests of `tests/guests`, and batches for them.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowctl_engine::{Engine, EngineConfig, PluginStage, Tenant};
use flowctl_runtime::{Fault, Outcome, PrepareError, Processor, Stage};
use flowctl_schema::{Contract, Role};
use flowctl_topology::{CallLimits, Component, Grants, Node, Settings};
use flowctl_types::{Batch, Columns, Digest, Ids};
use serde_json::Value;

/// The file of a guest.
pub(crate) fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLOWCTL_TEST_GUESTS").map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            let target = test.ancestors().nth(3).unwrap();
            target.join("wasm32-wasip2/guest/examples")
        },
        PathBuf::from,
    );
    let path = folder.join(format!("{name}.wasm"));
    assert!(path.is_file(), "`{}` is missing: run `cargo xtask guests`", path.display());
    path
}

/// A node that runs the component at `path`.
pub(crate) fn node(id: &str, path: &Path) -> Node {
    let bytes = std::fs::read(path).unwrap();
    let contract = Contract::read(&bytes, id);
    let (inputs, outputs) =
        contract.map_or_else(|_| Default::default(), |contract| (contract.inputs, contract.outputs));
    Node {
        id: id.parse().unwrap(),
        role: Role::Processor,
        component: Component::Plugin {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            version: None,
            path: path.to_owned(),
            digest: Digest::of(&bytes),
        },
        inputs,
        outputs,
        config: Value::Null,
        shown_config: Value::Null,
        grants: Grants::default(),
        parallelism: NonZeroU16::MIN,
        is_available: true,
        key: None,
        brings_keys: false,
        is_stateful: false,
        has_timer: false,
        tick: None,
        limits: CallLimits { memory_bytes: 512 << 20, cpu: Duration::from_secs(30), timeout: Duration::from_secs(60) },
        settings: Settings::default(),
    }
}

/// An engine without a cache.
pub(crate) fn engine() -> Engine {
    Engine::new(EngineConfig { max_instances: 100, ..EngineConfig::default() }).unwrap()
}

/// A tenant that may use a lot.
pub(crate) fn tenant() -> Arc<Tenant> {
    Tenant::new("test", 4 << 30)
}

/// Loads a node's plugin.
pub(crate) async fn stage(engine: &Engine, node: &Node) -> Result<Arc<PluginStage>, PrepareError> {
    engine.stage(node, &tenant()).await
}

/// An instance of a guest, alone in its engine.
pub(crate) async fn instance(node: &Node) -> Box<dyn Processor> {
    let stage = stage(&engine(), node).await.unwrap();
    stage.instantiate().await.unwrap()
}

/// A batch of events.
pub(crate) fn batch<const N: usize>(payloads: [&str; N]) -> Batch {
    let mut columns = Columns::default();
    for payload in payloads {
        columns.push(7, payload.as_bytes());
    }
    Batch::new(columns, Ids::numbered("test", 0))
}

/// The text of an error and of all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What a call crashed with: reason and log.
pub(crate) fn crash(answer: Result<Outcome, Fault>) -> (String, String) {
    match answer {
        Err(Fault::Crashed { reason, log_tail }) => (reason, log_tail),
        other => panic!("expected a crash, found {other:?}"),
    }
}
