//! A port on loopback for a server that starts later, or again.
//!
//! Invariant: as long as there is a [`Port`], nobody who asks for any free port is given
//! this one. Its own socket is bound to it and never listens; a server may bind it beside
//! that, where it sets `SO_REUSEADDR` as servers do.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port on 127.0.0.1. While no server listens on it, connections to it are refused.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    // the port is taken as long as this is open
    _socket: TcpSocket,
}

impl Port {
    /// Takes a port that is free.
    ///
    /// # Panics
    ///
    /// When none is.
    #[must_use]
    pub fn take() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        // without it no server could bind the port beside this one
        socket.set_reuseaddr(true).expect("a socket can share its address");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port is free");
        let address = socket.local_addr().expect("the socket is bound");
        Self { address, _socket: socket }
    }

    /// Where the server is to listen, and is found.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}
