//! Sources, processors, sinks and a dead-letter sink that do what a test says.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowctl_runtime::{
    Bounds, DeadLetter, DeadLetterSink, Fault, Outcome, Output, Piece, PrepareError, Processor, Refused, Rejection,
    Sink, Source, Stage, State, Usage,
};
use flowctl_types::{Batch, Columns, Ids};
use tokio::sync::watch;

use super::{group, numbers, push, push_with};

/// What a source is to emit: the numbers from 0 on.
#[derive(Clone)]
pub(crate) struct SourceSpec {
    pub(crate) n_events: u64,
    /// Sizes of its batches, over and over.
    pub(crate) sizes: Vec<usize>,
    /// Whether it has finished after its events; else it waits forever.
    pub(crate) is_finite: bool,
    pub(crate) is_replayable: bool,
    /// Events that it cannot read.
    pub(crate) unreadable: HashSet<u64>,
    /// Numbers at which reading fails, each once, and how.
    pub(crate) faults: BTreeMap<u64, Fault>,
    /// Time between two batches.
    pub(crate) pause: Duration,
    /// The watermark of each batch is its last number.
    pub(crate) has_watermarks: bool,
    /// Labels of its numbers: its events are [`super::labelled`] then.
    pub(crate) label: Option<fn(u64) -> Option<String>>,
    pub(crate) log: Arc<Mutex<SourceLog>>,
}

/// What a source saw.
#[derive(Debug, Default)]
pub(crate) struct SourceLog {
    /// Highest number read so far, plus one.
    pub(crate) n_read: u64,
    /// Positions it was opened at, its faults that were used up.
    pub(crate) opened: Vec<Option<u64>>,
    pub(crate) acked: Vec<u64>,
    pub(crate) failed: HashSet<u64>,
}

impl SourceSpec {
    pub(crate) fn new(n_events: u64) -> Self {
        Self {
            n_events,
            sizes: vec![3],
            is_finite: true,
            is_replayable: true,
            unreadable: HashSet::new(),
            faults: BTreeMap::new(),
            pause: Duration::ZERO,
            has_watermarks: false,
            label: None,
            log: Arc::default(),
        }
    }

    /// Emits, and waits forever.
    pub(crate) fn endless(n_events: u64) -> Self {
        Self { is_finite: false, ..Self::new(n_events) }
    }

    pub(crate) fn make(&self, name: &str) -> Box<dyn Source> {
        Box::new(TestSource { spec: self.clone(), name: name.to_owned(), at: 0, n_pieces: 0 })
    }
}

struct TestSource {
    spec: SourceSpec,
    name: String,
    at: u64,
    n_pieces: usize,
}

#[async_trait]
impl Source for TestSource {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let position = position.map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        self.spec.log.lock().unwrap().opened.push(position);
        self.at = position.unwrap_or(0);
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        tokio::time::sleep(self.spec.pause).await;
        if let Some(fault) = self.spec.faults.get(&self.at)
            && self.spec.log.lock().unwrap().failed.insert(self.at)
        {
            return Err(fault.clone());
        }
        if self.at == self.spec.n_events && !self.spec.is_finite {
            std::future::pending::<()>().await;
        }
        let size = self.spec.sizes[self.n_pieces % self.spec.sizes.len()] as u64;
        self.n_pieces += 1;
        let mut columns = Columns::default();
        let (mut names, mut rejected) = (Vec::new(), Vec::new());
        let until = bounds.until.as_ref().map(|bytes| u64::from_le_bytes(bytes.as_slice().try_into().unwrap()));
        let mut end = (self.at + size).min(until.unwrap_or(self.spec.n_events));
        if let Some((fault, _)) = self.spec.faults.range(self.at + 1..end).next() {
            end = *fault;
        }
        for n in self.at..end {
            let id = format!("{}/{n}", self.name);
            if self.spec.unreadable.contains(&n) {
                rejected.push(Refused { id, payload: b"?".to_vec(), reason: "unreadable".to_owned() });
            } else {
                push_with(&mut columns, n, &self.spec.label.map_or_else(Vec::new, |label| encode(label(n))));
                names.push(id);
            }
        }
        self.at = end;
        let watermark = self.spec.has_watermarks.then(|| end.saturating_sub(1));
        let batch = (!columns.is_empty()).then(|| Batch { watermark, ..Batch::new(columns, Ids::named(names)) });
        let mut log = self.spec.log.lock().unwrap();
        log.n_read = log.n_read.max(self.at);
        let is_finished = self.spec.is_finite && self.at == self.spec.n_events && until.is_none();
        Ok(Piece { batch, rejected, position: self.at.to_le_bytes().to_vec(), is_finished })
    }

    async fn ack(&mut self, position: &[u8]) -> Result<(), Fault> {
        self.spec.log.lock().unwrap().acked.push(u64::from_le_bytes(position.try_into().unwrap()));
        Ok(())
    }

    fn is_replayable(&self) -> bool {
        self.spec.is_replayable
    }
}

