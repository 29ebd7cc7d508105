//! The way of refused events to the dead-letter sink.
//!
//! Invariant: a node passes a barrier only when the letters of what came before it are
//! in the queue. The queue is bounded by bytes; a node that refuses faster than letters
//! are written waits. A letter that cannot be written ends the run.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

use flowctl_schema::Schema;
use flowctl_topology::{Component, Node};
use flowctl_types::{Batch, Digest, NodeId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::Exit;
use crate::metrics::NodeMetrics;
use crate::node::Report;
use crate::options::Backoff;
use crate::{DeadLetter, DeadLetterSink, Fault, LetterPayload, Observer, Refused, RunEvent};

/// Letters of one epoch that are remembered; beyond these some may be written twice when
/// the run goes back.
const MAX_REMEMBERED: usize = 1 << 20;

/// Letters that may wait, besides their bytes.
const QUEUE_LEN: usize = 64;

/// What the dead-letter task is sent.
pub(crate) enum Mail {
    /// Letters of one batch, and the room that they take.
    Letters(Vec<DeadLetter>, OwnedSemaphorePermit),
    /// Make durable what came before.
    Flush(u64),
    /// Drop what comes until this epoch is flushed: its letters are there already.
    Skip(u64),
    /// The run goes back: letters that were written since the barrier come again.
    Back,
}

/// A node's way to the dead-letter sink.
#[derive(Clone)]
pub(crate) struct Letters {
    node: NodeId,
    plugin: Option<Digest>,
    queue: Postbox,
    metrics: Arc<NodeMetrics>,
}

/// The sending end of the dead-letter task.
#[derive(Clone)]
pub(crate) struct Postbox {
    mail: mpsc::Sender<Mail>,
    room: Arc<Semaphore>,
    n_bytes: u32,
}

/// Why an event is refused.
pub(crate) struct Refusal {
    pub(crate) index: usize,
    pub(crate) reason: String,
    pub(crate) log_tail: String,
    pub(crate) attempts: u32,
}

impl Refusal {
    pub(crate) fn rejected(index: usize, reason: String) -> Self {
        Self { index, reason, log_tail: String::new(), attempts: 1 }
    }

    pub(crate) fn fault(index: usize, fault: &Fault, attempts: u32) -> Self {
        let log_tail = if let Fault::Crashed { log_tail, .. } = fault { log_tail.clone() } else { String::new() };
        Self { index, reason: fault.to_string(), log_tail, attempts }
    }
}

impl Postbox {
    pub(crate) fn new(n_bytes: usize) -> (Self, mpsc::Receiver<Mail>) {
        let (mail, receiver) = mpsc::channel(QUEUE_LEN);
        let n_bytes = u32::try_from(n_bytes).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        (Self { mail, room: Arc::new(Semaphore::new(n_bytes as usize)), n_bytes }, receiver)
    }

    pub(crate) async fn flush(&self, epoch: u64) -> Result<(), Exit> {
        self.mail.send(Mail::Flush(epoch)).await.map_err(|_| Exit::Severed)
    }

    pub(crate) async fn skip(&self, epoch: u64) -> Result<(), Exit> {
        self.mail.send(Mail::Skip(epoch)).await.map_err(|_| Exit::Severed)
    }

    pub(crate) async fn back(&self) -> Result<(), Exit> {
        self.mail.send(Mail::Back).await.map_err(|_| Exit::Severed)
    }

    async fn post(&self, letters: Vec<DeadLetter>) -> Result<(), Exit> {
        let n_bytes = letters.iter().map(size).sum::<usize>();
        let n_bytes = u32::try_from(n_bytes).unwrap_or(u32::MAX).min(self.n_bytes);
        let room = Arc::clone(&self.room).acquire_many_owned(n_bytes).await.map_err(|_| Exit::Severed)?;
        self.mail.send(Mail::Letters(letters, room)).await.map_err(|_| Exit::Severed)
    }
}

impl Letters {
    pub(crate) fn new(node: &Node, queue: Postbox, metrics: Arc<NodeMetrics>) -> Self {
        let plugin = match &node.component {
            Component::Plugin { digest, .. } => Some(*digest),
            Component::Connector { .. } | Component::Remote { .. } | Component::Command { .. } => None,
        };
        Self { node: node.id.clone(), plugin, queue, metrics }
    }

    /// Sends events of `batch`, whose payloads `schema` describes.
    pub(crate) async fn refuse(
        &self,
        batch: &Batch,
        schema: Option<&Schema>,
        refusals: Vec<Refusal>,
    ) -> Result<(), Exit> {
        if refusals.is_empty() {
            return Ok(());
        }
        let letters = refusals.into_iter().map(|refusal| {
            let payload = LetterPayload::new(schema, batch.columns.payload(refusal.index));
            let event = (batch.ids.get(refusal.index), batch.ids.root(refusal.index));
            self.letter(event, schema, refusal, payload)
        });
        self.post(letters.collect()).await
    }

    /// Sends what a source could not read.
    pub(crate) async fn refuse_unread(&self, refused: Vec<Refused>, schema: Option<&Schema>) -> Result<(), Exit> {
        if refused.is_empty() {
            return Ok(());
        }
        let letters = refused.into_iter().map(|refused| {
            let payload = LetterPayload::new(None, &refused.payload);
            self.letter((refused.id.clone(), refused.id), schema, Refusal::rejected(0, refused.reason), payload)
        });
        self.post(letters.collect()).await
    }

    /// Sends a refusal that has no event: of a tick, or of the end.
    pub(crate) async fn refuse_nothing(&self, event_id: String, reason: String) -> Result<(), Exit> {
        let payload = LetterPayload::new(None, &[]);
        let event = (event_id.clone(), event_id);
        self.post(vec![self.letter(event, None, Refusal::rejected(0, reason), payload)]).await
    }

    fn letter(
        &self,
        (event_id, position): (String, String),
        schema: Option<&Schema>,
        refusal: Refusal,
        payload: LetterPayload,
    ) -> DeadLetter {
        DeadLetter {
            time: SystemTime::now(),
            node: self.node.clone(),
            plugin: self.plugin,
            event_id,
            position,
            event_type: schema.map(|schema| schema.event_type().clone()),
            reason: refusal.reason,
            attempts: refusal.attempts,
            log_tail: refusal.log_tail,
            payload,
        }
    }

    async fn post(&self, letters: Vec<DeadLetter>) -> Result<(), Exit> {
        self.metrics.rejected(letters.len());
        self.queue.post(letters).await
    }
}

/// Writes letters until all senders are gone; says which epochs are durable.
pub(crate) async fn deliver(
    mut sink: Box<dyn DeadLetterSink>,
    mut mail: mpsc::Receiver<Mail>,
    backoff: Backoff,
    reports: mpsc::Sender<Report>,
    observer: Arc<dyn Observer>,
) -> Result<(), Fault> {
    let mut skipped = None;
    let mut n_letters = 0;
    let mut written = Written::default();
    while let Some(mut mail) = mail.recv().await {
        let mut attempt = 0;
        match &mut mail {
            Mail::Skip(epoch) => skipped = Some(*epoch),
            Mail::Back => written.turn_back(),
            Mail::Letters(letters, _) => letters.retain(|letter| written.is_new(letter)),
            Mail::Flush(epoch) if skipped == Some(*epoch) => skipped = None,
            Mail::Flush(_) => {}
        }
        if matches!(mail, Mail::Flush(_)) {
            written.flush();
        }
        loop {
            let result = match &mail {
                Mail::Skip(_) | Mail::Back => Ok(()),
                Mail::Letters(letters, _) if letters.is_empty() => Ok(()),
                Mail::Letters(..) if skipped.is_some() => Ok(()),
                Mail::Letters(letters, _room) => sink.write(letters).await,
                Mail::Flush(epoch) => sink.flush(*epoch).await,
            };
            let Err(fault) = result else { break };
            attempt += 1;
            match (&fault, backoff.wait(attempt)) {
                (Fault::Retry(_), Some(wait)) => tokio::time::sleep(wait).await,
                _ => return Err(fault),
            }
        }
        match &mail {
            Mail::Letters(letters, _) if skipped.is_none() => n_letters += letters.len() as u64,
            Mail::Flush(epoch) if n_letters > 0 => {
                observer.observe(&RunEvent::LettersWritten { epoch: *epoch, n_letters });
                n_letters = 0;
            }
            _ => {}
        }
        if let Mail::Flush(epoch) = mail {
            // nobody listens when the run has ended: this was its last flush
            let _ = reports.send(Report::LettersTaken { epoch }).await;
        }
    }
    Ok(())
}

/// Which letters were written lately, by a hash of node and event, so that those which
/// come again after the run went back are not written twice. A letter of the epoch behind
/// a barrier may be written before that barrier's flush, so two intervals are kept.
#[derive(Default)]
struct Written {
    since_flush: HashSet<u64>,
    before_flush: HashSet<u64>,
    /// Those before the run went back; a letter among them is none that is new.
    repeated: HashSet<u64>,
    hasher: RandomState,
}

impl Written {
    fn is_new(&mut self, letter: &DeadLetter) -> bool {
        let hash = self.hasher.hash_one((letter.node.as_str(), &letter.event_id));
        if self.repeated.contains(&hash) {
            return false;
        }
        if self.since_flush.len() < MAX_REMEMBERED {
            self.since_flush.insert(hash);
        }
        true
    }

    fn flush(&mut self) {
        self.repeated.clear();
        self.before_flush = std::mem::take(&mut self.since_flush);
    }

    fn turn_back(&mut self) {
        self.repeated.extend(self.since_flush.iter().chain(&self.before_flush));
    }
}

fn size(letter: &DeadLetter) -> usize {
    256 + letter.event_id.len()
        + letter.position.len()
        + letter.reason.len()
        + letter.log_tail.len()
        + letter.payload.n_bytes()
}
