//! One component in another process: the connection to it, and how it is.
//!
//! Invariant: whoever is past [`Peer::healthy`] knows that the component answered, was
//! not unwell, and is what the topology expects, since its connection broke last.

mod calls;
mod expectation;
mod poller;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowctl_schema::Role;
use flowctl_topology::Node;
use flowctl_types::{EventType, NodeId};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tonic::transport::{Channel, Endpoint};

pub(crate) use self::calls::Calls;
use self::expectation::check;
use self::poller::Poller;
use crate::RemoteError;
use crate::source::Start;

/// Bytes that one stream may have under way to here.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that all streams of a connection may have under way: more than one stream's, so
/// that one that is not read does not keep answers about health back.
const CONNECTION_WINDOW: u32 = 4 << 20;
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// What is known of a component beforehand.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// The node that it is, for messages.
    pub node: NodeId,
    /// What it is expected to do.
    pub role: Role,
    /// Event types that it is sent.
    pub inputs: Vec<EventType>,
    /// Event types that it emits.
    pub outputs: Vec<EventType>,
    /// Where it is, `host:port`; plain-text.
    pub endpoint: String,
    /// How long a call may go on with nothing being sent or received. Default 60 s.
    pub call_timeout: Duration,
    /// Time between two questions how it is. Default 10 s.
    pub health_interval: Duration,
    /// How long a connection may take to be made. Default 5 s.
    pub connect_timeout: Duration,
}

/// One component in another process.
///
/// Dropping it ends what it does in the background.
#[derive(Debug)]
pub struct Peer {
    settings: Arc<PeerSettings>,
    channel: Channel,
    state: Arc<watch::Sender<State>>,
    poke: Arc<Notify>,
    poller: AbortHandle,
    /// How the stream of a source began; kept here since a source is made anew when a run
    /// goes back.
    start: Mutex<Option<Start>>,
}

/// How a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Well,
    /// It is away or unwell: calls wait.
    Away(String),
    /// It is another than the topology expects.
    Other(RemoteError),
}

impl PeerSettings {
    /// What `node` expects of the component at `endpoint`.
    #[must_use]
    pub fn of(node: &Node, endpoint: impl Into<String>) -> Self {
        let types = |schemas: &[flowctl_schema::Schema]| schemas.iter().map(|s| s.event_type().clone()).collect();
        Self {
            node: node.id.clone(),
            role: node.role,
            inputs: types(&node.inputs),
            outputs: types(&node.outputs),
            endpoint: endpoint.into(),
            call_timeout: Duration::from_secs(60),
            health_interval: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl Peer {
    /// Starts to ask the component how it is. It need not be there yet.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Endpoint`] where the endpoint is no address.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect(settings: PeerSettings) -> Result<Arc<Self>, RemoteError> {
        let address = || RemoteError::Endpoint { node: settings.node.clone(), endpoint: settings.endpoint.clone() };
        let is_host_and_port = |(host, port): (&str, &str)| !host.is_empty() && port.parse::<u16>().is_ok();
        if !settings.endpoint.rsplit_once(':').is_some_and(is_host_and_port) {
            return Err(address());
        }
        let endpoint = Endpoint::from_shared(format!("http://{}", settings.endpoint)).map_err(|_| address())?;
        // no pings of HTTP/2: servers of gRPC take more than one in five minutes for an attack
        let channel = endpoint
            .connect_timeout(settings.connect_timeout)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .tcp_keepalive_interval(Some(TCP_KEEPALIVE / 3))
            .tcp_keepalive_retries(Some(3))
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_lazy();
        let settings = Arc::new(settings);
        let state = Arc::new(watch::Sender::new(State::Away(format!("waiting for {}", settings.endpoint))));
        let poke = Arc::new(Notify::new());
        let poller = Poller {
            settings: Arc::clone(&settings),
            calls: Calls::new(settings.role, channel.clone()),
            state: Arc::clone(&state),
            poke: Arc::clone(&poke),
        };
        let poller = tokio::spawn(poller.run()).abort_handle();
        Ok(Arc::new(Self { settings, channel, state, poke, poller, start: Mutex::default() }))
    }

    /// Waits until the component answers and is not unwell: as long as it takes.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Mismatch`] where it is not what the topology expects.
    pub async fn healthy(&self) -> Result<(), RemoteError> {
        let mut state = self.state.subscribe();
        let known = state.wait_for(|state| !matches!(state, State::Away(_))).await.map(|state| state.clone());
        match known {
            Ok(State::Other(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Why calls wait at the moment, such as `component is unhealthy: disk is full` or
    /// `cannot reach localhost:50051: …`; none where they do not.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        match &*self.state.borrow() {
            State::Away(reason) => Some(reason.clone()),
            State::Well | State::Other(_) => None,
        }
    }

    /// Asks the component what it is, and holds that against what the topology expects.
    /// It is done anyway before the first call, and again after a broken connection.
    ///
    /// # Errors
    ///
    /// [`RemoteError::Mismatch`] where they differ, [`RemoteError::Info`] where it does
    /// not answer.
    pub async fn check_info(&self) -> Result<(), RemoteError> {
        check(&self.settings, &mut Calls::new(self.settings.role, self.channel.clone())).await
    }

    /// What is known of the component.
    #[must_use]
    pub fn settings(&self) -> &PeerSettings {
        &self.settings
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Fails where the component is known not to be what the topology expects.
    pub(crate) fn fitting(&self) -> Result<(), RemoteError> {
        match &*self.state.borrow() {
            State::Other(error) => Err(error.clone()),
            State::Well | State::Away(_) => Ok(()),
        }
    }

    /// Makes calls wait until the component was asked again.
    pub(crate) fn suspect(&self, reason: &str) {
        let is_news = self.state.send_if_modified(|state| {
            let is_well = *state == State::Well;
            if is_well {
                *state = State::Away(format!("cannot reach {}: {reason}", self.settings.endpoint));
            }
            is_well
        });
        if is_news {
            self.poke.notify_one();
        }
    }

    /// How the stream of a source began.
    pub(crate) fn start(&self) -> Option<Start> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers how the stream of a source began; the first time counts.
    pub(crate) fn remember(&self, start: impl FnOnce() -> Start) {
        self.start.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(start);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

/// Fails where `peer` was made for another role than `role`.
pub(crate) fn require(peer: &Peer, role: Role) -> Result<(), RemoteError> {
    if peer.settings.role == role {
        return Ok(());
    }
    let reason = format!("is {:?}, and the component was reached as {:?}", role, peer.settings.role);
    Err(RemoteError::Config { node: peer.settings.node.clone(), field: "role", reason })
}
