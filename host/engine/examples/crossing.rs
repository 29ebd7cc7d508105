//! Measures what crossing the sandbox costs: `crossing GUEST.wasm [CONFIG-JSON]`.
//!
//! Prints, for batches of several sizes of 100-byte events, nanoseconds a call and an
//! event, best of many short rounds, and what making an instance takes. Figures compare
//! only within one run, and only in release builds.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use flowctl_runtime::Stage as _;
use flowctl_types::{Batch, Columns, Ids};

const N_ROUNDS: usize = 300;
const EVENTS_PER_ROUND: usize = 20_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().map_or_else(|| support::guest("identity"), PathBuf::from);
    let mut node = support::node("measured", &path);
    node.config = args.next().map_or(serde_json::Value::Null, |text| serde_json::from_str(&text).unwrap());

    let engine = support::engine();
    let stage = support::stage(&engine, &node).await.unwrap();
    println!("compiled in {:?}", engine.stats().compile_time);
    let mut best = Duration::MAX;
    for _ in 0..200 {
        let start = Instant::now();
        let instance = stage.instantiate().await.unwrap();
        best = best.min(start.elapsed());
        drop(instance);
    }
    println!("an instance in {best:?}");

    let mut instance = stage.instantiate().await.unwrap();
    println!("{:>8} {:>12} {:>12}", "events", "ns/call", "ns/event");
    for n_events in [0, 1, 16, 100, 1000, 10_000] {
        let mut columns = Columns::default();
        for _ in 0..n_events {
            columns.push(0, &[7; 100]);
        }
        let batch = Batch::new(columns, Ids::numbered("bench", 0));
        let n_calls = (EVENTS_PER_ROUND / n_events.max(50)).max(1);
        let mut best = Duration::MAX;
        for _ in 0..N_ROUNDS {
            let start = Instant::now();
            for _ in 0..n_calls {
                std::hint::black_box(instance.process(&batch).await.unwrap());
            }
            best = best.min(start.elapsed());
        }
        let per_call = best.as_nanos() as f64 / n_calls as f64;
        println!("{n_events:>8} {per_call:>12.0} {:>12.1}", per_call / n_events.max(1) as f64);
    }
}
