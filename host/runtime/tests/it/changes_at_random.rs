//! Any changes at any time, of which some cannot be prepared and some fail when they run:
//! every event reaches the sinks once, in order, over the path of one revision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowctl_runtime::{ApplyError, Change, ChangeOptions, RunHandle, Settled, Status, Trial};
use flowctl_topology::Topology;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{Database, Pipe, Rule, SourceSpec, Verdict};

/// The bits of a number that say which event it is; the others say which components it passed.
const EVENT_BITS: u32 = 16;
const EVENT: u64 = (1 << EVENT_BITS) - 1;
const N_EVENTS: u64 = 1_500;

/// What is tried.
#[derive(Debug, Clone)]
enum Step {
    /// A component between two nodes of the line, by place.
    Insert(Index, Kind),
    Remove(Index),
    Exchange(Index, Kind),
    /// Two insertions at the same time, of the same topology.
    Race(Index, Index),
    /// A second sink behind a node of the line, or instead of the one that is there; whether
    /// it can be opened.
    Branch(Index, bool),
    /// The second sink goes.
    Prune,
    /// The first sink is configured differently.
    Configure,
    /// A component comes, another one is exchanged, and the first sink is configured.
    Several(Index, Index, Kind),
}

/// What becomes of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    Stateful,
    /// Cannot be prepared.
    Broken,
    /// No instance of it can be made.
    Unborn,
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
        1 => Just(Kind::Unborn),
        2 => (1u64..60).prop_map(Kind::Faulty),
        1 => Just(Kind::Slow),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), kind()).prop_map(|(at, kind)| Step::Insert(at, kind)),
        2 => place().prop_map(Step::Remove),
        3 => (place(), kind()).prop_map(|(at, kind)| Step::Exchange(at, kind)),
        1 => (place(), place()).prop_map(|(one, other)| Step::Race(one, other)),
        2 => (place(), prop::bool::weighted(0.8)).prop_map(|(at, opens)| Step::Branch(at, opens)),
        1 => Just(Step::Prune),
        1 => Just(Step::Configure),
        1 => (place(), place(), kind()).prop_map(|(at, other, kind)| Step::Several(at, other, kind)),
    ]
}

/// What runs between the source and the sinks.
#[derive(Debug, Clone, Default)]
struct Line {
    /// The components, by number and node.
    components: Vec<(u32, String)>,
    /// The second sink, and how many components are before it.
    branch: Option<(u32, usize)>,
}

/// The components that an event passed on its way to the first sink, and to the second one.
type Path = (u64, Option<u64>);

impl Line {
    fn path(&self) -> Path {
        let bits = |line: &[(u32, String)]| line.iter().map(|(number, _)| 1u64 << (EVENT_BITS + number)).sum::<u64>();
        (bits(&self.components), self.branch.map(|(_, n_before)| bits(&self.components[..n_before])))
    }

    fn names(&self) -> Vec<String> {
        let between = self.components.iter().map(|(_, node)| node.clone());
        ["s".to_owned()].into_iter().chain(between).chain(["out".to_owned()]).collect()
    }
}

/// What has run so far.
struct Model {
    pipe: Pipe,
    line: Line,
    /// The paths of events, revision after revision.
    revisions: Vec<Path>,
    n_components: u32,
    /// Second sinks, and what each holds.
    branches: Vec<Database>,
    n_configured: u64,
}

impl Model {
    /// Makes a component that marks what it passes on.
    fn component(&mut self, kind: Kind) -> u32 {
        let number = self.n_components;
        self.n_components += 1;
        let bit = 1u64 << (EVENT_BITS + number);
        let seen = Arc::new(AtomicU64::new(0));
        let judge = move |n| match kind {
            Kind::Faulty(at) if seen.fetch_add(1, Ordering::Relaxed) + 1 >= at => Verdict::Crash,
            _ => Verdict::Emit(n | bit),
        };
        let slow = kind == Kind::Slow;
        let delay = move |_| Duration::from_millis(if slow { 25 } else { 0 });
        let mut rule = Rule { delay: Arc::new(delay), ..Rule::new(judge) };
        // its state is there and does not show: what it emits is what it would emit without
        rule.keeps = kind == Kind::Stateful;
        rule.is_unborn = kind == Kind::Unborn;
        self.pipe.knows(&format!("c{number}"), rule);
        if kind == Kind::Broken {
            self.pipe = self.pipe.clone().broken(&format!("c{number}"));
        }
        number
    }

