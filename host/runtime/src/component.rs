//! What the runtime asks of the things it runs: sources, processors and sinks.
//!
//! The sandbox implements [`Processor`], the connectors implement [`Source`] and
//! [`Sink`], and whoever starts a topology brings a [`Workshop`] that makes them. So
//! the runtime names neither wasmtime nor a driver, and its tests run without them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowctl_topology::Node;
use flowctl_types::{Attributes, Batch, Columns, Ids, NodeId};

use crate::dead_letter::DeadLetter;

/// Where a source stands: opaque bytes that only it reads.
pub type Position = Vec<u8>;

/// Emits events.
///
/// Every method is cancel-safe: when the future is dropped, no event is lost and
/// `next` goes on where it was.
#[async_trait]
pub trait Source: Send {
    /// Starts at `position`, or at the beginning. Called once, before `next`.
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault>;

    /// Waits for events. `max_events` and `max_bytes` are wishes: one event larger than
    /// `max_bytes` is emitted alone. [`Bounds::until`] is none: no event behind it may
    /// be in the piece.
    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault>;

    /// Says that everything up to `position` was durably taken, so that a source that
    /// holds events back for a replay can let go of them. Default: nothing to do.
    async fn ack(&mut self, position: &[u8]) -> Result<(), Fault> {
        let _ = position;
        Ok(())
    }

    /// Whether another instance can open at a position and emit the same events
    /// again. A pipe cannot. Default: it can.
    fn is_replayable(&self) -> bool {
        true
    }
}

/// How large a source may make a batch, and where it stops.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Most events.
    pub max_events: usize,
    /// Most bytes of payloads.
    pub max_bytes: usize,
    /// A position of an earlier instance, ahead of where the source stands: events are
    /// repeated up to it and none behind it, so that an epoch can be replayed exactly.
    /// The piece that gets there has this very position; it has not finished. None
    /// where the source goes on as it likes.
    pub until: Option<Position>,
}

/// What a source hands over at once.
#[derive(Debug)]
pub struct Piece {
    /// The events; none where only the position moved.
    pub batch: Option<Batch>,
    /// Events that the source itself cannot read; they go to the dead-letter sink.
    pub rejected: Vec<Refused>,
    /// Where the source stands behind these events.
    pub position: Position,
    /// Whether nothing will ever come after them.
    pub is_finished: bool,
}

/// Something that a source read and could not make an event of.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Its id, as the event's would have been.
    pub id: String,
    /// What was read.
    pub payload: Vec<u8>,
    /// Why it is no event.
    pub reason: String,
}

/// Turns events into others.
#[async_trait]
pub trait Processor: Send {
    /// Processes one batch. After [`Fault::Fatal`] or [`Fault::Crashed`] the instance is
    /// not called again.
    async fn process(&mut self, batch: &Batch) -> Result<Outcome, Fault>;

    /// The state in parts by key group. Empty where there is none.
    async fn save(&mut self) -> Result<State, Fault>;

    /// Takes over `state`, written by the component's `version`.
    async fn restore(&mut self, version: &str, state: State) -> Result<(), Fault>;

    /// Tells the time, nanoseconds since the Unix epoch.
    async fn tick(&mut self, now: u64) -> Result<Outcome, Fault>;

    /// Says that every source has finished for good.
    async fn end(&mut self) -> Result<Outcome, Fault>;

    /// What it uses; asked between its calls, also after one that it broke in. Default:
    /// nothing that is known.
    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// What a component uses of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that it holds now.
    pub memory_bytes: u64,
    /// Time that it has executed so far.
    pub cpu: Duration,
}

/// A processor's state in parts: key group (0 to 255) and bytes.
pub type State = Vec<(u32, Vec<u8>)>;

/// What a call of a processor gave. Checked: offsets, kinds and origins hold.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Output batches, at most one a kind.
    pub outputs: Vec<Output>,
    /// Input events that it refuses.
    pub rejected: Vec<Rejection>,
}

/// One output batch.
#[derive(Debug)]
pub struct Output {
    /// The events.
    pub columns: Columns,
    /// For each event the index of the input event it came from; empty for "the batch
    /// as a whole".
    pub origins: Vec<u32>,
    /// What the component itself calls the events; none where their ids are made of their
    /// origins'. The events descend from their origins either way.
    pub ids: Option<Ids>,
    /// No event still to come from here is older than this.
    pub watermark: Option<u64>,
    /// What is said of all of them.
    pub attributes: Attributes,
}

