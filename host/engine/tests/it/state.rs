//! Optional exports: state, timer, configuration.

use std::time::Duration;

use flowctl_runtime::{Fault, Stage as _};
use flowctl_topology::Node;
use serde_json::{Value, json};

use crate::support::{batch, chain, crash, engine, guest, instance, node, stage};

#[tokio::test]
async fn state_moves_from_one_instance_to_another() {
    let stage = stage(&engine(), &node("count", &guest("stateful"))).await.unwrap();
    let mut old = stage.instantiate().await.unwrap();
    old.process(&batch(["a", "b", "c"])).await.unwrap();
    let saved = old.save().await.unwrap();
    assert_eq!(saved, [(0, 3u64.to_le_bytes().to_vec())]);

    let mut new = stage.instantiate().await.unwrap();
    new.restore("1.0.0", saved).await.unwrap();
    new.process(&batch(["d"])).await.unwrap();
    let outcome = new.tick(99).await.unwrap();
    assert_eq!(outcome.outputs[0].columns.payload(0), b"4");
    assert_eq!(outcome.outputs[0].watermark, Some(99));
    assert_eq!(new.end().await.unwrap_err(), Fault::Retry("not yet".into()));
}

#[tokio::test]
async fn state_that_is_refused_leaves_the_instance_alive() {
    let mut instance = instance(&node("count", &guest("stateful"))).await;
    let refused = instance.restore("0.0.0", vec![]).await.unwrap_err();
    assert_eq!(refused, Fault::Fatal("state of version 0.0.0 is too old".into()));
    instance.save().await.unwrap();
}

#[tokio::test]
async fn state_of_no_key_group_is_a_lie() {
    let mut instance = instance(&node("count", &guest("stateful"))).await;
    instance.process(&batch(["lie"])).await.unwrap();
    let Err(Fault::Crashed { reason, .. }) = instance.save().await else { panic!("it lies") };
    let lie = "answered nonsense: part 0 of the state has key group 256, the last one is 255";
    assert_eq!(reason, format!("plugin `stateful` at node `count` crashed in `save`: {lie}"));
}

/// The error of a configuration; what the guest says where it is taken.
async fn refusal(config: Value) -> String {
    let mut node = node("setup", &guest("slow_configure"));
    node.config = config;
    answer(&node).await
}

async fn answer(node: &Node) -> String {
    let stage = stage(&engine(), node).await.unwrap();
    match stage.instantiate().await {
        Ok(_) => stage.log_lines().join("\n"),
        Err(error) => chain(&error),
    }
}

#[tokio::test]
async fn configuration_becomes_typed_values() {
    let full = json!({"mode": "quick", "name": "n", "bounds": {"low": -3, "high": 9}, "tags": ["a", "b"]});
    assert_eq!(refusal(full).await, r#"n Some((-3, Some(9))) ["a", "b"]"#);
    let short = json!({"mode": "quick", "name": "n", "bounds": {"low": 0}, "tags": []});
    assert_eq!(refusal(short).await, "n Some((0, None)) []");
    let shorter = json!({"mode": "quick", "name": "n", "tags": []});
    assert_eq!(refusal(shorter).await, "n None []");
}

#[tokio::test]
async fn configuration_that_does_not_fit_is_named() {
    let here = "cannot prepare node `setup`: configuration of node `setup`";
    let cases = [
        (json!(null), "`mode` is missing: expected one of quick, never_ending"),
        (json!({"mode": "slow"}), "`mode`: expected one of quick, never_ending, found `slow`"),
        (json!({"mode": "quick", "name": 3}), "`name`: expected a text, found `3`"),
        (json!({"speed": 1}), "`speed` is no field of the component; it has mode, name, bounds, tags"),
        (
            json!({"mode": "quick", "name": "", "bounds": {"low": 40000}}),
            "`bounds.low`: expected a whole number from -32768 to 32767, found `40000`",
        ),
        (json!({"mode": "quick", "name": "", "tags": ["a", 2]}), "`tags[1]`: expected a text, found `2`"),
        (json!([]), "expected fields, found a list of 0"),
    ];
    for (config, reason) in cases {
        assert_eq!(refusal(config).await, format!("{here}: {reason}"));
    }
}

#[tokio::test]
async fn configuration_that_the_plugin_refuses_comes_with_its_words() {
    let text = refusal(json!({"mode": "quick", "name": "", "tags": []})).await;
    let want = "plugin `slow_configure` refuses the configuration of node `setup`: `name` is empty";
    assert_eq!(text, format!("cannot prepare node `setup`: {want}"));
}

#[tokio::test]
async fn configure_that_loops_is_stopped() {
    let mut node = node("setup", &guest("slow_configure"));
    node.config = json!({"mode": "never_ending", "name": "", "tags": []});
    // making the instance has to get along with it too
    node.limits.cpu = Duration::from_secs(1);
    let text = answer(&node).await;
    assert!(text.contains("crashed in `configure`: used its CPU budget of 1 s"), "{text}");
}

#[tokio::test]
async fn crash_while_saving_is_one_too() {
    let mut instance = instance(&node("suspect", &guest("trap_third"))).await;
    crash(instance.process(&batch(["one", "two", "three"])).await);
    assert!(matches!(instance.save().await, Err(Fault::Crashed { .. })));
}
