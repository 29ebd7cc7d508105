//! Who may call what: one table of all methods, and the layer in front of every route
//! that asks it.
//!
//! Invariants: a call reaches a service only with a [`Principal`] beside it; what the
//! table does not name is refused, so that a new method is closed until somebody says
//! who may call it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tonic::Status;
use tracing::warn;

use crate::services::fault;
use crate::tenants::{Credentials, Presented, Principal, Refusal, Role, Tenant};

/// The least role for each method of each service.
pub(crate) const METHODS: &[(&str, Role)] = &[
    ("/flowctl.v1.ControlPlaneService/RegisterComponent", Role::Operator),
    ("/flowctl.v1.ControlPlaneService/UnregisterComponent", Role::Operator),
    ("/flowctl.v1.ControlPlaneService/Heartbeat", Role::Operator),
    ("/flowctl.v1.ControlPlaneService/DiscoverComponents", Role::Viewer),
    ("/flowctl.v1.ControlPlaneService/GetComponentStatus", Role::Viewer),
    ("/flowctl.v1.ControlPlaneService/ListComponents", Role::Viewer),
    ("/flowctl.admin.v1.HostService/GetHost", Role::Viewer),
    ("/flowctl.admin.v1.PipelineService/ApplyPipeline", Role::Operator),
    ("/flowctl.admin.v1.PipelineService/GetPipeline", Role::Viewer),
    ("/flowctl.admin.v1.PipelineService/ListPipelines", Role::Viewer),
    ("/flowctl.admin.v1.PipelineService/WatchPipelines", Role::Viewer),
    ("/flowctl.admin.v1.PipelineService/DeletePipeline", Role::Admin),
    ("/flowctl.admin.v1.RunService/GetRun", Role::Viewer),
    ("/flowctl.admin.v1.RunService/ListRuns", Role::Viewer),
    ("/flowctl.admin.v1.RunService/WatchRun", Role::Viewer),
    ("/flowctl.admin.v1.RunService/StopRun", Role::Operator),
    ("/flowctl.admin.v1.RunService/ListRunEvents", Role::Viewer),
    ("/flowctl.admin.v1.RunService/WatchRunEvents", Role::Viewer),
    ("/flowctl.admin.v1.TopologyService/GetTopology", Role::Viewer),
    ("/flowctl.admin.v1.TopologyService/WatchTopology", Role::Viewer),
    ("/flowctl.admin.v1.TopologyService/TapNode", Role::Operator),
    ("/flowctl.admin.v1.TopologyService/ChangeTopology", Role::Operator),
    ("/flowctl.admin.v1.TopologyService/ListRevisions", Role::Viewer),
    ("/flowctl.admin.v1.PluginService/GetPlugin", Role::Viewer),
    ("/flowctl.admin.v1.PluginService/ListPlugins", Role::Viewer),
    ("/flowctl.admin.v1.PluginService/WatchPlugins", Role::Viewer),
    ("/grpc.health.v1.Health/Check", Role::Viewer),
    ("/grpc.health.v1.Health/Watch", Role::Viewer),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Role::Viewer),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Role::Viewer),
    (METRICS, Role::Viewer),
];

/// Where the figures for Prometheus are.
pub(crate) const METRICS: &str = "/metrics";

/// Routes that answer everybody.
pub(crate) const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The SHA-256 digest of its certificate in hex, where it showed one that was verified.
    pub certificate: Option<Arc<str>>,
    /// Whether it was let through at least once.
    pub(crate) has_called: Arc<AtomicBool>,
}

/// Who may call what on one server.
pub(crate) struct Access {
    pub(crate) credentials: Credentials,
    /// Whether only processes of this machine reach the server.
    pub(crate) is_loopback: bool,
}

