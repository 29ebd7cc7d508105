//! What a run shows of its nodes beside their counters.

use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{Fault, NodeFigures, Run, Status};

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec, Verdict, id};

fn figures(run: &Run, node: &str) -> NodeFigures {
    let snapshot = run.handle().snapshot().unwrap();
    snapshot.nodes.into_iter().find(|(known, _)| *known == id(node)).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_the_time_they_take() {
    let sink = SinkSpec::new();
    for n_instances in [1, 3] {
        let pipe = Pipe::line(SourceSpec::new(30), Rule::identity(), &sink).parallel("p", n_instances);
        let summary = pipe.run().await;
        for node in ["s", "p", "out"] {
            let latency = &summary.per_node[&id(node)].latency;
            assert_eq!(latency.count, 10, "{node}");
            assert_eq!(latency.buckets.iter().map(|(_, count)| count).sum::<u64>(), 10, "{node}: {latency:?}");
            assert!(latency.sum_seconds > 0.0, "{node}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_breaks_is_counted_as_a_restart() {
    let sink = SinkSpec::new();
    let rule = Rule::new(|n| if n == 4 { Verdict::Crash } else { Verdict::Emit(n) });
    let summary = Pipe::line(SourceSpec::new(30), rule, &sink).run().await;
    assert_eq!(summary.status, Status::Completed);
    // once with its batch, once alone
    assert_eq!(summary.per_node[&id("p")].restarts, 2);
    assert_eq!(summary.per_node[&id("s")].restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn restarts_and_time_stay_when_the_run_goes_back_and_counts_do_not() {
    let sink = SinkSpec::new();
    let crash = Fault::Crashed { reason: "died".to_owned(), log_tail: String::new() };
    let source = SourceSpec { faults: [(12, crash)].into(), ..SourceSpec::new(60) };
    let source = SourceSpec { pause: Duration::from_millis(100), ..source };
    let rule = Rule::new(|n| if n == 40 { Verdict::CrashInCompany } else { Verdict::Emit(n) });
    let summary = Pipe::line(source, Rule { is_sum: true, ..rule }, &sink).run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    let (source, processor) = (&summary.per_node[&id("s")], &summary.per_node[&id("p")]);
    assert_eq!((source.restarts, source.counters.events_in), (1, 60));
    assert_eq!((processor.restarts, processor.counters.events_in), (1, 60));
    assert!(processor.latency.count > processor.counters.batches_in, "{processor:?}");
}

#[tokio::test(start_paused = true)]
async fn memory_is_that_of_the_instances_there_are_and_time_that_of_all() {
    let sink = SinkSpec::new();
    let rule = Rule { uses: 1_000, ..Rule::new(|n| if n == 4 { Verdict::Crash } else { Verdict::Emit(n) }) };
    let calls = Arc::clone(&rule.calls);
    let pipe = Pipe::line(SourceSpec::endless(30), rule, &sink).parallel("p", 3);
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // one of four calls has broken an instance, which stays away until there is work for it
    let in_work = figures(&run, "p");
    assert_eq!(in_work.memory_bytes, 3_000);
    let n_calls = calls.lock().unwrap().watermarks.len() as u64;
    assert_eq!(in_work.cpu_ns, n_calls * 1_000_000);
    run.handle().stop(flowctl_runtime::Stop::Drain);
    let summary = run.wait().await;
    let after = &summary.per_node[&id("p")];
    assert_eq!((after.memory_bytes, after.cpu_ns), (0, in_work.cpu_ns));
}

#[tokio::test(start_paused = true)]
async fn what_a_node_waits_for_is_shown_while_the_run_goes() {
    let sink = SinkSpec::new();
    let mut pipe = Pipe::line(SourceSpec::endless(3), Rule::identity(), &sink);
    pipe.waiting = Some((id("p"), "its component is not healthy".to_owned()));
    let mut run = pipe.start().await.unwrap();
    drop(pipe);
    assert_eq!(figures(&run, "p").waiting.as_deref(), Some("its component is not healthy"));
    assert_eq!(figures(&run, "s").waiting, None);
    run.handle().stop(flowctl_runtime::Stop::Now);
    let summary = run.wait().await;
    assert_eq!(summary.per_node[&id("p")].waiting, None);
    let handle = run.handle();
    drop(run);
    assert!(handle.snapshot().unwrap().nodes.iter().all(|(_, figures)| figures.waiting.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_summary_in_json_has_counters_beside_the_other_figures() {
    let summary = Pipe::line(SourceSpec::new(3), Rule::identity(), &SinkSpec::new()).run().await;
    let json = serde_json::to_value(&summary).unwrap();
    let node = &json["per_node"]["p"];
    assert_eq!((&node["role"], &node["events_in"], &node["batches_out"]), (&"processor".into(), &3.into(), &1.into()));
    assert_eq!((&node["restarts"], &node["memory_bytes"], &node["cpu_ns"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(node["latency"]["count"], 1);
    assert_eq!(node.get("waiting"), None);
}
