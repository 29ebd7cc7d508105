//! A control plane that keeps what components tell it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use flowctl_proto::v1::control_plane_service_server::{ControlPlaneService, ControlPlaneServiceServer};
use flowctl_proto::v1::{
    ComponentStatusRequest, ComponentStatusResponse, DiscoveryRequest, DiscoveryResponse, HeartbeatRequest,
    ListComponentsRequest, ListComponentsResponse, RegisterRequest, RegisterResponse, UnregisterRequest,
};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What it was told, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Register(RegisterRequest),
    Heartbeat(HeartbeatRequest),
    Unregister(String),
}

#[derive(Default)]
struct Kept {
    told: Mutex<Vec<Told>>,
    news: Notify,
}

/// The control plane, until the test's runtime ends.
#[derive(Clone)]
pub(crate) struct ControlPlane {
    kept: Arc<Kept>,
    pub(crate) address: SocketAddr,
}

impl ControlPlane {
    pub(crate) async fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let this = Self { kept: Arc::default(), address: listener.local_addr().unwrap() };
        let service = ControlPlaneServiceServer::new(this.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        this
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.kept.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it is told what `is` says, and answers the first such.
    pub(crate) async fn wait_for(&self, is: impl Fn(&Told) -> bool) -> Told {
        loop {
            let news = self.kept.news.notified();
            if let Some(told) = self.told().into_iter().find(&is) {
                return told;
            }
            news.await;
        }
    }

    fn keep(&self, told: Told) {
        self.kept.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        self.kept.news.notify_waiters();
    }
}

#[tonic::async_trait]
impl ControlPlaneService for ControlPlane {
    /// The ids that it gives are its own, as those of some control planes are.
    async fn register_component(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        self.keep(Told::Register(request.into_inner()));
        let n_registered = self.told().iter().filter(|told| matches!(told, Told::Register(_))).count();
        let service_id = format!("service-{n_registered}");
        Ok(Response::new(RegisterResponse { service_id, ..RegisterResponse::default() }))
    }

    async fn unregister_component(&self, request: Request<UnregisterRequest>) -> Result<Response<()>, Status> {
        self.keep(Told::Unregister(request.into_inner().service_id));
        Ok(Response::new(()))
    }

    async fn discover_components(&self, _: Request<DiscoveryRequest>) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("it finds nothing"))
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Result<Response<()>, Status> {
        self.keep(Told::Heartbeat(request.into_inner()));
        Ok(Response::new(()))
    }

    async fn get_component_status(
        &self,
        request: Request<ComponentStatusRequest>,
    ) -> Result<Response<ComponentStatusResponse>, Status> {
        let service_id = request.into_inner().service_id;
        let registered = self.told().into_iter().filter_map(|told| match told {
            Told::Register(request) => request.component,
            _ => None,
        });
        let number: usize = service_id.trim_start_matches("service-").parse().unwrap_or(0);
        let component = registered.enumerate().find(|(index, _)| index + 1 == number).map(|(_, info)| info);
        let component = Some(component.ok_or_else(|| Status::not_found("nobody"))?);
        let now = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        Ok(Response::new(ComponentStatusResponse {
            component,
            status: 2,
            last_heartbeat: now,
            registered_at: now,
            ..ComponentStatusResponse::default()
        }))
    }

    async fn list_components(
        &self,
        _: Request<ListComponentsRequest>,
    ) -> Result<Response<ListComponentsResponse>, Status> {
        Ok(Response::new(ListComponentsResponse::default()))
    }
}
