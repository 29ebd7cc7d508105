//! Going back to the last barrier after a stateful processor faulted.

use std::collections::BTreeMap;
use std::time::Duration;

use flowctl_runtime::{Status, Summary};
use proptest::prelude::*;

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec, Verdict, group, labelled};

/// 60 events, 30 a second.
fn source() -> SourceSpec {
    SourceSpec { pause: Duration::from_millis(100), ..SourceSpec::new(60) }
}

/// A sum over all events, with exceptions.
fn sums(source: SourceSpec, odd: &'static [u64], verdict: Verdict, sink: &SinkSpec) -> Pipe {
    let judge = move |n| if odd.contains(&n) { verdict.clone() } else { Verdict::Emit(n) };
    Pipe::line(source, Rule { is_sum: true, ..Rule::new(judge) }, sink)
}

/// Running sums over the numbers that are not missing, with their ids.
fn want(missing: &[u64]) -> Vec<(String, u64)> {
    let numbers = (0..60).filter(|n| !missing.contains(n));
    let running = numbers.scan(0, |sum, n| {
        *sum += n;
        Some((format!("s/{n}/0"), *sum))
    });
    running.collect()
}

async fn run(pipe: &Pipe) -> Summary {
    tokio::time::timeout(Duration::from_secs(3_600), pipe.run()).await.expect("the run ends")
}

