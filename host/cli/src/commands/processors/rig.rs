//! Runs a processor on the events of a case: the real component, in the real sandbox, in a
//! pipeline as `flowctl run` has it, with a source and a sink that stand still for looking.
//!
//! Invariant: what comes out depends on the component and the case alone. Event times are
//! 0, 1, 2, … nanoseconds, nothing is granted, and no timer ticks before the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use async_trait::async_trait;
use flowctl_connectors::Pipeline;
use flowctl_engine::{Engine, Tenant};
use flowctl_runtime::{
    Bounds, DeadLetter, DeadLetterSink, Fault, Options, Piece, PrepareError, Rejection, Sink, Source, Stage, Status,
    Workshop,
};
use flowctl_schema::{Contract, Conversion, Schema};
use flowctl_topology::{Node, Route, Topology};
use flowctl_types::{Batch, Columns, Ids, NodeId};
use futures_util::FutureExt as _;
use serde_json::json;

use super::cargo::Built;
use super::cases::{Input, MAX_BYTES};
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::pipeline::supply::Supply;
use crate::pipeline::{Submitted, plan_submitted};
use crate::plane;
use crate::plane::peers::Peers;
use crate::session::{self, LocalWorkshop, MAX_RUN_MEMORY_BYTES, Signals, Voice};

/// The source's node.
const INPUT: &str = "input";
/// The processor's.
const PROCESSOR: &str = "processor";
/// The sink's.
const OUTPUT: &str = "output";
/// Instances that the engine has room for: one runs, one may take its place.
const MAX_INSTANCES: u32 = 4;

/// What cases are run with.
pub(super) struct Rig<'a> {
    built: &'a Built,
    engine: Arc<Engine>,
    signals: Signals,
}

/// Somebody ended a case before it was over.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the case was over; what came out of it does not count")]
pub(super) struct Interrupted;

/// What came of a case.
#[derive(Default)]
pub(super) struct Came {
    /// The JSON form of each event that came out.
    events: Vec<String>,
    /// How many of these were there at the last barrier.
    n_flushed: usize,
    /// By the line of its event, and its id: the line that says why an event was refused.
    rejected: BTreeMap<(u64, String), String>,
    /// Of all these lines.
    n_bytes: u64,
}

impl<'a> Rig<'a> {
    /// Starts the sandbox. From here on Ctrl-C and SIGTERM end a case, and not the process.
    ///
    /// # Errors
    ///
    /// When it cannot be set up.
    pub(super) fn start(built: &'a Built) -> Result<Self> {
        let engine = Arc::new(session::start_engine(MAX_INSTANCES)?);
        Ok(Self { built, engine, signals: plane::block_on(async { Signals::install() })? })
    }

    /// What the component says of itself.
    pub(super) fn contract(&self) -> &Contract {
        &self.built.contract
    }

    /// Runs the processor on the events of `input`.
    ///
    /// # Errors
    ///
    /// When it cannot be started as it is configured, or breaks in a way that no single event
    /// is to blame for; [`Interrupted`].
    pub(super) fn run(&mut self, input: Input) -> Result<Came> {
        let topology = self.topology(&input)?;
        let name: NodeId = topology.name.clone();
        let tenant = Tenant::new(name.as_str(), MAX_RUN_MEMORY_BYTES);
        // neither its source nor its sink has anything to keep
        let state =
            Pipeline { name, state_id: String::new(), is_new: true, state_dir: std::env::temp_dir(), base_dir: None };
        let engine = Arc::new(LocalWorkshop::new(Arc::clone(&self.engine), tenant, state, Peers::new(None)));
        let came = Arc::new(Mutex::new(Came::default()));
        let workshop = RigWorkshop { engine: Arc::clone(&engine), input: Arc::new(input), came: Arc::clone(&came) };
        let mut is_interrupted = false;
        // also by what came between two cases
        let interrupted = async {
            self.signals.next().await;
            is_interrupted = true;
        };
        let run = session::run(&topology, (Arc::new(workshop), &engine), Options::default(), Voice::Quiet, interrupted);
        if is_interrupted || self.signals.next().now_or_never().is_some() {
            return Err(Interrupted.into());
        }
        let summary = run?;
        match (summary.fault, summary.status) {
            (Some(fault), _) => Err(fault.into()),
            (None, Status::Completed) => Ok(std::mem::take(&mut *lock(&came))),
            (None, Status::Stopped | Status::Failed) => Err(Interrupted.into()),
        }
    }

