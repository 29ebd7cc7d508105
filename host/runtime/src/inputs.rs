//! Fan-in: what a node with several input edges receives, and in which order.
//!
//! Invariant: the order of each edge is kept; no edge starves another; an input that
//! delivered a barrier is not read until all have. The watermark of what is handed
//! on is the minimum over the inputs, those finished or idle aside, and never goes
//! back.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flowctl_types::Batch;
use tokio::time::Instant;

use crate::edge::{Barrier, Closed, EdgeReceiver, Finish, Message};

/// The input edges of one node.
pub(crate) struct Inputs {
    inputs: Vec<Input>,
    /// The input that is asked first, so that all get their turn.
    turn: usize,
    has_finished: bool,
    watermark: Option<u64>,
    idle_after: Duration,
}

struct Input {
    edge: EdgeReceiver,
    barrier: Option<Barrier>,
    finished: Option<Finish>,
    watermark: Option<u64>,
    last_batch: Instant,
}

/// What comes in.
pub(crate) enum Arrival {
    /// Events, and the watermark of all inputs.
    Batch(Arc<Batch>),
    /// All inputs have finished for good. Comes once.
    Finished(Finish),
    /// All inputs have delivered this barrier.
    Barrier(Barrier),
}

impl Inputs {
    pub(crate) fn new(edges: impl IntoIterator<Item = EdgeReceiver>, idle_after: Duration) -> Self {
        let last_batch = Instant::now();
        let input = |edge| Input { edge, barrier: None, finished: None, watermark: None, last_batch };
        Self {
            inputs: edges.into_iter().map(input).collect(),
            turn: 0,
            has_finished: false,
            watermark: None,
            idle_after,
        }
    }

    /// Waits for what comes next. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Closed`] when a sender is gone without a last barrier.
    pub(crate) async fn next(&mut self) -> Result<Arrival, Closed> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrival, Closed>> {
        let n_inputs = self.inputs.len();
        let mut n_waiting = 0;
        while n_waiting < n_inputs {
            let index = self.turn;
            self.turn = (self.turn + 1) % n_inputs;
            let input = &mut self.inputs[index];
            if input.barrier.is_some() {
                n_waiting += 1;
                continue;
            }
            match input.edge.poll_receive(cx)? {
                Poll::Pending => n_waiting += 1,
                Poll::Ready(Message::Batch(batch)) => {
                    return Poll::Ready(Ok(Arrival::Batch(self.marked(index, batch))));
                }
                Poll::Ready(Message::Finished(finish)) => {
                    input.finished = Some(finish);
                    if !self.has_finished && self.inputs.iter().all(|input| input.finished.is_some()) {
                        self.has_finished = true;
                        let is_again = self.inputs.iter().all(|input| input.finished == Some(Finish::Again));
                        let finish = if is_again { Finish::Again } else { Finish::First };
                        return Poll::Ready(Ok(Arrival::Finished(finish)));
                    }
                    n_waiting = 0;
                }
                Poll::Ready(Message::Barrier(barrier)) => {
                    input.barrier = Some(barrier);
                    if let Some(barrier) = self.aligned() {
                        return Poll::Ready(Ok(Arrival::Barrier(barrier)));
                    }
                    n_waiting = 0;
                }
            }
        }
        Poll::Pending
    }

    /// The barrier, once all inputs have delivered it; they are read again then.
    fn aligned(&mut self) -> Option<Barrier> {
        let barrier = self.inputs.first()?.barrier?;
        if self.inputs.iter().any(|input| input.barrier.is_none()) {
            return None;
        }
        for input in &mut self.inputs {
            input.barrier = None;
        }
        Some(barrier)
    }

