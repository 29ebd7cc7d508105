//! A run that died goes on, and transactional sinks hold every event exactly once,
//! wherever it died; the same when a sink loses its connection.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{ApplyError, MemoryStore, Orphans, Status, Stop};
use flowctl_types::NodeId;
use proptest::prelude::*;

use crate::support::{Crash, Database, Deadly, Pipe, Point, Rule, SinkSpec, SourceSpec, Verdict};

const N_EVENTS: u64 = 60;

/// A source, a running sum with exceptions, and the databases `a` and `b` beside a plain
/// sink. Of `sizes` the source makes its batches.
fn pipe(sizes: &[usize], databases: [&Database; 2], plain: &SinkSpec) -> Pipe {
    let source = SourceSpec { pause: Duration::from_millis(100), sizes: sizes.to_vec(), ..SourceSpec::new(N_EVENTS) };
    let judge = |n| if n % 10 == 3 { Verdict::Reject } else { Verdict::Emit(n) };
    let sum = Rule { is_sum: true, own: Some((0, 7_000)), ..Rule::new(judge) };
    Pipe::new()
        .source("s", source)
        .processor("p", sum, &["s"])
        .database("a", databases[0], &["p"])
        .database("b", databases[1], &["p"])
        .sink("plain", plain, &["p"])
        .settings(|settings| settings.checkpoint_interval = Duration::from_millis(350))
}

/// What each sink holds in the end.
fn want() -> Vec<(String, u64)> {
    let running = (0..N_EVENTS).filter(|n| n % 10 != 3).scan(0, |sum, n| {
        *sum += n;
        Some((format!("s/{n}/0"), *sum))
    });
    running.collect()
}

/// The rows less those that `end` emitted, whose ids say their epoch; of these there is one.
fn without_end(rows: Vec<(String, u64)>) -> Vec<(String, u64)> {
    let (end, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, n)| *n == 7_000);
    assert_eq!(end.len(), 1, "the end is told, and taken, once: {end:?}");
    rows
}

/// Runs until the process dies at `crash`, then again to the end; of `dying` and
/// `living` the source makes its batches.
async fn die_and_go_on(crash: Crash, dying: &[usize], living: &[usize]) -> (bool, [Database; 2], SinkSpec, Pipe) {
    let store = Arc::new(MemoryStore::default());
    let [mut a, mut b] = ["a", "b"].map(Database::new);
    let plain = SinkSpec::new();
    [&mut a, &mut b].into_iter().for_each(|database| database.death = Some(crash.clone()));
    let mut first = pipe(dying, [&a, &b], &plain);
    first.options.store = Arc::new(Deadly { store: Arc::clone(&store), death: crash.clone() });
    let mut run = first.start().await.unwrap();
    let mut is_dead = crash.is_dead.subscribe();
    let has_died = tokio::select! {
        summary = run.wait() => {
            assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
            false
        }
        _ = is_dead.wait_for(|is_dead| *is_dead) => true,
    };
    drop(run);
    // tasks that were dropped are gone when everything else has had its turn
    tokio::time::sleep(Duration::from_secs(1)).await;
    [&mut a, &mut b].into_iter().for_each(|database| database.death = None);
    let mut second = pipe(living, [&a, &b], &plain);
    second.options.store = store;
    let summary = second.run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    (has_died, [a, b], plain, second)
}

async fn check(point: Point, epoch: u64, dying: &[usize], living: &[usize]) -> bool {
    let (has_died, [a, b], plain, _) = die_and_go_on(Crash::new(point, epoch), dying, living).await;
    if has_died {
        assert_eq!(without_end(a.rows()), want(), "a, {point:?} of epoch {epoch}");
        assert_eq!(without_end(b.rows()), want(), "b, {point:?} of epoch {epoch}");
        let plain: HashSet<_> = plain.events().into_iter().collect();
        let missing: Vec<_> = want().into_iter().filter(|event| !plain.contains(event)).collect();
        assert!(missing.is_empty(), "a plain sink has every event at least once: {missing:?}");
    }
    has_died
}

