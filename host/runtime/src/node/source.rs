//! A source's task: reads, fills batches, and starts barriers.
//!
//! Invariant: the position that a barrier records is behind everything that was sent
//! before the barrier, and before everything that is sent after it. Where an epoch is
//! replayed, its barrier is sent at the position that was recorded, and nowhere else.
//! What a throttle holds back counts as not read: barriers pass it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flowctl_schema::Schema;
use flowctl_topology::Node;
use flowctl_types::{Batch, Ids};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Control, Record, Report, Seat, Switched};
use crate::edge::{Barrier, Finish};
use crate::error::{Exit, NodeError};
use crate::metrics::Stopwatch;
use crate::options::Options;
use crate::outputs::Outputs;
use crate::prepare::open_source;
use crate::resume::Target;
use crate::switch::{Becomes, Slot};
use crate::{Bounds, Fault, Piece, Position, RunEvent, Source, Workshop};

/// A source's task.
pub(crate) struct SourceNode {
    pub(crate) node: Arc<Node>,
    pub(crate) seat: Seat,
    pub(crate) source: Box<dyn Source>,
    pub(crate) workshop: Arc<dyn Workshop>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) outputs: Outputs,
    pub(crate) bounds: Bounds,
    pub(crate) linger: Duration,
    /// Behind everything that was read, held back or not.
    pub(crate) position: Option<Position>,
    /// Where the first barrier belongs, when its epoch is replayed.
    pub(crate) target: Option<Target>,
    /// Whether its end will be news; it is once anything was read.
    pub(crate) finish: Finish,
    pub(crate) slot: Slot,
}

/// A batch that waits to be filled.
struct Held {
    batch: Batch,
    parts: Vec<(usize, Ids)>,
    deadline: Instant,
}

/// What was read, and what it waits for before it counts as that.
struct Stalled {
    piece: Piece,
    admission: Admission,
}

type Admission = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(PartialEq, Eq)]
enum Phase {
    Reading,
    /// Was told to stop.
    Drained,
    /// Has finished for good.
    Finished,
}

enum Step {
    Control(Option<Control>),
    Piece(Result<Piece, Fault>),
    Admitted,
    Linger,
}

impl SourceNode {
    /// Runs until the last barrier.
    pub(crate) async fn run(mut self) -> Result<(), Exit> {
        let mut phase = Phase::Reading;
        let mut held: Option<Held> = None;
        let mut stalled: Option<Stalled> = None;
        let mut unacked = VecDeque::new();
        let mut failures = 0;
        if let Some(target) = self.target.take() {
            self.repeat(target, &mut held, &mut phase, &mut unacked).await?;
        }
        loop {
            let bounds = self.bounds.clone();
            let deadline = held.as_ref().map(|held| held.deadline);
            let is_reading = phase == Phase::Reading && stalled.is_none();
            let stopwatch = Stopwatch::start();
            let step = tokio::select! {
                biased;
                control = self.control.recv() => Step::Control(control),
                () = expire(deadline), if deadline.is_some() => Step::Linger,
                () = admitted(&mut stalled), if stalled.is_some() => Step::Admitted,
                piece = self.source.next(&bounds), if is_reading => Step::Piece(piece),
            };
            match step {
                Step::Control(None) => return Err(Exit::Severed),
                Step::Control(Some(Control::Barrier(barrier))) => {
                    let since = std::time::Instant::now();
                    self.flush(&mut held).await?;
                    self.pass(barrier, &phase, &mut unacked).await?;
                    if barrier.is_last {
                        return self.leave(unacked).await;
                    }
                    if let Some(revision) = barrier.revision
                        && self.switch(revision, since, (&phase, &mut held, &mut stalled)).await? == Switched::Left
                    {
                        return self.leave(unacked).await;
                    }
                }
                Step::Control(Some(Control::Switch(revision))) => {
                    let since = std::time::Instant::now();
                    self.flush(&mut held).await?;
                    self.outputs.switch(revision).await?;
                    if self.switch(revision, since, (&phase, &mut held, &mut stalled)).await? == Switched::Left {
                        return self.leave(unacked).await;
                    }
                }
                Step::Control(Some(Control::Ack(epoch))) => self.ack(epoch, &mut unacked).await?,
                Step::Control(Some(Control::Drain)) => {
                    // what can be read again may as well be read by a later run
                    if let Some(Stalled { piece, .. }) = stalled.take()
                        && !self.source.is_replayable()
                    {
                        self.take(piece, &mut held, &mut phase).await?;
                    }
                    self.flush(&mut held).await?;
                    if phase == Phase::Reading {
                        phase = Phase::Drained;
                    }
                }
                Step::Control(Some(Control::Take(_))) => {}
                Step::Linger => self.flush(&mut held).await?,
                Step::Piece(Ok(piece)) => {
                    self.seat.metrics.busy(&stopwatch);
                    self.seat.metrics.latency.record(stopwatch.elapsed());
                    failures = 0;
                    match admission(&self.seat.options, &piece) {
                        Some(admission) => stalled = Some(Stalled { piece, admission }),
                        None => self.take(piece, &mut held, &mut phase).await?,
                    }
                }
                Step::Admitted => {
                    if let Some(Stalled { piece, .. }) = stalled.take() {
                        self.take(piece, &mut held, &mut phase).await?;
                    }
                }
                Step::Piece(Err(fault)) => {
                    // what was read before the fault must not wait for its repetition
                    self.flush(&mut held).await?;
                    failures += 1;
                    self.recover(fault, failures).await?;
                }
            }
        }
    }

