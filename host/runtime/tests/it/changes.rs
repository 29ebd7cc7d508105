//! The topology changes while events flow.

use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{ApplyError, Change, ChangeOptions, Changed, RunHandle, Settled, Status, Stop, Trial};
use flowctl_topology::Topology;

use crate::support::{Database, Pipe, Rule, SinkSpec, SourceSpec, Verdict, id};

/// A number's place in a processor's output: which component it passed can be told.
const MARK: u64 = 1 << 20;

fn marking(mark: u64) -> Rule {
    Rule::new(move |n| Verdict::Emit(n + mark * MARK))
}

/// A source that emits a batch of three each 10 ms.
fn steady(n_events: u64) -> SourceSpec {
    SourceSpec { pause: Duration::from_millis(10), ..SourceSpec::new(n_events) }
}

async fn change(handle: &RunHandle, new: &Topology, options: ChangeOptions) -> Result<Changed, ApplyError> {
    let old = handle.topology().unwrap();
    handle.prepare(Change::between(&old, new), options).await?.switch().await
}

fn on_trial() -> ChangeOptions {
    ChangeOptions { trial: Some(Trial { batches: 5, ..Trial::default() }), ..ChangeOptions::default() }
}

/// The numbers without marks.
fn plain(numbers: &[u64]) -> Vec<u64> {
    numbers.iter().map(|n| n % MARK).collect()
}

/// Checks that all came, in order, and that the marks changed once, from `before` to `after`.
#[track_caller]
fn changed_once(numbers: &[u64], n_events: u64, before: u64, after: u64) {
    assert_eq!(plain(numbers), (0..n_events).collect::<Vec<_>>());
    let marks: Vec<u64> = numbers.iter().map(|n| n / MARK).collect();
    let at = marks.iter().position(|mark| *mark == after).expect("the change took effect");
    assert!(at > 0 && marks[..at].iter().all(|mark| *mark == before), "{marks:?}");
    assert!(marks[at..].iter().all(|mark| *mark == after), "{marks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_inserted_takes_what_comes_from_then_on() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(steady(300), Rule::identity(), &sink);
    pipe.knows("x", marking(1));
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(Duration::from_millis(305)).await;
    for (after, before) in [("s", "p"), ("p", "out")] {
        let new = pipe.inserted(&pipe.topology, "x", after, before);
        let changed = change(&handle, &new, ChangeOptions::default()).await.unwrap();
        assert_eq!((changed.epoch, changed.n_stranded), (None, 0));
        tokio::time::sleep(Duration::from_millis(105)).await;
        let changed = change(&handle, &pipe.topology, ChangeOptions::default()).await.unwrap();
        assert_eq!(changed.n_stranded, 0);
        tokio::time::sleep(Duration::from_millis(105)).await;
    }
    assert_eq!(handle.revision(), 5);
    let summary = run.wait().await;
    assert_eq!((summary.status, summary.events_out), (Status::Completed, 300));
    assert_eq!(plain(&sink.numbers()), (0..300).collect::<Vec<_>>());
    let mut marks: Vec<u64> = sink.numbers().iter().map(|n| n / MARK).collect();
    marks.dedup();
    assert_eq!(marks, [0, 1, 0, 1, 0]);
    assert!(summary.per_node[&id("x")].counters.events_in > 0, "what it did stays known");
}

#[tokio::test(start_paused = true)]
async fn a_processor_is_exchanged_between_two_batches() {
    for n_instances in [1, 3] {
        let sink = SinkSpec::new();
        let pipe = Pipe::line(steady(300), marking(1), &sink).parallel("p", n_instances);
        pipe.knows("p2", marking(2));
        let mut run = pipe.start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(305)).await;
        let new = pipe.exchanged(&pipe.topology, "p", "p2");
        let mut changed = change(&run.handle(), &new, on_trial()).await.unwrap();
        assert_eq!(changed.outcome.wait().await, Settled::Kept);
        let summary = run.wait().await;
        changed_once(&sink.numbers(), 300, 1, 2);
        let held = summary.per_node.values().map(|figures| figures.held_ns).max();
        assert_eq!(held, Some(u64::try_from(changed.pause.as_nanos()).unwrap()), "the pause is that of a node");
    }
}