    fn inserted(&self, (topology, line): (&Topology, &Line), at: usize, number: u32) -> (Topology, Line) {
        let names = line.names();
        let node = format!("c{number}");
        let topology = self.pipe.inserted(topology, &node, &names[at], &names[at + 1]);
        let mut line = line.clone();
        line.components.insert(at, (number, node));
        if let Some((_, n_before)) = &mut line.branch {
            *n_before += usize::from(at < *n_before);
        }
        (topology, line)
    }

    fn exchanged(&self, (topology, line): (&Topology, &Line), at: usize, number: u32) -> (Topology, Line) {
        let mut line = line.clone();
        line.components[at].0 = number;
        (self.pipe.exchanged(topology, &line.components[at].1, &format!("c{number}")), line)
    }

    fn removed(&self, topology: &Topology, at: usize) -> (Topology, Line) {
        let mut line = self.line.clone();
        let (_, node) = line.components.remove(at);
        if let Some((_, n_before)) = &mut line.branch {
            *n_before -= usize::from(at < *n_before);
        }
        (Pipe::without(topology, &node), line)
    }

    fn pruned(&self, topology: &Topology) -> (Topology, Line) {
        let topology = match self.line.branch {
            Some((number, _)) => Pipe::without(topology, &format!("b{number}")),
            None => topology.clone(),
        };
        (topology, Line { branch: None, ..self.line.clone() })
    }

    fn branched(&mut self, topology: &Topology, n_before: usize, opens: bool) -> (Topology, Line) {
        let number = u32::try_from(self.branches.len()).unwrap();
        let name = format!("b{number}");
        let database = Database { is_shut: !opens, ..Database::new("branch") };
        self.pipe.knows_database(&name, &database);
        self.branches.push(database);
        let (topology, line) = self.pruned(topology);
        let topology = self.pipe.branched(&topology, &name, &line.names()[n_before]);
        (topology, Line { branch: Some((number, n_before)), ..line })
    }

    fn configured(&mut self, topology: &Topology) -> Topology {
        self.n_configured += 1;
        let mut topology = topology.clone();
        let sink = topology.nodes.iter_mut().find(|node| node.id.as_str() == "out").unwrap();
        sink.config = serde_json::json!({ "number": self.n_configured });
        topology
    }