    /// Takes a revision of the topology.
    async fn switch(
        &mut self,
        revision: u64,
        since: std::time::Instant,
        (phase, held, stalled): (&Phase, &mut Option<Held>, &mut Option<Stalled>),
    ) -> Result<Switched, Exit> {
        let order = self.slot.take(revision).ok_or(Exit::Severed)?;
        if matches!(order.part, Becomes::Leave) {
            self.seat.switched(revision, since, 0).await?;
            return Ok(Switched::Left);
        }
        self.outputs.rewire(order.outputs).await?;
        self.seat = order.seat;
        if let Becomes::Source { node, bounds, linger, source } = order.part {
            (self.node, self.bounds, self.linger) = (node, bounds, linger);
            if let Some(source) = source.filter(|_| *phase == Phase::Reading) {
                // what was read and held back was not read, where it can be read again
                if let Some(Stalled { piece, .. }) = stalled.take()
                    && !self.source.is_replayable()
                {
                    self.accept(piece, held).await?;
                    self.flush(held).await?;
                }
                self.source = source;
                let opened = open_source(&mut *self.source, self.position.as_deref(), &self.seat.backoff).await;
                opened.map_err(|source| NodeError::Call { doing: "open at the last position", source })?;
            }
        }
        self.seat.switched(revision, since, 0).await?;
        Ok(Switched::Stays)
    }

    /// Repeats an epoch: what is between the position and its target, and the barrier.
    async fn repeat(
        &mut self,
        target: Target,
        held: &mut Option<Held>,
        phase: &mut Phase,
        unacked: &mut VecDeque<(u64, Position)>,
    ) -> Result<(), Exit> {
        let bounds = Bounds { until: target.position.clone(), ..self.bounds.clone() };
        let mut failures = 0;
        while target.position.is_some() && self.position != target.position {
            match self.source.next(&bounds).await {
                Ok(piece) => {
                    failures = 0;
                    if let Some(admission) = admission(&self.seat.options, &piece) {
                        admission.await;
                    }
                    let is_short = piece.is_finished && Some(&piece.position) != target.position.as_ref();
                    self.accept(piece, held).await?;
                    if is_short {
                        return Err(NodeError::Shrunk.into());
                    }
                }
                Err(fault) => {
                    failures += 1;
                    self.recover(fault, failures).await?;
                }
            }
        }
        if target.is_finished {
            self.finish(held, phase).await?;
        }
        // it was sent before this task started
        let barrier = loop {
            match self.control.recv().await {
                Some(Control::Barrier(barrier)) => break barrier,
                Some(_) => {}
                None => return Err(Exit::Severed),
            }
        };
        self.flush(held).await?;
        self.pass(barrier, phase, unacked).await
    }

