//! Barriers, positions and acknowledgements.

use std::time::Duration;

use flowctl_runtime::Status;

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec, id};

fn slow(n_events: u64) -> SourceSpec {
    SourceSpec { pause: Duration::from_millis(100), ..SourceSpec::new(n_events) }
}

#[tokio::test(start_paused = true)]
async fn a_position_is_acknowledged_when_the_sinks_took_what_is_before_it() {
    let sink = SinkSpec::new();
    let source = slow(60);
    let log = source.log.clone();
    let pipe = Pipe::line(source, Rule::identity(), &sink);
    let summary = pipe.run().await;
    assert_eq!(summary.status, Status::Completed);
    // 30 events a second: a barrier after each, and the last
    let acked = log.lock().unwrap().acked.clone();
    assert_eq!(acked.len(), sink.epochs().len());
    assert!(acked.is_sorted());
    assert_eq!(acked.last(), Some(&60));
    assert_eq!(sink.epochs(), (1..=summary.epoch).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_blocked_sink_holds_the_acknowledgement_back() {
    let (open, blocked) = (SinkSpec::new(), SinkSpec::new());
    blocked.gate.send_replace(false);
    let source = SourceSpec { is_finite: false, ..slow(10) };
    let log = source.log.clone();
    let pipe = Pipe::new().source("s", source).sink("open", &open, &["s"]).sink("blocked", &blocked, &["s"]);
    let _run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(open.numbers().len(), 10);
    assert!(log.lock().unwrap().acked.is_empty());
    assert!(open.epochs().is_empty(), "no sink takes an epoch that is not pending");
    blocked.gate.send_replace(true);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(log.lock().unwrap().acked.last(), Some(&10));
}

#[tokio::test(start_paused = true)]
async fn no_barrier_starts_when_nothing_moved() {
    let sink = SinkSpec::new();
    let _run = Pipe::line(SourceSpec::endless(10), Rule::identity(), &sink).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(sink.epochs(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_barrier_holds_state_and_positions_of_the_same_events() {
    let sink = SinkSpec::new();
    let rule = Rule { is_sum: true, ..Rule::identity() };
    let pipe = Pipe::new()
        .source("a", SourceSpec { is_finite: false, ..slow(40) })
        .source("b", SourceSpec { is_finite: false, pause: Duration::from_millis(70), ..slow(40) })
        .processor("sum", rule, &["a", "b"])
        .sink("out", &sink, &["sum"]);
    let _run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    for seconds in 1..=3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let checkpoint = pipe.options.store.committed().await.unwrap();
        let checkpoint = checkpoint.expect("a barrier starts every second");
        let position = |name: &str| u64::from_le_bytes(checkpoint.positions[&id(name)][..].try_into().unwrap());
        let sum = u64::from_le_bytes(checkpoint.states[&id("sum")].parts[0].1[..].try_into().unwrap());
        let sum_to = |n: u64| n * n.saturating_sub(1) / 2;
        assert_eq!(sum, sum_to(position("a")) + sum_to(position("b")), "after {seconds} s");
        assert!(sum > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn sources_of_unequal_length_share_barriers_to_the_end() {
    let sink = SinkSpec::new();
    let pipe = Pipe::new()
        .source("short", SourceSpec::new(3))
        .source("long", slow(90))
        .processor("p", Rule::identity(), &["short", "long"])
        .sink("out", &sink, &["p"]);
    let summary = pipe.run().await;
    assert_eq!((summary.status, summary.events_out), (Status::Completed, 93));
    assert!(sink.epochs().len() >= 3, "{:?}", sink.epochs());
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_from_what_its_store_has_committed() {
    let sink = SinkSpec::new();
    let source = SourceSpec { is_finite: false, ..slow(100) };
    let log = source.log.clone();
    let rule = Rule { is_sum: true, ..Rule::identity() };
    let pipe = Pipe::line(source, rule, &sink);
    let mut first = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    first.handle().stop(flowctl_runtime::Stop::Drain);
    let first = first.wait().await;
    let mut second = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    second.handle().stop(flowctl_runtime::Stop::Drain);
    let second = second.wait().await;
    assert_eq!(log.lock().unwrap().opened, [None, Some(first.events_in)]);
    assert_eq!(first.events_in + second.events_in, 100);
    let sums: Vec<u64> = (0..100)
        .scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        })
        .collect();
    assert_eq!(sink.numbers(), sums);
    assert!(second.epoch > first.epoch);
}
