//! One plugin's fault is nobody else's.

use std::time::Duration;

use flowctl_engine::Tenant;
use flowctl_runtime::Stage as _;

use crate::support::{batch, chain, crash, engine, guest, node, stage, tenant};

/// Runs on one thread, so that the second guest answers only while the first yields.
#[tokio::test(flavor = "current_thread")]
async fn others_run_on_while_a_guest_loops() {
    let engine = engine();
    let mut looping = stage(&engine, &node("looping", &guest("spin"))).await.unwrap().instantiate().await.unwrap();
    let mut working = stage(&engine, &node("working", &guest("identity"))).await.unwrap().instantiate().await.unwrap();

    let input = batch(["one"]);
    let answers = async {
        for _ in 0..10 {
            let outcome = working.process(&input).await.unwrap();
            assert_eq!(outcome.outputs[0].columns.payload(0), b"one");
            tokio::task::yield_now().await;
        }
    };
    // the loop goes on before each answer
    tokio::select! {
        biased;
        ended = looping.process(&input) => panic!("it loops, and others wait until its end: {ended:?}"),
        () = answers => (),
    }
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
    node.limits.cpu = Duration::from_millis(500);
    let tenant = Tenant::new("busy", u64::MAX);
    let mut instance = engine.stage(&node, &tenant).await.unwrap().instantiate().await.unwrap();
    crash(instance.process(&batch(["one"])).await);
    assert!(tenant.cpu_ticks() >= 500, "{}", tenant.cpu_ticks());
}