    /// The batch with the watermark of all inputs in place of its own.
    fn marked(&mut self, index: usize, mut batch: Arc<Batch>) -> Arc<Batch> {
        if self.inputs.len() == 1 {
            return batch;
        }
        let now = Instant::now();
        let input = &mut self.inputs[index];
        input.last_batch = now;
        input.watermark = input.watermark.max(batch.watermark);
        let idle_after = self.idle_after;
        let awaited = |input: &&Input| input.finished.is_none() && now.duration_since(input.last_batch) < idle_after;
        // an input whose watermark is unknown makes the minimum unknown: none is less than some
        let minimum = self.inputs.iter().filter(awaited).map(|input| input.watermark).min().flatten();
        self.watermark = self.watermark.max(minimum);
        if batch.watermark != self.watermark {
            // a batch that another edge shares is copied: it may be told another watermark there
            Arc::make_mut(&mut batch).watermark = self.watermark;
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use flowctl_types::{Columns, Ids};

    use super::*;
    use crate::edge::{Edge, EdgeBounds, MemoryEdge};

    fn inputs(n: usize) -> (Vec<Arc<dyn Edge>>, Inputs) {
        let bounds = EdgeBounds { batches: 64, bytes: 1 << 20 };
        let edges: Vec<Arc<dyn Edge>> = (0..n).map(|_| Arc::new(MemoryEdge::new(bounds)) as Arc<dyn Edge>).collect();
        let receivers: Vec<_> = edges.iter().map(|edge| EdgeReceiver::new(Arc::clone(edge))).collect();
        (edges, Inputs::new(receivers, Duration::from_secs(30)))
    }

    fn send(edge: &Arc<dyn Edge>, message: Message) {
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(edge.poll_send(&mut cx, &mut Some(message)), Poll::Ready(Ok(())));
    }

    fn batch(n_events: usize, watermark: Option<u64>) -> Message {
        let mut columns = Columns::default();
        (0..n_events).for_each(|_| columns.push(0, b"x"));
        Message::Batch(Arc::new(Batch { watermark, ..Batch::new(columns, Ids::numbered("t", 0)) }))
    }

    fn barrier(epoch: u64) -> Message {
        Message::Barrier(Barrier { epoch, is_last: false })
    }

    /// What arrives until nothing does: batches as their size, the rest as a word.
    fn arrivals(inputs: &mut Inputs) -> Vec<String> {
        let mut seen = Vec::new();
        while let Poll::Ready(Ok(arrival)) = inputs.poll_next(&mut Context::from_waker(Waker::noop())) {
            seen.push(match arrival {
                Arrival::Batch(batch) => batch.len().to_string(),
                Arrival::Finished(Finish::First) => "finished".to_owned(),
                Arrival::Finished(Finish::Again) => "finished again".to_owned(),
                Arrival::Barrier(barrier) => format!("barrier {}", barrier.epoch),
            });
        }
        seen
    }

    fn watermark(inputs: &mut Inputs) -> Option<u64> {
        match inputs.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Arrival::Batch(batch))) => batch.watermark,
            _ => panic!("no batch"),
        }
    }

    #[tokio::test]
    async fn an_input_at_its_barrier_waits_for_the_others() {
        let (edges, mut inputs) = inputs(2);
        send(&edges[0], barrier(1));
        send(&edges[0], batch(9, None));
        send(&edges[1], batch(1, None));
        assert_eq!(arrivals(&mut inputs), ["1"]);
        send(&edges[1], batch(2, None));
        assert_eq!(arrivals(&mut inputs), ["2"]);
        send(&edges[1], barrier(1));
        assert_eq!(arrivals(&mut inputs), ["barrier 1", "9"]);
    }

    #[tokio::test]
    async fn inputs_take_turns() {
        let (edges, mut inputs) = inputs(2);
        (0..3).for_each(|_| send(&edges[0], batch(1, None)));
        (0..3).for_each(|_| send(&edges[1], batch(2, None)));
        assert_eq!(arrivals(&mut inputs), ["1", "2", "1", "2", "1", "2"]);
    }

    #[tokio::test]
    async fn a_node_has_finished_when_all_inputs_have() {
        let (edges, mut inputs) = inputs(2);
        send(&edges[0], Message::Finished(Finish::First));
        send(&edges[0], barrier(1));
        assert!(arrivals(&mut inputs).is_empty());
        send(&edges[1], batch(3, None));
        send(&edges[1], Message::Finished(Finish::Again));
        send(&edges[1], barrier(1));
        assert_eq!(arrivals(&mut inputs), ["3", "finished", "barrier 1"]);
    }

    #[tokio::test]
    async fn an_end_is_no_news_when_every_input_had_it() {
        let (edges, mut inputs) = inputs(2);
        edges.iter().for_each(|edge| send(edge, Message::Finished(Finish::Again)));
        assert_eq!(arrivals(&mut inputs), ["finished again"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_watermark_is_the_minimum_of_the_inputs_that_are_not_idle() {
        let (edges, mut inputs) = inputs(2);
        send(&edges[0], batch(1, Some(10)));
        assert_eq!(watermark(&mut inputs), None, "the other input's is unknown");
        send(&edges[1], batch(1, Some(4)));
        assert_eq!(watermark(&mut inputs), Some(4));
        send(&edges[1], batch(1, Some(20)));
        assert_eq!(watermark(&mut inputs), Some(10));
        tokio::time::advance(Duration::from_secs(31)).await;
        send(&edges[1], batch(1, Some(30)));
        assert_eq!(watermark(&mut inputs), Some(30), "the first input is idle");
        send(&edges[0], batch(1, Some(11)));
        assert_eq!(watermark(&mut inputs), Some(30), "a watermark never goes back");
    }
}
