//! Each misbehaviour ends as a fault that names plugin, node, call and cause.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use flowctl_runtime::{Fault, Stage as _};
use flowctl_topology::CallLimits;

use crate::support::{batch, crash, guest, instance, node};

/// What two events make a guest crash with: the reason's first line, all of it, and
/// the tail of the log. The limits hold for making the instance too.
async fn crashed(name: &str, limits: impl FnOnce(&mut CallLimits)) -> (String, String, String) {
    let mut node = node("suspect", &guest(name));
    limits(&mut node.limits);
    let mut instance = instance(&node).await;
    let (reason, log_tail) = crash(instance.process(&batch(["one", "two"])).await);
    let (again, _) = crash(instance.process(&batch(["one", "two"])).await);
    assert_eq!(again, format!("plugin `{name}` at node `suspect` has crashed before"));
    (reason.lines().next().unwrap().to_owned(), reason, log_tail)
}

async fn check(name: &str, cause: &str) {
    let (first, ..) = crashed(name, |_| ()).await;
    assert_eq!(first, format!("plugin `{name}` at node `suspect` crashed in `process`: {cause}"));
}

#[tokio::test]
async fn endless_loop_ends_with_its_cpu_budget() {
    let (first, ..) = crashed("spin", |limits| limits.cpu = Duration::from_secs(1)).await;
    assert_eq!(first, "plugin `spin` at node `suspect` crashed in `process`: used its CPU budget of 1 s");
}

#[tokio::test]
async fn endless_loop_ends_with_the_wall_clock_too() {
    let (first, ..) = crashed("spin", |limits| limits.timeout = Duration::from_secs(1)).await;
    assert_eq!(first, "plugin `spin` at node `suspect` crashed in `process`: did not answer within 1 s");
}

#[tokio::test]
async fn waiting_ends_with_the_wall_clock() {
    let (first, ..) = crashed("sleeps", |limits| limits.timeout = Duration::from_secs(1)).await;
    assert_eq!(first, "plugin `sleeps` at node `suspect` crashed in `process`: did not answer within 1 s");
}

#[tokio::test]
async fn memory_bomb_ends_at_the_limit() {
    let (first, _, log_tail) = crashed("bomb", |limits| limits.memory_bytes = 32 << 20).await;
    let cause = "out of memory: asked for 33 MiB of 32 MiB allowed to it";
    assert!(first.starts_with(&format!("plugin `bomb` at node `suspect` crashed in `process`: {cause}")), "{first}");
    assert!(log_tail.starts_with("memory allocation of 1048576 bytes failed"), "{log_tail}");
}

#[tokio::test]
async fn huge_answer_is_not_copied() {
    check("flood", "handed over more than 100 MiB in one call").await;
}

#[tokio::test]
async fn deep_recursion_ends_on_the_stack() {
    let (first, reason, _) = crashed("recurse", |_| ()).await;
    let causes = ["wasm trap: call stack exhausted", "wasm trap: out of bounds memory access"];
    assert!(causes.iter().any(|cause| first.ends_with(cause)), "{first}");
    assert!(reason.contains("recurse::descend"), "{reason}");
    assert!(reason.lines().count() <= 21, "{reason}");
}

#[tokio::test]
async fn trap_on_the_third_event_comes_with_the_second_batch() {
    let mut instance = instance(&node("suspect", &guest("trap_third"))).await;
    let outcome = instance.process(&batch(["one", "two"])).await.unwrap();
    assert_eq!(outcome.outputs[0].columns.len(), 2);
    let (reason, _) = crash(instance.process(&batch(["three"])).await);
    assert!(reason.contains("wasm trap: wasm `unreachable` instruction executed"), "{reason}");
}

#[tokio::test]
async fn panic_shows_its_message_and_where_it_was() {
    let (first, reason, log_tail) = crashed("panics", |_| ()).await;
    assert!(first.ends_with("wasm trap: wasm `unreachable` instruction executed"), "{first}");
    assert!(reason.contains("panics::parse_amount"), "{reason}");
    assert!(log_tail.contains("amount of 6 bytes is no number"), "{log_tail}");
}

#[tokio::test]
async fn exit_ends_the_instance_alone() {
    check("exits", "it called `exit`").await;
}

