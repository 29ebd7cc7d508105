//! A component in another process as a source.
//!
//! Invariant: the position of a piece is behind its last event, and the next stream goes
//! on there, whatever broke the last one. Events that say nothing of where they are from
//! cannot be found again: that is said aloud, once.

mod place;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flowctl_proto::v1;
use flowctl_runtime::{Bounds, Fault, Piece, Refused, Source};
use flowctl_schema::Role;
use flowctl_topology::Node;
use flowctl_types::{Batch, NodeId};
use tokio::task::JoinHandle;

use self::place::{Filter, Origin, Place};
use self::stream::{Item, Stream};
use crate::codec::{Assembly, Codec, Decoded, LEDGER, TransferStyle, cursor};
use crate::peer::{Calls, Peer};
use crate::{RemoteError, fault};

pub(crate) use self::place::Start;

/// The key of metadata that says how to go on behind an event.
const RESUME_TOKEN: &str = "resume_token";
/// Time that a component has to note an acknowledgement.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the source that `peer` is, at `node`.
///
/// A run that goes back has its sources made anew: they share the peer, which remembers how
/// the events began. Another run has a peer of its own.
///
/// # Errors
///
/// [`RemoteError::Config`] where `peer` was made for another role.
pub fn source(node: &Node, peer: Arc<Peer>) -> Result<Box<dyn Source>, RemoteError> {
    crate::peer::require(&peer, Role::Source)?;
    Ok(Box::new(RemoteSource {
        node: node.id.clone(),
        codec: Codec::new(&node.outputs, TransferStyle::default()),
        peer,
        place: Place::default(),
        stream: None,
        filter: Filter::behind(&Place::default()),
        carried: None,
        fault: None,
        ack: Acknowledger::default(),
    }))
}

/// A component in another process.
struct RemoteSource {
    node: NodeId,
    codec: Codec,
    peer: Arc<Peer>,
    /// Behind the last event that was handed over.
    place: Place,
    stream: Option<Stream>,
    filter: Filter,
    /// An event that did not fit into the last piece.
    carried: Option<(Taken, Origin)>,
    /// What stopped the last piece before it was full.
    fault: Option<Fault>,
    ack: Acknowledger,
}

/// An event that was received.
enum Taken {
    Decoded(Box<Decoded>),
    Refused(Refused),
}

/// Where the next event comes from.
enum Next {
    Event(Taken, Origin),
    Finished,
    /// Nothing is there at the moment.
    Nothing,
}

