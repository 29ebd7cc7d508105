//! A connection that can be cut.

use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Server, address};

/// Stands before a server, and cuts all connections to it when told.
pub(crate) struct Proxy {
    pub(crate) server: Server,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Proxy {
    pub(crate) async fn before(server: &Server) -> Self {
        let (listener, endpoint) = address().await;
        let connections: Arc<Mutex<JoinSet<()>>> = Arc::default();
        let task = tokio::spawn(forward(listener, server.endpoint.clone(), Arc::clone(&connections)));
        Self { server: Server::new(endpoint, task), connections }
    }

    /// Cuts what is connected; new connections are let through.
    pub(crate) async fn cut(&self) {
        let mut connections = std::mem::take(&mut *self.connections.lock().unwrap());
        connections.shutdown().await;
    }
}

async fn forward(listener: TcpListener, endpoint: String, connections: Arc<Mutex<JoinSet<()>>>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let endpoint = endpoint.clone();
        connections.lock().unwrap().spawn(async move {
            let Ok(mut server) = TcpStream::connect(endpoint).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