/// An optional text as postcard.
fn encode(text: Option<String>) -> Vec<u8> {
    text.map_or_else(|| vec![0], |text| [&[1, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat())
}

/// What a processor does with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Emit(u64),
    Twice(u64),
    Drop,
    Reject,
    Fatal,
    Crash,
    /// Crashes unless the event comes alone.
    CrashInCompany,
    Panic,
    /// Asks for a repetition, this many times.
    Retry(u32),
}

pub(crate) type Judge = dyn Fn(u64) -> Verdict + Send + Sync;

/// How a processor behaves. All instances of it share what it counts.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) judge: Arc<Judge>,
    /// Time that a batch takes, by its first number.
    pub(crate) delay: Arc<dyn Fn(u64) -> Duration + Send + Sync>,
    /// Adds up: emits running sums, and keeps them as state.
    pub(crate) is_sum: bool,
    /// Keeps a state that does not show.
    pub(crate) keeps: bool,
    /// No instance can be made.
    pub(crate) is_unborn: bool,
    /// Takes no state, from the restoration of this number on.
    pub(crate) refuses: Option<u32>,
    /// Adds up within each key group, by what this says is a number's key.
    pub(crate) key: Option<fn(u64) -> String>,
    /// The keys that its events bring.
    pub(crate) gives: Option<fn(u64) -> String>,
    /// What `tick` and `end` emit.
    pub(crate) own: Option<(u64, u64)>,
    /// Time that a `tick` takes.
    pub(crate) tick_takes: Duration,
    /// Bytes that an instance holds; it executes a millisecond a call then.
    pub(crate) uses: u64,
    pub(crate) calls: Arc<Mutex<Calls>>,
}

/// What was called.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) n_instances: u32,
    pub(crate) n_crashes: u32,
    pub(crate) n_ends: u32,
    pub(crate) n_restored: u32,
    /// Watermarks of the batches that came in.
    pub(crate) watermarks: Vec<Option<u64>>,
    pub(crate) retries: BTreeMap<u64, u32>,
}

impl Rule {
    pub(crate) fn new(judge: impl Fn(u64) -> Verdict + Send + Sync + 'static) -> Self {
        Self {
            judge: Arc::new(judge),
            delay: Arc::new(|_| Duration::ZERO),
            is_sum: false,
            keeps: false,
            is_unborn: false,
            refuses: None,
            key: None,
            gives: None,
            own: None,
            tick_takes: Duration::ZERO,
            uses: 0,
            calls: Arc::default(),
        }
    }

    pub(crate) fn identity() -> Self {
        Self::new(Verdict::Emit)
    }
}

#[async_trait]
impl Stage for Rule {
    async fn instantiate(&self) -> Result<Box<dyn Processor>, PrepareError> {
        if self.is_unborn {
            return Err(PrepareError { node: "?".to_owned(), source: "no memory".into() });
        }
        self.calls.lock().unwrap().n_instances += 1;
        Ok(Box::new(TestProcessor { rule: self.clone(), sums: BTreeMap::new(), n_calls: 0, is_over: false }))
    }
}

