//! Any changes at any time, of which some cannot be prepared and some fail when they run:
//! every event reaches the sinks once, in order, over the path of one revision.

use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{ApplyError, Change, ChangeOptions, RunHandle, Settled, Status, Trial};
use flowctl_topology::Topology;
use proptest::prelude::*;

use crate::support::{Database, Pipe, Rule, SourceSpec, Verdict};

/// The bits of a number that say which event it is; the others say which components it passed.
const EVENT_BITS: u32 = 16;
const N_EVENTS: u64 = 1_500;

/// What is tried.
#[derive(Debug, Clone)]
enum Step {
    /// A component between two nodes of the line, by place.
    Insert(prop::sample::Index, Kind),
    Remove(prop::sample::Index),
    Exchange(prop::sample::Index, Kind),
    /// Two insertions at the same time, of the same topology.
    Race(prop::sample::Index, prop::sample::Index),
}

/// What becomes of a component.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Good,
    Stateful,
    /// Cannot be prepared.
    Broken,
    /// Crashes on its so manieth event.
    Faulty(u64),
    /// Is slow.
    Slow,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Good),
        2 => Just(Kind::Stateful),
        1 => Just(Kind::Broken),
        2 => (1u64..60).prop_map(Kind::Faulty),
        1 => Just(Kind::Slow),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        3 => (place(), kind()).prop_map(|(at, kind)| Step::Insert(at, kind)),
        2 => place().prop_map(Step::Remove),
        2 => (place(), kind()).prop_map(|(at, kind)| Step::Exchange(at, kind)),
        1 => (place(), place()).prop_map(|(one, other)| Step::Race(one, other)),
    ]
}

/// A line of components and what has run so far.
struct Model {
    pipe: Pipe,
    /// The components between source and sink, by number and node.
    line: Vec<(u32, String)>,
    /// The components that events passed, revision after revision.
    revisions: Vec<u64>,
    n_components: u32,
}

impl Model {
    /// Makes a component that marks what it passes on.
    fn component(&mut self, kind: Kind) -> u32 {
        let number = self.n_components;
        self.n_components += 1;
        let bit = 1u64 << (EVENT_BITS + number);
        let seen = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let judge = move |n| match kind {
            Kind::Faulty(at) if seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 >= at => Verdict::Crash,
            _ => Verdict::Emit(n | bit),
        };
        let slow = matches!(kind, Kind::Slow);
        let delay = move |_| Duration::from_millis(if slow { 25 } else { 0 });
        let mut rule = Rule { delay: Arc::new(delay), ..Rule::new(judge) };
        if let Kind::Stateful = kind {
            // its state is there and does not show: what it emits is what it would emit without
            rule.keeps = true;
        }
        self.pipe.knows(&format!("c{number}"), rule);
        if let Kind::Broken = kind {
            self.pipe = self.pipe.clone().broken(&format!("c{number}"));
        }
        number
    }

    fn path(line: &[(u32, String)]) -> u64 {
        line.iter().map(|(number, _)| 1u64 << (EVENT_BITS + number)).sum()
    }

    fn names(&self) -> Vec<String> {
        let between = self.line.iter().map(|(_, node)| node.clone());
        ["s".to_owned()].into_iter().chain(between).chain(["out".to_owned()]).collect()
    }

    fn inserted(&self, topology: &Topology, at: usize, number: u32) -> (Topology, Vec<(u32, String)>) {
        let names = self.names();
        let node = format!("c{number}");
        let mut line = self.line.clone();
        line.insert(at, (number, node.clone()));
        (self.pipe.inserted(topology, &node, &names[at], &names[at + 1]), line)
    }

