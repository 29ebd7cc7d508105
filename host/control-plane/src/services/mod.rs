//! The services of `flowctl.v1` and `flowctl.admin.v1`.
//!
//! Invariants: a service sees the caller's tenant alone; every stream is bounded, and
//! ends with what it shows, with its caller, or when the server stops.

mod components;
mod convert;
pub(crate) mod fault;
mod host;
mod page;
mod pipelines;
mod plugins;
mod runs;
mod topologies;

use std::future::Future;
use std::pin::Pin;

use flowctl_proto::{admin, v1};
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Code, Request, Status};

use crate::ControlPlane;
use crate::tenants::Principal;

/// Bytes of a request.
const REQUEST_BYTES: usize = 4 << 20;
/// Messages that wait for a client that reads slowly.
const STREAM_LEN: usize = 16;

/// What all services share.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) plane: ControlPlane,
    /// Closes when the server stops.
    pub(crate) stop: watch::Receiver<()>,
}

/// What a streaming call answers.
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where a streaming call sends.
struct Feed<T>(mpsc::Sender<Result<T, Status>>);

/// The caller is gone, or has what it asked for.
struct Over;

impl Services {
    /// All of them, behind their paths.
    pub(crate) fn routes(self) -> Routes {
        use admin::host_service_server::HostServiceServer;
        use admin::pipeline_service_server::PipelineServiceServer;
        use admin::plugin_service_server::PluginServiceServer;
        use admin::run_service_server::RunServiceServer;
        use admin::topology_service_server::TopologyServiceServer;
        use v1::control_plane_service_server::ControlPlaneServiceServer;
        Routes::new(ControlPlaneServiceServer::new(self.clone()).max_decoding_message_size(REQUEST_BYTES))
            .add_service(HostServiceServer::new(self.clone()).max_decoding_message_size(REQUEST_BYTES))
            .add_service(PipelineServiceServer::new(self.clone()).max_decoding_message_size(REQUEST_BYTES))
            .add_service(RunServiceServer::new(self.clone()).max_decoding_message_size(REQUEST_BYTES))
            .add_service(TopologyServiceServer::new(self.clone()).max_decoding_message_size(REQUEST_BYTES))
            .add_service(PluginServiceServer::new(self).max_decoding_message_size(REQUEST_BYTES))
    }

    /// A stream that `feed` fills. It ends with `feed`, with its caller, or with the server.
    fn stream<T, F>(&self, feed: impl FnOnce(Feed<T>) -> F) -> Streamed<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(STREAM_LEN);
        let fed = feed(Feed(sender.clone()));
        let mut stop = self.stop.clone();
        tokio::spawn(async move {
            let last = tokio::select! {
                fed = fed => fed.err(),
                () = sender.closed() => None,
                _ = stop.changed() => {
                    Some(fault::status(Code::Unavailable, "DRAINING", "the control plane is stopping", None))
                }
            };
            if let Some(status) = last {
                // who does not read does not learn it
                let _ = sender.try_send(Err(status));
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }
}

impl<T> Feed<T> {
    async fn send(&self, message: T) -> Result<(), Over> {
        self.0.send(Ok(message)).await.map_err(|_| Over)
    }
}

/// Who calls.
fn caller<T>(request: &Request<T>) -> Result<Principal, Status> {
    let principal = request.extensions().get::<Principal>();
    // the layer in front of all routes puts it there, or lets nobody through
    principal.cloned().ok_or_else(|| Status::unauthenticated("nobody said who calls"))
}
