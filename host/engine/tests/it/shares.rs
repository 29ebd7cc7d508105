//! What a tenant may execute of the CPU, and what it is told to have used.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use flowctl_engine::{Engine, Tenant, TenantLimits};
use flowctl_runtime::{Processor, Stage as _};
use flowctl_types::{Batch, Columns, Ids};

use crate::support::{batch, crash, engine, guest, node};

fn held(cpu_share: f64) -> Arc<Tenant> {
    Tenant::with_limits("held", TenantLimits { cpu_share: Some(cpu_share), ..TenantLimits::default() })
}

async fn instance(engine: &Engine, name: &str, tenant: &Arc<Tenant>) -> Box<dyn Processor> {
    engine.stage(&node(name, &guest(name)), tenant).await.unwrap().instantiate().await.unwrap()
}

/// Whether `part` is about a tenth of `whole` and itself.
fn is_a_tenth(part: u64, whole: u64) -> bool {
    let share = part as f64 / (part + whole) as f64;
    (0.05..0.2).contains(&share)
}

#[tokio::test]
async fn long_calls_get_their_tenants_share_beside_anothers() {
    let engine = engine();
    let (free, held) = (Tenant::new("free", u64::MAX), held(0.1));
    let mut unlimited = instance(&engine, "spin", &free).await;
    let mut limited = instance(&engine, "spin", &held).await;
    let input = batch(["one"]);
    tokio::select! {
        _ = unlimited.process(&input) => panic!("{held:?} beside {free:?}"),
        _ = limited.process(&input) => panic!("{held:?} beside {free:?}"),
        () = held_to_a_tenth(&free, || (held.cpu_ticks(), free.cpu_ticks())) => (),
    }
}

#[tokio::test]
async fn short_calls_get_their_tenants_share_beside_anothers() {
    let engine = engine();
    let (free, held) = (Tenant::new("free", u64::MAX), held(0.1));
    let mut unlimited = instance(&engine, "identity", &free).await;
    let mut limited = instance(&engine, "identity", &held).await;
    let mut columns = Columns::default();
    (0..1_000).for_each(|n| columns.push(n, b"an event of some bytes"));
    let input = Batch::new(columns, Ids::numbered("test", 0));
    let (is_over, n_unlimited, n_limited) = (Cell::new(false), Cell::new(0), Cell::new(0));
    let call = async |instance: &mut Box<dyn Processor>, n_calls: &Cell<u64>| {
        while !is_over.get() {
            instance.process(&input).await.unwrap();
            n_calls.set(n_calls.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let end = async {
        held_to_a_tenth(&free, || (n_limited.get(), n_unlimited.get())).await;
        is_over.set(true);
    };
    tokio::join!(call(&mut unlimited, &n_unlimited), call(&mut limited, &n_limited), end);
}

#[tokio::test]
async fn waiting_for_a_share_is_neither_execution_nor_delay() {
    let (engine, tenant) = (engine(), held(0.02));
    let mut node = node("suspect", &guest("spin"));
    node.limits.cpu = Duration::from_millis(100);
    node.limits.timeout = Duration::from_secs(3);
    let mut instance = engine.stage(&node, &tenant).await.unwrap().instantiate().await.unwrap();
    // at its share that takes about five seconds
    let (reason, _) = crash(instance.process(&batch(["one"])).await);
    assert!(reason.contains("crashed in `process`: used its CPU budget of 100 ms"), "{reason}");
}

#[tokio::test]
async fn an_instance_says_what_it_uses_until_it_is_gone() {
    let (engine, tenant) = (engine(), Tenant::new("t", u64::MAX));
    let mut node = node("suspect", &guest("spin"));
    node.limits.cpu = Duration::from_millis(500);
    let mut instance = engine.stage(&node, &tenant).await.unwrap().instantiate().await.unwrap();
    let usage = instance.usage();
    assert!(usage.memory_bytes > 0);
    assert_eq!(usage.memory_bytes, tenant.usage().memory_bytes);
    crash(instance.process(&batch(["one"])).await);
    let usage = instance.usage();
    assert_eq!((usage.memory_bytes, tenant.usage().memory_bytes), (0, 0));
    assert!(usage.cpu >= Duration::from_millis(500), "{usage:?}");
    assert_eq!(usage.cpu, tenant.usage().cpu);
}

/// Waits until one of two counts has grown by about a tenth of both within a thousand ticks
/// of `free`. A guest is charged too for the time in which its thread was kept from it, and
/// then is late for as long as it takes to make up for that.
async fn held_to_a_tenth(free: &Tenant, counts: impl Fn() -> (u64, u64)) {
    loop {
        let (part, whole) = counts();
        let end = free.cpu_ticks() + 1_000;
        while free.cpu_ticks() < end {
            tokio::task::yield_now().await;
        }
        let (part, whole) = (counts().0 - part, counts().1 - whole);
        if is_a_tenth(part, whole) {
            return;
        }
        assert!(end < 60_000, "{part} beside {whole}");
    }
}
