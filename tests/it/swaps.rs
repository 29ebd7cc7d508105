//! A plugin is exchanged ten thousand times in one process: nothing of the old ones stays.
//!
//! The process is this binary, started anew, so that no other test's memory is in the figures.

use std::process::{Command, ExitCode};
use std::sync::Arc;

use flowctl_connectors::Pipeline;
use flowctl_engine::{Engine, EngineConfig, Tenant};
use flowctl_registry::{Entry, Registry};
use flowctl_runtime::{Change, ChangeOptions, Options, Run, Stop};
use libtest_mimic::Trial;
use serde_json::json;

use crate::fact;
use crate::flowctl::{Flowctl, guests};
use crate::hostile::Bench;

/// The variable that makes this binary the process whose plugins are exchanged.
const SWAPS: &str = "FLOWCTL_TEST_SWAPS";
const N_SWAPS: usize = 10_000;
/// Swaps before the first look: caches are filled by then.
const N_WARM: usize = 1_000;
/// What memory may grow by over nine thousand swaps: a kilobyte and a bit each would be more.
const MAX_GROWTH_KIB: u64 = 12 << 10;

const PIPELINE: &str = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: swaps}
spec:
  sources: [{id: source, type: generate, config: {type: test.bytes.v1, rate: 20000}}]
  processors: [{id: guest, plugin: 'GUEST', inputs: [source]}]
  sinks: [{id: out, type: blackhole, inputs: [guest]}]
";

pub(crate) fn trials() -> Vec<Trial> {
    vec![fact("swaps::ten_thousand_exchanges_leave_memory_and_open_files_as_they_were", || {
        let flowctl = Flowctl::new();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.current_dir(flowctl.path("")).env(SWAPS, N_SWAPS.to_string()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        println!("{figures}");
        let figure = |name: &str| figures[name].as_u64().unwrap();
        assert_eq!((figure("swaps"), figure("lost")), (N_SWAPS as u64, 0), "{figures}");
        assert_eq!(figure("files_after"), figure("files_before"), "{figures}");
        assert!(figure("kib_after") <= figure("kib_before") + MAX_GROWTH_KIB, "{figures}");
        assert_eq!(figure("guest_bytes"), 0, "{figures}");
    })]
}

/// What this process does where it is the one whose plugins are exchanged; none elsewhere.
pub(crate) fn child() -> Option<ExitCode> {
    let n_swaps = std::env::var(SWAPS).ok()?.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{}", runtime.block_on(exchange(n_swaps)));
    Some(ExitCode::SUCCESS)
}

async fn exchange(n_swaps: usize) -> serde_json::Value {
    let path = guests().join("identity.wasm");
    let text = PIPELINE.replace("GUEST", &path.display().to_string());
    let document = flowctl_intent::parse("p.yaml", &text, &|_| None).unwrap();
    let contract = flowctl_schema::Contract::read(&std::fs::read(&path).unwrap(), "identity").unwrap();
    let mut entries = flowctl_connectors::catalogue();
    entries.push(Entry::plugin(path, contract));
    let topology = flowctl_topology::plan(&document, &Registry::build(entries, []), &|_| None).unwrap();
    let mut other = topology.clone();
    other.nodes[1].limits.memory_bytes /= 2;

    let state_dir = std::env::current_dir().unwrap();
    let pipeline =
        Pipeline { name: "swaps".parse().unwrap(), state_id: "0".to_owned(), is_new: true, state_dir, base_dir: None };
    let engine = Engine::new(EngineConfig { max_instances: 100, ..EngineConfig::default() }).unwrap();
    let tenant = Tenant::new("swaps", 1 << 30);
    let workshop = Bench { engine, tenant: Arc::clone(&tenant), pipeline };
    let mut run = Run::new(Arc::new(workshop), Options::default());
    run.apply(Change::from_empty(&topology)).await.unwrap();
    let handle = run.handle();
    let (mut before, mut lost) = ((0, 0), 0);
    for number in 0..n_swaps {
        let (old, new) = if number % 2 == 0 { (&topology, &other) } else { (&other, &topology) };
        let ready = handle.prepare(Change::between(old, new), ChangeOptions::default()).await.unwrap();
        lost += ready.switch().await.unwrap().n_stranded;
        if number + 1 == N_WARM {
            before = used();
        }
    }
    let after = used();
    handle.stop(Stop::Drain);
    let summary = run.wait().await;
    assert_eq!((summary.events_in, summary.error), (summary.events_out, None));
    json!({
        "swaps": n_swaps, "lost": lost, "events": summary.events_out,
        "kib_before": before.0, "kib_after": after.0,
        "files_before": before.1, "files_after": after.1,
        // what those hold that still run depends on their latest batch: here all are gone
        "guest_bytes": tenant.memory_bytes(),
    })
}

/// Resident KiB, and open files.
fn used() -> (u64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = resident.split_whitespace().next().unwrap().parse().unwrap();
    (kib, std::fs::read_dir("/proc/self/fd").unwrap().count())
}