struct TestProcessor {
    rule: Rule,
    sums: BTreeMap<u32, u64>,
    n_calls: u32,
    is_over: bool,
}

impl TestProcessor {
    fn crash(&mut self, reason: String) -> Fault {
        self.is_over = true;
        self.rule.calls.lock().unwrap().n_crashes += 1;
        Fault::Crashed { reason, log_tail: "last words".to_owned() }
    }

    fn own(n: u64) -> Outcome {
        let mut columns = Columns::default();
        push(&mut columns, n);
        let output = Output { columns, origins: Vec::new(), ids: None, watermark: None, attributes: [].into() };
        Outcome { outputs: vec![output], rejected: Vec::new() }
    }
}

#[async_trait]
impl Processor for TestProcessor {
    async fn process(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        assert!(!self.is_over, "an instance that crashed or cannot go on is never called again");
        self.n_calls += 1;
        let events = numbers(batch);
        self.rule.calls.lock().unwrap().watermarks.push(batch.watermark);
        let delay = (self.rule.delay)(events.first().copied().unwrap_or(0));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let (mut columns, mut origins, mut rejected) = (Columns::default(), Vec::new(), Vec::new());
        for (index, n) in (0u32..).zip(&events) {
            let n = *n;
            let mut emit = |value: u64| {
                let value = if self.rule.is_sum {
                    let sum = self.sums.entry(self.rule.key.map_or(0, |key| group(&key(n)))).or_default();
                    *sum += value;
                    *sum
                } else {
                    value
                };
                push(&mut columns, value);
                origins.push(index);
                if let Some(key) = self.rule.gives {
                    columns.keys.extend_from_slice(key(n).as_bytes());
                    columns.key_ends.push(u32::try_from(columns.keys.len()).unwrap());
                }
            };
            match (self.rule.judge)(n) {
                Verdict::Emit(value) => emit(value),
                Verdict::Twice(value) => {
                    emit(value);
                    emit(value);
                }
                Verdict::Drop => {}
                Verdict::Reject => rejected.push(Rejection { index, reason: "refused".to_owned() }),
                Verdict::Fatal => {
                    self.is_over = true;
                    return Err(Fault::Fatal(format!("cannot stand {n}")));
                }
                Verdict::CrashInCompany if events.len() == 1 => emit(n),
                Verdict::Crash | Verdict::CrashInCompany => return Err(self.crash(format!("trapped at {n}"))),
                Verdict::Panic => panic!("panicked at {n}"),
                Verdict::Retry(times) => {
                    let mut calls = self.rule.calls.lock().unwrap();
                    let tried = calls.retries.entry(n).or_default();
                    if *tried < times {
                        *tried += 1;
                        return Err(Fault::Retry(format!("{n} is busy")));
                    }
                    emit(n);
                }
            }
        }
        let attributes = Arc::clone(&batch.attributes);
        let output = Output { columns, origins, ids: None, watermark: batch.watermark, attributes };
        let is_worth_it = !output.columns.is_empty() || output.watermark.is_some();
        Ok(Outcome { outputs: is_worth_it.then_some(output).into_iter().collect(), rejected })
    }

    async fn save(&mut self) -> Result<State, Fault> {
        Ok(self.sums.iter().map(|(group, sum)| (*group, sum.to_le_bytes().to_vec())).collect())
    }

    async fn restore(&mut self, _: &str, state: State) -> Result<(), Fault> {
        let n_restored = {
            let mut calls = self.rule.calls.lock().unwrap();
            calls.n_restored += 1;
            calls.n_restored
        };
        if self.rule.refuses.is_some_and(|from| n_restored >= from) {
            return Err(Fault::Fatal("it is of another format".to_owned()));
        }
        let sum = |bytes: Vec<u8>| u64::from_le_bytes(bytes.try_into().unwrap());
        self.sums = state.into_iter().map(|(group, bytes)| (group, sum(bytes))).collect();
        Ok(())
    }

    async fn tick(&mut self, _: u64) -> Result<Outcome, Fault> {
        tokio::time::sleep(self.rule.tick_takes).await;
        Ok(self.rule.own.map_or_else(Outcome::default, |(tick, _)| Self::own(tick)))
    }

