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
use std::time::Duration;

use flowctl_proto::{admin, v1};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
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

/// What a stream gets to end by itself when the server stops: a run that was just drained
/// is still to be shown ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

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
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let last = tokio::select! {
                last = fed_or_stopped(fed, stop) => last,
                () = sender.closed() => None,
            };
            if let Some(status) = last {
                // who does not read does not learn it
                let _ = sender.try_send(Err(status));
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }
}

/// What a stream ends with: what its feed ends with, also shortly after the server stopped,
/// else that the server stops.
async fn fed_or_stopped(
    fed: impl Future<Output = Result<(), Status>>,
    mut stop: watch::Receiver<()>,
) -> Option<Status> {
    let mut fed = std::pin::pin!(fed);
    tokio::select! {
        fed = &mut fed => return fed.err(),
        // an error says that the server is gone, which is the same
        _ = stop.changed() => {}
    }
    match timeout(LAST_WORDS, fed).await {
        Ok(fed) => fed.err(),
        Err(_) => Some(fault::status(Code::Unavailable, "DRAINING", "the control plane is stopping", None)),
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn last_after_the_stop(feed_ends_after: Option<Duration>) -> Option<Code> {
        let (server, stop) = watch::channel(());
        drop(server);
        let fed = async {
            match feed_ends_after {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
            Ok(())
        };
        fed_or_stopped(fed, stop).await.map(|status| status.code())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_about_to_end_is_not_cut_when_the_server_stops() {
        assert_eq!(last_after_the_stop(Some(Duration::from_millis(100))).await, None);
        assert_eq!(last_after_the_stop(Some(LAST_WORDS * 2)).await, Some(Code::Unavailable));
        assert_eq!(last_after_the_stop(None).await, Some(Code::Unavailable));
    }
}