#[tokio::test(start_paused = true)]
async fn a_branch_comes_and_goes_with_its_events_taken() {
    let (sink, other) = (SinkSpec::new(), SinkSpec::new());
    let pipe = Pipe::line(steady(300), Rule::identity(), &sink);
    pipe.knows_sink("other", &other);
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let new = pipe.branched(&pipe.topology, "other", "p");
    let came = change(&handle, &new, ChangeOptions::default()).await.unwrap();
    assert_eq!(came.epoch, Some(1), "with several sinks it waits for a checkpoint");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let went = change(&handle, &pipe.topology, ChangeOptions::default()).await.unwrap();
    assert!(went.epoch.is_some());
    let taken = other.numbers();
    assert_eq!(other.log.lock().unwrap().n_durable, taken.len(), "all of them are flushed");
    assert_eq!(taken, (taken[0]..taken[0] + taken.len() as u64).collect::<Vec<_>>());
    assert!(taken.len() > 30);
    let summary = run.wait().await;
    assert_eq!(sink.numbers(), (0..300).collect::<Vec<_>>());
    assert_eq!(other.numbers(), taken, "nothing came behind it");
    assert_eq!(summary.events_out, 300 + taken.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_sink_takes_over_from_another_with_nothing_lost() {
    let (first, second) = (Database::new("first"), Database::new("second"));
    let pipe = Pipe::new().source("s", steady(300)).database("out", &first, &["s"]);
    let _ = pipe.clone().database("second", &second, &["s"]);
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let new = pipe.exchanged(&pipe.topology, "out", "second");
    let changed = change(&run.handle(), &new, ChangeOptions::default()).await.unwrap();
    assert_eq!(changed.epoch, Some(1));
    assert_eq!(run.wait().await.events_out, 300);
    let (first, second) = (first.rows(), second.rows());
    assert!(first.len() > 80 && second.len() > 80);
    let all: Vec<u64> = first.iter().chain(&second).map(|(_, n)| *n).collect();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_source_goes_on_where_the_one_before_it_stood() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(steady(300), Rule::identity(), &sink);
    let other = SourceSpec { sizes: vec![7], ..steady(300) };
    let _ = pipe.clone().source("s2", other.clone());
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let new = pipe.exchanged(&pipe.topology, "s", "s2");
    change(&run.handle(), &new, ChangeOptions::default()).await.unwrap();
    assert_eq!(run.wait().await.events_out, 300);
    assert_eq!(sink.numbers(), (0..300).collect::<Vec<_>>());
    let opened = other.log.lock().unwrap().opened.clone();
    assert!(matches!(opened[..], [Some(at)] if at > 80), "{opened:?}");
}

#[tokio::test(start_paused = true)]
async fn state_moves_to_the_new_instances() {
    for (n_before, n_after) in [(1, 1), (1, 3), (3, 2)] {
        let sink = SinkSpec::new();
        let sum = || Rule { is_sum: true, key: Some(|n| (n % 5).to_string()), ..Rule::identity() };
        let mut pipe = Pipe::new().source("s", steady(300));
        pipe = pipe.processor("keys", Rule { gives: Some(|n| (n % 5).to_string()), ..Rule::identity() }, &["s"]);
        pipe = pipe.processor("p", sum(), &["keys"]).parallel("p", n_before).sink("out", &sink, &["p"]);
        pipe.knows("p2", sum());
        let mut run = pipe.start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(305)).await;
        let changed = pipe.of(pipe.exchanged(&pipe.topology, "p", "p2")).parallel("p", n_after);
        let mut changed = change(&run.handle(), &changed.topology, on_trial()).await.unwrap();
        assert_eq!(changed.outcome.wait().await, Settled::Kept);
        assert_eq!(run.wait().await.status, Status::Completed);
        let mut sums = [0; 5];
        let mut wanted: Vec<u64> = (0..300u64)
            .map(|n| {
                sums[(n % 5) as usize] += n;
                sums[(n % 5) as usize]
            })
            .collect();
        let mut found = sink.numbers();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn state_is_dropped_only_where_that_is_said() {
    let sink = SinkSpec::new();
    let sum = Rule { is_sum: true, ..Rule::identity() };
    let pipe = Pipe::line(steady(600), sum.clone(), &sink);
    pipe.knows("plain", Rule::identity());
    pipe.knows("p2", sum);
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(Duration::from_millis(1_505)).await;
    let plain = pipe.exchanged(&pipe.topology, "p", "plain");
    let Err(ApplyError::Prepare(faults)) = change(&handle, &plain, ChangeOptions::default()).await else { panic!() };
    assert!(faults[0].source.to_string().contains("keeps no state"), "{faults:?}");
    let new = pipe.exchanged(&pipe.topology, "p", "p2");
    change(&handle, &new, ChangeOptions { discards_state: true, ..ChangeOptions::default() }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.handle().stop(Stop::Drain);
    run.wait().await;
    let sums = sink.numbers();
    let at = (1..sums.len()).find(|at| sums[*at] < sums[at - 1]).expect("the sum begins anew");
    assert_eq!(sums[at], at as u64);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_does_not_take_the_state_is_refused_and_the_old_goes_on() {
    // it refuses when it is tried, or only when it is to take over
    for refuses in [1, 2] {
        let database = Database::new("out");
        let sum = Rule { is_sum: true, ..Rule::identity() };
        let pipe = Pipe::new().source("s", steady(600)).processor("p", sum.clone(), &["s"]);
        let pipe = pipe.database("out", &database, &["p"]);
        pipe.knows("p2", Rule { refuses: Some(refuses), ..Rule { calls: Arc::default(), ..sum } });
        let mut run = pipe.start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_505)).await;
        let new = pipe.exchanged(&pipe.topology, "p", "p2");
        let refused = change(&run.handle(), &new, ChangeOptions::default()).await.unwrap_err();
        let said = match &refused {
            ApplyError::Prepare(faults) if refuses == 1 => faults[0].source.to_string(),
            ApplyError::RolledBack { reason } if refuses == 2 => reason.clone(),
            other => panic!("{other:?}"),
        };
        assert!(said.contains("it is of another format"), "{said}");
        assert_eq!(run.handle().topology().unwrap().digest(), pipe.topology.digest());
        let summary = run.wait().await;
        assert_eq!((summary.status, summary.events_out), (Status::Completed, 600), "{:?}", summary.error);
        let rows = database.rows();
        assert_eq!((rows.len(), rows[599].1), (600, (0..600).sum::<u64>()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_prepared_changes_nothing() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(steady(300), Rule::identity(), &sink).broken("x").broken("y");
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let new = pipe.inserted(&pipe.topology, "x", "s", "p");
    let new = pipe.inserted(&new, "y", "x", "p");
    let Err(ApplyError::Prepare(faults)) = change(&handle, &new, ChangeOptions::default()).await else { panic!() };
    assert_eq!(
        faults.iter().map(|fault| fault.node.as_str()).collect::<std::collections::BTreeSet<_>>(),
        ["x", "y"].into()
    );
    assert_eq!(handle.revision(), 1);
    assert_eq!(run.wait().await.events_out, 300);
    assert_eq!(sink.numbers(), (0..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn of_two_changes_of_one_topology_one_is_made() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(steady(300), Rule::identity(), &sink);
    pipe.knows("x", marking(1));
    pipe.knows("y", marking(2));
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let (x, y) = (pipe.inserted(&pipe.topology, "x", "s", "p"), pipe.inserted(&pipe.topology, "y", "s", "p"));
    let made = async |new: &Topology| {
        let ready = handle.prepare(Change::between(&pipe.topology, new), ChangeOptions::default()).await?;
        ready.switch().await
    };
    let (first, second) = tokio::join!(made(&x), made(&y));
    assert!(first.is_ok());
    assert!(matches!(second, Err(ApplyError::Moved)));
    run.wait().await;
    changed_once(&sink.numbers(), 300, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_fails_on_trial_is_replaced_by_the_one_before_it() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(steady(300), marking(1), &sink);
    pipe.knows("bad", Rule::new(|n| if n > 150 { Verdict::Crash } else { Verdict::Emit(n + 2 * MARK) }));
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(Duration::from_millis(405)).await;
    let new = pipe.exchanged(&pipe.topology, "p", "bad");
    let trial = Trial { batches: 1_000, ..Trial::default() };
    let mut changed =
        change(&handle, &new, ChangeOptions { trial: Some(trial), ..ChangeOptions::default() }).await.unwrap();
    let Settled::RolledBack { reason } = changed.outcome.wait().await else { panic!() };
    assert!(reason.contains("node `p`: trapped at 151"), "{reason}");
    assert_eq!(handle.topology().unwrap().digest(), pipe.topology.digest());
    let summary = run.wait().await;
    assert_eq!((summary.events_out, summary.rejected, summary.per_node[&id("p")].restarts), (300, 0, 0));
    assert_eq!(plain(&sink.numbers()), (0..300).collect::<Vec<_>>());
    let mut marks: Vec<u64> = sink.numbers().iter().map(|n| n / MARK).collect();
    marks.dedup();
    assert_eq!(marks, [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_back_to_the_topology_before_a_change_that_fails() {
    let crash = || Rule::new(|n| if n > 150 { Verdict::Crash } else { Verdict::Emit(n + MARK) });
    let stateful = || Rule { is_sum: true, ..crash() };
    let picky = || Rule::new(|n| if n > 120 { Verdict::Reject } else { Verdict::Emit(n + MARK) });
    let stuck = || {
        let forever = |n| if n > 120 { Duration::from_secs(3_600) } else { Duration::ZERO };
        Rule { delay: Arc::new(forever), ..marking(1) }
    };
    for (rule, said) in [
        (crash(), "trapped at 151"),
        (stateful(), "trapped at 151"),
        (picky(), "refused"),
        (stuck(), "took no events for 5s"),
    ] {
        let database = Database::new("out");
        let pipe = Pipe::new().source("s", steady(600)).processor("p", Rule::identity(), &["s"]);
        let pipe = pipe.database("out", &database, &["p"]);
        pipe.knows("x", rule);
        let mut run = pipe.start().await.unwrap();
        let handle = run.handle();
        tokio::time::sleep(Duration::from_millis(305)).await;
        let new = pipe.inserted(&pipe.topology, "x", "s", "p");
        let trial = Trial { batches: 100, time: Duration::from_secs(60), ..Trial::default() };
        let options = ChangeOptions { trial: Some(trial), ..ChangeOptions::default() };
        let mut changed = change(&handle, &new, options).await.unwrap();
        let Settled::RolledBack { reason } = changed.outcome.wait().await else { panic!("{said}") };
        assert!(reason.starts_with("node `x`: ") && reason.contains(said), "{reason}");
        assert_eq!(handle.topology().unwrap().digest(), pipe.topology.digest());
        let summary = run.wait().await;
        assert_eq!((summary.status, summary.events_out), (Status::Completed, 600), "{said}: {:?}", summary.error);
        let rows: Vec<u64> = database.rows().iter().map(|(_, n)| *n).collect();
        assert_eq!(rows, (0..600).collect::<Vec<_>>(), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_on_trial_gives_its_events_back() {
    let database = Database::new("out");
    let bad = SinkSpec { fails_at: Some(151), ..SinkSpec::new() };
    let pipe = Pipe::new().source("s", steady(300)).database("out", &database, &["s"]);
    pipe.knows_sink("bad", &bad);
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let new = pipe.exchanged(&pipe.topology, "out", "bad");
    let trial = Trial { batches: 1_000, ..Trial::default() };
    let options = ChangeOptions { trial: Some(trial), ..ChangeOptions::default() };
    let mut changed = change(&run.handle(), &new, options).await.unwrap();
    let Settled::RolledBack { reason } = changed.outcome.wait().await else { panic!() };
    assert!(reason.contains("disk is full"), "{reason}");
    assert_eq!(run.wait().await.events_out, 300);
    assert_eq!(database.rows().iter().map(|(_, n)| *n).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
}

/// Inserts a node into a pipeline in a state of its own.
async fn insert_while(source: SourceSpec, rule: Rule, wait: Duration, n_events: u64) {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(source, rule, &sink);
    pipe.knows("x", marking(1));
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(wait).await;
    let new = pipe.inserted(&pipe.topology, "x", "s", "p");
    let changed = change(&run.handle(), &new, ChangeOptions::default()).await;
    if let Ok(changed) = &changed {
        assert_eq!(changed.n_stranded, 0);
    } else {
        assert!(matches!(changed, Err(ApplyError::Over)), "{changed:?}");
    }
    run.handle().stop(Stop::Drain);
    let summary = run.wait().await;
    let n_taken = sink.numbers().len() as u64;
    assert_eq!((summary.events_out, summary.events_in), (n_taken, n_taken));
    assert_eq!(plain(&sink.numbers()), (0..n_taken).collect::<Vec<_>>());
    assert!(n_taken <= n_events);
    let marks: Vec<u64> = sink.numbers().iter().map(|n| n / MARK).collect();
    assert!(marks.is_sorted(), "{marks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_inserted_whatever_the_others_do() {
    let slow = || Rule { delay: Arc::new(|_| Duration::from_millis(70)), ..Rule::identity() };
    let hurried = || SourceSpec { pause: Duration::ZERO, ..SourceSpec::endless(50_000) };
    // sending without a pause, slow behind it, idle, at its end, and in a checkpoint
    insert_while(hurried(), Rule::identity(), Duration::from_millis(1), 50_000).await;
    insert_while(steady(300), slow(), Duration::from_millis(505), 300).await;
    insert_while(SourceSpec::endless(30), Rule::identity(), Duration::from_millis(505), 30).await;
    insert_while(SourceSpec::new(30), slow(), Duration::from_millis(300), 30).await;
    insert_while(steady(900), slow(), Duration::from_millis(1_001), 900).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_drains_takes_no_change() {
    let sink = SinkSpec::new();
    let slow = Rule { delay: Arc::new(|_| Duration::from_millis(70)), ..Rule::identity() };
    let pipe = Pipe::line(steady(300), slow, &sink);
    pipe.knows("x", marking(1));
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(305)).await;
    run.handle().stop(Stop::Drain);
    tokio::task::yield_now().await;
    let new = pipe.inserted(&pipe.topology, "x", "s", "p");
    let handle = run.handle();
    let (changed, summary) = tokio::join!(change(&handle, &new, ChangeOptions::default()), run.wait());
    assert!(matches!(changed, Err(ApplyError::Over)), "{changed:?}");
    assert_eq!(summary.events_out, sink.numbers().len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_several_nodes_is_one_for_every_event() {
    let sink = SinkSpec::new();
    let mut pipe = Pipe::new().source("s", steady(600));
    // two ways of different length, to one sink
    pipe = pipe.processor("a", Rule::new(|n| if n % 2 == 0 { Verdict::Emit(n) } else { Verdict::Drop }), &["s"]);
    pipe = pipe.processor("b", Rule::new(|n| if n % 2 == 1 { Verdict::Emit(n) } else { Verdict::Drop }), &["s"]);
    pipe = pipe.processor("c", Rule { delay: Arc::new(|_| Duration::from_millis(9)), ..Rule::identity() }, &["b"]);
    pipe = pipe.sink("out", &sink, &["a", "c"]);
    pipe.knows("x", marking(1));
    pipe.knows("y", marking(1));
    pipe.knows("z", marking(3));
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(905)).await;
    let new = pipe.inserted(&pipe.topology, "x", "a", "out");
    let new = pipe.inserted(&new, "y", "b", "c");
    let new = pipe.inserted(&new, "z", "c", "out");
    change(&run.handle(), &new, ChangeOptions::default()).await.unwrap();
    run.wait().await;
    let numbers = sink.numbers();
    let mut all = plain(&numbers);
    all.sort_unstable();
    assert_eq!(all, (0..600).collect::<Vec<_>>());
    let first_new = numbers.iter().filter(|n| **n >= MARK).map(|n| n % MARK).min().unwrap();
    for n in &numbers {
        let wanted = match (n % MARK < first_new, n % 2) {
            (true, _) => 0,
            (false, 0) => 1,
            (false, _) => 4,
        };
        assert_eq!(n / MARK, wanted, "{} took a mix of old and new", n % MARK);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_and_queues_change_while_it_runs() {
    let sink = SinkSpec::new();
    let pipe = Pipe::line(steady(300), Rule::identity(), &sink);
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let mut new = pipe.clone().settings(|settings| {
        settings.queue_batches = 2;
        settings.max_events = 1;
        settings.checkpoint_interval = Duration::from_millis(100);
    });
    new.change("p", |node| node.limits.memory_bytes /= 2);
    change(&handle, &new.topology, ChangeOptions::default()).await.unwrap();
    let edges = handle.snapshot().unwrap().edges;
    assert!(edges.iter().all(|edge| edge.max_batches == 2), "{edges:?}");
    let n_epochs = sink.epochs().len();
    tokio::time::sleep(Duration::from_millis(505)).await;
    assert!(sink.epochs().len() > n_epochs + 3);
    assert_eq!(run.wait().await.events_out, 300);
    assert_eq!(sink.numbers(), (0..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn without_a_source_that_repeats_a_change_is_kept() {
    let sink = SinkSpec::new();
    let source = SourceSpec { is_replayable: false, ..steady(300) };
    let pipe = Pipe::line(source, Rule::identity(), &sink);
    pipe.knows("x", Rule::new(|n| if n == 150 { Verdict::Crash } else { Verdict::Emit(n + MARK) }));
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let new = pipe.inserted(&pipe.topology, "x", "s", "p");
    let mut changed = change(&run.handle(), &new, on_trial()).await.unwrap();
    assert_eq!(changed.outcome.wait().await, Settled::Kept);
    let summary = run.wait().await;
    assert_eq!((summary.events_out, summary.rejected), (299, 1));
    assert_eq!(pipe.letters.all(), [("x".to_owned(), "s/150".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_kept_is_where_the_run_goes_back_to() {
    let database = Database::new("out");
    let pipe = Pipe::new().source("s", steady(600)).processor("p", Rule { is_sum: true, ..Rule::identity() }, &["s"]);
    let pipe = pipe.database("out", &database, &["p"]);
    pipe.knows(
        "p2",
        Rule { is_sum: true, ..Rule::new(|n| if n == 500 { Verdict::CrashInCompany } else { Verdict::Emit(n) }) },
    );
    let mut run = pipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(305)).await;
    let new = pipe.exchanged(&pipe.topology, "p", "p2");
    let mut changed = change(&run.handle(), &new, on_trial()).await.unwrap();
    assert_eq!(changed.outcome.wait().await, Settled::Kept);
    let summary = run.wait().await;
    assert_eq!((summary.status, summary.events_out), (Status::Completed, 600), "{:?}", summary.error);
    let mut sum = 0;
    let wanted = (0..600).map(|n| {
        sum += n;
        sum
    });
    assert_eq!(database.rows().iter().map(|(_, n)| *n).collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
}
