//! Order, completeness, identity and backpressure.

use std::time::Duration;

use flowctl_runtime::{Run, Status};
use flowctl_types::NodeId;

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec, Verdict, id};

/// Waits until nothing moves any more.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

fn figures(run: &Run, node: &str) -> flowctl_runtime::Counters {
    let node: NodeId = id(node);
    let snapshot = run.handle().snapshot().unwrap();
    snapshot.nodes.iter().find(|(known, _)| *known == node).unwrap().1.counters
}

#[tokio::test(start_paused = true)]
async fn a_line_delivers_every_event_once_in_order_with_its_id() {
    let sink = SinkSpec::new();
    let summary = Pipe::line(SourceSpec::new(100), Rule::identity(), &sink).run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    let want: Vec<_> = (0..100).map(|n| (format!("s/{n}/0"), n)).collect();
    assert_eq!(sink.events(), want);
    assert_eq!((summary.events_in, summary.events_out, summary.rejected), (100, 100, 0));
}

#[tokio::test(start_paused = true)]
async fn outputs_of_one_event_are_numbered() {
    let sink = SinkSpec::new();
    let rule = Rule::new(|n| if n == 1 { Verdict::Twice(n) } else { Verdict::Emit(n) });
    Pipe::line(SourceSpec::new(3), rule, &sink).run().await;
    let ids: Vec<_> = sink.events().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["s/0/0", "s/1/0", "s/1/1", "s/2/0"]);
}

#[tokio::test(start_paused = true)]
async fn every_sink_of_a_fan_out_gets_everything() {
    let sinks = [SinkSpec::new(), SinkSpec::new()];
    let pipe = Pipe::new()
        .source("s", SourceSpec::new(50))
        .processor("p", Rule::identity(), &["s"])
        .sink("a", &sinks[0], &["p"])
        .sink("b", &sinks[1], &["s"]);
    let summary = pipe.run().await;
    assert_eq!(sinks[0].numbers(), (0..50).collect::<Vec<_>>());
    assert_eq!(sinks[1].numbers(), (0..50).collect::<Vec<_>>());
    assert_eq!((summary.events_in, summary.events_out), (50, 100));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_sink_stops_the_source_within_the_edges_bounds() {
    let sink = SinkSpec::new();
    sink.gate.send_replace(false);
    let source = SourceSpec { sizes: vec![1], ..SourceSpec::new(1_000) };
    let log = source.log.clone();
    let pipe = Pipe::line(source, Rule::identity(), &sink).settings(|settings| settings.queue_batches = 4);
    let mut run = pipe.start().await.unwrap();
    settle().await;
    // two edges of 4, and one batch in the hands of each node
    assert_eq!(log.lock().unwrap().n_read, 4 + 4 + 3);
    let snapshot = run.handle().snapshot().unwrap();
    assert!(snapshot.edges.iter().all(|edge| edge.pending.batches == 4), "{snapshot:?}");
    sink.gate.send_replace(true);
    assert_eq!(run.wait().await.events_out, 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_sink_stops_the_source_within_the_edges_bytes() {
    let sink = SinkSpec::new();
    sink.gate.send_replace(false);
    let source = SourceSpec { sizes: vec![1], ..SourceSpec::new(1_000) };
    let log = source.log.clone();
    // an event is one byte of payload and 12 of columns
    let pipe = Pipe::line(source, Rule::identity(), &sink).settings(|settings| settings.queue_bytes = 40);
    let _run = pipe.start().await.unwrap();
    settle().await;
    assert_eq!(log.lock().unwrap().n_read, 3 + 3 + 3);
}

#[tokio::test(start_paused = true)]
async fn small_batches_are_joined_while_the_source_may_linger() {
    let sink = SinkSpec::new();
    let source = SourceSpec { sizes: vec![1], pause: Duration::from_millis(1), ..SourceSpec::new(1_000) };
    let pipe = Pipe::line(source, Rule::identity(), &sink).settings(|settings| {
        settings.linger = Duration::from_millis(200);
        settings.max_events = 100;
        settings.checkpoint_interval = Duration::from_secs(3_600);
    });
    let mut run = pipe.start().await.unwrap();
    let summary = run.wait().await;
    assert_eq!(sink.events(), (0..1_000).map(|n| (format!("s/{n}/0"), n)).collect::<Vec<_>>());
    assert_eq!(figures(&run, "s").batches_out, 20, "a batch goes when half of it is there");
    assert_eq!(summary.events_out, 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_lone_event_waits_no_longer_than_the_linger() {
    let sink = SinkSpec::new();
    let source = SourceSpec { sizes: vec![1], ..SourceSpec::endless(1) };
    let pipe = Pipe::line(source, Rule::identity(), &sink).settings(|settings| {
        settings.linger = Duration::from_millis(50);
    });
    let _run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(49)).await;
    assert!(sink.numbers().is_empty());
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(sink.numbers(), [0]);
}

#[tokio::test(start_paused = true)]
async fn parallel_instances_keep_the_order() {
    let sink = SinkSpec::new();
    // early batches take longest: without reordering they would come last
    let rule = Rule {
        delay: std::sync::Arc::new(|n| Duration::from_millis(100 - n.min(99))),
        ..Rule::new(|n| if n % 7 == 3 { Verdict::Reject } else { Verdict::Emit(n) })
    };
    let calls = rule.calls.clone();
    let pipe = Pipe::line(SourceSpec::new(100), rule, &sink).parallel("p", 4);
    let started = tokio::time::Instant::now();
    let summary = pipe.run().await;
    assert_eq!(sink.numbers(), (0..100).filter(|n| n % 7 != 3).collect::<Vec<_>>());
    assert_eq!(summary.rejected, 14);
    assert_eq!(calls.lock().unwrap().n_instances, 4);
    let one_by_one: u64 = (0..34).map(|batch| 100 - (batch * 3).min(99)).sum();
    assert!(started.elapsed() < Duration::from_millis(one_by_one / 2), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_watermark_of_joined_inputs_is_the_slower_ones() {
    let source = |pause| SourceSpec {
        sizes: vec![1],
        has_watermarks: true,
        pause: Duration::from_millis(pause),
        ..SourceSpec::new(10)
    };
    let rule = Rule::identity();
    let calls = rule.calls.clone();
    let sink = SinkSpec::new();
    let pipe = Pipe::new()
        .source("fast", source(1))
        .source("slow", source(100))
        .processor("p", rule, &["fast", "slow"])
        .sink("out", &sink, &["p"]);
    pipe.run().await;
    let watermarks = calls.lock().unwrap().watermarks.clone();
    assert!(watermarks.is_sorted(), "{watermarks:?}");
    // the fast one has finished when the slow one sends its first: its watermark is all there is
    assert_eq!(watermarks[..10], [None; 10]);
    assert_eq!(watermarks[10..], (0..10).map(Some).collect::<Vec<_>>());
}