#[tokio::test(start_paused = true)]
async fn an_event_that_breaks_a_stateful_node_is_isolated_and_nothing_else_changes() {
    for verdict in [Verdict::Crash, Verdict::Fatal] {
        let sink = SinkSpec::new();
        let pipe = sums(source(), &[0, 40, 41], verdict, &sink);
        let summary = run(&pipe).await;
        assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
        assert_eq!(sink.events(), want(&[0, 40, 41]));
        let events = ["s/0", "s/40", "s/41"];
        assert_eq!(pipe.letters.all(), events.map(|event| ("p".to_owned(), event.to_owned())));
        assert_eq!((summary.events_in, summary.events_out, summary.rejected), (60, 57, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_does_not_return_costs_no_event() {
    let sink = SinkSpec::new();
    let pipe = sums(source(), &[40], Verdict::CrashInCompany, &sink);
    let summary = run(&pipe).await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    assert_eq!(sink.events(), want(&[]));
    assert!(pipe.letters.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_run_goes_back_no_further_than_the_last_barrier() {
    let sink = SinkSpec::new();
    let source = source();
    let log = source.log.clone();
    let pipe = sums(source, &[40], Verdict::CrashInCompany, &sink);
    run(&pipe).await;
    let opened = log.lock().unwrap().opened.clone();
    assert_eq!(opened.len(), 2);
    assert!(opened[1].unwrap() >= 24, "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn instances_that_share_the_keys_are_restored_with_their_own() {
    for (n_instances, odd) in [(3, &[][..]), (1, &[40, 41][..]), (4, &[40, 41][..])] {
        let sink = SinkSpec::new();
        let judge = move |n| if odd.contains(&n) { Verdict::Crash } else { Verdict::Emit(n) };
        let rule = Rule { is_sum: true, key: Some(|n| n.to_string()), ..Rule::new(judge) };
        let mut pipe = Pipe::line(source(), rule, &sink).parallel("p", n_instances);
        pipe.change("p", |node| node.key = Some("n".to_owned()));
        let summary = run(&pipe).await;
        assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
        let mut sums = BTreeMap::new();
        let running = (0..60).filter(|n| !odd.contains(n)).map(|n| {
            let sum: &mut u64 = sums.entry(group(&n.to_string())).or_default();
            *sum += n;
            (format!("s/{n}/0"), *sum)
        });
        let mut wanted: Vec<_> = running.collect();
        let mut events = sink.events();
        wanted.sort();
        events.sort();
        assert_eq!(events, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn events_without_a_key_meet_the_state_that_has_none() {
    fn label(n: u64) -> Option<String> {
        (!n.is_multiple_of(3)).then(|| format!("label {}", n % 5))
    }
    for n_instances in 2..=8 {
        let sink = SinkSpec::new();
        let judge = |n| if n == 40 { Verdict::CrashInCompany } else { Verdict::Emit(n) };
        // a plugin keeps what has no key under the empty one
        let key = Some((|n| label(n).unwrap_or_default()) as fn(u64) -> String);
        let rule = Rule { is_sum: true, key, ..Rule::new(judge) };
        let source = SourceSpec { label: Some(label), ..source() };
        let mut pipe = Pipe::line(source, rule, &sink).parallel("p", n_instances);
        pipe.change("s", |node| node.outputs = vec![labelled()]);
        pipe.change("p", |node| {
            node.inputs = vec![labelled()];
            node.key = Some("label".to_owned());
        });
        let summary = run(&pipe).await;
        assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
        let mut sums = BTreeMap::new();
        let running = (0..60).map(|n| {
            let sum: &mut u64 = sums.entry(group(&label(n).unwrap_or_default())).or_default();
            *sum += n;
            (format!("s/{n}/0"), *sum)
        });
        let mut wanted: Vec<_> = running.collect();
        let mut events = sink.events();
        wanted.sort();
        events.sort();
        assert_eq!(events, wanted, "on {n_instances} instances");
    }
}

#[tokio::test(start_paused = true)]
async fn instances_share_the_keys_that_events_bring() {
    fn key(n: u64) -> String {
        format!("key {}", n % 7)
    }
    let sink = SinkSpec::new();
    let judge = |n| if n == 40 { Verdict::CrashInCompany } else { Verdict::Emit(n) };
    let rule = Rule { is_sum: true, key: Some(key), ..Rule::new(judge) };
    let pipe = Pipe::new()
        .source("s", source())
        .processor("keys", Rule { gives: Some(key), ..Rule::identity() }, &["s"])
        .processor("p", rule, &["keys"])
        .sink("out", &sink, &["p"])
        .parallel("p", 3);
    let summary = run(&pipe).await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    let mut sums = BTreeMap::new();
    let running = (0..60).map(|n| {
        let sum: &mut u64 = sums.entry(group(&key(n))).or_default();
        *sum += n;
        (format!("s/{n}/0/0"), *sum)
    });
    let mut wanted: Vec<_> = running.collect();
    let mut events = sink.events();
    wanted.sort();
    events.sort();
    assert_eq!(events, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_repeat_its_events_ends_the_run_instead() {
    let sink = SinkSpec::new();
    let source = SourceSpec { is_replayable: false, ..SourceSpec::new(60) };
    let rule = Rule::new(|n| if n == 40 { Verdict::Crash } else { Verdict::Emit(n) });
    let pipe = Pipe::line(source, Rule { is_sum: true, ..rule }, &sink);
    let summary = run(&pipe).await;
    assert_eq!(summary.status, Status::Failed);
    assert_eq!(
        summary.error.unwrap(),
        "node `p` failed: cannot go back to the last barrier: source `s` cannot repeat its events: trapped at 40\nlast lines of its log:\nlast words"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_breaks_on_everything_fails_the_run() {
    let sink = SinkSpec::new();
    let source = SourceSpec::new(10_000);
    let rule = Rule { is_sum: true, ..Rule::new(|_| Verdict::Crash) };
    let summary = run(&Pipe::line(source, rule, &sink)).await;
    assert_eq!(summary.status, Status::Failed);
    assert!(summary.error.unwrap().starts_with("node `p` failed: failed again after the run went back"));
    assert!(sink.numbers().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_events_are_isolated_and_every_other_is_taken_exactly_once(
        sizes in prop::collection::vec(1usize..9, 1..4),
        odd in prop::collection::btree_set(0u64..60, 0..6),
        is_whole in any::<bool>(),
        interval_ms in 20u64..900,
        linger_ms in 0u64..300,
    ) {
        let check = async {
            let sinks = [SinkSpec::new(), SinkSpec::new()];
            let verdict = if is_whole { Verdict::CrashInCompany } else { Verdict::Crash };
            let exceptions = odd.clone();
            let judge = move |n| if exceptions.contains(&n) { verdict.clone() } else { Verdict::Emit(n) };
            let pipe = Pipe::new()
                .source("s", SourceSpec { sizes: sizes.clone(), ..source() })
                .processor("before", Rule::identity(), &["s"])
                .processor("p", Rule { is_sum: true, ..Rule::new(judge) }, &["before"])
                .sink("out", &sinks[0], &["p"])
                .sink("beside", &sinks[1], &["before"])
                .settings(|settings| {
                    settings.checkpoint_interval = Duration::from_millis(interval_ms);
                    settings.linger = Duration::from_millis(linger_ms);
                });
            let summary = run(&pipe).await;
            (summary, sinks[0].events(), sinks[1].events(), pipe.letters.all())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (summary, events, beside, letters) = runtime.block_on(check);
        prop_assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
        let missing: Vec<u64> = if is_whole { Vec::new() } else { odd.into_iter().collect() };
        let wanted: Vec<_> = want(&missing).into_iter().map(|(id, sum)| (format!("{id}/0"), sum)).collect();
        prop_assert_eq!(events, wanted);
        prop_assert_eq!(beside, (0..60).map(|n| (format!("s/{n}/0"), n)).collect::<Vec<_>>());
        prop_assert_eq!(letters, missing.iter().map(|n| ("p".to_owned(), format!("s/{n}/0"))).collect::<Vec<_>>());
        prop_assert_eq!((summary.events_in, summary.rejected), (60, missing.len() as u64));
    }
}
