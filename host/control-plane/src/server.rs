//! The port: gRPC and HTTP on one listener.
//!
//! Invariants: nothing listens beyond this machine without TLS and credentials; there
//! are never more connections than allowed, others wait in the system's queue; when the
//! server stops the listener closes first, streams end, calls are answered, and what is
//! left after a while is cut off.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::access::Access;
use crate::connection::{self, Patience};
use crate::tls::Tls;
use crate::{ControlPlane, routes};

/// Until a connection is accepted again after that failed, such as for want of file
/// descriptors.
const REST: Duration = Duration::from_millis(100);

/// Where and how a server listens.
#[derive(Clone)]
pub struct ServeSettings {
    /// The address; port 0 stands for any that is free. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// TLS. Default: none, which is for this machine alone.
    pub tls: Option<Tls>,
    /// Connections at once. Default 4,096.
    pub max_connections: usize,
    /// For a handshake, or the head of a request. Default 10 s.
    pub head_timeout: Duration,
    /// Until a connection must have made a call that was let through. Default 30 s.
    pub stranger_timeout: Duration,
    /// What connections get to end by themselves when the server stops. Default 5 s.
    pub grace: Duration,
}

/// A server that is bound, and does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: ServeSettings,
    control_plane: ControlPlane,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another process listens there.
    #[error("cannot listen on `{address}`: the port is in use")]
    Busy {
        /// The address.
        address: SocketAddr,
    },
    /// It would be reached from other machines in plain text.
    #[error("cannot listen on `{address}` without TLS: other machines reach it")]
    PlainText {
        /// The address.
        address: SocketAddr,
    },
    /// It would be reached from other machines by anybody.
    #[error("cannot listen on `{address}` without credentials: other machines reach it")]
    Unguarded {
        /// The address.
        address: SocketAddr,
    },
    /// The system refuses.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What it answered.
        #[source]
        source: io::Error,
    },
    /// Credentials cannot be read.
    #[error("cannot tell who may call")]
    Credentials(#[from] crate::tenants::CredentialError),
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            max_connections: 4_096,
            head_timeout: Duration::from_secs(10),
            stranger_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

impl ServeError {
    /// What to do about it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Busy { address } => Some(format!(
                "another flowctl may serve there: `flowctl status --control-plane {address}` asks it; port 0 picks a free one"
            )),
            Self::PlainText { .. } => Some("give a certificate and its key, or listen on 127.0.0.1".to_owned()),
            Self::Unguarded { .. } => {
                Some("`flowctl tokens create --tenant default --role admin` makes a first one".to_owned())
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need a privilege; use another".to_owned())
            }
            Self::Listen { .. } | Self::Credentials(_) => None,
        }
    }
}

impl Server {
    /// Takes the port for `control_plane`.
    ///
    /// # Errors
    ///
    /// [`ServeError`] when it cannot be had, or must not be opened. Nothing listens then.
    pub async fn bind(settings: ServeSettings, control_plane: ControlPlane) -> Result<Self, ServeError> {
        let address = settings.listen;
        if !address.ip().is_loopback() {
            if settings.tls.is_none() {
                return Err(ServeError::PlainText { address });
            }
            if !control_plane.credentials.are_there().await? {
                return Err(ServeError::Unguarded { address });
            }
        }
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::Busy { address },
            _ => ServeError::Listen { address, source },
        })?;
        let bound = listener.local_addr().map_err(|source| ServeError::Listen { address, source })?;
        Ok(Self { listener, address: bound, settings, control_plane })
    }

    /// Where it listens, with the port that was found where 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready, and then until connections have ended, at most
    /// for the grace of the settings.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, address, settings, control_plane } = self;
        let access = Arc::new(Access {
            credentials: control_plane.credentials.clone(),
            is_loopback: address.ip().is_loopback(),
        });
        let (routes, stop) = routes::all(&control_plane, access).await;
        accept_all(listener, routes, &settings, shutdown, || drop(stop)).await;
    }
}

async fn accept_all(
    listener: TcpListener,
    routes: Router,
    settings: &ServeSettings,
    shutdown: impl Future<Output = ()>,
    end_streams: impl FnOnce(),
) {
    let graceful = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(settings.max_connections));
    let patience = Patience { head: settings.head_timeout, stranger: settings.stranger_timeout };
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &free) => accepted,
            () = &mut shutdown => break,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "no connection can be accepted at the moment");
                sleep(REST).await;
                continue;
            }
        };
        let (routes, tls, watcher) = (routes.clone(), settings.tls.clone(), graceful.watcher());
        connections.spawn(async move {
            connection::serve(stream, tls, routes, patience, watcher).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    end_streams();
    let _ = timeout(settings.grace, graceful.shutdown()).await;
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, OwnedSemaphorePermit)> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    let permit = Arc::clone(free).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, permit)),
            // that client is gone; the listener is well
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {}
            Err(error) => return Err(error),
        }
    }
}