#[tokio::test]
async fn lies_about_offsets_kinds_and_origins_are_named() {
    let nonsense = "answered nonsense: output batch 0";
    check("descending", &format!("{nonsense}: `ends[1]` is 3, before the end 5 of the event before it")).await;
    check("overrun", &format!("{nonsense}: `ends` ends at 4294967295, but there are 3 bytes")).await;
    check("bad_kind", &format!("{nonsense}: `kind` is 7, but 1 event types are declared")).await;
    check("stray_origin", &format!("{nonsense}: `origins[0]` is 1000, but the input had 2 events")).await;
    check("stray_rejection", "answered nonsense: `rejected[0].index` is 2, but the input had 2 events").await;
}

#[tokio::test]
async fn reason_that_is_no_utf8_is_refused() {
    check("bad_utf8", "broke the contract: invalid utf-8 sequence of 1 bytes from index 2").await;
}

#[tokio::test]
async fn output_of_a_guest_is_bounded_and_harmless() {
    let stage = crate::support::stage(&crate::support::engine(), &node("suspect", &guest("log_flood"))).await.unwrap();
    let mut instance = stage.instantiate().await.unwrap();
    instance.process(&batch(["one"])).await.unwrap();
    let lines = stage.log_lines();
    assert!(lines.iter().map(String::len).sum::<usize>() <= 64 << 10);
    assert!(lines.contains(&"line 19999 \\u{1b}[2J".to_owned()));
    assert_eq!(lines.last().unwrap(), "stdout 19999");
    assert_eq!(stage.counters().len(), 256);
}

#[tokio::test]
async fn much_output_is_taken_whole_and_not_kept() {
    let (engine, tenant) = (crate::support::engine(), crate::support::tenant());
    let stage = engine.stage(&node("suspect", &guest("gush")), &tenant).await.unwrap();
    let mut instance = stage.instantiate().await.unwrap();
    let input = batch(["one", "two"]);
    for _ in 0..20 {
        let outcome = instance.process(&input).await.unwrap();
        assert_eq!(outcome.outputs[0].columns.n_bytes(), 16 << 20);
    }
    assert!(tenant.memory_bytes() < 64 << 20, "{} bytes", tenant.memory_bytes());
}

#[tokio::test]
async fn write_of_more_than_the_stream_takes_is_refused() {
    check("big_write", "broke the contract: wrote 100000 bytes at once to a stream that takes 4096").await;
}

#[tokio::test]
async fn work_of_the_host_is_charged_to_the_guest_that_asked_for_it() {
    let (engine, tenant) = (crate::support::engine(), crate::support::tenant());
    let mut node = node("suspect", &guest("big_log"));
    node.limits.cpu = Duration::from_secs(1);
    let mut instance = engine.stage(&node, &tenant).await.unwrap().instantiate().await.unwrap();
    // a clock made as the engine's is: where others are busy, both tick more slowly
    let (stop, stopped) = sync_channel::<()>(0);
    let clock = std::thread::spawn(move || {
        let tick = || stopped.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout);
        std::iter::repeat_with(tick).take_while(|has_ticked| *has_ticked).count() as u64
    });
    let (reason, _) = crash(instance.process(&batch(["one"])).await);
    drop(stop);
    let passed = clock.join().unwrap();
    assert!(reason.contains("crashed in `process`: used its CPU budget of 1 s"), "{reason}");
    // nearly all of the time passes in calls of the host, each of them many ticks long
    let charged = tenant.cpu_ticks();
    assert!(charged * 3 > passed, "{charged} of {passed} ticks");
}

#[tokio::test]
async fn well_behaved_guest_gives_back_what_it_got() {
    let mut instance = instance(&node("echo", &guest("identity"))).await;
    let input = batch(["", "one", "two"]);
    let outcome = instance.process(&input).await.unwrap();
    assert_eq!(outcome.outputs[0].columns, input.columns);
    assert_eq!(outcome.outputs[0].origins, [0, 1, 2]);
    assert_eq!(instance.save().await.unwrap(), []);
    assert!(instance.end().await.unwrap().outputs.is_empty());
    assert!(matches!(instance.restore("1.0.0", vec![(0, vec![])]).await, Err(Fault::Fatal(_))));
}
