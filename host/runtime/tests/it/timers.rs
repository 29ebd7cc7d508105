//! Ticks, and the end that is told once.

use std::time::Duration;

use flowctl_runtime::{Status, Stop};

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec};

const TICK: u64 = 1_000;
const END: u64 = 2_000;

fn timed(source: SourceSpec, sink: &SinkSpec) -> (Pipe, Rule) {
    let rule = Rule { own: Some((TICK, END)), ..Rule::identity() };
    let mut pipe = Pipe::line(source, rule.clone(), sink);
    pipe.change("p", |node| node.tick = Some(Duration::from_millis(380)));
    (pipe, rule)
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_once_behind_all_events() {
    let sink = SinkSpec::new();
    let (pipe, rule) = timed(SourceSpec::new(3), &sink);
    let summary = pipe.run().await;
    assert_eq!(summary.status, Status::Completed);
    assert_eq!(sink.numbers(), [0, 1, 2, END]);
    assert_eq!(sink.events()[3].0, "p/1/0");
    assert_eq!(rule.calls.lock().unwrap().n_ends, 1);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_all_sources() {
    let sink = SinkSpec::new();
    let rule = Rule { own: Some((TICK, END)), ..Rule::identity() };
    let slow = SourceSpec { pause: Duration::from_millis(50), ..SourceSpec::new(9) };
    let pipe = Pipe::new()
        .source("a", SourceSpec::new(3))
        .source("b", slow)
        .processor("p", rule.clone(), &["a", "b"])
        .sink("out", &sink, &["p"]);
    pipe.run().await;
    assert_eq!(sink.numbers().iter().filter(|n| **n == END).count(), 1);
    assert_eq!(sink.numbers().last(), Some(&END));
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_tell_the_end() {
    let sink = SinkSpec::new();
    let (pipe, rule) = timed(SourceSpec::endless(3), &sink);
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.handle().stop(Stop::Drain);
    let summary = run.wait().await;
    assert_eq!((summary.status, rule.calls.lock().unwrap().n_ends), (Status::Stopped, 0));
    assert_eq!(sink.numbers(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn ticks_come_at_their_interval_and_their_events_are_taken() {
    let sink = SinkSpec::new();
    let (pipe, _) = timed(SourceSpec::endless(0), &sink);
    let _run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    let ids: Vec<_> = sink.events().into_iter().map(|(id, _)| id).collect();
    // node, epoch and number: a barrier came after one second and after two
    assert_eq!(ids, ["p/1/0", "p/1/1", "p/2/0", "p/2/1", "p/2/2", "p/3/0"]);
    assert_eq!(sink.epochs(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_as_long_as_its_interval_keeps_no_event_waiting() {
    let sink = SinkSpec::new();
    let rule = Rule { own: Some((500, 600)), tick_takes: Duration::from_millis(30), ..Rule::identity() };
    let mut pipe = Pipe::line(SourceSpec::new(9), rule, &sink);
    pipe.change("p", |node| node.tick = Some(Duration::from_millis(10)));
    let summary = tokio::time::timeout(Duration::from_secs(60), pipe.run()).await.expect("the run ends");
    assert_eq!(summary.status, flowctl_runtime::Status::Completed);
    let events: Vec<_> = sink.numbers().into_iter().filter(|n| *n < 500).collect();
    assert_eq!(events, (0..9).collect::<Vec<_>>());
}
