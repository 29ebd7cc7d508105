//! Every route of the port: gRPC services, health, reflection, and HTTP.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::watch;
use tonic_health::ServingStatus;

use crate::access::{Access, authenticate};
use crate::services::Services;
use crate::{ControlPlane, deadline, http};

/// The services whose health is told by name.
const SERVICES: [&str; 7] = [
    "",
    "flowctl.v1.ControlPlaneService",
    "flowctl.admin.v1.HostService",
    "flowctl.admin.v1.PipelineService",
    "flowctl.admin.v1.RunService",
    "flowctl.admin.v1.TopologyService",
    "flowctl.admin.v1.PluginService",
];

/// All routes behind the layer that asks who calls, and what ends their streams when it
/// is dropped.
pub(crate) async fn all(plane: &ControlPlane, access: Arc<Access>) -> (Router, watch::Sender<()>) {
    let (stop, stopped) = watch::channel(());
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::Serving).await;
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(flowctl_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let services = Services { plane: plane.clone(), stop: stopped };
    let routes = services
        .routes()
        .add_service(health)
        .add_service(reflection().build_v1().expect("the descriptors are those that the code was generated from"))
        .add_service(reflection().build_v1alpha().expect("the descriptors are those that the code was generated from"))
        .into_axum_router()
        .merge(http::routes(plane))
        .layer(from_fn(deadline::limit))
        .layer(from_fn_with_state(access, authenticate));
    (routes, stop)
}
