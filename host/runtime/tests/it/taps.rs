//! What can be seen of a node's batches, and what that costs the stream.

use std::time::Duration;

use flowctl_runtime::{Run, Status, Stop, Tap, Tapped};

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec, Verdict, id, numbers};

/// Three events each tenth of a second, doubled on the way.
fn pipe(sink: &SinkSpec) -> Pipe {
    let source = SourceSpec { pause: Duration::from_millis(100), ..SourceSpec::new(60) };
    Pipe::line(source, Rule::new(|n| Verdict::Emit(n * 2)), sink)
}

/// The numbers that a tap shows until the run ends, and how many events it left out.
async fn seen(mut tap: Tap) -> (Vec<u64>, u64) {
    let (mut seen, mut n_skipped) = (Vec::new(), 0);
    while let Some(tapped) = tap.recv().await {
        seen.extend(numbers(&tapped.batch));
        n_skipped += tapped.n_skipped;
    }
    (seen, n_skipped + tap.n_skipped())
}

fn tap(run: &Run, node: &str, capacity: usize) -> Tap {
    run.handle().tap(&id(node), capacity).unwrap()
}

fn json(tapped: &Tapped) -> Vec<String> {
    let decode = |payload| {
        let mut json = Vec::new();
        tapped.schema.payload_to_json(payload, &mut json).unwrap();
        String::from_utf8(json).unwrap()
    };
    tapped.batch.columns.payloads().map(decode).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tap_shows_what_leaves_a_node_or_reaches_a_sink() {
    let sink = SinkSpec::new();
    let mut run = pipe(&sink).start().await.unwrap();
    let taps = ["s", "p", "out"].map(|node| tap(&run, node, 64));
    let [source, processor, out] = taps;
    let (source, processor, out, summary) = tokio::join!(seen(source), seen(processor), seen(out), run.wait());
    assert_eq!(source, ((0..60).collect(), 0));
    let doubled = (0..60).map(|n| n * 2).collect::<Vec<_>>();
    assert_eq!(processor, (doubled.clone(), 0));
    assert_eq!(out, (doubled, 0));
    assert_eq!(summary.status, Status::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_a_tap_shows_can_be_decoded_and_named() {
    let sink = SinkSpec::new();
    let run = pipe(&sink).start().await.unwrap();
    let mut tap = tap(&run, "p", 1);
    let tapped = tap.recv().await.unwrap();
    assert_eq!(json(&tapped), [r#"{"n":0}"#, r#"{"n":2}"#, r#"{"n":4}"#]);
    assert_eq!(tapped.batch.ids.get(1), "s/1/0");
}

#[tokio::test(start_paused = true)]
async fn the_stream_does_not_wait_for_a_tap_that_nobody_reads() {
    let sink = SinkSpec::new();
    let mut run = pipe(&sink).start().await.unwrap();
    let (narrow, wide) = (tap(&run, "p", 0), tap(&run, "p", 64));
    let summary = run.wait().await;
    assert_eq!(summary.events_out, 60);
    assert_eq!(seen(narrow).await, (vec![0, 2, 4], 57));
    assert_eq!(seen(wide).await.0.len(), 60);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_is_counted_before_the_next() {
    let sink = SinkSpec::new();
    let run = pipe(&sink).start().await.unwrap();
    let mut tap = tap(&run, "p", 1);
    tokio::time::sleep(Duration::from_millis(450)).await;
    assert_eq!(tap.n_skipped(), 9);
    let (first, second) = (tap.recv().await.unwrap(), tap.recv().await.unwrap());
    assert_eq!((numbers(&first.batch)[0], first.n_skipped), (0, 0));
    assert_eq!((numbers(&second.batch)[0], second.n_skipped), (24, 9));
}

#[tokio::test(start_paused = true)]
async fn a_tap_survives_that_the_run_goes_back() {
    let sink = SinkSpec::new();
    let source = SourceSpec { pause: Duration::from_millis(100), ..SourceSpec::new(60) };
    let rule = Rule::new(|n| if n == 40 { Verdict::CrashInCompany } else { Verdict::Emit(n) });
    let mut run = Pipe::line(source, Rule { is_sum: true, ..rule }, &sink).start().await.unwrap();
    let tap = tap(&run, "out", 256);
    let ((seen, n_skipped), summary) = tokio::join!(seen(tap), run.wait());
    assert_eq!((summary.status, n_skipped), (Status::Completed, 0));
    // what was written and then taken back comes again
    assert!(seen.len() > 60, "{}", seen.len());
    assert_eq!(seen.last(), sink.numbers().last());
}

#[tokio::test(start_paused = true)]
async fn taps_end_with_their_run_however_it_ends() {
    let sink = SinkSpec::new();
    let run = Pipe::line(SourceSpec::endless(3), Rule::identity(), &sink).start().await.unwrap();
    let (handle, tap) = (run.handle(), tap(&run, "s", 8));
    assert!(handle.tap(&id("nobody"), 8).is_none());
    drop(run);
    seen(tap).await;
    assert!(handle.tap(&id("s"), 8).is_none());

    let mut run = Pipe::line(SourceSpec::endless(3), Rule::identity(), &sink).start().await.unwrap();
    let tap = self::tap(&run, "s", 8);
    run.handle().stop(Stop::Now);
    run.wait().await;
    seen(tap).await;
}
