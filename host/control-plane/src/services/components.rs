//! What components call: they register, say that they live, and find each other.

use std::collections::HashMap;

use flowctl_proto::v1::control_plane_service_server::ControlPlaneService;
use flowctl_proto::v1::{
    ComponentStatusRequest, ComponentStatusResponse, ComponentType, DiscoveryRequest, DiscoveryResponse, HealthStatus,
    HeartbeatRequest, ListComponentsRequest, ListComponentsResponse, RegisterRequest, RegisterResponse,
    UnregisterRequest,
};
use tonic::{Request, Response, Status};
use tracing::info;

use super::convert::timestamp;
use super::{Services, caller, fault};
use crate::access::Peer;
use crate::directory::{Component, Registration, role_number};

#[tonic::async_trait]
impl ControlPlaneService for Services {
    async fn register_component(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip().to_canonical());
        let peer = peer.ok_or_else(|| Status::internal("the connection has no peer"))?;
        let RegisterRequest { component, component_id } = request.into_inner();
        let component = component.ok_or_else(|| fault::invalid("component", "is missing"))?;
        let registration = Registration::new(component, &component_id, peer)?;
        let (id, endpoint) = (registration.id.clone(), registration.endpoint.clone());
        self.plane.directory.register(&tenant, registration).await?;
        info!(%tenant, component = id, endpoint, "a component registered");
        Ok(Response::new(RegisterResponse {
            service_id: id,
            assigned_topics: Vec::new(),
            connection_info: HashMap::new(),
        }))
    }

    async fn unregister_component(&self, request: Request<UnregisterRequest>) -> Result<Response<()>, Status> {
        let tenant = caller(&request)?.tenant;
        let id = request.into_inner().service_id;
        self.plane.directory.unregister(&tenant, &id).await?;
        info!(%tenant, component = id, "a component unregistered");
        Ok(Response::new(()))
    }

    async fn discover_components(
        &self,
        request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let wanted = request.into_inner();
        let components = self.plane.directory.list(&tenant);
        let found = components.iter().filter(|component| component.health.is_well() && matches(component, &wanted));
        let components = found.map(|component| component.registration.to_info()).collect();
        Ok(Response::new(DiscoveryResponse { components }))
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Result<Response<()>, Status> {
        let tenant = caller(&request)?.tenant;
        let beat = request.into_inner();
        let status = beat.status();
        self.plane.directory.beat(&tenant, &beat.service_id, status, beat.metrics)?;
        Ok(Response::new(()))
    }

    async fn get_component_status(
        &self,
        request: Request<ComponentStatusRequest>,
    ) -> Result<Response<ComponentStatusResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let component = self.plane.directory.get(&tenant, &request.get_ref().service_id)?;
        Ok(Response::new(shown(&component)))
    }

    async fn list_components(
        &self,
        request: Request<ListComponentsRequest>,
    ) -> Result<Response<ListComponentsResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let wanted = request.into_inner();
        let components = self.plane.directory.list(&tenant);
        let found = components.iter().filter(|component| {
            is_of_type(component, wanted.type_filter()) && (wanted.include_unhealthy || component.health.is_well())
        });
        Ok(Response::new(ListComponentsResponse { components: found.map(shown).collect() }))
    }
}

fn is_of_type(component: &Component, wanted: ComponentType) -> bool {
    wanted == ComponentType::Unspecified || wanted == role_number(component.registration.role)
}

fn matches(component: &Component, wanted: &DiscoveryRequest) -> bool {
    let registration = &component.registration;
    let mut types = registration.input_types.iter().chain(&registration.output_types);
    let has_type = wanted.event_types.is_empty() || types.any(|event_type| wanted.event_types.contains(event_type));
    let mut filters = wanted.metadata_filters.iter();
    is_of_type(component, wanted.r#type())
        && has_type
        && filters.all(|(key, value)| registration.metadata.get(key) == Some(value))
}

fn shown(component: &Component) -> ComponentStatusResponse {
    ComponentStatusResponse {
        component: Some(component.registration.to_info()),
        status: HealthStatus::from(component.health).into(),
        last_heartbeat: Some(timestamp(component.last_heartbeat)),
        metrics: (*component.metrics).clone().into_iter().collect(),
        registered_at: Some(timestamp(component.registered_at)),
    }
}