    /// What came of a change, as the model has it from then on.
    async fn tried(&mut self, handle: &RunHandle, (new, line): (Topology, Line)) -> Result<(), ApplyError> {
        let old = handle.topology().unwrap();
        let trial = Trial { batches: 25, time: Duration::from_secs(2), ..Trial::default() };
        let options = ChangeOptions { trial: Some(trial), discards_state: false };
        let ready = match handle.prepare(Change::between(&old, &new), options.clone()).await {
            // a component that keeps none has another's state to drop
            Err(ApplyError::Prepare(faults)) if faults.iter().all(|fault| fault.to_string().contains("state")) => {
                let options = ChangeOptions { discards_state: true, ..options };
                handle.prepare(Change::between(&old, &new), options).await?
            }
            ready => ready?,
        };
        let mut changed = match ready.switch().await {
            Ok(changed) => changed,
            Err(ApplyError::RolledBack { .. }) => {
                // some events may have passed what the last of its nodes never took
                self.revisions.extend([line.path(), self.line.path()]);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        assert_eq!(changed.n_stranded, 0);
        self.revisions.push(line.path());
        match changed.outcome.wait().await {
            Settled::Kept | Settled::Ended => self.line = line,
            Settled::RolledBack { .. } => self.revisions.push(self.line.path()),
        }
        Ok(())
    }

    async fn take(&mut self, handle: &RunHandle, step: Step) -> Result<(), ApplyError> {
        let topology = handle.topology().unwrap();
        let n_components = self.line.components.len();
        let line = self.line.clone();
        let proposed = match step {
            Step::Insert(at, kind) => {
                let number = self.component(kind);
                self.inserted((&topology, &line), at.index(n_components + 1), number)
            }
            Step::Remove(at) if n_components > 0 => self.removed(&topology, at.index(n_components)),
            Step::Exchange(at, kind) if n_components > 0 => {
                let number = self.component(kind);
                self.exchanged((&topology, &line), at.index(n_components), number)
            }
            Step::Race(one, other) => {
                let (first, second) = (self.component(Kind::Good), self.component(Kind::Good));
                let new = self.inserted((&topology, &line), one.index(n_components + 1), first);
                let (late, _) = self.inserted((&topology, &line), other.index(n_components + 1), second);
                let race = async {
                    // asked for while the other is made
                    let ready = handle.prepare(Change::between(&topology, &late), ChangeOptions::default()).await;
                    ready.map(drop)
                };
                let (made, raced) = tokio::join!(self.tried(handle, new), race);
                assert!(made.is_err() || matches!(raced, Err(ApplyError::Moved | ApplyError::Over)));
                return made;
            }
            Step::Branch(at, opens) => self.branched(&topology, at.index(n_components + 1), opens),
            Step::Prune if line.branch.is_some() => self.pruned(&topology),
            Step::Configure => (self.configured(&topology), line),
            Step::Several(at, other, kind) => {
                let (first, second) = (self.component(Kind::Good), self.component(kind));
                let (topology, line) = self.inserted((&topology, &line), at.index(n_components + 1), first);
                let (topology, line) = self.exchanged((&topology, &line), other.index(n_components + 1), second);
                (self.configured(&topology), line)
            }
            Step::Remove(_) | Step::Exchange(..) | Step::Prune => return Ok(()),
        };
        self.tried(handle, proposed).await
    }

    /// Every event is in the first sink once, in order, each over the path of the revision of
    /// its neighbours or of a later one. The second sinks have what passed while they were
    /// there, without a gap, as it was where they read it.
    fn check(&self, rows: &[u64]) -> Result<(), TestCaseError> {
        let event = |row: &u64| row & EVENT;
        let taken = |row: &u64| row & !EVENT;
        prop_assert_eq!(rows.iter().map(event).collect::<Vec<_>>(), (0..N_EVENTS).collect::<Vec<_>>());
        let mut revisions = self.revisions.iter();
        let mut path = revisions.next();
        for row in rows {
            while path.is_some_and(|(path, _)| *path != taken(row)) {
                path = revisions.next();
            }
            prop_assert!(path.is_some(), "event {} took {:x}, of {:x?}", event(row), taken(row), self.revisions);
        }

        let paths: BTreeMap<u64, u64> = rows.iter().map(|row| (event(row), taken(row))).collect();
        for (number, branch) in self.branches.iter().enumerate() {
            let rows: Vec<u64> = branch.rows().into_iter().map(|(_, row)| row).collect();
            let Some(first) = rows.first().map(event) else { continue };
            let until = first + rows.len() as u64;
            let events: Vec<u64> = rows.iter().map(event).collect();
            prop_assert_eq!(events, (first..until).collect::<Vec<_>>(), "sink b{}", number);
            for row in &rows {
                let path = (paths[&event(row)], Some(taken(row)));
                prop_assert!(
                    self.revisions.contains(&path),
                    "event {}: {path:x?} of {:x?}",
                    event(row),
                    self.revisions
                );
            }
            let is_there = self.line.branch.is_some_and(|(there, _)| there as usize == number);
            prop_assert!(!is_there || until == N_EVENTS, "sink b{} ends before event {}", number, until);
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
    let line = Line::default();
    let revisions = vec![line.path()];
    let mut model = Model { pipe, line, revisions, n_components: 0, branches: Vec::new(), n_configured: 0 };
    for (wait, step) in steps {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        match model.take(&handle, step).await {
            Ok(()) | Err(ApplyError::Prepare(_)) => {}
            Err(ApplyError::Over) => break,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
    let summary = tokio::time::timeout(Duration::from_secs(3_600), run.wait()).await;
    let summary = summary.map_err(|_| TestCaseError::fail("the run does not end"))?;
    prop_assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);
    prop_assert_eq!(summary.rejected, 0);
    let rows: Vec<u64> = database.rows().iter().map(|(_, n)| *n).collect();
    model.check(&rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_takes_the_path_of_one_revision(steps in prop::collection::vec((0u64..400, step()), 1..10)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(steps))?;
    }
}
