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
        _ = unlimited.process(&input) => unreachable!("it loops"),
        _ = limited.process(&input) => unreachable!("it loops"),
        () = executed(&free, 1_000) => (),
    }
    assert!(is_a_tenth(held.cpu_ticks(), free.cpu_ticks()), "{held:?}, {free:?}");
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
    let is_over = Cell::new(false);
    let call = async |instance: &mut Box<dyn Processor>| {
        let mut n_calls = 0;
        while !is_over.get() {
            instance.process(&input).await.unwrap();
            n_calls += 1;
            tokio::task::yield_now().await;
        }
        n_calls
    };
    let end = async {
        executed(&free, 1_000).await;
        is_over.set(true);
    };
    let (n_unlimited, n_limited, ()) = tokio::join!(call(&mut unlimited), call(&mut limited), end);
    assert!(is_a_tenth(n_limited, n_unlimited), "{n_limited} beside {n_unlimited}");
}

#[tokio::test]
async fn waiting_for_a_share_is_neither_execution_nor_delay() {
    let (engine, tenant) = (engine(), held(0.05));
    let mut node = node("suspect", &guest("spin"));
    node.limits.cpu = Duration::from_millis(50);
    node.limits.timeout = Duration::from_millis(500);
    let mut instance = engine.stage(&node, &tenant).await.unwrap().instantiate().await.unwrap();
    // at its share that takes about a second
    let (reason, _) = crash(instance.process(&batch(["one"])).await);
    assert!(reason.contains("crashed in `process`: used its CPU budget of 50 ms"), "{reason}");
}

#[tokio::test]
async fn an_instance_says_what_it_uses_until_it_is_gone() {
    let (engine, tenant) = (engine(), Tenant::new("t", u64::MAX));
    let mut node = node("suspect", &guest("spin"));
    node.limits.cpu = Duration::from_millis(20);
    let mut instance = engine.stage(&node, &tenant).await.unwrap().instantiate().await.unwrap();
    let usage = instance.usage();
    assert!(usage.memory_bytes > 0);
    assert_eq!(usage.memory_bytes, tenant.usage().memory_bytes);
    crash(instance.process(&batch(["one"])).await);
    let usage = instance.usage();
    assert_eq!((usage.memory_bytes, tenant.usage().memory_bytes), (0, 0));
    assert!(usage.cpu >= Duration::from_millis(20), "{usage:?}");
    assert_eq!(usage.cpu, tenant.usage().cpu);
}

/// Waits until a tenant has executed `n_ticks`.
async fn executed(tenant: &Tenant, n_ticks: u64) {
    while tenant.cpu_ticks() < n_ticks {
        tokio::task::yield_now().await;
    }
}
