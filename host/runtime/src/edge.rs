//! Edges: bounded queues between two nodes.
//!
//! Invariant: an edge always has a receiver. Sending to none is an error, never `Ok`,
//! and what was accepted is received in the order it was sent. Bounds are in batches
//! and in bytes; one batch always fits. Markers (barriers, switches, the end) take no room:
//! there is one barrier or switch under way at a time.
//!
//! [`Edge`] is polled, so that a node waits on several edges at once and nothing is
//! lost when it stops waiting. Both ends may be in different processes: no code
//! assumes that they share memory.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use flowctl_types::Batch;

/// What travels along an edge.
#[derive(Debug, Clone)]
pub enum Message {
    /// Events.
    Batch(Arc<Batch>),
    /// No events will come any more, for every source behind this edge has finished
    /// for good. Barriers still come.
    Finished(Finish),
    /// Everything before belongs to this epoch or an earlier one.
    Barrier(Barrier),
    /// Everything before took the topology as it was, everything behind takes this
    /// revision of it.
    Switch(u64),
}

/// Divides the events of one epoch from those of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    /// The epoch that it ends.
    pub epoch: u64,
    /// Whether nothing comes behind it: the run ends here.
    pub is_last: bool,
    /// The revision of the topology that takes over behind it, where one does.
    pub revision: Option<u64>,
}

/// Whether an end is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It is.
    First,
    /// All behind this edge had finished before the checkpoint that the run resumed
    /// from, and nothing came since: the nodes were told, and their states know.
    Again,
}

/// What waits on an edge, sent and not yet received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pending {
    /// Batches.
    pub batches: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The last epoch that was acknowledged; 0 before the first.
    pub acked_epoch: u64,
}

/// How much may wait on an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeBounds {
    /// Most batches.
    pub batches: usize,
    /// Most bytes; one batch always fits.
    pub bytes: usize,
}

/// The edge has no receiver, or was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the edge is closed")]
pub struct Closed;

/// One edge: one sender, one receiver.
pub trait Edge: Send + Sync {
    /// Attaches the receiver. Until then sending is an error.
    fn open(&self);

    /// Sends `message`, and takes it out of the slot when it is accepted.
    ///
    /// # Errors
    ///
    /// [`Closed`] when nobody receives; the message stays in the slot.
    fn poll_send(&self, cx: &mut Context<'_>, message: &mut Option<Message>) -> Poll<Result<(), Closed>>;

    /// Receives the next message.
    ///
    /// # Errors
    ///
    /// [`Closed`] when the sender is gone and nothing is left.
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Message, Closed>>;

    /// Says that the sinks took `epoch`: what came before its barrier is needed no more.
    fn ack(&self, epoch: u64);

    /// What waits.
    fn pending(&self) -> Pending;

    /// Detaches both ends. What waits is lost to the receiver, and never acknowledged.
    fn close(&self);

    /// Says that nothing more will be sent; what waits is still received.
    fn finish(&self);
}

/// The sending end. Dropping it ends the edge behind what waits.
pub(crate) struct EdgeSender(Arc<dyn Edge>);

/// The receiving end. Dropping it closes the edge.
pub(crate) struct EdgeReceiver(Arc<dyn Edge>);

/// An edge within one process.
#[derive(Debug)]
pub struct MemoryEdge {
    bounds: EdgeBounds,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    pending: Pending,
    is_open: bool,
    is_finished: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

impl EdgeSender {
    pub(crate) fn new(edge: Arc<dyn Edge>) -> Self {
        Self(edge)
    }

    /// Waits for room and sends.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Closed> {
        let mut slot = Some(message);
        poll_fn(|cx| self.0.poll_send(cx, &mut slot)).await
    }
}

impl Drop for EdgeSender {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl EdgeReceiver {
    pub(crate) fn new(edge: Arc<dyn Edge>) -> Self {
        edge.open();
        Self(edge)
    }

    pub(crate) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Message, Closed>> {
        self.0.poll_receive(cx)
    }