/// An event that a processor or a sink refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its index in the batch.
    pub index: u32,
    /// Why.
    pub reason: String,
}

/// Takes events out of the pipeline.
///
/// After [`Fault::Lost`] from `write` or `flush` the run goes back to the last barrier:
/// `rewind` is called next, and the events come again.
#[async_trait]
pub trait Sink: Send {
    /// Makes ready to write. Answers the last epoch that it holds, where it keeps that
    /// in the same transaction as its rows. Repeated after [`Fault::Retry`].
    async fn open(&mut self) -> Result<Option<u64>, Fault>;

    /// Takes a batch, and answers what it cannot take. It may buffer until `flush`.
    /// After [`Fault::Retry`] nothing of the batch was taken, and it is called again
    /// with the same.
    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault>;

    /// Makes everything that was written durable, as epoch `epoch`. Called again after
    /// [`Fault::Retry`].
    async fn flush(&mut self, epoch: u64) -> Result<(), Fault>;

    /// Forgets what was written since the last `flush`, where that is possible: the
    /// run goes back to that barrier, and these events come again. Answers as `open`
    /// does, and is repeated after [`Fault::Retry`]. Default: keeps them, so that they
    /// are taken twice (at least once).
    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }
}

/// Keeps events that were refused.
#[async_trait]
pub trait DeadLetterSink: Send {
    /// Makes ready to write.
    async fn open(&mut self) -> Result<(), Fault>;

    /// Appends letters. It may buffer until `flush`. After [`Fault::Retry`] it is
    /// called again with the same letters.
    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault>;

    /// Makes everything that was written durable, as part of epoch `epoch`.
    async fn flush(&mut self, epoch: u64) -> Result<(), Fault>;
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Worth trying again later.
    #[error("{0}")]
    Retry(String),
    /// Trying again would not help. A processor that says so is made anew.
    #[error("{0}")]
    Fatal(String),
    /// What a sink had taken since its last flush is gone, such as with a connection
    /// that broke in the middle of a transaction. The sink itself is whole.
    #[error("{0}")]
    Lost(String),
    /// The component trapped, took too long, took too much, or answered nonsense. Its
    /// instance is gone.
    #[error("{reason}")]
    Crashed {
        /// What happened, with the backtrace where there is one.
        reason: String,
        /// The last lines it wrote.
        log_tail: String,
    },
}

impl Fault {
    /// What happened, and the last lines that the component wrote, where it crashed: the
    /// text of a panic is among them.
    #[must_use]
    pub fn in_full(&self) -> String {
        match self {
            Self::Crashed { reason, log_tail } if !log_tail.is_empty() => {
                format!("{reason}\nlast lines of its log:\n{}", log_tail.trim_end())
            }
            other => other.to_string(),
        }
    }

    /// What happened, on one line: without the backtrace.
    #[must_use]
    pub fn in_short(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }
}

/// Makes the components of a topology's nodes.
///
/// Everything that can fail for reasons known beforehand fails here: files that are
/// missing, bytes that do not compile, configurations that are refused.
#[async_trait]
pub trait Workshop: Send + Sync {
    /// Makes a source.
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError>;

    /// Loads a processor, once for all instances of the node.
    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError>;

    /// Makes a sink.
    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError>;

    /// Makes what keeps refused events; without a node, the default in the state
    /// directory.
    async fn dead_letters(&self, node: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError>;

    /// What a node waits for, such as a component elsewhere that is not healthy. Asked
    /// whenever somebody looks at the run; it must not block. Default: nothing.
    fn waiting(&self, node: &NodeId) -> Option<String> {
        let _ = node;
        None
    }
}

/// A processor that is loaded: makes instances, configured and ready.
#[async_trait]
pub trait Stage: Send + Sync {
    /// Makes an instance.
    async fn instantiate(&self) -> Result<Box<dyn Processor>, PrepareError>;
}

/// Why a node could not be made ready. Nothing has changed when this is returned.
#[derive(Debug, thiserror::Error)]
#[error("cannot prepare node `{node}`")]
pub struct PrepareError {
    /// The node.
    pub node: String,
    /// What is wrong with it.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
