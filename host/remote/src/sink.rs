//! A component in another process as a sink.
//!
//! Invariant: a stream is one epoch. It is durable when the component said how many
//! events it took, and that is how many were sent; anything else is a loss, and the run
//! goes back to the last barrier.

use std::sync::Arc;

use async_trait::async_trait;
use flowctl_proto::v1;
use flowctl_runtime::{Fault, Rejection, Sink};
use flowctl_schema::Role;
use flowctl_topology::Node;
use flowctl_types::{Batch, NodeId};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::codec::{Codec, Encoded, TransferStyle};
use crate::peer::{Calls, Peer};
use crate::{RemoteError, fault};

/// Events that may wait to be sent.
const MAX_WAITING: usize = 32;
/// Errors of a component that are shown for one epoch.
const MAX_ERRORS: usize = 5;

/// Makes the sink that `peer` is, at `node`.
///
/// # Errors
///
/// [`RemoteError::Config`] where `peer` was made for another role, or a field of the
/// node's configuration cannot be used.
pub fn sink(node: &Node, peer: Arc<Peer>) -> Result<Box<dyn Sink>, RemoteError> {
    crate::peer::require(&peer, Role::Sink)?;
    let codec = Codec::new(&node.inputs, TransferStyle::of(node)?);
    Ok(Box::new(RemoteSink { node: node.id.clone(), codec, peer, epoch: None }))
}

/// A component in another process.
struct RemoteSink {
    node: NodeId,
    codec: Codec,
    peer: Arc<Peer>,
    /// What was sent since the last barrier; none where that is nothing.
    epoch: Option<Epoch>,
}

/// The stream of one epoch. Dropping it cancels the call.
struct Epoch {
    /// Before the events: a call that is given up must not look like one that has ended.
    abort: AbortOnDrop,
    events: mpsc::Sender<v1::Event>,
    n_sent: i64,
    call: JoinHandle<Result<v1::ConsumeResponse, Status>>,
}

#[async_trait]
impl Sink for RemoteSink {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        self.peer.healthy().await.map_err(|error| Fault::Fatal(error.to_string()))?;
        let Encoded { events, rejected } = self.codec.encode(batch);
        for event in events {
            self.send(event).await?;
        }
        Ok(rejected)
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        let Some(epoch) = self.epoch.take() else { return Ok(()) };
        let Epoch { abort: _abort, events, n_sent, mut call } = epoch;
        // half-closes the stream
        drop(events);
        let answer = loop {
            match tokio::time::timeout(self.peer.settings().call_timeout, &mut call).await {
                Ok(ended) => break self.ended(ended)?,
                Err(_) if self.peer.waiting().is_some() => {}
                Err(_) => {
                    let seconds = self.peer.settings().call_timeout.as_secs_f64();
                    return Err(Fault::Lost(format!(
                        "the component did not answer within {seconds} s of its last event"
                    )));
                }
            }
        };
        self.check(&answer, n_sent)
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        self.epoch = None;
        Ok(None)
    }
}

impl RemoteSink {
    /// Sends an event, on the epoch's stream.
    async fn send(&mut self, event: v1::Event) -> Result<(), Fault> {
        let epoch = match &mut self.epoch {
            Some(epoch) => epoch,
            None => self.epoch.insert(Epoch::start(&self.peer)),
        };
        let (events, call) = (epoch.events.clone(), &mut epoch.call);
        let sent = events.send(event);
        tokio::pin!(sent);
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut *call => break ended,
                sent = &mut sent => match sent {
                    Ok(()) => {
                        epoch.n_sent += 1;
                        return Ok(());
                    }
                    // the call has ended: it says why
                    Err(_) => break (&mut *call).await,
                },
                () = tokio::time::sleep(self.peer.settings().call_timeout) => {
                    if self.peer.waiting().is_none() {
                        self.epoch = None;
                        let seconds = self.peer.settings().call_timeout.as_secs_f64();
                        return Err(Fault::Lost(format!("the component took no event for {seconds} s")));
                    }
                }
            }
        };
        self.epoch = None;
        self.ended(ended)?;
        Err(Fault::Lost("the component ended the stream of an epoch before its last event".to_owned()))
    }

    /// The answer to an epoch. Whatever else there is, the epoch is lost.
    fn ended(
        &self,
        ended: Result<Result<v1::ConsumeResponse, Status>, tokio::task::JoinError>,
    ) -> Result<v1::ConsumeResponse, Fault> {
        match ended {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(status)) => {
                let reason = fault::describe(&status);
                if fault::is_broken(&status) {
                    self.peer.suspect(&reason);
                }
                Err(Fault::Lost(reason))
            }
            Err(error) => Err(Fault::Lost(format!("the call was given up: {error}"))),
        }
    }

    fn check(&self, answer: &v1::ConsumeResponse, n_sent: i64) -> Result<(), Fault> {
        let v1::ConsumeResponse { events_consumed, events_failed, errors } = answer;
        if events_consumed.checked_add(*events_failed) != Some(n_sent) || *events_failed < 0 {
            return Err(Fault::Lost(format!(
                "the component counts {events_consumed} events taken and {events_failed} failed, where {n_sent} were sent"
            )));
        }
        if *events_failed > 0 {
            let shown: Vec<String> =
                errors.iter().take(MAX_ERRORS).map(|error| error.chars().take(500).collect()).collect();
            tracing::warn!(node = %self.node, events_failed, errors = ?shown, "component failed on events");
        }
        Ok(())
    }
}

impl Epoch {
    fn start(peer: &Peer) -> Self {
        let (events, waiting) = mpsc::channel(MAX_WAITING);
        let mut client = Calls::sink(peer.channel());
        let call =
            tokio::spawn(
                async move { client.consume(ReceiverStream::new(waiting)).await.map(tonic::Response::into_inner) },
            );
        Self { abort: AbortOnDrop(call.abort_handle()), events, n_sent: 0, call }
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
