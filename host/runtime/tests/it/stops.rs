//! Drain, stop, and what is prepared before anything runs.

use std::error::Error;
use std::time::Duration;

use flowctl_runtime::{ApplyError, Change, Run, Status, Stop};

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec};

#[tokio::test(start_paused = true)]
async fn a_drain_delivers_what_is_under_way_and_takes_it() {
    let sink = SinkSpec::new();
    let source = SourceSpec { pause: Duration::from_millis(10), ..SourceSpec::endless(10_000) };
    let log = source.log.clone();
    let rule = Rule { delay: std::sync::Arc::new(|_| Duration::from_millis(30)), ..Rule::identity() };
    let mut run = Pipe::line(source, rule, &sink).start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    run.handle().stop(Stop::Drain);
    let summary = run.wait().await;
    assert_eq!(summary.status, Status::Stopped);
    let n_read = log.lock().unwrap().n_read;
    assert!(n_read > 20 && n_read < 10_000);
    assert_eq!(sink.numbers(), (0..n_read).collect::<Vec<_>>());
    assert_eq!(summary.events_out, n_read);
    assert_eq!(log.lock().unwrap().acked, [n_read]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_the_last_committed_epoch() {
    let sink = SinkSpec::new();
    let source = SourceSpec { pause: Duration::from_millis(10), ..SourceSpec::endless(10_000) };
    let log = source.log.clone();
    let mut run = Pipe::line(source, Rule::identity(), &sink).start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    run.handle().stop(Stop::Now);
    let summary = run.wait().await;
    assert_eq!(summary.status, Status::Stopped);
    assert_eq!(sink.epochs(), [1, 2]);
    assert_eq!(summary.epoch, 2);
    let durable = sink.log.lock().unwrap().n_durable;
    assert_eq!(durable, sink.numbers().len(), "what no epoch covers is taken back");
    assert!(log.lock().unwrap().n_read > durable as u64);
    assert_eq!(summary.events_out, durable as u64);
    assert_eq!(log.lock().unwrap().acked.last(), Some(&(durable as u64)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_drain_that_takes_too_long() {
    let sink = SinkSpec::new();
    sink.gate.send_replace(false);
    let mut run = Pipe::line(SourceSpec::endless(10), Rule::identity(), &sink).start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.handle().stop(Stop::Drain);
    assert!(tokio::time::timeout(Duration::from_secs(60), run.wait()).await.is_err());
    run.handle().stop(Stop::Now);
    let summary = run.wait().await;
    assert_eq!((summary.status, summary.events_out), (Status::Stopped, 0));
}

#[tokio::test(start_paused = true)]
async fn a_drain_after_the_sources_finished_completes() {
    let sink = SinkSpec::new();
    let mut run = Pipe::line(SourceSpec::new(10), Rule::identity(), &sink).start().await.unwrap();
    run.handle().stop(Stop::Drain);
    let summary = run.wait().await;
    assert_ne!(summary.status, Status::Failed);
    assert_eq!(summary.events_out, sink.numbers().len() as u64);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_opened_for_writing_when_a_node_cannot_be_prepared() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(SourceSpec::new(10), Rule::identity(), &sink).broken("s").broken("p");
    let Err(ApplyError::Prepare(faults)) = pipe.start().await.map(drop) else { panic!("it started") };
    let said: Vec<_> = faults.iter().map(|fault| format!("{fault}: {}", fault.source().unwrap())).collect();
    assert_eq!(said, ["cannot prepare node `s`: no such file", "cannot prepare node `p`: no such file"]);
    assert!(!sink.log.lock().unwrap().is_opened);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_receiver_is_refused() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(SourceSpec::new(10), Rule::identity(), &sink).processor("blind", Rule::identity(), &["s"]);
    let Err(ApplyError::Prepare(faults)) = pipe.start().await.map(drop) else { panic!("it started") };
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].node, "blind");
    assert_eq!(faults[0].source.to_string(), "no edge leaves it: its events would have no receiver");
}

#[tokio::test(start_paused = true)]
async fn several_instances_with_state_need_a_key() {
    let sink = SinkSpec::new();
    let rule = Rule { is_sum: true, ..Rule::identity() };
    let pipe = Pipe::line(SourceSpec::new(10), rule, &sink).parallel("p", 2);
    let Err(ApplyError::Prepare(faults)) = pipe.start().await.map(drop) else { panic!("it started") };
    assert!(faults[0].source.to_string().contains("needs `key:`"), "{:?}", faults[0]);

    // one input that brings keys is not enough where another brings none
    let rule = Rule { is_sum: true, ..Rule::identity() };
    let keys = Rule { gives: Some(|n| n.to_string()), ..Rule::identity() };
    let pipe = Pipe::new()
        .source("s", SourceSpec::new(10))
        .processor("keys", keys, &["s"])
        .processor("p", rule, &["keys", "s"])
        .sink("out", &sink, &["p"])
        .parallel("p", 2);
    let Err(ApplyError::Prepare(faults)) = pipe.start().await.map(drop) else { panic!("it started") };
    assert!(faults[0].source.to_string().contains("needs `key:`"), "{:?}", faults[0]);
}

#[tokio::test(start_paused = true)]
async fn a_started_run_refuses_another_change() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(SourceSpec::endless(10), Rule::identity(), &sink);
    let mut run: Run = pipe.start().await.unwrap();
    let again = run.apply(Change::from_empty(&pipe.topology)).await;
    assert!(matches!(again, Err(ApplyError::Moved)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_ends_its_tasks() {
    let sink = SinkSpec::new();
    let source = SourceSpec { pause: Duration::from_millis(10), ..SourceSpec::endless(10_000) };
    let log = source.log.clone();
    let run = Pipe::line(source, Rule::identity(), &sink).start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(run);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let n_read = log.lock().unwrap().n_read;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(log.lock().unwrap().n_read, n_read);
}