    /// What came of a change, as the model has it from then on.
    async fn tried(&mut self, handle: &RunHandle, new: &Topology, line: Vec<(u32, String)>) -> Result<(), ApplyError> {
        let old = handle.topology().unwrap();
        let trial = Trial { batches: 25, time: Duration::from_secs(2), ..Trial::default() };
        let options = ChangeOptions { trial: Some(trial), discards_state: true };
        let ready = handle.prepare(Change::between(&old, new), options).await?;
        let mut changed = match ready.switch().await {
            Ok(changed) => changed,
            Err(ApplyError::RolledBack { .. }) => {
                // some events may have passed what the last of its nodes never took
                self.revisions.extend([Self::path(&line), Self::path(&self.line)]);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        assert_eq!(changed.n_stranded, 0);
        self.revisions.push(Self::path(&line));
        match changed.outcome.wait().await {
            Settled::Kept | Settled::Ended => self.line = line,
            Settled::RolledBack { .. } => self.revisions.push(Self::path(&self.line)),
        }
        Ok(())
    }
}

async fn check(steps: Vec<(u64, Step)>) -> Result<(), TestCaseError> {
    let database = Database::new("out");
    let source = SourceSpec { pause: Duration::from_millis(10), ..SourceSpec::new(N_EVENTS) };
    let pipe = Pipe::new().source("s", source).database("out", &database, &["s"]);
    let pipe = pipe.settings(|settings| settings.checkpoint_interval = Duration::from_millis(300));
    let mut run = pipe.start().await.unwrap();
    let handle = run.handle();
    let mut model = Model { pipe, line: Vec::new(), revisions: vec![0], n_components: 0 };
    for (wait, step) in steps {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let topology = handle.topology().unwrap();
        let result = match step {
            Step::Insert(at, kind) => {
                let at = at.index(model.line.len() + 1);
                let number = model.component(kind);
                let (new, line) = model.inserted(&topology, at, number);
                model.tried(&handle, &new, line).await
            }
            Step::Remove(at) if !model.line.is_empty() => {
                let mut line = model.line.clone();
                let (_, node) = line.remove(at.index(model.line.len()));
                model.tried(&handle, &Pipe::without(&topology, &node), line).await
            }
            Step::Exchange(at, kind) if !model.line.is_empty() => {
                let number = model.component(kind);
                let mut line = model.line.clone();
                let at = at.index(line.len());
                line[at].0 = number;
                let new = model.pipe.exchanged(&topology, &line[at].1.clone(), &format!("c{number}"));
                model.tried(&handle, &new, line).await
            }
            Step::Race(one, other) => {
                let (one, other) = (one.index(model.line.len() + 1), other.index(model.line.len() + 1));
                let (first, second) = (model.component(Kind::Good), model.component(Kind::Good));
                let (new, line) = model.inserted(&topology, one, first);
                let (late, _) = model.inserted(&topology, other, second);
                let race = async {
                    // asked for while the other is made
                    let ready = handle.prepare(Change::between(&topology, &late), ChangeOptions::default()).await;
                    ready.map(drop)
                };
                let (made, raced) = tokio::join!(model.tried(&handle, &new, line), race);
                prop_assert!(made.is_err() || matches!(raced, Err(ApplyError::Moved | ApplyError::Over)));
                made
            }
            Step::Remove(_) | Step::Exchange(..) => Ok(()),
        };
        match result {
            Ok(()) | Err(ApplyError::Prepare(_)) => {}
            Err(ApplyError::Over) => break,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
    let summary = tokio::time::timeout(Duration::from_secs(3_600), run.wait()).await;
    let summary = summary.map_err(|_| TestCaseError::fail("the run does not end"))?;
    prop_assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    prop_assert_eq!((summary.events_out, summary.rejected), (N_EVENTS, 0));

    let rows: Vec<u64> = database.rows().iter().map(|(_, n)| *n).collect();
    let events: Vec<u64> = rows.iter().map(|row| row & ((1 << EVENT_BITS) - 1)).collect();
    prop_assert_eq!(events, (0..N_EVENTS).collect::<Vec<_>>());
    let mut revisions = model.revisions.iter();
    let mut path = revisions.next().copied();
    for row in rows {
        let taken = row >> EVENT_BITS << EVENT_BITS;
        while path.is_some_and(|path| path != taken) {
            path = revisions.next().copied();
        }
        prop_assert!(path.is_some(), "event {} took {taken:x}, of {:x?}", row & 0xffff, model.revisions);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_takes_the_path_of_one_revision(steps in prop::collection::vec((0u64..400, step()), 1..10)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(steps))?;
    }
}