#[async_trait]
impl Source for RemoteSource {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let start = self.peer.start();
        let unrepeatable = || Fault::Fatal(format!("`{}` cannot repeat its events", self.node));
        self.place = match position {
            Some(position) => Place::decode(position)?,
            None => match start.clone() {
                Some(Start::Cursor(place)) => *place,
                Some(Start::Unknown) => return Err(unrepeatable()),
                Some(Start::Beginning) | None => Place::default(),
            },
        };
        if !self.place.is_found_again() {
            if start.is_some() {
                return Err(unrepeatable());
            }
            tracing::warn!(node = %self.node, "source cannot go on where it was: what it emitted since is missing");
            self.peer.remember(|| Start::Unknown);
        }
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let until = bounds.until.as_deref().map(Place::decode).transpose()?;
        let mut assembly: Option<Assembly> = None;
        let (mut rejected, mut n_refused_bytes, mut is_finished) = (Vec::new(), 0, false);
        let mut reached = None;
        loop {
            let (n_events, n_bytes) = assembly.as_ref().map_or((0, 0), |piece| (piece.n_events(), piece.n_bytes()));
            let is_full =
                n_events + rejected.len() >= bounds.max_events || n_bytes + n_refused_bytes >= bounds.max_bytes;
            if self.is_at(until.as_ref())? {
                reached.clone_from(&bounds.until);
                break;
            }
            if is_full {
                break;
            }
            let has_some = n_events + rejected.len() > 0;
            let next = if has_some { self.try_next() } else { self.wait_for_next().await };
            match next {
                Ok(Next::Event(Taken::Decoded(decoded), origin)) => {
                    let fits = n_bytes + decoded.columns.n_bytes() <= bounds.max_bytes
                        && n_events + decoded.columns.len() <= bounds.max_events
                        && assembly.as_ref().is_none_or(|piece| piece.takes(&decoded));
                    if has_some && !fits {
                        self.carried = Some((Taken::Decoded(decoded), origin));
                        break;
                    }
                    self.pass(&origin)?;
                    let piece = assembly.get_or_insert_with(|| Assembly::of(&decoded));
                    // an assembly of no events may have begun with another kind
                    if !piece.takes(&decoded) {
                        *piece = Assembly::of(&decoded);
                    }
                    piece.push(*decoded, None);
                }
                Ok(Next::Event(Taken::Refused(refused), origin)) => {
                    self.pass(&origin)?;
                    n_refused_bytes += refused.payload.len();
                    rejected.push(refused);
                }
                Ok(Next::Finished) => {
                    is_finished = true;
                    break;
                }
                Ok(Next::Nothing) => break,
                Err(fault) if has_some => {
                    self.fault = Some(fault);
                    break;
                }
                Err(fault) => return Err(fault),
            }
        }
        let position = reached.unwrap_or_else(|| self.place.encode());
        Ok(Piece { batch: batch(assembly), rejected, position, is_finished })
    }

    async fn ack(&mut self, position: &[u8]) -> Result<(), Fault> {
        self.ack.note(&self.peer, &self.node, &Place::decode(position)?);
        Ok(())
    }

    fn is_replayable(&self) -> bool {
        self.peer.start() != Some(Start::Unknown)
    }
}

impl RemoteSource {
    /// Whether the place is that up to which events are repeated.
    fn is_at(&self, until: Option<&Place>) -> Result<bool, Fault> {
        let Some(until) = until else { return Ok(false) };
        if self.place == *until {
            return Ok(true);
        }
        if self.place.n_events >= until.n_events || !until.is_found_again() {
            return Err(Fault::Fatal(format!("`{}` does not repeat the events that it emitted before", self.node)));
        }
        Ok(false)
    }

    fn pass(&mut self, origin: &Origin) -> Result<(), Fault> {
        if self.place.n_events == 0 && self.peer.start().is_none() {
            let start = Start::with(origin);
            if start == Start::Unknown {
                tracing::warn!(
                    node = %self.node,
                    "source cannot repeat its events, they bring neither `stellar_cursor` nor `{RESUME_TOKEN}`: what is lost on the way is missing"
                );
            }
            self.peer.remember(|| start);
        }
        self.place.pass(origin)
    }

    async fn wait_for_next(&mut self) -> Result<Next, Fault> {
        if let Some((taken, origin)) = self.carried.take() {
            return Ok(Next::Event(taken, origin));
        }
        loop {
            let item = self.stream().receive().await;
            match self.judge(item)? {
                Next::Nothing => {}
                next => return Ok(next),
            }
        }
    }

    fn try_next(&mut self) -> Result<Next, Fault> {
        if let Some((taken, origin)) = self.carried.take() {
            return Ok(Next::Event(taken, origin));
        }
        while let Some(item) = self.stream().try_receive() {
            match self.judge(item)? {
                Next::Nothing => {}
                next => return Ok(next),
            }
        }
        Ok(Next::Nothing)
    }

    /// What an item means; nothing where its event was handed over before.
    fn judge(&mut self, item: Item) -> Result<Next, Fault> {
        match item {
            Item::Event(event, _room) => {
                let (taken, origin) = self.take(&event);
                Ok(if self.filter.lets_pass(&origin)? { Next::Event(taken, origin) } else { Next::Nothing })
            }
            Item::Finished => {
                self.stream = None;
                Ok(Next::Finished)
            }
            Item::Broken(reason) => {
                self.stream = None;
                Err(Fault::Retry(reason))
            }
            Item::Other(error) => {
                self.stream = None;
                Err(Fault::Fatal(error.to_string()))
            }
        }
    }

