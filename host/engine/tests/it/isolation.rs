//! One plugin's fault is nobody else's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowctl_engine::Tenant;
use flowctl_runtime::Stage as _;

use crate::support::{batch, chain, crash, engine, guest, node, stage, tenant};

/// Runs on one thread, so that the second guest answers only while the first yields.
#[tokio::test(flavor = "current_thread")]
async fn others_run_on_while_a_guest_loops() {
    let engine = engine();
    let mut looping = node("looping", &guest("spin"));
    looping.limits.cpu = Duration::from_millis(200);
    let mut looping = stage(&engine, &looping).await.unwrap().instantiate().await.unwrap();
    let mut working = stage(&engine, &node("working", &guest("identity"))).await.unwrap().instantiate().await.unwrap();

    let is_over = AtomicBool::new(false);
    let loop_until_stopped = async {
        let (reason, _) = crash(looping.process(&batch(["one"])).await);
        is_over.store(true, Ordering::Relaxed);
        reason
    };
    let work_meanwhile = async {
        let mut n_answers = 0;
        while !is_over.load(Ordering::Relaxed) {
            let outcome = working.process(&batch(["one"])).await.unwrap();
            assert_eq!(outcome.outputs[0].columns.payload(0), b"one");
            n_answers += usize::from(!is_over.load(Ordering::Relaxed));
            tokio::task::yield_now().await;
        }
        n_answers
    };
    let (reason, n_answers) = tokio::join!(loop_until_stopped, work_meanwhile);
    assert!(reason.contains("`looping` crashed in `process`: used its CPU budget of 200 ms"), "{reason}");
    assert!(n_answers >= 10, "only {n_answers} answers within 200 ticks");
}

#[tokio::test]
async fn instance_made_after_a_crash_starts_anew() {
    let stage = stage(&engine(), &node("suspect", &guest("trap_third"))).await.unwrap();
    for _ in 0..3 {
        let mut instance = stage.instantiate().await.unwrap();
        instance.process(&batch(["one", "two"])).await.unwrap();
        crash(instance.process(&batch(["three"])).await);
    }
}

#[tokio::test]
async fn call_that_is_given_up_ends_the_instance() {
    let stage = stage(&engine(), &node("suspect", &guest("spin"))).await.unwrap();
    let mut instance = stage.instantiate().await.unwrap();
    let input = batch(["one"]);
    tokio::select! {
        biased;
        _ = instance.process(&input) => unreachable!("it loops"),
        () = tokio::task::yield_now() => (),
    }
    let (reason, _) = crash(instance.process(&input).await);
    assert!(reason.ends_with("has crashed before"), "{reason}");
}

#[tokio::test]
async fn memory_of_a_tenant_is_capped_over_its_instances() {
    let (engine, node) = (engine(), node("echo", &guest("identity")));
    let one = Tenant::new("probe", u64::MAX);
    let probe = engine.stage(&node, &one).await.unwrap().instantiate().await.unwrap();
    let bytes_each = one.memory_bytes();
    assert!(bytes_each > 0);
    drop(probe);
    assert_eq!(one.memory_bytes(), 0);

    let small = Tenant::new("small", bytes_each * 2);
    let stage = engine.stage(&node, &small).await.unwrap();
    let first = stage.instantiate().await.unwrap();
    let _second = stage.instantiate().await.unwrap();
    let error = stage.instantiate().await.err().unwrap();
    let text = chain(&error);
    assert!(text.contains("allowed to all plugins of its tenant"), "{text}");
    let _neighbour = engine.stage(&node, &tenant()).await.unwrap().instantiate().await.unwrap();
    drop(first);
    stage.instantiate().await.unwrap();
}

#[tokio::test]
async fn cpu_is_charged_to_the_tenant() {
    let (engine, mut node) = (engine(), node("suspect", &guest("spin")));
    node.limits.cpu = Duration::from_millis(20);
    let tenant = Tenant::new("busy", u64::MAX);
    let mut instance = engine.stage(&node, &tenant).await.unwrap().instantiate().await.unwrap();
    crash(instance.process(&batch(["one"])).await);
    assert!(tenant.cpu_ticks() >= 20, "{}", tenant.cpu_ticks());
}