    pub(crate) fn pending(&self) -> Pending {
        self.0.pending()
    }
}

impl Drop for EdgeReceiver {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl MemoryEdge {
    /// An edge of these bounds, without a receiver yet.
    #[must_use]
    pub fn new(bounds: EdgeBounds) -> Self {
        Self { bounds, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // no code that can panic runs while the lock is held
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edge for MemoryEdge {
    fn open(&self) {
        self.state().is_open = true;
    }

    fn poll_send(&self, cx: &mut Context<'_>, message: &mut Option<Message>) -> Poll<Result<(), Closed>> {
        let mut state = self.state();
        if !state.is_open {
            return Poll::Ready(Err(Closed));
        }
        if let Some(Message::Batch(batch)) = message.as_ref() {
            let n_bytes = weight(batch);
            let Pending { batches, bytes, .. } = state.pending;
            if batches > 0 && (batches >= self.bounds.batches || bytes + n_bytes > self.bounds.bytes) {
                park(&mut state.sender, cx);
                return Poll::Pending;
            }
            state.pending.batches += 1;
            state.pending.bytes += n_bytes;
        }
        state.queue.extend(message.take());
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Message, Closed>> {
        let mut state = self.state();
        match state.queue.pop_front() {
            Some(message) => {
                if let Message::Batch(batch) = &message {
                    state.pending.batches -= 1;
                    state.pending.bytes -= weight(batch);
                }
                let sender = state.sender.take();
                drop(state);
                wake(sender);
                Poll::Ready(Ok(message))
            }
            None if state.is_finished || !state.is_open => Poll::Ready(Err(Closed)),
            None => {
                park(&mut state.receiver, cx);
                Poll::Pending
            }
        }
    }

    fn ack(&self, epoch: u64) {
        self.state().pending.acked_epoch = epoch;
    }

    fn pending(&self) -> Pending {
        self.state().pending
    }

    fn close(&self) {
        let mut state = self.state();
        state.is_open = false;
        state.pending = Pending { acked_epoch: state.pending.acked_epoch, ..Pending::default() };
        let rest = std::mem::take(&mut state.queue);
        let wakers = [state.receiver.take(), state.sender.take()];
        drop(state);
        drop(rest);
        wakers.into_iter().for_each(wake);
    }

    fn finish(&self) {
        let mut state = self.state();
        state.is_finished = true;
        let receiver = state.receiver.take();
        drop(state);
        wake(receiver);
    }
}

/// Bytes that a batch holds: payloads, keys and the columns beside them.
pub(crate) fn weight(batch: &Batch) -> usize {
    let columns = &batch.columns;
    columns.n_bytes() + columns.timestamps.len() * 8 + (columns.ends.len() + columns.key_ends.len()) * 4
}

fn park(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use flowctl_types::{Columns, Ids};

    use super::*;

    fn batch(n_bytes: usize) -> Message {
        let mut columns = Columns::default();
        columns.push(0, &vec![0; n_bytes]);
        Message::Batch(Arc::new(Batch::new(columns, Ids::numbered("t", 0))))
    }

    fn edge(batches: usize, bytes: usize) -> Arc<dyn Edge> {
        Arc::new(MemoryEdge::new(EdgeBounds { batches, bytes }))
    }

    fn poll_send(edge: &Arc<dyn Edge>, message: Message) -> Poll<Result<(), Closed>> {
        edge.poll_send(&mut Context::from_waker(Waker::noop()), &mut Some(message))
    }

    fn poll_receive(edge: &Arc<dyn Edge>) -> Poll<Result<Message, Closed>> {
        edge.poll_receive(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn sending_without_a_receiver_is_an_error() {
        let edge = edge(2, 100);
        assert_eq!(poll_send(&edge, batch(1)), Poll::Ready(Err(Closed)));
        let receiver = EdgeReceiver::new(Arc::clone(&edge));
        assert_eq!(poll_send(&edge, batch(1)), Poll::Ready(Ok(())));
        drop(receiver);
        assert_eq!(poll_send(&edge, batch(1)), Poll::Ready(Err(Closed)));
        assert_eq!(edge.pending(), Pending::default());
    }

    #[test]
    fn an_edge_is_full_by_batches_or_by_bytes() {
        let by_batches = edge(2, 10_000);
        by_batches.open();
        assert!(poll_send(&by_batches, batch(1)).is_ready());
        assert!(poll_send(&by_batches, batch(1)).is_ready());
        assert!(poll_send(&by_batches, batch(1)).is_pending());
        assert!(poll_receive(&by_batches).is_ready());
        assert!(poll_send(&by_batches, batch(1)).is_ready());

        let by_bytes = edge(100, 100);
        by_bytes.open();
        assert!(poll_send(&by_bytes, batch(5_000)).is_ready(), "one batch always fits");
        assert!(poll_send(&by_bytes, batch(1)).is_pending());
        assert!(poll_receive(&by_bytes).is_ready());
        assert!(poll_send(&by_bytes, batch(1)).is_ready());
    }

    #[test]
    fn markers_pass_where_batches_wait() {
        let edge = edge(1, 100);
        edge.open();
        assert!(poll_send(&edge, batch(1)).is_ready());
        assert!(poll_send(&edge, Message::Barrier(Barrier { epoch: 1, is_last: false, revision: None })).is_ready());
        assert!(matches!(poll_receive(&edge), Poll::Ready(Ok(Message::Batch(_)))));
        assert!(matches!(poll_receive(&edge), Poll::Ready(Ok(Message::Barrier(_)))));
    }

    #[test]
    fn what_was_sent_is_received_after_the_sender_left() {
        let edge = edge(2, 100);
        edge.open();
        assert!(poll_send(&edge, batch(1)).is_ready());
        drop(EdgeSender::new(Arc::clone(&edge)));
        assert!(matches!(poll_receive(&edge), Poll::Ready(Ok(Message::Batch(_)))));
        assert!(matches!(poll_receive(&edge), Poll::Ready(Err(Closed))));
    }

    #[tokio::test]
    async fn a_waiting_sender_wakes_when_the_receiver_leaves() {
        let edge = edge(1, 100);
        let receiver = EdgeReceiver::new(Arc::clone(&edge));
        let sender = EdgeSender::new(Arc::clone(&edge));
        sender.send(batch(1)).await.unwrap();
        let waiting = tokio::spawn(async move { sender.send(batch(1)).await });
        tokio::task::yield_now().await;
        drop(receiver);
        assert_eq!(waiting.await.unwrap(), Err(Closed));
    }
}