    fn stream(&mut self) -> &mut Stream {
        let (place, peer) = (&self.place, &self.peer);
        let filter = &mut self.filter;
        let node = &self.node;
        self.stream.get_or_insert_with(|| {
            if !place.is_found_again() {
                tracing::warn!(%node, "source is asked anew and cannot go on where it was: events may be missing");
            }
            *filter = Filter::behind(place);
            let resume_token = place.resume_token();
            let request = v1::StreamRequest {
                resume: resume_token.is_some(),
                resume_token: resume_token.unwrap_or_default(),
                ..v1::StreamRequest::default()
            };
            Stream::start(Arc::clone(peer), request)
        })
    }

    /// Translates an event, and reads where it is from.
    fn take(&self, event: &v1::Event) -> (Taken, Origin) {
        let decoded = self.codec.decode(event);
        let cursor = decoded.as_ref().map_or_else(|_| cursor(event), |decoded| decoded.description.cursor);
        let origin = Origin {
            id: event.id.clone(),
            cursor,
            token: event.metadata.get(RESUME_TOKEN).cloned(),
            is_ledger: event.r#type == LEDGER,
        };
        let id = if event.id.is_empty() { self.name(&origin) } else { event.id.clone() };
        let taken = match decoded {
            Ok(mut decoded) => {
                decoded.description.id = id;
                Taken::Decoded(Box::new(decoded))
            }
            Err(reason) => Taken::Refused(Refused { id, payload: event.payload.clone(), reason }),
        };
        (taken, origin)
    }

    /// The id of an event that has none.
    fn name(&self, origin: &Origin) -> String {
        match origin.cursor {
            Some((ledger, _)) if origin.is_ledger => format!("stellar-ledger-{ledger}"),
            _ => format!("{}/{}", self.node, self.place.n_events),
        }
    }
}

fn batch(assembly: Option<Assembly>) -> Option<Batch> {
    let assembled = assembly?.finish();
    if assembled.columns.is_empty() {
        return None;
    }
    let attributes = assembled.network.map(|network| ("network".to_owned(), network)).into_iter().collect();
    Some(Batch { attributes, ..Batch::new(assembled.columns, assembled.ids) })
}

/// Tells the component up to where its events were taken, as well as that goes.
#[derive(Default)]
struct Acknowledger {
    under_way: Option<JoinHandle<()>>,
    is_unknown: Arc<AtomicBool>,
}

impl Acknowledger {
    /// Tells it, unless it is still busy with the last time.
    fn note(&mut self, peer: &Peer, node: &NodeId, place: &Place) {
        let is_busy = self.under_way.as_ref().is_some_and(|task| !task.is_finished());
        if is_busy || self.is_unknown.load(Ordering::Relaxed) || peer.waiting().is_some() {
            return;
        }
        let mut state = vec![("event_id".to_owned(), place.id.clone())];
        if let Some(cursor) = &place.cursor {
            state.push(("ledger_sequence".to_owned(), cursor.at.0.to_string()));
            state.push(("index".to_owned(), cursor.at.1.to_string()));
        }
        let request = v1::SaveStateRequest { state: state.into_iter().collect(), key: node.to_string() };
        let (mut client, is_unknown, node) =
            (Calls::source(peer.channel()), Arc::clone(&self.is_unknown), node.clone());
        self.under_way = Some(tokio::spawn(async move {
            match tokio::time::timeout(ACK_TIMEOUT, client.save_state(request)).await {
                Ok(Ok(_)) => {}
                Ok(Err(status)) if fault::is_unknown(&status) => is_unknown.store(true, Ordering::Relaxed),
                Ok(Err(status)) => {
                    tracing::debug!(%node, reason = %fault::describe(&status), "acknowledgement was not noted");
                }
                Err(_) => tracing::debug!(%node, "acknowledgement was not noted in time"),
            }
        }));
    }
}
