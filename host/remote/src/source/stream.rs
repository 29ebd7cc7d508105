//! The stream of a source, read in the background.
//!
//! Invariant: what waits here is bounded in events and in bytes. Receiving is
//! cancel-safe; dropping the stream cancels the call.

use std::sync::Arc;

use flowctl_proto::v1;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;

use crate::peer::{Calls, Peer};
use crate::{RemoteError, fault};

/// Events that may wait.
const MAX_EVENTS: usize = 64;
/// Bytes of events that may wait; one event always may.
const MAX_BYTES: u32 = 16 << 20;

/// A stream under way.
#[derive(Debug)]
pub(super) struct Stream {
    items: mpsc::Receiver<Item>,
    task: AbortHandle,
}

/// What comes in.
#[derive(Debug)]
pub(super) enum Item {
    /// An event; it takes room until this is dropped.
    Event(Box<v1::Event>, OwnedSemaphorePermit),
    /// The component has no more.
    Finished,
    /// The stream broke.
    Broken(String),
    /// The component is another than expected.
    Other(RemoteError),
}

impl Stream {
    /// Asks the component for its events as soon as it is well.
    pub(super) fn start(peer: Arc<Peer>, request: v1::StreamRequest) -> Self {
        let (sender, items) = mpsc::channel(MAX_EVENTS);
        let task = tokio::spawn(async move {
            let last = match peer.healthy().await {
                Ok(()) => forward(&peer, request, &sender).await,
                Err(error) => Item::Other(error),
            };
            // nobody listens any more where this fails
            let _ = sender.send(last).await;
        });
        Self { items, task: task.abort_handle() }
    }

    /// Waits for what comes next. Cancel-safe.
    pub(super) async fn receive(&mut self) -> Item {
        self.items.recv().await.unwrap_or_else(|| Item::Broken("its reader ended without a word".to_owned()))
    }

    /// What is there already.
    pub(super) fn try_receive(&mut self) -> Option<Item> {
        self.items.try_recv().ok()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(peer: &Peer, request: v1::StreamRequest, sender: &mpsc::Sender<Item>) -> Item {
    let room = Arc::new(Semaphore::new(MAX_BYTES as usize));
    let broken = |status: &tonic::Status| {
        let reason = fault::describe(status);
        if fault::is_broken(status) {
            peer.suspect(&reason);
        }
        Item::Broken(reason)
    };
    let mut events = match Calls::source(peer.channel()).stream_events(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return broken(&status),
    };
    loop {
        let event = match events.message().await {
            Ok(Some(event)) => event,
            Ok(None) => return Item::Finished,
            Err(status) => return broken(&status),
        };
        let n_bytes = u32::try_from(event.encoded_len()).unwrap_or(u32::MAX).min(MAX_BYTES);
        let Ok(permit) = Arc::clone(&room).acquire_many_owned(n_bytes).await else {
            return Item::Broken("the room for events is closed".to_owned());
        };
        if sender.send(Item::Event(Box::new(event), permit)).await.is_err() {
            return Item::Finished;
        }
    }
}
