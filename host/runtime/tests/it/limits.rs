//! Runs that are held to a number of events a second.

use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{Run, Status, Stop, Throttle};
use tokio::time::Instant;

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec};

fn throttled(source: SourceSpec, sink: &SinkSpec, throttle: &Arc<Throttle>) -> Pipe {
    let mut pipe = Pipe::line(source, Rule::identity(), sink);
    pipe.options.throttle = Some(Arc::clone(throttle));
    pipe
}

/// A run of one event a second whose batches have 30, a few seconds after its start: its
/// second batch waits.
async fn stalled(is_replayable: bool, sink: &SinkSpec) -> Run {
    let source = SourceSpec { sizes: vec![30], is_replayable, ..SourceSpec::endless(1_000) };
    let run = throttled(source, sink, &Arc::new(Throttle::new(1))).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    run
}

#[tokio::test(start_paused = true)]
async fn a_throttle_holds_a_source_to_its_rate_and_loses_nothing() {
    let sink = SinkSpec::new();
    let started = Instant::now();
    let source = SourceSpec { sizes: vec![7, 1, 3], ..SourceSpec::new(1_000) };
    let summary = throttled(source, &sink, &Arc::new(Throttle::new(100))).run().await;
    assert_eq!((summary.status, summary.events_out), (Status::Completed, 1_000));
    assert_eq!(sink.numbers(), (0..1_000).collect::<Vec<_>>());
    // the first second's events come at once
    let took = started.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_millis(9_200)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn runs_that_share_a_throttle_get_its_rate_together() {
    let throttle = Arc::new(Throttle::new(100));
    let sinks = [SinkSpec::new(), SinkSpec::new()];
    let started = Instant::now();
    let run = |sink| {
        let pipe = throttled(SourceSpec { sizes: vec![10], ..SourceSpec::new(500) }, sink, &throttle);
        async move { pipe.run().await }
    };
    tokio::join!(run(&sinks[0]), run(&sinks[1]));
    let took = started.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_millis(9_200)).contains(&took), "{took:?}");
    assert!(sinks.iter().all(|sink| sink.numbers().len() == 500));
}

#[tokio::test(start_paused = true)]
async fn a_barrier_passes_what_a_throttle_holds_back() {
    let sink = SinkSpec::new();
    let mut run = stalled(true, &sink).await;
    assert_eq!(sink.epochs(), [1]);
    run.handle().stop(Stop::Now);
    let summary = run.wait().await;
    assert_eq!((summary.events_in, summary.events_out, summary.epoch), (30, 30, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_for_a_throttle() {
    for stop in [Stop::Now, Stop::Drain] {
        let sink = SinkSpec::new();
        let mut run = stalled(true, &sink).await;
        let asked = Instant::now();
        run.handle().stop(stop);
        let summary = run.wait().await;
        assert_eq!((summary.status, summary.events_in, summary.events_out), (Status::Stopped, 30, 30));
        assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_loses_nothing_that_cannot_be_read_again() {
    let sink = SinkSpec::new();
    let mut run = stalled(false, &sink).await;
    let asked = Instant::now();
    run.handle().stop(Stop::Drain);
    let summary = run.wait().await;
    assert_eq!((summary.events_in, summary.events_out), (60, 60));
    assert_eq!(sink.numbers(), (0..60).collect::<Vec<_>>());
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
}