    fn topology(&self, input: &Input) -> Result<Topology> {
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let inputs = &self.built.contract.inputs;
        let first = inputs.first().context("the processor takes no events")?;
        let document = json!({
            "apiVersion": "flowctl/v1", "kind": "Pipeline", "metadata": {"name": "case"},
            "spec": {
                // what fails once fails the next time too
                "retry": {"max_attempts": 1},
                "sources": [{"id": INPUT, "type": "generate", "config": {"type": first.event_type()}}],
                "processors": [{
                    "id": PROCESSOR, "plugin": self.built.path, "inputs": [INPUT], "config": input.config,
                }],
                "sinks": [{"id": OUTPUT, "type": "blackhole", "inputs": [PROCESSOR]}],
            },
        });
        let text = document.to_string();
        let submitted = Submitted { name: "case", text: &text, locked: None, environment: &|_| None };
        let mut topology = plan_submitted(submitted, &Supply::here(&[], &artifacts, &[]))?.topology;
        for node in topology.nodes.iter_mut().filter(|node| node.id.as_str() == INPUT) {
            node.outputs.clone_from(inputs);
        }
        for edge in topology.edges.iter_mut().filter(|edge| edge.from.as_str() == INPUT) {
            let kinds = 0..u32::try_from(inputs.len()).unwrap_or(u32::MAX);
            let route = |kind| Route { output_kind: kind, input_kind: kind, conversion: Conversion::Same };
            edge.routes = kinds.map(route).collect();
        }
        Ok(topology)
    }
}

impl Came {
    /// Number of events that came out.
    pub(super) fn n_events(&self) -> usize {
        self.events.len()
    }

    /// Number of events that were refused.
    pub(super) fn n_rejected(&self) -> usize {
        self.rejected.len()
    }

    /// The lines that say all of it.
    pub(super) fn lines(&self) -> Vec<String> {
        self.events.iter().chain(self.rejected.values()).cloned().collect()
    }

    /// Takes down an event that came out.
    fn emitted(&mut self, line: String) -> Result<(), Fault> {
        self.n_bytes += n_bytes(&line);
        self.events.push(line);
        self.check()
    }

    /// Takes down that an event was refused, by its line and its id; once, however often it is
    /// said.
    fn refused(&mut self, event: (u64, String), reason: &str) -> Result<(), Fault> {
        let line = format!(r#"{{"$rejected":{},"line":{}}}"#, json!(reason), event.0);
        self.n_bytes += n_bytes(&line);
        if let Some(before) = self.rejected.insert(event, line) {
            self.n_bytes -= n_bytes(&before);
        }
        self.check()
    }

    /// Goes back to the last barrier.
    fn rewind(&mut self) {
        let n_gone: u64 = self.events.drain(self.n_flushed..).map(|line| n_bytes(&line)).sum();
        self.n_bytes -= n_gone;
    }

    /// What cannot be read as what is expected must not be written as that.
    fn check(&self) -> Result<(), Fault> {
        match self.n_bytes <= MAX_BYTES {
            true => Ok(()),
            false => Err(Fault::Fatal(format!(
                "more than {} MiB come out of the case: make several of its `input.jsonl`",
                MAX_BYTES >> 20
            ))),
        }
    }
}

/// Bytes of a line in a file.
fn n_bytes(line: &str) -> u64 {
    line.len() as u64 + 1
}

/// Makes the processor as a run does, and what is around it for looking.
struct RigWorkshop {
    engine: Arc<LocalWorkshop>,
    input: Arc<Input>,
    came: Arc<Mutex<Came>>,
}

#[async_trait]
impl Workshop for RigWorkshop {
    async fn source(&self, _: &Node) -> Result<Box<dyn Source>, PrepareError> {
        Ok(Box::new(CaseSource { input: Arc::clone(&self.input), next: 0 }))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        self.engine.processor(node).await
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        Ok(Box::new(CaseSink { schemas: node.inputs.clone(), came: Arc::clone(&self.came) }))
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(Box::new(CaseLetters { came: Arc::clone(&self.came) }))
    }
}

/// Emits the events of a case. A position is the number of events before it.
struct CaseSource {
    input: Arc<Input>,
    next: usize,
}

#[async_trait]
impl Source for CaseSource {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        self.next = position.map(number).transpose()?.unwrap_or(0);
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let all = &self.input.events;
        let until = bounds.until.as_deref().map(number).transpose()?;
        let end = until.unwrap_or(all.len()).min(self.next + bounds.max_events);
        let kind = all.get(self.next).map_or(0, |event| event.kind);
        let (mut columns, mut lines) = (Columns { kind, ..Columns::default() }, Vec::new());
        for (number, event) in all.iter().enumerate().take(end).skip(self.next) {
            let is_full = columns.n_bytes() + event.payload.len() > bounds.max_bytes && !columns.is_empty();
            if event.kind != kind || is_full {
                break;
            }
            columns.push(number as u64, &event.payload);
            lines.push(event.line.to_string());
        }
        self.next += columns.len();
        let batch = (!columns.is_empty()).then(|| Batch::new(columns, Ids::named(lines)));
        let is_finished = self.next >= all.len() && until.is_none();
        Ok(Piece { batch, rejected: Vec::new(), position: self.next.to_string().into_bytes(), is_finished })
    }
}