impl Access {
    async fn principal(&self, headers: &HeaderMap, peer: &Peer) -> Result<Principal, Refusal> {
        let presented = match bearer(headers)? {
            Some(token) => Presented::Token(token),
            None => peer.certificate.as_deref().map_or(Presented::Nothing, Presented::Certificate),
        };
        match (self.credentials.principal(presented).await, self.is_loopback) {
            (Ok(Some(principal)), _) => Ok(principal),
            (Ok(None), true) => Ok(Principal { tenant: Tenant::unnamed(), role: Role::Admin }),
            (Ok(None), false) => Err(Refusal::Missing),
            (Err(refusal), _) => Err(refusal),
        }
    }
}

/// The layer: lets a request through with its [`Principal`], or answers in its stead.
pub(crate) async fn authenticate(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if OPEN.contains(&path) {
        return next.run(request).await;
    }
    let least = METHODS.iter().find(|(method, _)| *method == path).map(|(_, role)| *role);
    let is_call = path != METRICS && (least.is_some() || is_grpc(request.headers()));
    // a browser cannot speak HTTP/2 without TLS: no page calls through it what listens here
    if is_call && request.version() != Version::HTTP_2 {
        return StatusCode::HTTP_VERSION_NOT_SUPPORTED.into_response();
    }
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        warn!("a request came without a peer");
        return answer(is_call, &Status::internal("the connection has no peer"));
    };
    let principal = match access.principal(request.headers(), &peer).await {
        Ok(principal) => principal,
        Err(refusal) => return answer(is_call, &fault::refused(&refusal)),
    };
    peer.has_called.store(true, Ordering::Relaxed);
    let Some(least) = least else {
        return answer(is_call, &Status::unimplemented(format!("there is no method `{path}`")));
    };
    if principal.role < least {
        return answer(is_call, &fault::forbidden(principal.role, least));
    }
    request.extensions_mut().insert(principal);
    next.run(request).await
}

/// The token of an `authorization: Bearer` header; none where there is no such header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| Refusal::Unknown)?;
    let (scheme, token) = text.split_once(' ').ok_or(Refusal::Unknown)?;
    // of two credentials neither is the caller's word
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Unknown);
    }
    Ok(Some(token.trim()))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn answer(is_call: bool, status: &Status) -> Response {
    if is_call {
        return status.clone().into_http::<Body>();
    }
    let code = match status.code() {
        tonic::Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        tonic::Code::PermissionDenied => StatusCode::FORBIDDEN,
        tonic::Code::Unimplemented => StatusCode::NOT_FOUND,
        tonic::Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = (code, format!("{}\n", status.message())).into_response();
    if code == StatusCode::UNAUTHORIZED {
        let scheme = header::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// Services that components serve, and we call.
    const OF_COMPONENTS: [&str; 3] = ["SourceService", "ProcessorService", "ConsumerService"];

    #[test]
    fn every_method_of_every_service_is_in_the_table() {
        let mut methods = BTreeSet::new();
        for descriptors in [
            flowctl_proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            for file in FileDescriptorSet::decode(descriptors).unwrap().file {
                for service in &file.service {
                    if OF_COMPONENTS.contains(&service.name()) {
                        continue;
                    }
                    let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
                    methods.extend(service.method.iter().map(|method| path(method.name())));
                }
            }
        }
        let table: BTreeSet<_> = METHODS.iter().map(|(method, _)| (*method).to_owned()).collect();
        assert_eq!(table.len(), METHODS.len(), "a method is in the table twice");
        let named: BTreeSet<_> = table.into_iter().filter(|method| method != METRICS).collect();
        assert_eq!(named, methods);
    }

    #[test]
    fn two_credentials_or_another_scheme_are_none() {
        let header = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, header::HeaderValue::from_static(value));
            }
            bearer(&headers).map(|token| token.map(ToOwned::to_owned))
        };
        assert_eq!(header(&[]).unwrap(), None);
        assert_eq!(header(&["bearer abc"]).unwrap().as_deref(), Some("abc"));
        assert!(matches!(header(&["Bearer a", "Bearer b"]), Err(Refusal::Unknown)));
        assert!(matches!(header(&["Basic abc"]), Err(Refusal::Unknown)));
        assert!(matches!(header(&["abc"]), Err(Refusal::Unknown)));
    }
}
