//! What becomes of events that components refuse or break on, and of nodes that fail.

use std::collections::BTreeMap;
use std::time::Duration;

use flowctl_runtime::{Fault, LetterPayload, Options, Status};
use flowctl_topology::{OnFailure, Retry};

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec, Verdict};

/// Runs `rule` over 20 events; gives what arrived, and the letters' events.
async fn line(rule: Rule) -> (Vec<u64>, Vec<String>, Pipe) {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(SourceSpec::new(20), rule, &sink);
    let summary = pipe.run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    let letters: Vec<_> = pipe.letters.all().into_iter().map(|(_, event)| event).collect();
    assert_eq!(summary.rejected, letters.len() as u64);
    (sink.numbers(), letters, pipe)
}

fn all_but(missing: &[u64]) -> Vec<u64> {
    (0..20).filter(|n| !missing.contains(n)).collect()
}

/// A rule that makes an exception of some numbers.
fn rule(odd: &'static [u64], verdict: Verdict) -> Rule {
    Rule::new(move |n| if odd.contains(&n) { verdict.clone() } else { Verdict::Emit(n) })
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_is_kept_with_its_payload_and_reason() {
    let (numbers, letters, pipe) = line(rule(&[4, 5], Verdict::Reject)).await;
    assert_eq!(numbers, all_but(&[4, 5]));
    assert_eq!(letters, ["s/4", "s/5"]);
    let kept = pipe.letters.kept.lock().unwrap();
    let LetterPayload::Json(json) = &kept[0].payload else { panic!("{:?}", kept[0].payload) };
    assert_eq!(json.get(), r#"{"n":4}"#);
    assert_eq!(kept[0].event_type.as_ref().unwrap().as_str(), "test.number.v1");
    assert_eq!((kept[0].node.as_str(), kept[0].reason.as_str(), kept[0].attempts), ("p", "refused", 1));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_crashes_the_instance_is_isolated_with_the_log() {
    let rule = rule(&[7, 8], Verdict::Crash);
    let calls = rule.calls.clone();
    let (numbers, letters, pipe) = line(rule).await;
    assert_eq!(numbers, all_but(&[7, 8]));
    assert_eq!(letters, ["s/7", "s/8"]);
    // one crash in the batch, one for each event alone; each time a new instance
    assert_eq!(calls.lock().unwrap().n_crashes, 3);
    assert_eq!(calls.lock().unwrap().n_instances, 4);
    let kept = pipe.letters.kept.lock().unwrap();
    assert_eq!((kept[0].reason.as_str(), kept[0].log_tail.as_str()), ("trapped at 7", "last words"));
    assert_eq!(kept[0].attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_fails_for_good_is_isolated_and_the_instance_not_called_again() {
    let rule = rule(&[0, 19], Verdict::Fatal);
    let calls = rule.calls.clone();
    let (numbers, letters, _) = line(rule).await;
    assert_eq!(numbers, all_but(&[0, 19]));
    assert_eq!(letters, ["s/0", "s/19"]);
    // one fault in each of two batches, one for each event alone; the last needs no successor
    assert_eq!(calls.lock().unwrap().n_instances, 4);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_crashes_only_as_a_whole_loses_nothing() {
    let (numbers, letters, _) = line(rule(&[4], Verdict::CrashInCompany)).await;
    assert_eq!(numbers, all_but(&[]));
    assert!(letters.is_empty());
}

#[tokio::test(start_paused = true)]
async fn isolated_events_keep_the_order_of_parallel_instances() {
    let sink = SinkSpec::new();
    let odd = [3, 4, 30, 31, 77];
    let rule = Rule {
        delay: std::sync::Arc::new(|n| Duration::from_millis(n * 37 % 50)),
        ..Rule::new(move |n| if odd.contains(&n) { Verdict::Crash } else { Verdict::Emit(n) })
    };
    let pipe = Pipe::line(SourceSpec::new(100), rule, &sink).parallel("p", 3);
    let summary = pipe.run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    assert_eq!(sink.numbers(), (0..100).filter(|n| !odd.contains(n)).collect::<Vec<_>>());
    assert_eq!(summary.rejected, odd.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_while_that_is_asked_for() {
    let started = tokio::time::Instant::now();
    let (numbers, letters, _) = line(rule(&[5], Verdict::Retry(3))).await;
    assert_eq!(numbers, all_but(&[]));
    assert!(letters.is_empty());
    // 100, 200 and 400 ms, each at least half
    assert!(started.elapsed() >= Duration::from_millis(350), "{:?}", started.elapsed());
}

/// Runs until failure; gives the error and how many events were taken.
async fn failure(pipe: &Pipe) -> (String, u64) {
    let summary = tokio::time::timeout(Duration::from_secs(3_600), pipe.run()).await.expect("the run ends");
    assert_eq!(summary.status, Status::Failed);
    (summary.error.unwrap(), summary.events_out)
}

/// Says what becomes of an event on which every call of `p` failed.
fn on_failure(mut pipe: Pipe, on_failure: OnFailure) -> Pipe {
    let retry = Retry { max_attempts: 3, on_failure, ..Retry::default() };
    pipe.change("p", |node| node.settings.retry = retry);
    pipe
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_call_asks_forever_is_isolated_after_its_attempts() {
    for size in [1, 20] {
        let sink = SinkSpec::new();
        let rule = rule(&[5], Verdict::Retry(u32::MAX));
        let calls = rule.calls.clone();
        let source = SourceSpec { sizes: vec![size], ..SourceSpec::new(20) };
        let pipe = on_failure(Pipe::line(source, rule, &sink), OnFailure::DeadLetter);
        assert_eq!(pipe.run().await.status, Status::Completed);
        assert_eq!(sink.numbers(), (0..20).filter(|n| *n != 5).collect::<Vec<_>>());
        let kept = pipe.letters.kept.lock().unwrap();
        let letters: Vec<_> = kept.iter().map(|letter| (&*letter.event_id, &*letter.reason, letter.attempts)).collect();
        assert_eq!(letters, [("s/5", "5 is busy", 3)]);
        let batches = if size == 1 { 1 } else { 2 };
        assert_eq!(calls.lock().unwrap().retries[&5], 3 * batches, "its batch, where it has one, and itself");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_fails_for_good_stops_the_run_where_that_is_wanted() {
    let want = |cause| format!("node `p` failed: cannot get past event `s/5`, and `on_failure` is `stop`: {cause}");
    for (verdict, cause) in [
        (Verdict::Retry(u32::MAX), "5 is busy"),
        (Verdict::Fatal, "cannot stand 5"),
        (Verdict::Crash, "trapped at 5\nlast lines of its log:\nlast words"),
    ] {
        for is_sum in [false, true] {
            let rule = Rule { is_sum, ..rule(&[5], verdict.clone()) };
            let pipe = on_failure(Pipe::line(SourceSpec::new(20), rule, &SinkSpec::new()), OnFailure::Stop);
            let (error, _) = failure(&pipe).await;
            assert_eq!(error, want(cause));
            assert!(pipe.letters.all().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_refuses_stops_the_run_where_that_is_wanted() {
    let sink = SinkSpec { refuses: [7].into(), ..SinkSpec::new() };
    let mut pipe = Pipe::line(SourceSpec::new(20), Rule::identity(), &sink);
    pipe.change("out", |node| node.settings.retry.on_failure = OnFailure::Stop);
    let (error, _) = failure(&pipe).await;
    assert_eq!(error, "node `out` failed: cannot get past event `s/7/0`, and `on_failure` is `stop`: no such table");
    assert!(pipe.letters.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_breaks_on_everything_fails_the_run() {
    let rule = Rule::new(|_| Verdict::Crash);
    let calls = rule.calls.clone();
    let pipe = Pipe::line(SourceSpec::endless(10_000), rule, &SinkSpec::new());
    let (error, _) = failure(&pipe).await;
    assert_eq!(
        error,
        "node `p` failed: 16 calls failed in a row, no event got through: trapped at 11\nlast lines of its log:\nlast words"
    );
    assert_eq!(calls.lock().unwrap().n_crashes, 16);
    // what was refused until then is told
    assert_eq!(pipe.letters.all().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_run_and_names_the_node() {
    for n_instances in [1, 3] {
        let pipe = Pipe::line(SourceSpec::endless(20), rule(&[5], Verdict::Panic), &SinkSpec::new())
            .parallel("p", n_instances);
        let (error, _) = failure(&pipe).await;
        assert_eq!(error, "node `p` failed: panicked: panicked at 5");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_fails_the_run_and_nothing_is_flushed_past_the_last_barrier() {
    let broken = SinkSpec { fails_at: Some(300), ..SinkSpec::new() };
    let whole = SinkSpec::new();
    let source = SourceSpec { pause: Duration::from_millis(25), ..SourceSpec::endless(10_000) };
    let log = source.log.clone();
    let pipe = Pipe::new().source("s", source).sink("broken", &broken, &["s"]).sink("whole", &whole, &["s"]);
    let (error, taken) = failure(&pipe).await;
    assert_eq!(error, "node `broken` failed: cannot write: disk is full");
    // 100 batches of 3 in 2.5 s: two epochs
    assert_eq!((broken.epochs(), whole.epochs()), (vec![1, 2], vec![1, 2]));
    let durable = whole.log.lock().unwrap().n_durable as u64;
    assert_eq!(taken, durable * 2);
    assert_eq!(log.lock().unwrap().acked, [durable / 2, durable]);
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_one_sink_cannot_flush_is_not_acknowledged() {
    let broken = SinkSpec { fails_at_epoch: Some(2), ..SinkSpec::new() };
    let source = SourceSpec { pause: Duration::from_millis(25), ..SourceSpec::endless(10_000) };
    let log = source.log.clone();
    let pipe = Pipe::new().source("s", source).sink("broken", &broken, &["s"]).sink("whole", &SinkSpec::new(), &["s"]);
    let (error, _) = failure(&pipe).await;
    assert_eq!(error, "node `broken` failed: cannot flush: disk is full");
    assert_eq!(log.lock().unwrap().acked.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_cannot_be_written_fail_the_run() {
    let mut pipe = Pipe::line(SourceSpec::endless(20), rule(&[5], Verdict::Reject), &SinkSpec::new());
    pipe.letters.is_broken = true;
    let (error, taken) = failure(&pipe).await;
    assert_eq!(error, "dead letters cannot be written: no space left");
    assert_eq!(taken, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_refuses_is_kept_and_not_counted_as_taken() {
    let sink = SinkSpec { refuses: [3, 11].into(), ..SinkSpec::new() };
    let pipe = Pipe::line(SourceSpec::new(20), Rule::identity(), &sink);
    let summary = pipe.run().await;
    assert_eq!((summary.events_in, summary.events_out, summary.rejected), (20, 18, 2));
    assert_eq!(pipe.letters.all(), [("out".into(), "s/3/0".into()), ("out".into(), "s/11/0".into())]);
}

#[tokio::test(start_paused = true)]
async fn what_a_source_cannot_read_is_kept_as_it_was() {
    let sink = SinkSpec::new();
    let source = SourceSpec { unreadable: [1, 2].into(), ..SourceSpec::new(4) };
    let pipe = Pipe::line(source, Rule::identity(), &sink);
    let summary = pipe.run().await;
    assert_eq!(sink.numbers(), [0, 3]);
    assert_eq!((summary.events_in, summary.rejected), (4, 2));
    let kept = pipe.letters.kept.lock().unwrap();
    assert!(matches!(&kept[0].payload, LetterPayload::Text(text) if text == "?"));
}

#[tokio::test(start_paused = true)]
async fn events_of_a_type_that_no_edge_takes_do_not_vanish() {
    let sinks = [SinkSpec::new(), SinkSpec::new()];
    let mut pipe = Pipe::new().source("s", SourceSpec::new(3)).sink("out", &sinks[0], &["s"]);
    pipe.topology.edges[0].routes.clear();
    let summary = pipe.run().await;
    assert!(sinks[0].numbers().is_empty());
    assert_eq!(summary.rejected, 3);
    assert_eq!(pipe.letters.kept.lock().unwrap()[0].reason, "no edge takes `test.number.v1`");
}

#[tokio::test(start_paused = true)]
async fn a_source_is_asked_again_and_made_anew_where_it_broke() {
    let crash = Fault::Crashed { reason: "trapped".to_owned(), log_tail: String::new() };
    let faults = BTreeMap::from([(4, Fault::Retry("connection reset".to_owned())), (9, crash)]);
    let source = SourceSpec { faults, ..SourceSpec::new(20) };
    let log = source.log.clone();
    let sink = SinkSpec::new();
    let summary = Pipe::line(source, Rule::identity(), &sink).run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    assert_eq!(sink.numbers(), all_but(&[]));
    assert_eq!(log.lock().unwrap().opened, [None, Some(9)]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_go_on_fails_the_run() {
    let faults = BTreeMap::from([(4, Fault::Fatal("`a.zst` is truncated at byte 7".to_owned()))]);
    let source = SourceSpec { faults, ..SourceSpec::new(20) };
    let (error, taken) = failure(&Pipe::line(source, Rule::identity(), &SinkSpec::new())).await;
    assert_eq!(error, "node `s` failed: cannot read: `a.zst` is truncated at byte 7");
    assert_eq!(taken, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failing_run_is_not_noticed_by_another() {
    let hostile = Pipe::line(SourceSpec::endless(20), rule(&[5], Verdict::Panic), &SinkSpec::new());
    let sink = SinkSpec::new();
    let source = SourceSpec { pause: Duration::from_millis(10), ..SourceSpec::new(1_000) };
    let peaceful = Pipe::line(source, Rule::identity(), &sink);
    let (failed, completed) = tokio::join!(hostile.run(), peaceful.run());
    assert_eq!(failed.status, Status::Failed);
    assert_eq!((completed.status, completed.events_out), (Status::Completed, 1_000));
}

#[tokio::test(start_paused = true)]
async fn letters_wait_for_room_and_none_is_lost() {
    let sink = SinkSpec::new();
    let mut pipe = Pipe::line(SourceSpec::new(500), Rule::new(|_| Verdict::Reject), &sink);
    pipe.options = Options { letter_bytes: 1, ..pipe.options };
    let summary = pipe.run().await;
    assert_eq!(summary.rejected, 500);
    assert_eq!(pipe.letters.all().len(), 500);
}