    async fn end(&mut self) -> Result<Outcome, Fault> {
        self.rule.calls.lock().unwrap().n_ends += 1;
        Ok(self.rule.own.map_or_else(Outcome::default, |(_, end)| Self::own(end)))
    }

    fn usage(&self) -> Usage {
        if self.rule.uses == 0 {
            return Usage::default();
        }
        Usage { memory_bytes: self.rule.uses, cpu: Duration::from_millis(1) * self.n_calls }
    }
}

/// How a sink behaves.
#[derive(Clone)]
pub(crate) struct SinkSpec {
    /// Writes wait while this is false.
    pub(crate) gate: Arc<watch::Sender<bool>>,
    /// Fails at this number.
    pub(crate) fails_at: Option<u64>,
    /// Fails at this epoch's flush.
    pub(crate) fails_at_epoch: Option<u64>,
    pub(crate) refuses: HashSet<u64>,
    pub(crate) log: Arc<Mutex<SinkLog>>,
}

/// What a sink saw.
#[derive(Debug, Default)]
pub(crate) struct SinkLog {
    /// Written, by id and number.
    pub(crate) events: Vec<(String, u64)>,
    /// How many of them were flushed.
    pub(crate) n_durable: usize,
    pub(crate) epochs: Vec<u64>,
    pub(crate) is_opened: bool,
}

impl SinkSpec {
    pub(crate) fn new() -> Self {
        Self {
            gate: Arc::new(watch::channel(true).0),
            fails_at: None,
            fails_at_epoch: None,
            refuses: HashSet::new(),
            log: Arc::default(),
        }
    }

    pub(crate) fn make(&self) -> Box<dyn Sink> {
        Box::new(TestSink(self.clone()))
    }

    pub(crate) fn events(&self) -> Vec<(String, u64)> {
        self.log.lock().unwrap().events.clone()
    }

    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.log.lock().unwrap().events.iter().map(|(_, n)| *n).collect()
    }

    pub(crate) fn epochs(&self) -> Vec<u64> {
        self.log.lock().unwrap().epochs.clone()
    }
}

struct TestSink(SinkSpec);

#[async_trait]
impl Sink for TestSink {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        self.0.log.lock().unwrap().is_opened = true;
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        self.0.gate.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        let events = numbers(batch);
        if events.iter().any(|n| Some(*n) == self.0.fails_at) {
            return Err(Fault::Fatal("disk is full".to_owned()));
        }
        let mut rejected = Vec::new();
        let mut log = self.0.log.lock().unwrap();
        for (index, n) in (0u32..).zip(events) {
            if self.0.refuses.contains(&n) {
                rejected.push(Rejection { index, reason: "no such table".to_owned() });
            } else {
                log.events.push((batch.ids.get(index as usize), n));
            }
        }
        Ok(rejected)
    }

    async fn flush(&mut self, epoch: u64) -> Result<(), Fault> {
        if Some(epoch) == self.0.fails_at_epoch {
            return Err(Fault::Fatal("disk is full".to_owned()));
        }
        let mut log = self.0.log.lock().unwrap();
        log.n_durable = log.events.len();
        log.epochs.push(epoch);
        Ok(())
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        let mut log = self.0.log.lock().unwrap();
        let n_durable = log.n_durable;
        log.events.truncate(n_durable);
        Ok(None)
    }
}

/// Dead letters, kept.
#[derive(Clone, Default)]
pub(crate) struct Letters {
    pub(crate) kept: Arc<Mutex<Vec<DeadLetter>>>,
    pub(crate) is_broken: bool,
}

impl Letters {
    /// Node and event of each letter.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let kept = self.kept.lock().unwrap();
        kept.iter().map(|letter| (letter.node.to_string(), letter.event_id.clone())).collect()
    }
}

#[async_trait]
impl DeadLetterSink for Letters {
    async fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        if self.is_broken {
            return Err(Fault::Fatal("no space left".to_owned()));
        }
        self.kept.lock().unwrap().extend_from_slice(letters);
        Ok(())
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}