/// Takes down what comes out.
struct CaseSink {
    schemas: Vec<Schema>,
    came: Arc<Mutex<Came>>,
}

#[async_trait]
impl Sink for CaseSink {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        let mut rejected = Vec::new();
        let Some(schema) = self.schemas.get(batch.columns.kind as usize) else {
            return Err(Fault::Fatal(format!("events of kind {} came out", batch.columns.kind)));
        };
        let mut came = lock(&self.came);
        for (index, payload) in (0..).zip(batch.columns.payloads()) {
            let mut json = Vec::new();
            match schema.payload_to_json(payload, &mut json) {
                Ok(()) => {
                    let json = String::from_utf8_lossy(&json);
                    came.emitted(match self.schemas.len() {
                        1 => json.into_owned(),
                        _ => format!(r#"{{"type":"{}","event":{json}}}"#, schema.event_type()),
                    })?;
                }
                Err(error) => rejected.push(Rejection { index, reason: error.to_string() }),
            }
        }
        Ok(rejected)
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        let mut came = lock(&self.came);
        came.n_flushed = came.events.len();
        Ok(())
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        lock(&self.came).rewind();
        Ok(None)
    }
}

/// Takes down what is refused.
struct CaseLetters {
    came: Arc<Mutex<Came>>,
}

#[async_trait]
impl DeadLetterSink for CaseLetters {
    async fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        let mut came = lock(&self.came);
        for letter in letters {
            // the ids of the source's events are their lines
            let line = letter.position.parse().unwrap_or_default();
            came.refused((line, letter.event_id.clone()), &reason(letter))?;
        }
        Ok(())
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}

/// Why an event was refused, without what differs from build to build: a backtrace.
fn reason(letter: &DeadLetter) -> String {
    let first = letter.reason.lines().next().unwrap_or_default();
    match letter.log_tail.trim() {
        "" => first.to_owned(),
        tail => format!("{first}\n{tail}"),
    }
}

fn number(position: &[u8]) -> Result<usize, Fault> {
    let text = std::str::from_utf8(position).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| Fault::Fatal("the position in the case cannot be read".to_owned()))
}

fn lock(came: &Mutex<Came>) -> MutexGuard<'_, Came> {
    came.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_out_is_bounded_and_what_is_taken_back_does_not_count() {
        let mut came = Came::default();
        let half = "x".repeat(usize::try_from(MAX_BYTES / 2).unwrap() - 1);
        came.emitted(half.clone()).unwrap();
        came.n_flushed = 1;
        came.emitted(half).unwrap();
        assert!(came.emitted(String::new()).is_err());
        came.rewind();
        came.refused((1, "1".to_owned()), "no").unwrap();
        came.refused((1, "1".to_owned()), "no").unwrap();
        let n_left = MAX_BYTES / 2 - n_bytes(r#"{"$rejected":"no","line":1}"#);
        came.emitted("x".repeat(usize::try_from(n_left).unwrap() - 1)).unwrap();
        let error = came.refused((2, "2".to_owned()), "no").unwrap_err();
        let wanted = "more than 64 MiB come out of the case: make several of its `input.jsonl`";
        assert_eq!(error.to_string(), wanted);
    }
}
