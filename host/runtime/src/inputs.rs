//! Fan-in: what a node with several input edges receives, and in which order.
//!
//! Invariant: the order of each edge is kept; no edge starves another; an input that
//! delivered a barrier or a switch is not read until all have. The watermark of what is handed
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
    /// Whether all that is left has finished, and nobody was told.
    owes_finish: bool,
    /// When the first input delivered the mark that the others are waited for.
    marked_at: Option<std::time::Instant>,
}

struct Input {
    link: u64,
    edge: EdgeReceiver,
    mark: Option<Mark>,
    finished: Option<Finish>,
    watermark: Option<u64>,
    last_batch: Instant,
}

/// What divides the events of all inputs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Barrier(Barrier),
    Switch(u64),
}

/// Which edges lead here from now on.
pub(crate) struct InputsOrder {
    /// Links that end.
    pub(crate) gone: Vec<u64>,
    /// Links that begin.
    pub(crate) come: Vec<(u64, EdgeReceiver)>,
}

/// What comes in.
pub(crate) enum Arrival {
    /// Events, and the watermark of all inputs.
    Batch(Arc<Batch>),
    /// All inputs have finished for good. Comes once.
    Finished(Finish),
    /// All inputs have delivered this barrier.
    Barrier(Barrier),
    /// All inputs have delivered the switch to this revision.
    Switch(u64),
}

impl Inputs {
    /// The inputs over these links.
    pub(crate) fn new(edges: impl IntoIterator<Item = (u64, EdgeReceiver)>, idle_after: Duration) -> Self {
        Self {
            inputs: edges.into_iter().map(Input::new).collect(),
            turn: 0,
            has_finished: false,
            watermark: None,
            idle_after,
            owes_finish: false,
            marked_at: None,
        }
    }

    /// Takes other edges. Call it when all inputs have delivered a mark. Answers how many
    /// batches waited on edges that are gone: none, as long as nothing is sent behind a mark.
    pub(crate) fn rewire(&mut self, order: InputsOrder) -> usize {
        let InputsOrder { gone, come } = order;
        let is_gone = |input: &Input| gone.contains(&input.link);
        let n_stranded = self.inputs.iter().filter(|input| is_gone(input)).map(|input| input.edge.pending().batches);
        let n_stranded = n_stranded.sum();
        self.inputs.retain(|input| !is_gone(input));
        self.inputs.extend(come.into_iter().map(Input::new));
        self.turn = 0;
        let have_finished = self.inputs.iter().all(|input| input.finished.is_some());
        self.owes_finish = have_finished && !self.has_finished;
        self.has_finished &= have_finished;
        n_stranded
    }

    /// Since when the mark that was handed on held an input up.
    pub(crate) fn held_since(&mut self) -> std::time::Instant {
        self.marked_at.take().unwrap_or_else(std::time::Instant::now)
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
        if std::mem::take(&mut self.owes_finish) {
            return Poll::Ready(Ok(self.finish()));
        }
        let n_inputs = self.inputs.len();
        let mut n_waiting = 0;
        while n_waiting < n_inputs {
            let index = self.turn;
            self.turn = (self.turn + 1) % n_inputs;
            let input = &mut self.inputs[index];
            if input.mark.is_some() {
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
                        return Poll::Ready(Ok(self.finish()));
                    }
                    n_waiting = 0;
                }
                Poll::Ready(Message::Barrier(barrier)) => {
                    if let Some(arrival) = self.mark(index, Mark::Barrier(barrier)) {
                        return Poll::Ready(Ok(arrival));
                    }
                    n_waiting = 0;
                }
                Poll::Ready(Message::Switch(revision)) => {
                    if let Some(arrival) = self.mark(index, Mark::Switch(revision)) {
                        return Poll::Ready(Ok(arrival));
                    }
                    n_waiting = 0;
                }
            }
        }
        Poll::Pending
    }

    /// All inputs have finished.
    fn finish(&mut self) -> Arrival {
        self.has_finished = true;
        let is_again = self.inputs.iter().all(|input| input.finished == Some(Finish::Again));
        Arrival::Finished(if is_again { Finish::Again } else { Finish::First })
    }

    /// Takes note of a mark; once all inputs have delivered it, it is handed on and they are
    /// read again.
    fn mark(&mut self, index: usize, mark: Mark) -> Option<Arrival> {
        self.inputs[index].mark = Some(mark);
        self.marked_at.get_or_insert_with(std::time::Instant::now);
        if self.inputs.iter().any(|input| input.mark.is_none()) {
            return None;
        }
        self.inputs.iter_mut().for_each(|input| input.mark = None);
        Some(match mark {
            Mark::Barrier(barrier) => {
                if barrier.revision.is_none() {
                    self.marked_at = None;
                }
                Arrival::Barrier(barrier)
            }
            Mark::Switch(revision) => Arrival::Switch(revision),
        })
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

impl Input {
    fn new((link, edge): (u64, EdgeReceiver)) -> Self {
        Self { link, edge, mark: None, finished: None, watermark: None, last_batch: Instant::now() }
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
        let receivers: Vec<_> = (0..).zip(edges.iter().map(|edge| EdgeReceiver::new(Arc::clone(edge)))).collect();
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
        Message::Barrier(Barrier { epoch, is_last: false, revision: None })
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
                Arrival::Switch(revision) => format!("switch {revision}"),
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

    #[tokio::test]
    async fn what_comes_over_a_new_edge_waits_for_the_switch_on_the_old_ones() {
        let (edges, mut inputs) = inputs(2);
        let new: Arc<dyn Edge> = Arc::new(MemoryEdge::new(EdgeBounds { batches: 64, bytes: 1 << 20 }));
        let come = vec![(7, EdgeReceiver::new(Arc::clone(&new)))];
        send(&new, batch(9, None));
        send(&edges[0], Message::Switch(2));
        send(&edges[1], batch(1, None));
        assert_eq!(arrivals(&mut inputs), ["1"]);
        send(&edges[1], Message::Switch(2));
        send(&edges[1], batch(2, None));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(inputs.poll_next(&mut cx), Poll::Ready(Ok(Arrival::Switch(2)))));
        assert_eq!(inputs.rewire(InputsOrder { gone: vec![0], come }), 0);
        assert_eq!(arrivals(&mut inputs), ["2", "9"]);
    }

    #[tokio::test]
    async fn the_end_is_told_when_only_edges_are_left_that_have_finished() {
        let (edges, mut inputs) = inputs(2);
        send(&edges[0], Message::Finished(Finish::First));
        assert!(arrivals(&mut inputs).is_empty());
        assert_eq!(inputs.rewire(InputsOrder { gone: vec![1], come: Vec::new() }), 0);
        assert_eq!(arrivals(&mut inputs), ["finished"]);
        assert!(arrivals(&mut inputs).is_empty(), "once");
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