    /// Says behind its events that no more will come.
    async fn finish(&mut self, held: &mut Option<Held>, phase: &mut Phase) -> Result<(), Exit> {
        self.flush(held).await?;
        if self.finish == Finish::First {
            self.seat.tell(&RunEvent::Finished { source: self.seat.node.clone() });
        }
        self.outputs.finish(self.finish).await?;
        self.seat.report(Report::Finished { node: self.seat.node.clone() }).await?;
        *phase = Phase::Finished;
        Ok(())
    }

    /// Takes over what was read, and its end where that is the last.
    async fn take(&mut self, piece: Piece, held: &mut Option<Held>, phase: &mut Phase) -> Result<(), Exit> {
        let is_finished = piece.is_finished;
        self.accept(piece, held).await?;
        if is_finished {
            self.finish(held, phase).await?;
        }
        Ok(())
    }

    /// Takes over what was read.
    async fn accept(&mut self, piece: Piece, held: &mut Option<Held>) -> Result<(), Exit> {
        let Piece { batch, rejected, position, .. } = piece;
        self.seat.moved();
        self.seat.metrics.read(rejected.len() + batch.as_ref().map_or(0, Batch::len));
        if !rejected.is_empty() {
            let schema = self.only_schema().cloned();
            self.seat.letters.refuse_unread(rejected, schema.as_ref()).await?;
        }
        if let Some(batch) = batch {
            self.hold(batch, held).await?;
        }
        if self.position.as_ref() != Some(&position) {
            self.finish = Finish::First;
            self.position = Some(position);
        }
        Ok(())
    }

