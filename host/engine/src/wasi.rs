//! What a node was granted, as WASI sees it: nothing, and then the node's `allow:`.
//!
//! - `env`: exactly these variables.
//! - `dirs`: each directory for reading, under the same absolute path as on the host.
//! - `hosts`: TCP connections to the addresses that `name:port` resolves to at the time
//!   of connecting, and lookups of exactly these names. No UDP, no listening.
//!
//! Clocks and random numbers are there for all. Input is empty; output goes to the log.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flowctl_topology::{Grants, Node};
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, SocketError, StreamError, StreamResult};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView as _};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use crate::EngineError;
use crate::host::State;
use crate::logs::{InstanceLog, Stream};

/// Most random bytes that a guest may ask for at once.
const MAX_RANDOM_BYTES: u64 = 1 << 20;
/// Most bytes that a guest may write to a stream at once. Every one may be a line end,
/// so this bounds how long a single write keeps the host's thread.
const MAX_WRITE_BYTES: usize = 4 << 10;

/// Hosts that may be connected to: name and port, as granted.
pub(crate) type Hosts = Arc<[(String, u16)]>;

/// Reads the hosts of a node's grants.
///
/// # Errors
///
/// [`EngineError::Grant`] for what is no `name:port`.
pub(crate) fn hosts(node: &Node) -> Result<Hosts, EngineError> {
    let read = |grant: &String| {
        let parts = grant.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
        match parts {
            Some((name, port)) if !name.is_empty() => {
                Ok((name.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
            }
            _ => Err(EngineError::Grant {
                node: node.id.to_string(),
                grant: grant.clone(),
                reason: "expected `name:port`".to_owned(),
            }),
        }
    };
    node.grants.hosts.iter().map(read).collect()
}

/// Makes the context of a new instance.
///
/// # Errors
///
/// [`EngineError::Grant`] for a directory that cannot be opened.
pub(crate) fn context(node: &Node, hosts: &Hosts, log: &InstanceLog) -> Result<WasiCtx, EngineError> {
    let Grants { env, dirs, .. } = &node.grants;
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(Output { log: log.clone(), stream: Stream::Stdout })
        .stderr(Output { log: log.clone(), stream: Stream::Stderr })
        .envs(env)
        .max_random_size(MAX_RANDOM_BYTES)
        .allow_udp(false)
        .allow_tcp(!hosts.is_empty())
        .allow_ip_name_lookup(!hosts.is_empty());
    for dir in dirs {
        let refused =
            |reason: String| EngineError::Grant { node: node.id.to_string(), grant: dir.display().to_string(), reason };
        let path = dir.to_str().ok_or_else(|| refused("its name is no UTF-8".to_owned()))?;
        builder.preopened_dir(dir, path, FsPerms::ReadOnly).map_err(|error| refused(format!("{error:#}")))?;
    }
    let hosts = Arc::clone(hosts);
    builder.socket_addr_check(move |address, usage| {
        let hosts = Arc::clone(&hosts);
        // a task of its own, because the future has to be `Sync`
        let check = tokio::spawn(async move { is_allowed(&hosts, address, usage).await });
        Box::pin(async move { check.await.unwrap_or(false) })
    });
    Ok(builder.build())
}

async fn is_allowed(hosts: &Hosts, address: SocketAddr, usage: SocketAddrUse) -> bool {
    match usage {
        // the system binds a connecting socket to any free port; no guest chooses one
        SocketAddrUse::TcpBind => !hosts.is_empty() && address.port() == 0 && address.ip().is_unspecified(),
        SocketAddrUse::TcpConnect => {
            for (name, port) in hosts.iter().filter(|(_, port)| *port == address.port()) {
                let is_same = |resolved: SocketAddr| resolved.ip().to_canonical() == address.ip().to_canonical();
                if let Ok(mut resolved) = tokio::net::lookup_host((name.as_str(), *port)).await
                    && resolved.any(is_same)
                {
                    return true;
                }
            }
            false
        }
        _ => false,
    }
}

/// Replaces WASI's name lookup by one that answers for granted names only: a lookup
/// of any name would carry data out.
pub(crate) fn link_name_lookup(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    ip_name_lookup::add_to_linker::<State, Lookup>(linker, |state| {
        let hosts = Arc::clone(&state.hosts);
        LookupView { hosts, sockets: state.sockets() }
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Lookup;

struct LookupView<'a> {
    hosts: Hosts,
    sockets: WasiSocketsCtxView<'a>,
}

impl HasData for Lookup {
    type Data<'a> = LookupView<'a>;
}

impl network::Host for LookupView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        network::Host::convert_error_code(&mut self.sockets, error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.sockets, error)
    }
}

impl network::HostNetwork for LookupView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl ip_name_lookup::Host for LookupView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ip_name_lookup::ResolveAddressStream>, SocketError> {
        let is_granted = self.hosts.iter().any(|(granted, _)| granted.eq_ignore_ascii_case(&name));
        if !is_granted && name.parse::<IpAddr>().is_err() {
            return Err(ErrorCode::AccessDenied.into());
        }
        ip_name_lookup::Host::resolve_addresses(&mut self.sockets, network, name)
    }
}

impl ip_name_lookup::HostResolveAddressStream for LookupView<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ip_name_lookup::ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        ip_name_lookup::HostResolveAddressStream::resolve_next_address(&mut self.sockets, stream)
    }

    fn subscribe(
        &mut self,
        stream: Resource<ip_name_lookup::ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        ip_name_lookup::HostResolveAddressStream::subscribe(&mut self.sockets, stream)
    }

    fn drop(&mut self, stream: Resource<ip_name_lookup::ResolveAddressStream>) -> wasmtime::Result<()> {
        ip_name_lookup::HostResolveAddressStream::drop(&mut self.sockets, stream)
    }
}

/// A guest's stdout or stderr.
#[derive(Clone)]
struct Output {
    log: InstanceLog,
    stream: Stream,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    /// Traps where more is written than `check_write` allowed, as WASI says.
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > MAX_WRITE_BYTES {
            let n_bytes = bytes.len();
            return Err(StreamError::Trap(wasmtime::format_err!(
                "wrote {n_bytes} bytes at once to a stream that takes {MAX_WRITE_BYTES}"
            )));
        }
        self.log.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE_BYTES)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(MAX_WRITE_BYTES)];
        self.log.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