#[tokio::test(start_paused = true)]
async fn wherever_the_process_dies_every_event_is_taken_exactly_once() {
    let points = [
        Point::BeforePending,
        Point::AfterPending,
        Point::BeforeTake("a"),
        Point::BeforeTake("b"),
        Point::AfterTake("a"),
        Point::AfterTake("b"),
        Point::BeforeCommit,
        Point::AfterCommit,
    ];
    for point in points {
        let mut n_deaths = 0;
        for epoch in 1..20 {
            n_deaths += u32::from(check(point, epoch, &[3], &[4, 1]).await);
        }
        assert!(n_deaths > 3, "{point:?} was reached {n_deaths} times");
    }
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_all_sinks_hold_is_not_read_again() {
    let crash = Crash::new(Point::BeforeCommit, 2);
    let store = Arc::new(MemoryStore::default());
    let mut a = Database { death: Some(crash.clone()), ..Database::new("a") };
    let source = SourceSpec { pause: Duration::from_millis(100), ..SourceSpec::new(N_EVENTS) };
    let pipe = |a: &Database, source: &SourceSpec| {
        Pipe::new().source("s", source.clone()).database("a", a, &["s"]).settings(|settings| {
            settings.checkpoint_interval = Duration::from_millis(350);
        })
    };
    let mut first = pipe(&a, &source);
    first.options.store = Arc::new(Deadly { store: Arc::clone(&store), death: crash.clone() });
    let run = first.start().await.unwrap();
    crash.is_dead.subscribe().wait_for(|is_dead| *is_dead).await.unwrap();
    drop(run);
    a.death = None;
    let n_held = a.rows().len() as u64;
    let source = SourceSpec { log: Arc::default(), ..source };
    let mut second = pipe(&a, &source);
    second.options.store = store;
    assert_eq!(second.run().await.status, Status::Completed);
    assert_eq!(source.log.lock().unwrap().opened.last(), Some(&Some(n_held)), "it goes on behind the rows");
    let numbers: Vec<_> = a.rows().into_iter().map(|(_, n)| n).collect();
    assert_eq!(numbers, (0..N_EVENTS).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn letters_of_a_replayed_epoch_are_not_written_twice() {
    for epoch in 1..6 {
        let (has_died, _, _, second) = die_and_go_on(Crash::new(Point::AfterTake("a"), epoch), &[3], &[4, 1]).await;
        assert!(has_died);
        let letters = second.letters.all();
        let refused = |n: u64| ("p".to_owned(), format!("s/{n}"));
        let replayed: Vec<_> = (0..N_EVENTS).filter(|n| n % 10 == 3).map(refused).collect();
        assert!(letters.iter().all(|letter| replayed.contains(letter)));
        let distinct: HashSet<_> = letters.iter().collect();
        assert_eq!(distinct.len(), letters.len(), "epoch {epoch}: {letters:?}");
    }
}

/// Runs once to the end while `a` and `b` lose connections.
async fn lose(breaks: [HashSet<u64>; 2], unanswered: [HashSet<u64>; 2]) -> ([Database; 2], Pipe) {
    let [a, b] = ["a", "b"].map(Database::new);
    for ((database, breaks), unanswered) in [&a, &b].into_iter().zip(breaks).zip(unanswered) {
        *database.breaks.lock().unwrap() = breaks;
        *database.unanswered.lock().unwrap() = unanswered;
    }
    let pipe = pipe(&[3, 2], [&a, &b], &SinkSpec::new());
    let summary = pipe.run().await;
    assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    assert_eq!(summary.events_in, N_EVENTS, "a replayed event counts once");
    assert_eq!(summary.events_out, 3 * (want().len() as u64 + 1));
    ([a, b], pipe)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_costs_no_row_and_doubles_none() {
    let ([a, b], _) = lose([[4, 11, 12].into(), [7].into()], [[2].into(), [3, 4].into()]).await;
    assert_eq!(without_end(a.rows()), want());
    assert_eq!(without_end(b.rows()), want());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_loses_everything_again_and_again_fails_the_run() {
    let a = Database::new("a");
    *a.breaks.lock().unwrap() = (0..1_000).collect();
    let pipe = Pipe::new().source("s", SourceSpec::new(9)).database("a", &a, &["s"]);
    let summary = pipe.run().await;
    let error = summary.error.unwrap();
    assert_eq!(
        error,
        "node `a` failed: failed again after the run went back to the last barrier 16 times: the connection broke"
    );
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_older_than_the_rows_is_refused() {
    let a = Database::new("a");
    let pipe = || Pipe::new().source("s", SourceSpec::new(9)).database("a", &a, &["s"]);
    assert_eq!(pipe().run().await.status, Status::Completed);
    let Err(ApplyError::Prepare(faults)) = pipe().start().await else { panic!("it started") };
    let texts: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.node, fault.source)).collect();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with("a: it holds epoch 1, but the state directory knows epochs up to 0"), "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_nodes_that_are_gone_is_refused_unless_that_is_wanted() {
    let store = Arc::new(MemoryStore::default());
    let sum = Rule { is_sum: true, ..Rule::identity() };
    let mut with = Pipe::new().source("s", SourceSpec::endless(9)).processor("p", sum, &["s"]);
    with = with.sink("out", &SinkSpec::new(), &["p"]);
    with.options.store = Arc::clone(&store) as _;
    let mut run = with.start().await.unwrap();
    let handle = run.handle();
    tokio::time::timeout(Duration::from_secs(5), run.wait()).await.unwrap_err();
    handle.stop(Stop::Drain);
    assert_eq!(run.wait().await.status, Status::Stopped);

    let mut without = Pipe::new().source("s", SourceSpec::new(12)).sink("out", &SinkSpec::new(), &["s"]);
    without.options.store = store;
    let Err(ApplyError::Orphans(nodes)) = without.start().await else { panic!("it started") };
    assert_eq!(nodes, ["p".parse::<NodeId>().unwrap()]);
    without.options.orphans = Orphans::Discard;
    let summary = without.run().await;
    assert_eq!((summary.status, summary.events_in), (Status::Completed, 3), "the source goes on");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_often_it_dies_and_loses_connections_rows_are_there_once(
        point in prop::sample::select(vec![
            Point::BeforePending,
            Point::AfterPending,
            Point::BeforeTake("a"),
            Point::AfterTake("b"),
            Point::BeforeCommit,
            Point::AfterCommit,
        ]),
        epoch in 1u64..16,
        dying in prop::collection::vec(1usize..6, 1..4),
        living in prop::collection::vec(1usize..6, 1..4),
        breaks in prop::collection::hash_set(0u64..60, 0..6),
        unanswered in prop::collection::hash_set(1u64..16, 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            check(point, epoch, &dying, &living).await;
            let ([a, b], _) = lose([breaks, HashSet::new()], [HashSet::new(), unanswered]).await;
            assert_eq!(without_end(a.rows()), want());
            assert_eq!(without_end(b.rows()), want());
        });
    }
}