    /// Joins a small batch to what is held back; sends what is full.
    async fn hold(&mut self, batch: Batch, held: &mut Option<Held>) -> Result<(), Exit> {
        if held.as_ref().is_some_and(|held| !held.takes(&batch, &self.bounds)) {
            self.flush(held).await?;
        }
        let held = match held {
            Some(there) => {
                there.append(batch);
                held
            }
            None if self.linger.is_zero() || is_filled(&batch, &self.bounds) => return self.emit(batch).await,
            None => {
                *held = Some(Held {
                    parts: vec![(batch.len(), batch.ids.clone())],
                    batch,
                    deadline: Instant::now() + self.linger,
                });
                held
            }
        };
        if held.as_ref().is_some_and(|held| is_filled(&held.batch, &self.bounds)) {
            self.flush(held).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, held: &mut Option<Held>) -> Result<(), Exit> {
        match held.take() {
            Some(held) => self.emit(held.into_batch()).await,
            None => Ok(()),
        }
    }

    async fn emit(&mut self, batch: Batch) -> Result<(), Exit> {
        let span = self.seat.sampler.span(&batch);
        self.outputs.emit(batch).instrument(span).await
    }

    async fn pass(
        &mut self,
        barrier: Barrier,
        phase: &Phase,
        unacked: &mut VecDeque<(u64, Position)>,
    ) -> Result<(), Exit> {
        if let Some(position) = &self.position {
            unacked.push_back((barrier.epoch, position.clone()));
        }
        let record = Record::Source { position: self.position.clone(), is_finished: *phase == Phase::Finished };
        self.seat.passed(barrier.epoch, record).await?;
        self.outputs.pass(barrier).await
    }

    async fn ack(&mut self, epoch: u64, unacked: &mut VecDeque<(u64, Position)>) -> Result<(), Exit> {
        let mut acked = None;
        while unacked.front().is_some_and(|(passed, _)| *passed <= epoch) {
            acked = unacked.pop_front();
        }
        let Some((_, position)) = acked else { return Ok(()) };
        match self.source.ack(&position).await {
            // an ack that is late does no harm: the next one covers it
            Ok(()) | Err(Fault::Retry(_)) => Ok(()),
            Err(source) => Err(NodeError::Call { doing: "acknowledge", source }.into()),
        }
    }

    /// Waits for the last epoch to be taken, so that it is acknowledged too.
    async fn leave(mut self, mut unacked: VecDeque<(u64, Position)>) -> Result<(), Exit> {
        while let Some(control) = self.control.recv().await {
            if let Control::Ack(epoch) = control {
                self.ack(epoch, &mut unacked).await?;
                if unacked.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn recover(&mut self, fault: Fault, failures: u32) -> Result<(), Exit> {
        let backoff = self.seat.backoff;
        let wait = match (&fault, backoff.wait(failures)) {
            (Fault::Fatal(_) | Fault::Lost(_), _) => {
                return Err(NodeError::Call { doing: "read", source: fault }.into());
            }
            (_, None) => {
                return Err(NodeError::Exhausted { doing: "read", attempts: failures, source: fault }.into());
            }
            (_, Some(wait)) => wait,
        };
        tracing::warn!(error = %fault.in_short(), attempt = failures, "source is asked again");
        self.seat.tell_repeated(failures, fault.to_string());
        tokio::time::sleep(wait).await;
        if matches!(fault, Fault::Crashed { .. }) {
            if !self.source.is_replayable() {
                return Err(NodeError::Call { doing: "read", source: fault }.into());
            }
            let made = self.workshop.source(&self.node).await;
            self.source = made.map_err(|error| NodeError::Instantiate(Arc::new(error)))?;
            if let Err(source) = self.source.open(self.position.as_deref()).await {
                return Err(NodeError::Call { doing: "open at the last position", source }.into());
            }
            self.seat.restarted(fault.to_string());
        }
        Ok(())
    }

    /// The type of what cannot be read, where only one is possible.
    fn only_schema(&self) -> Option<&Schema> {
        match self.node.outputs.as_slice() {
            [schema] => Some(schema),
            _ => None,
        }
    }
}

impl Held {
    /// Whether `batch` can be joined without passing the bounds.
    fn takes(&self, batch: &Batch, bounds: &Bounds) -> bool {
        let (mine, other) = (&self.batch.columns, &batch.columns);
        mine.kind == other.kind
            && mine.key_ends.is_empty() == other.key_ends.is_empty()
            && self.batch.attributes == batch.attributes
            && mine.len() + other.len() <= bounds.max_events
            && mine.n_bytes() + other.n_bytes() <= bounds.max_bytes
    }

    fn append(&mut self, batch: Batch) {
        self.parts.push((batch.len(), batch.ids));
        self.batch.watermark = batch.watermark.or(self.batch.watermark);
        let (mine, other) = (&mut self.batch.columns, &batch.columns);
        mine.timestamps.extend_from_slice(&other.timestamps);
        append_column(&mut mine.ends, &mut mine.data, &other.ends, &other.data);
        append_column(&mut mine.key_ends, &mut mine.keys, &other.key_ends, &other.keys);
    }

    fn into_batch(self) -> Batch {
        let ids = if self.parts.len() == 1 { self.batch.ids } else { Ids::joined(self.parts) };
        Batch { ids, ..self.batch }
    }
}

/// Half of the bounds is worth sending: waiting would rather split the next piece.
fn is_filled(batch: &Batch, bounds: &Bounds) -> bool {
    batch.len() * 2 >= bounds.max_events || batch.columns.n_bytes() * 2 >= bounds.max_bytes
}

fn append_column(ends: &mut Vec<u32>, bytes: &mut Vec<u8>, more_ends: &[u32], more_bytes: &[u8]) {
    let start = u32::try_from(bytes.len()).expect("a batch is far below 4 GiB");
    ends.extend(more_ends.iter().map(|end| start + end));
    bytes.extend_from_slice(more_bytes);
}

/// What the events of a piece wait for; none where nothing holds them back.
fn admission(options: &Options, piece: &Piece) -> Option<Admission> {
    let throttle = options.throttle.clone()?;
    let n_events = piece.rejected.len() + piece.batch.as_ref().map_or(0, Batch::len);
    let admission: Admission = Box::pin(async move { throttle.admit(n_events).await });
    (n_events > 0).then_some(admission)
}

async fn admitted(stalled: &mut Option<Stalled>) {
    match stalled {
        Some(stalled) => stalled.admission.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn expire(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
